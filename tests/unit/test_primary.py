"""URLs of Sentinels and of a Cluster's nodes, and the slots of keys."""

import pytest
from redis.crc import key_slot

from queuecore.errors import ConfigurationError
from queuecore.wire import primary
from queuecore.wire.connections import Connection
from queuecore.wire.keys import Keys, connection_key

SENTINELS = (
    "redis+sentinel://me:p%2Fw@s1:1,s2,[::1]:3/jobs/2?sentinel_password=other&socket_timeout=7"
)


def test_sentinels() -> None:
    found = primary.read(SENTINELS)
    assert found.hosts == (("s1", 1), ("s2", 26379), ("::1", 3))
    assert (found.service, found.tls) == ("jobs", False)
    options = Connection("default", SENTINELS, "bull").arguments()
    assert (options["username"], options["password"], options["db"]) == ("me", "p/w", 2)
    assert options["socket_timeout"] == 7
    assert "host" not in options
    assert found.asked == "redis://any/?password=other"


def test_tls_for_both_or_for_the_server_alone() -> None:
    both = primary.read("rediss+sentinel://s1/jobs?ssl_ca_certs=/ca.pem")
    assert both.tls
    assert both.asked == "rediss://any/?ssl_ca_certs=%2Fca.pem"
    one = primary.read("rediss+sentinel://s1/jobs?ssl_ca_certs=/ca.pem&sentinel_ssl=false")
    assert one.tls
    assert one.asked == "redis://any/?"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://s3cret@s1,s2", "the name that the Sentinels give the primary"),
        ("redis+sentinel://:s3/cret@s1:1/jobs", "host:port"),
        ("redis+cluster://n1:7000,n2:x/", "host:port"),
        ("redis+cluster://n1:70000", "host:port"),
        ("redis+cluster://n1:7000/3", "database 0 only"),
        ("redis+sentinel://s1/jobs/three", "no whole number"),
        ("redis+cluster://n1?sentinel_password=s3cret", "of no use for a Cluster"),
    ],
)
def test_wrong_urls(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        Connection("default", url, "{bull}").check()
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["a", "{a}:b", "a{b}c", "{}a", "a{b", "{{a}}", "qc:{bull}::workers"]
)
def test_slots(key: str) -> None:
    assert primary.slot(key) == key_slot(key.encode())


def test_a_prefix_with_a_tag_has_one_slot() -> None:
    keys = Keys("{bull}", "a{b}")
    all_keys = [keys.wait, keys.job("{x}"), keys.own_marker, connection_key("{bull}", "workers")]
    assert {primary.slot(key) for key in all_keys} == {primary.slot("{bull}")}
    assert [primary.has_tag(one) for one in ("bull", "{}bull", "b{", "{bull}", "a{b}")] == [
        *(False, False, False, True, True)
    ]


def test_a_prefix_without_a_tag_is_refused_in_a_cluster() -> None:
    with pytest.raises(ConfigurationError, match=r"write it as '\{bull\}'"):
        Connection("default", "redis+cluster://n1:7000", "bull").check()
