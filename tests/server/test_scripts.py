"""The scripts as the server takes them: each compiles, under the digest that we send."""

import re

import pytest
import redis

from queuecore import Queue
from queuecore.errors import ScriptError
from queuecore.wire.scripts import load, names


@pytest.mark.parametrize("name", names())
def test_a_script_compiles_under_its_digest(redis_client: redis.Redis, name: str) -> None:
    script = load(name)
    assert redis_client.script_load(script.source) == script.sha


def test_a_server_that_forgot_its_scripts_gets_them_again(
    queue: Queue, redis_client: redis.Redis
) -> None:
    queue.add("x")
    redis_client.script_flush()
    queue.add("x")
    assert queue.get_job_counts("waiting") == {"waiting": 2}


def test_an_error_names_the_file_and_line(queue: Queue, redis_client: redis.Redis) -> None:
    redis_client.set("bull:q:wait", "no list")
    with pytest.raises(ScriptError, match=r"^add_jobs failed on the server") as caught:
        queue.add("x")
    assert "WRONGTYPE" in str(caught.value)
    assert re.search(r"\b[a-z_/]+\.lua:\d+", str(caught.value))
