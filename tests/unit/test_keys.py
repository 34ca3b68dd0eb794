"""The names of keys: BullMQ's as they are, ours beside them and in the same cluster slot."""

from queuecore.wire.keys import SUFFIXES, Keys, connection_key

K = Keys("bull", "emails")


def test_bullmq_s_keys() -> None:
    assert K.wait == "bull:emails:wait"
    assert K.waiting_children == "bull:emails:waiting-children"
    assert K.stalled_check == "bull:emails:stalled-check"
    assert K.metrics("failed") == "bull:emails:metrics:failed"
    assert (K.job("7"), K.lock("7")) == ("bull:emails:7", "bull:emails:7:lock")
    assert K.logs("a:b:c") == "bull:emails:a:b:c:logs"
    assert K.qualified == "bull:emails"
    assert K["repeat"] == K.repeat == "bull:emails:repeat"


def test_our_own_keys_are_no_queue_s_and_no_job_s() -> None:
    own = (K.qc("unknown"), K.receipt("call", "worker", 1), connection_key("bull", "queues"))
    assert own == (
        "qc:bull:emails:unknown",
        "qc:bull:emails:call:worker:1",
        "qc:bull::queues",
    )
    assert not any(key.startswith("bull:") for key in own)


def test_a_hash_tag_holds_all_keys_of_a_queue_together() -> None:
    def slot(key: str) -> str:
        start = key.index("{")
        return key[start : key.index("}", start)]

    for keys in (Keys("{bull}", "emails"), Keys("bull", "{emails}")):
        made = (keys.wait, keys.job("7"), keys.qc("unknown"), keys.receipt("add", "x", 1))
        assert len({slot(key) for key in made}) == 1


def test_every_key_of_a_queue_is_an_id_that_no_job_may_have() -> None:
    for name in dir(K):
        value = getattr(K, name)
        if isinstance(value, str) and value.startswith(K.base) and value != K.base:
            assert value.removeprefix(K.base) in SUFFIXES
