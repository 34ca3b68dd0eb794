"""Peers of a job, values in full, data that is replaced only as it was read, options taken over."""

import pytest

from queuecore import Backoff, Keep, Queue
from queuecore.errors import DataChanged, JobNotFound
from queuecore.inspect import Inspector
from queuecore.recipe import options_of
from tests.server.test_inspect import MS, put_job


@pytest.fixture
def inspector(server):
    return Inspector()


def finish(client, count, name="welcome", state="completed", first=0):
    for n in range(first, first + count):
        put_job(
            client,
            f"{name}-{state}-{n}",
            state,
            MS + n * 1000,
            name=name,
            processedOn=MS + n * 1000 - 250,
            finishedOn=MS + n * 1000,
            atm=2,
        )


def test_the_last_sixty_of_a_name_from_both_states_newest_first(inspector, redis_client):
    finish(redis_client, 80)
    finish(redis_client, 5, state="failed", first=70)
    finish(redis_client, 40, name="other", first=100)
    found = inspector.peers("emails", "welcome")
    assert len(found.jobs) == 60
    assert found.looked == 100
    ends = [one.finished_on for one in found.jobs]
    assert ends == sorted(ends, reverse=True)
    assert sum(one.state == "failed" for one in found.jobs) == 5
    assert {one.ran_ms for one in found.jobs} == {250}
    assert {one.attempts_made for one in found.jobs} == {2}


def test_only_the_newest_of_a_queue_are_looked_at(inspector, redis_client):
    finish(redis_client, 3)
    finish(redis_client, 700, name="other", first=10)
    assert inspector.peers("emails", "welcome").jobs == []
    assert inspector.peers("emails", "welcome").looked == 300


async def test_the_async_twin(server, redis_client):
    finish(redis_client, 3)
    inspector = Inspector()
    assert len((await inspector.apeers("emails", "welcome")).jobs) == 3
    assert await inspector.avalue("emails", "welcome-completed-0", "name") == ("welcome", 7)
    await inspector.connection.aclose()


def test_spoilt_hashes_are_no_peers(inspector, redis_client):
    finish(redis_client, 1)
    redis_client.zadd("bull:emails:completed", {"text": MS, "gone": MS, "wrong": MS})
    redis_client.set("bull:emails:text", "no hash")
    put_job(redis_client, "wrong", name="welcome", processedOn="x")
    found = inspector.peers("emails", "welcome").jobs
    assert {one.id: one.ran_ms for one in found} == {"welcome-completed-0": 250, "wrong": None}
    redis_client.delete("bull:emails:failed")
    redis_client.set("bull:emails:failed", "no set")
    assert len(inspector.peers("emails", "welcome").jobs) == 2


def test_a_value_is_read_whole_up_to_a_limit(inspector, redis_client):
    put_job(redis_client, "1", "wait", data="x" * 100_000)
    assert inspector.value("emails", "1", "data") == ("x" * 100_000, 100_000)
    assert inspector.value("emails", "1", "data", 99_999) == (None, 100_000)
    assert inspector.value("emails", "1", "nothing") == ("", 0)
    assert inspector.value("emails", "wait", "data") == ("", 0)


def test_data_is_replaced_only_as_it_was_read(server, redis_client):
    queue = Queue("emails")
    mine = queue.add("welcome", {"n": 1}, job_id="job-1")
    other = queue.get_job("job-1")
    other.update_data({"n": 2})
    with pytest.raises(DataChanged, match="read it again"):
        mine.update_data({"n": 3}, unchanged=True)
    assert queue.get_job("job-1").data == {"n": 2}
    other.update_data({"n": 4}, unchanged=True)
    assert queue.get_job("job-1").data == {"n": 4}
    mine.update_data({"n": 5})
    assert queue.get_job("job-1").data == {"n": 5}
    other.remove()
    with pytest.raises(JobNotFound):
        mine.update_data({"n": 6}, unchanged=True)


async def test_data_is_replaced_only_as_it_was_read_async(server, redis_client):
    queue = Queue("emails")
    job = await queue.aadd("welcome", {"n": 1}, job_id="job-1")
    redis_client.hset("bull:emails:job-1", "data", "[]")
    with pytest.raises(DataChanged):
        await job.aupdate_data({"n": 3}, unchanged=True)
    await queue.connection.aclose()


def test_the_same_change_sent_twice_is_made_once(server, redis_client):
    queue = Queue("emails")
    job = queue.add("welcome", {"n": 1}, job_id="job-1")
    again = queue.get_job("job-1")
    job.update_data({"n": 2}, unchanged=True)
    again.update_data({"n": 2}, unchanged=True)  # the answer to the first was lost
    assert queue.get_job("job-1").data == {"n": 2}


OPTIONS = {
    "delay": 1.5,
    "priority": 3,
    "attempts": 5,
    "backoff": Backoff.exponential(2, 0.5),
    "lifo": True,
    "remove_on_complete": Keep(count=5, age=60),
    "remove_on_fail": 7,
    "keep_logs": 10,
    "stack_trace_limit": 2,
    "size_limit": 1000,
}


def test_options_come_back_as_they_were_given(server, redis_client):
    job = Queue("emails").add("welcome", {}, **OPTIONS)
    assert options_of(job.opts) == OPTIONS


def test_what_belongs_to_one_job_alone_is_left_out(server, redis_client):
    queue = Queue("emails")
    parent = queue.add("welcome", {})
    job = queue.add("welcome", {}, job_id="x", parent=parent, fail_parent_on_failure=True)
    assert options_of(job.opts) == {}


@pytest.mark.parametrize(
    ("opts", "expected"),
    [
        ({"attempts": "3", "delay": -1, "priority": True, "backoff": []}, {}),
        ({"backoff": 1500}, {"backoff": Backoff.fixed(1.5)}),
        ({"backoff": {"type": ""}}, {}),
        ({"removeOnComplete": True, "removeOnFail": False}, {"remove_on_complete": True}),
        ({"removeOnFail": {"age": "x"}, "kl": 1e30}, {}),
    ],
)
def test_options_of_strangers_are_read_as_far_as_they_make_sense(opts, expected):
    assert options_of(opts) == expected
