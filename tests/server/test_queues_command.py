"""``manage.py queues``: what its subcommands print and do, on record, and their exit codes."""

import json
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command

from queuecore import FlowJob, FlowProducer, Queue, audit_log, operations
from queuecore.access import Scope
from queuecore.management.queues import bulk
from queuecore.management.queues.subcommand import actor
from queuecore.matching import Tally
from queuecore.models import AuditEntry, Operation
from tests.server.processes import Start
from tests.server.test_matching import put

pytestmark = pytest.mark.django_db(transaction=True)


class Said(str):
    """What a subcommand printed, with its exit code and what it said on stderr."""

    code: int
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self)


def run(*args: str, **options: Any) -> Said:
    out, err = StringIO(), StringIO()
    code, error = 0, ""
    try:
        call_command("queues", *args, stdout=out, stderr=err, **options)
    except CommandError as raised:
        code, error = raised.returncode, str(raised)
    said = Said(out.getvalue())
    said.code, said.error = code, err.getvalue() + error
    return said


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """``asked("y")`` sits somebody at a terminal who answers that; what they were asked."""

    def answer(*words: str) -> list[str]:
        questions: list[str] = []
        given = iter(words)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda ask: questions.append(ask) or next(given))
        return questions

    return answer


def fail(client: redis.Redis, count: int, **fields: Any) -> None:
    """Put *count* failed jobs into `q`."""
    pipe = client.pipeline()
    for number in range(count):
        put(pipe, f"f{number:04}", "failed", 1000 + number, name="send", failedReason="boom",
            atm=3, **fields)  # fmt: skip
    pipe.execute()


def made_by_others(client: redis.Redis, name: str) -> None:
    """A queue with a name that ours may not have."""
    client.hset(f"bull:{name}:meta", "version", "bullmq:6.7.0")
    client.sadd("qc:bull::queues", name)


def rows() -> list[Any]:
    return list(audit_log.page(Scope()))


class TestSeeing:
    def test_the_list_for_people(self, queue: Queue, redis_client: redis.Redis) -> None:
        queue.add("x")
        Queue("second").pause(reason="the provider\x1b[2J is down")
        Queue("evil \x1b]0;hi\x07\u202e\n").add("x")
        fail(redis_client, 1234)
        said = run("list")
        assert re.search(r"^q +1 +0 +0 +1,234 ", said, re.MULTILINE)
        assert "paused: the provider␛[2J is down" in said
        assert "evil ␛]0;hi␇⟨U+202E⟩␊" in said
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", said)
        assert len(run("list", "s*").splitlines()) == 2
        first = run("list", "--sort", "failed").splitlines()[1]
        assert first.startswith("q ")

    def test_json_keeps_its_shape(self, queue: Queue) -> None:
        queue.add("x", {"a": 1}, delay=3600)
        queue.set_global_rate_limit(5, 2)
        queue.pause(reason="why", by="mara")
        (one,) = run("list", "--json").json
        assert list(one) == [
            *("connection", "name", "at", "paused", "pause", "counts", "groups", "oldest_wait"),
            *("next_delayed", "completed_total", "failed_total", "workers", "concurrency"),
            *("rate_limit", "limited_for_s", "version", "over"),
        ]
        assert one["counts"]["delayed"] == 1
        assert (one["pause"]["reason"], one["pause"]["by"]) == ("why", "mara")
        assert one["rate_limit"] == {"max": 5, "duration_s": 2}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["next_delayed"])
        shown = run("show", "q", "--json").json
        assert shown["schedulers"] == 0
        assert shown["limits"] == []
        assert shown["counts"] == one["counts"]
        listed = run("jobs", "q", "--state", "delayed", "--json").json
        (job,) = listed["jobs"]
        assert (listed["total"], listed["more"], job["delay_s"]) == (1, False, 3600)
        whole = run("job", "q", job["id"], "--json").json
        assert (whole["data"], whole["logs"]["lines"]) == ({"a": 1}, [])
        assert set(job) < set(whole)

    def test_one_job(self, queue: Queue, redis_client: redis.Redis) -> None:
        trace = json.dumps(["Error: boom\n  at \x1b[2J"])
        fail(redis_client, 1, stacktrace=trace, data='{"a":1,"token":"x7"}')
        redis_client.rpush("bull:q:f0000:logs", "password=x7")
        redis_client.rpush("bull:q:f0000:logs", *(f"line {n}" for n in range(30)))
        said = run("job", "q", "f0000", "--logs", "2")
        for part in ("tries     3 of 3", "\nboom\n", "  at ␛[2J", '"a": 1', "line 29"):
            assert part in said
        assert "line 27" not in said
        for secret in (
            run("job", "q", "f0000", "--logs", "99"),
            run("job", "q", "f0000", "--json"),
        ):
            assert "x7" not in secret
        assert "x7" not in run("jobs", "q", "--state", "failed")
        assert run("job", "q", "nope").error == "there is no job 'nope' in q"

    def test_jobs_by_filter_and_page(self, queue: Queue, redis_client: redis.Redis) -> None:
        fail(redis_client, 5)
        put(redis_client, "other", "failed", 2000, name="report", failedReason="no such user")

        def ids(*args: str) -> list[str]:
            found = run("jobs", "q", "--state", "failed", "--json", *args).json
            return [one["id"] for one in found["jobs"]]

        assert ids("--limit", "2") == ["other", "f0004"]
        assert ids("--limit", "2", "--offset", "2") == ["f0003", "f0002"]
        assert ids("--offset", "6") == []
        assert ids("--name", "rep*") == ids("--error", "NO SUCH") == ["other"]
        assert ids("--filter", "name:report", "--older-than", "7d") == ["other"]
        assert len(ids("--older-than", "1h")) == 6
        wrong = run("jobs", "q", "--filter", "name:a", "--name", "b")
        assert "ask for name" in wrong.error
        assert "did you mean 'name'" in run("jobs", "q", "--filter", "nam:a").error
        assert run("jobs", "q", "--state", "failed").error.startswith("6 of 6 failed jobs")

    def test_watching_goes_on_until_it_is_interrupted(
        self, queue: Queue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            queue.add("x")
            if len(slept) == 2:
                raise KeyboardInterrupt

        queue.add("x")
        monkeypatch.setattr("queuecore.management.queues.listing.time.sleep", sleep)
        said = run("list", "--watch", "3")
        assert slept == [3, 3]
        assert re.findall(r"^q +(\d)", said, re.MULTILINE) == ["1", "2"]
        assert "--watch is for people" in run("list", "--watch", "--json").error

    def test_colours_are_for_terminals(
        self, queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail(redis_client, 1)
        assert "\x1b" not in run("list")
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[" in run("list", "--force-color")
        assert "\x1b" not in run("--no-color", "list")


class TestProbes:
    def test_bounds(self, queue: Queue, redis_client: redis.Redis) -> None:
        put(redis_client, "old", "waiting", timestamp=1000)
        fail(redis_client, 2)
        fine = ("--max-waiting", "1", "--max-failed", "2", "--min-workers", "0", "--not-paused")
        assert (run("show", "q", *fine).code, run("list", *fine).error) == (0, "")
        over = run("show", "q", "--max-waiting", "0", "--max-age", "15m", "--json")
        assert over.code == 1
        assert "q: 1 job waiting (at most 0), the oldest waits for" in over.error
        assert len(over.json["over"]) == 2
        queue.pause()
        over = run("list", "--max-failed", "1", "--min-workers", "1", "--not-paused")
        assert over.code == 1
        assert over.error == "q: 2 failed jobs (at most 1), 0 workers (at least 1), paused"

    def test_who_does_not_answer(self, queue: Queue, settings: Any) -> None:
        queue.add("x")
        connections = settings.QUEUECORE["CONNECTIONS"] | {"away": {"URL": "redis://127.0.0.1:1"}}
        settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}
        said = run("list", "--json")
        assert [one["name"] for one in said.json] == ["q"]
        assert said.code == 3
        assert "'away' cannot be reached" in said.error
        assert "\n" not in said.error
        # Who completes a word is not told.
        names = run("names")
        assert (names, names.code, names.error) == ("", 0, "") or names.split() == ["q"]

    def test_names_for_shells(self, queue: Queue, other: Queue, redis_client: redis.Redis) -> None:
        for one in (queue, other, Queue("qu"), Queue("q\x1b")):
            one.add("x")
        made_by_others(redis_client, "other:x")
        assert run("names").splitlines() == ["default:other:x", "other:second", "q", "qu"]
        assert run("names", "--complete", "default:q").split() == ["default:q", "default:qu"]
        assert run("names", "--connection", "other").split() == ["second"]
        assert run("names", "--what", "connections").split() == ["default", "other"]

    def test_a_queue_is_addressed_or_explained(
        self, queue: Queue, other: Queue, redis_client: redis.Redis
    ) -> None:
        queue.add("x")
        other.add("x")
        for named in (("other:second",), ("second", "--connection", "other")):
            assert run("show", *named, "--json").json["connection"] == "other"
        assert run("show", "second").error.endswith("did you mean other:second?")
        assert run("show", "other:secnd").error.endswith("did you mean 'second'?")
        assert "did you mean 'other'" in run("list", "--connection", "othr").error
        assert run("pause", "nope").code == 1
        made_by_others(redis_client, "other:x")
        assert run("show", "default:other:x", "--json").json["name"] == "other:x"


class TestSteering:
    def test_pause_and_resume_as_the_page_records_them(self, queue: Queue) -> None:
        for name in ("mail-a", "mail-b"):
            Queue(name).add("x")
        said = run("pause", "mail-*", "--for", "1h", "--reason", "they are down")
        assert said == "paused mail-a for 1h 00m\npaused mail-b for 1h 00m\n"
        assert Queue("mail-a").is_paused()
        last, first = rows()
        assert (first.actor, first.action, first.queue) == (actor(), "pause", "mail-a")
        assert (last.queue, last.reason) == ("mail-b", "they are down")
        assert set(last.params) == {"until"}
        shown = run("show", "mail-a")
        assert f"by {actor()} until" in shown
        assert "they are down" in shown
        run("resume", "mail-a", "mail-b")
        assert not Queue("mail-b").is_paused()
        assert rows()[0].action == "resume"

    def test_schedulers(self, queue: Queue, asked: Callable[..., list[str]]) -> None:
        queue.upsert_job_scheduler("nightly", pattern="0 3 * * *", name="report")
        queue.upsert_job_scheduler("often", every=3600)
        listed = {one["id"]: one for one in run("schedulers", "--json").json}
        assert listed["nightly"]["pattern"] == "0 3 * * *"
        assert (listed["often"]["every_s"], listed["often"]["late"]) == (3600, False)
        run("schedulers", "pause", "q", "nightly", "--reason", "the holidays")
        assert queue.get_paused_job_schedulers()[0].key == "nightly"
        assert "paused for" in run("schedulers", "list", "q")
        run("schedulers", "resume", "q", "nightly")
        ran = run("schedulers", "run", "q", "nightly")
        assert queue.get_job(ran.split()[1]).name == "report"
        assert "add --yes" in run("schedulers", "remove", "q", "often").error
        asked("n")
        assert run("schedulers", "remove", "q", "often").error == "nothing was done"
        assert run("schedulers", "remove", "q", "often", "--yes").code == 0
        assert queue.get_job_schedulers_count() == 1
        assert "did you mean 'nightly'" in run("schedulers", "run", "q", "nigtly").error
        assert [one.action for one in reversed(rows())] == [
            f"{verb}_scheduler" for verb in ("pause", "resume", "run", "remove")
        ]

    def test_workers(self, start: Start, queue: Queue, redis_client: redis.Redis) -> None:
        process = start("slow", HEARTBEAT=0.2)
        # Until its first heartbeat tells its connection, it counts as somebody else's.
        process.until(
            lambda: [one["id"] for one in run("workers", "--json").json] not in ([], [None])
        )
        one = run("workers", "list", "slow", "--json").json[0]
        assert (one["pid"], one["state"]) == (process.process.pid, "running")
        said = run("workers", "pause", one["id"][:8], "--reason", "a look")
        assert said == "asked 1 worker to pause; they have heard\n"
        assert run("workers", "--json").json[0]["state"] == "paused"
        assert (rows()[0].action, rows()[0].target) == ("pause_worker", one["id"])
        assert run("workers", "stop").error.startswith("say which workers")
        assert run("workers", "stop", "zzzz").code == 1
        assert run("workers", "stop", "--pid", "1", "--yes").code == 1
        run("workers", "stop", "--queue", "slow", "--yes")
        assert process.ends(10) == 0


class TestManyJobs:
    def test_by_id_as_the_page_records_it(self, queue: Queue, redis_client: redis.Redis) -> None:
        fail(redis_client, 3)
        said = run("retry", "q", "f0000", "f0001", "nope", "--reason", "again")
        assert (said, said.code) == ("retried 2 jobs of q\n", 1)
        assert "1 job not: nope" in said.error
        assert queue.get_job("f0000").attempts_made == 0
        (row,) = rows()
        assert (row.action, row.target) == ("retry", '["f0000", "f0001", "nope"]')
        assert (row.params["count"], row.result["count"]) == (3, 2)
        one = run("retry", "q", "f0002", "--keep-attempts", "--json").json
        assert (one["done"], queue.get_job("f0002").attempts_made) == (1, 3)
        assert rows()[0].target == "f0002"
        assert "leave the filter" in run("retry", "q", "f0001", "--name", "x").error

    def test_by_filter(self, queue: Queue, redis_client: redis.Redis) -> None:
        fail(redis_client, 30)
        put(redis_client, "other", "failed", 500, name="report", failedReason="no such user")
        counted = run("retry", "q", "--name", "send", "--limit", "20", "--dry-run", "--json").json
        assert (counted["planned"], counted["total"], counted["exact"]) == (20, 31, True)
        assert not AuditEntry.objects.exists()
        said = run("retry", "q", "--name", "send", "--limit", "20", "--reason", "again")
        assert said == "retried 20 jobs of q\n"
        assert queue.get_job_counts() | {"waiting": 20, "failed": 11} == queue.get_job_counts()
        (row,) = rows()
        assert (row.actor, row.action, row.target) == (actor(), "retry", "state:failed name:send")
        assert (row.reason, row.count) == ("again", 20)
        done = run("retry", "q", "--json").json
        assert (done["status"], done["done"], done["failures"]) == ("done", 11, [])
        assert run("retry", "q") == "no job of q is meant\n"
        assert run("promote", "q").code == 0
        queue.add("x", delay=3600)
        assert run("promote", "q") == "promoted 1 job of q\n"

    def test_none_among_those_counted_is_not_none_at_all(
        self, queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail(redis_client, 3)
        plan = operations.plan

        def hasty(*args: Any, **options: Any) -> operations.Plan:
            return replace(plan(*args, **options), tally=Tally(0, 1, 3))

        monkeypatch.setattr(operations, "plan", hasty)
        dry = run("retry", "q", "--name", "send", "--dry-run")
        assert dry == "retry of q would be done to about 0 failed jobs; 3 would stay\n"
        assert run("retry", "q", "--name", "send") == "retried 3 jobs of q\n"

    def test_an_order_may_be_left_to_others(self, queue: Queue, redis_client: redis.Redis) -> None:
        fail(redis_client, 2)
        made = run("retry", "q", "--no-wait", "--rate", "5", "--json").json
        assert (made["status"], made["planned"], made["done"]) == ("waiting", 2, 0)
        operation = Operation.objects.get(pk=made["operation"])
        assert (operation.rate, operation.actor) == (5, actor())
        operations.abort(operation)

    def test_ctrl_c_aborts_it_and_says_what_was_done(
        self, queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail(redis_client, 300)
        draw, pressed = bulk._Progress.draw, []

        def press(self: Any, operation: Operation) -> None:
            if operation.done and not pressed:
                pressed.append(operation.done)
                signal.raise_signal(signal.SIGINT)
            draw(self, operation)

        monkeypatch.setattr(bulk._Progress, "draw", press)
        before = signal.getsignal(signal.SIGINT)
        said = run("retry", "q", "--rate", "20")
        assert said.code == 130
        operation = Operation.objects.get()
        assert (operation.status, operation.error) == ("aborted", actor())
        assert 0 < operation.done < 300
        assert said == f"retried {operation.done} jobs of q\n"
        assert said.error == f"aborted: {300 - operation.done} jobs left as before"
        assert rows()[0].outcome == "aborted"
        assert signal.getsignal(signal.SIGINT) is before

    def test_what_deletes_asks(
        self, queue: Queue, redis_client: redis.Redis, asked: Callable[..., list[str]]
    ) -> None:
        fail(redis_client, 3)
        queue.add("x")
        whole = ("clean q --state failed", "drain q", "obliterate q", "remove q --state failed")
        for command in (*whole, "remove q f0001"):
            refused = run(*command.split())
            assert refused.code == 1
            assert "add --yes" in refused.error
        assert "ids, or --state" in run("remove", "q", "--yes").error
        assert not AuditEntry.objects.exists()
        questions = asked("n", "yes", "wrong", "q")
        assert run("clean", "q", "--state", "failed").error == "nothing was done"
        assert questions == ["Delete 3 failed jobs of q for good.\nGo on? [y/N] "]
        assert run("remove", "q", "f0001") == "removed 1 job of q\n"
        assert run("obliterate", "q").error == "nothing was done"
        assert queue.get_job_counts()["failed"] == 2
        assert run("obliterate", "q").endswith("; the queue is gone\n")
        assert "Type q to go on" in questions[-1]
        assert not redis_client.keys("bull:q:*")

    def test_clean_drain_and_remove(self, queue: Queue, redis_client: redis.Redis) -> None:
        fail(redis_client, 3)
        put(redis_client, "new", "failed", time.time() * 1000)
        assert run("clean", "q", "--state", "failed", "--older-than", "1h", "--yes").startswith(
            "removed 3 jobs"
        )
        assert redis_client.zrange("bull:q:failed", 0, -1) == ["new"]
        queue.add("x")
        queue.add("x", delay=3600)
        assert run("drain", "q", "--yes") == "removed 1 job of q\n"
        assert run("drain", "q", "--delayed", "--yes") == "removed 1 job of q\n"
        tree = FlowProducer().add(FlowJob("p", queue="q", children=[FlowJob("c", queue="q")]))
        kept = ("--state", "waiting-children", "--keep-children", "--yes")
        assert run("remove", "q", *kept) == "removed 1 job of q\n"
        assert queue.get_job_counts()["waiting"] == 1
        assert tree

    def test_a_queue_in_which_jobs_run_stands(self, queue: Queue, hands: Any) -> None:
        queue.add("x")
        hands.claim()
        refused = run("obliterate", "q", "--yes")
        assert refused.error == "1 job of q run: pause it and wait, or add --force"
        assert not queue.is_paused()
        assert run("obliterate", "q", "--yes", "--force").code == 0


def test_options_of_django_may_stand_behind(queue: Queue) -> None:
    queue.add("x")
    assert run("show", "q", "--traceback", "--skip-checks", "-v", "0").code == 0
    for wrong in (["nope"], ["show"], ["jobs", "q", "--state", "nope"], ["list", "--max-age", "x"]):
        with pytest.raises(CommandError):
            call_command("queues", *wrong)
