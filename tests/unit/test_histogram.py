"""Histograms: percentiles are off by at most what is promised, and parts merge exactly."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuecore.histogram import ERROR, FIRST, LAST, PER_DOUBLING, Histogram, bucket

# From under a bucket to the top of the last one, in ms.
TIMES = st.floats(min_value=0.0, max_value=2 ** (LAST / PER_DOUBLING), allow_nan=False)
SHARES = st.sampled_from([0, 1, 25, 50, 75, 90, 95, 99, 99.9, 100])


def counted(times: list[float]) -> Histogram:
    histogram = Histogram()
    for ms in times:
        number = bucket(ms)
        histogram.buckets[number] = histogram.buckets.get(number, 0) + 1
        histogram.total += ms / 1000
    return histogram


def exact(times: list[float], share: float) -> float:
    """The nearest rank, in seconds."""
    return sorted(times)[max(math.ceil(len(times) * share / 100), 1) - 1] / 1000


def test_the_error_is_at_most_five_percent() -> None:
    assert ERROR < 0.05


@given(st.lists(TIMES, min_size=1, max_size=200), SHARES)
def test_a_percentile_is_off_by_no_more_than_the_error(times: list[float], share: float) -> None:
    found, right = counted(times).percentile(share), exact(times, share)
    assert found is not None
    assert abs(found - right) <= max(ERROR * right * (1 + 1e-9), 0.000_011)


@given(st.lists(st.lists(TIMES, max_size=50), min_size=2, max_size=5), SHARES)
def test_parts_merge_to_the_whole(parts: list[list[float]], share: float) -> None:
    whole = Histogram()
    for part in parts:
        whole.add(counted(part))
    at_once = counted([ms for part in parts for ms in part])
    assert whole.buckets == at_once.buckets
    assert whole.percentile(share) == at_once.percentile(share)
    assert whole.total == pytest.approx(at_once.total)


@pytest.mark.parametrize("power", range(-5, 24))
def test_powers_of_two_are_bounds(power: int) -> None:
    assert bucket(2.0**power) == PER_DOUBLING * power
    assert bucket(2.0**power * 1.0001) == PER_DOUBLING * power + 1
    assert counted([2.0**power, 2.0**power * 1.01]).up_to([power, power + 1]) == [1, 2]


def test_the_ends() -> None:
    assert bucket(0) == bucket(-5) == FIRST
    assert bucket(1e300) == LAST
    assert counted([0, 0]).p99 == 0


def test_of_nothing_there_is_no_percentile() -> None:
    empty = Histogram()
    assert (empty.count, empty.mean, empty.p50, empty.p95, empty.p99) == (0, None, None, None, None)
    with pytest.raises(ValueError, match="between 0 and 100"):
        empty.percentile(101)
