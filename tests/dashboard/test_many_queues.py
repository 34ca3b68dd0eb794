"""Several queues at once: ticked on the list, paused and resumed after one confirmation."""

import re
from collections.abc import Callable

import pytest
from django.test import Client

from queuecore import Queue
from queuecore.inspect import Inspector
from queuecore.models import AuditEntry
from tests.dashboard.test_actions import recorded, said, token_of
from tests.servers import Server

Person = Callable[..., Client]
PAUSE, RESUME = "/bulk/queues/pause/", "/bulk/queues/resume/"


@pytest.fixture
def queues(server: Server) -> dict[str, Queue]:
    """Three queues with a job each, one of them with a name that no form carries as it is."""
    made = {name: Queue(name) for name in ("mail-a", "mail-b", "odd\nname ✓")}
    for queue in made.values():
        queue.add("x")
    return made


def keys_of(client: Client, query: str = "") -> list[str]:
    """What the ticks of the list say."""
    page = client.get(f"/queues/?sort=name&{query}").content.decode()
    return re.findall(r'form="bulk" name="id" value="([^"]+)" data-tick', page)


def test_ticked_queues_are_paused_and_resumed(admin: Client, queues: dict[str, Queue]) -> None:
    keys = keys_of(admin)
    assert len(keys) == 3
    asked = admin.post(PAUSE, {"id": keys, "next": "/queues/?sort=name"})
    text = asked.content.decode()
    assert "Pause 3 queues" in text
    assert "<b>mail-a</b>, <b>mail-b</b>, <b>odd\nname ✓</b>" in text
    assert not any(queue.is_paused() for queue in queues.values())
    form = {"id": keys, "token": token_of(asked), "reason": "the relay is away", "for": "3600"}
    form["next"] = "/queues/?sort=name"

    # For these queues alone: not for fewer, for others or for the other action.
    for path, ids in ((PAUSE, keys[:2]), (PAUSE, [*keys, "default/more"]), (RESUME, keys)):
        assert "confirm-form" in admin.post(path, {**form, "id": ids}).content.decode()
    assert not AuditEntry.objects.exists()

    answer = admin.post(PAUSE, form)
    assert (answer.status_code, answer["Location"]) == (302, "/queues/?sort=name")
    assert said(admin) == "Paused 3 queues"
    assert all(queue.is_paused() for queue in queues.values())
    pause = Inspector().snapshots(["mail-a"])["mail-a"].pause
    assert (pause.reason, pause.by) == ("the relay is away", "ada")
    assert 3_500 < (pause.until - pause.since).total_seconds() < 3_700
    assert recorded() == [("ada", "pause", name, "", "done") for name in queues]
    admin.post(PAUSE, form)
    assert "already" in said(admin)
    assert len(recorded()) == 3

    asked = admin.get("/bulk/queues/confirm/resume/", {"id": keys[:2]})
    assert "Resume 2 queues" in asked.content.decode()
    admin.post(RESUME, {"id": keys[:2], "token": token_of(asked)})
    assert said(admin) == "Resumed 2 queues"
    assert [queue.is_paused() for queue in queues.values()] == [False, False, True]
    again = admin.post(PAUSE, {"id": keys}).content.decode()
    assert "1 of them is paused already" in again


def test_what_one_may_not_pause_is_refused_and_the_others_are_done(
    person: Person, queues: dict[str, Queue]
) -> None:
    client = person("view", "pause_queue", scope=("mail-*",))
    keys = ["default/secret", *keys_of(client), "default/mail-gone", "elsewhere/mail-a", "~/~"]
    assert len(keys) == 6
    Queue("secret").add("x")
    asked = client.post(PAUSE, {"id": keys})
    text = asked.content.decode()
    assert "Pause 2 queues" in text
    assert "1 more will be refused" in text
    assert "2 more are not there any more" in text
    assert "secret</b>" not in text
    client.post(PAUSE, {"id": keys, "token": token_of(asked)})
    assert said(client) == "Paused 2 queues; 1 was refused; 2 were not there"
    assert not Queue("secret").is_paused()
    assert [row[2:] for row in recorded()] == [
        ("secret", "", "denied"),
        ("mail-a", "", "done"),
        ("mail-b", "", "done"),
        ("mail-gone", "", "failed"),
        ("mail-a", "", "failed"),
    ]


def test_without_the_right_there_are_no_ticks_and_each_attempt_is_on_record(
    person: Person, queues: dict[str, Queue]
) -> None:
    client = person("view")
    assert keys_of(client) == []
    page = client.get("/queues/").content.decode()
    assert 'id="bulk"' not in page
    assert "c-tick" not in page
    assert client.post(PAUSE, {"id": ["default/mail-a", "default/mail-b"]}).status_code == 403
    assert recorded() == [("olga", "pause", f"mail-{one}", "", "denied") for one in "ab"]


def test_none_too_many_and_other_verbs(admin: Client, queues: dict[str, Queue]) -> None:
    admin.post(PAUSE)
    assert said(admin) == "No queue was ticked."
    admin.post(PAUSE, {"id": [f"default/{n}" for n in range(101)]})
    assert said(admin) == "Tick at most 100 queues."
    assert admin.post("/bulk/queues/drain/", {"id": "default/mail-a"}).status_code == 404
    gone = admin.post(PAUSE, {"id": "default/gone"}).content.decode()
    assert re.search(r'type="submit" disabled', gone)
    assert not AuditEntry.objects.exists()


def test_heads_turn_the_order_round(admin: Client, queues: dict[str, Queue]) -> None:
    queues["mail-b"].add("x")

    def seen(sort: str) -> tuple[list[str], str, str]:
        page = admin.get(f"/queues/?sort={sort}").content.decode()
        head = re.search(r'aria-sort="(\w+)"><a href="\?show=all&amp;sort=([\w-]+)"', page)
        assert head
        names = re.findall(r'data-live-id="default:(mail-\w)" data-row', page)
        return names, head[1], head[2]

    assert seen("waiting") == (["mail-b", "mail-a"], "descending", "-waiting")
    assert seen("-waiting") == (["mail-a", "mail-b"], "ascending", "waiting")
    assert seen("name") == (["mail-a", "mail-b"], "ascending", "-name")
    assert seen("-name") == (["mail-b", "mail-a"], "descending", "attention")
    assert seen("attention")[1:] == ("other", "name")
    assert seen("-oldest")[1] == "ascending"
    assert seen("-attention")[1] == "other"
