"""The period of seven days, which is read for the pages that show it and for no other."""

import re
import time
from datetime import timedelta

import pytest
import redis
from django.test import Client
from django.utils import timezone

from dashboard.draw.values import dated
from dashboard.live import hub
from dashboard.live.state import Topic
from queuecore import Queue
from queuecore.history import Figures, Record, history_of
from queuecore.wire.calls.keeping import get_history, keep_history
from queuecore.wire.connections import get_connection

pytestmark = pytest.mark.django_db(transaction=True)

BOTH = ("/", "/queues/emails/")


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which lists of the history were read, in a process that has read none."""
    monkeypatch.setattr("queuecore.history.collector._histories", {})
    monkeypatch.setattr("queuecore.history.ensure_running", lambda: None)
    read: list[str] = []

    def noted(prefix: str, kind: str, newest: int) -> object:
        read.append(kind)
        return get_history(prefix, kind, newest)

    monkeypatch.setattr("queuecore.history.history.get_history", noted)
    return read


@pytest.fixture
def week(emails: Queue, redis_client: redis.Redis) -> int:
    """Three days by the quarter of an hour, all but twelve hours of them; when they end."""
    end = int(time.time()) // 900 * 900
    for number in range(3 * 96, -1, -1):
        if not 100 <= number < 148:
            figures = {"emails": Figures(waiting=7, done=1_500, lost=15)}
            record = Record(end - 900 * number, 900, True, figures).encode()
            get_connection().run(keep_history("bull", "me", 9_000, quarter=record))
    return end


def test_a_week_is_drawn_with_its_days_and_gaps(admin: Client, week: int, lists: list[str]) -> None:
    for address in BOTH:
        page = admin.get(f"{address}?period=7d").content.decode()
        assert re.search(r'id="period-7d" aria-current="true"[^>]*>7 d</a>', page)
        assert page.count("done-line") >= 2  # before and after the gap; the part before is empty
        days = re.findall(r"<text[^>]* data-day>(.*?)</text>", page)
        assert 6 <= len(set(days)) <= 7
        today = timezone.localtime().replace(hour=0, minute=0)
        assert dated(today - timedelta(days=2), "j M") in days
        table = admin.get(f"{address}?period=7d&table=1").content.decode()
        # Those of times are not of the history.
        table = re.sub(r'(?s)<div id="(run|wait)-chart".*?</div>', "", table)
        rows = re.findall(r'<th scope="row"><time [^>]*data-time="date">', table)
        assert 58 <= len(rows) / table.count("chart-table") <= 62
        assert '<td class="num">100</td>' in table  # 6,000 an hour
    assert lists.count("quarters") == 1, "a process reads them once, and then what is new"


def test_a_young_week_has_its_period_and_an_empty_part(
    admin: Client, emails: Queue, lists: list[str]
) -> None:
    for address in BOTH:
        page = admin.get(f"{address}?period=7d").content.decode()
        assert "Nothing measured in this period yet." in page


def test_other_periods_do_not_read_it(admin: Client, week: int, lists: list[str]) -> None:
    for address in BOTH:
        for asked in ("", "?period=24h", "?period=7d1", "?period=1h&table=1"):
            assert admin.get(address + asked).status_code == 200
    admin.get("/live/poll/", {"topic": "overview", "id": ["period:24h"]})
    assert set(lists) <= {"seconds", "minutes"}
    answer = admin.get("/live/poll/", {"topic": "queue:default:emails", "id": ["period:7d"]}).json()
    (drawn,) = [patch["html"] for patch in answer["patches"] if patch["id"] == "throughput"]
    assert "done-line" in drawn
    assert lists.count("quarters") == 1


@pytest.mark.parametrize(("id", "read"), [("period:24h", 0), ("table:7d", 1)])
async def test_the_hub_reads_it_for_who_has_it_open(
    week: int, lists: list[str], id: str, read: int
) -> None:
    reader = hub._Follower(hub.Hub(), "default")
    topic = Topic("queue", "default", "emails")
    group = type("Group", (), {"topic": topic, "ids": (id,)})()
    await reader._look([group], None)
    assert lists.count("quarters") == read
    assert (history_of().series("waiting", seconds=604_800, step=900)[-10] == 7) is bool(read)
    await get_connection().aclose()
