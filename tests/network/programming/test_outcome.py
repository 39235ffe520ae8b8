"""Latencies against what numpy makes of them, and the buckets of the metric by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.kernels import plain_form
from kscale.network.programming import Changes, Cost, Nodes, Proxies
from kscale.network.programming.latencies import BOUNDS_US, PLACES, fine_histogram, fine_quantiles, select
from kscale.network.programming.outcome import CHANGE_SHARES, INTERVAL_SHARES, Outcome

SECOND = 1_000_000


def test_buckets_are_those_of_the_metric():
    assert len(BOUNDS_US) == 1 + 2 + 59 + 12 + 7
    assert BOUNDS_US[[0, 1, 2, 3, 61, 62, 73, 74, 80]].tolist() == [
        0, 250_000, 500_000, SECOND, 59 * SECOND, 60 * SECOND, 115 * SECOND, 120 * SECOND, 300 * SECOND,
    ]  # fmt: skip
    # A whole bound is in its own bucket, what is above the last has none.
    assert BOUNDS_US[PLACES[[0, 1, 2, 4, 5]]].tolist() == [0, 250_000, 500_000, SECOND, 2 * SECOND]
    assert (PLACES[1200], PLACES[1201]) == (80, 81)


def naive(seen, changes, interval):
    """Return quantiles of each change, and what is told of each interval."""
    latency = seen - changes.trigger_us[:, None]
    quantiles = np.sort(latency, axis=1)[
        :, [max(int(np.ceil(share * latency.shape[1])) - 1, 0) for share in CHANGE_SHARES]
    ]
    told = {}
    for number in np.unique(changes.written_us // interval):
        chosen = latency[changes.written_us // interval == number]
        every = np.sort(chosen.ravel())
        ranks = [max(int(np.ceil(share * len(every))) - 1, 0) for share in INTERVAL_SHARES]
        told[int(number) * interval] = (len(chosen), int(every.sum()), every[ranks].tolist(), int(every[-1]))
    buckets = [np.bincount(np.searchsorted(BOUNDS_US, rows.ravel()), minlength=len(BOUNDS_US) + 1)
               for rows in (latency, latency[changes.measured > 0])]  # fmt: skip
    return quantiles, told, buckets


@given(st.data())
def test_latencies_are_weighed_as_numpy_does(data):
    gaps = data.draw(st.lists(st.integers(0, 4 * SECOND), min_size=1, max_size=30))
    written = np.cumsum(np.array(gaps, np.int64))
    count = len(written)
    waits = data.draw(st.lists(st.integers(0, 3 * SECOND), min_size=count, max_size=count))
    measured = data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    slow = data.draw(st.sampled_from([SECOND // 100, 3 * SECOND, 400 * SECOND]))
    watch = np.array(data.draw(st.lists(st.integers(0, SECOND), min_size=1, max_size=7)))
    nodes = Nodes(watch, np.arange(len(watch)) * SECOND)
    changes = Changes.of(written, 0, trigger_us=written - waits, measured=measured)
    check(nodes, Cost(slow, 0, 0, 1, 0, SECOND, 10**12), changes, compiled=False, threads=1)


@pytest.mark.compiled
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_compiled_threads_give_the_same(threads):
    random = np.random.default_rng(5)
    written = np.sort(random.integers(0, 60 * SECOND, 700))
    nodes = Nodes(random.integers(0, 100_000, 500), random.integers(0, 40 * SECOND, 500))
    changes = Changes.of(
        written, random.integers(0, 40, 700), trigger_us=written - random.integers(0, SECOND, 700),
        endpoints=random.integers(0, 5, 700), measured=random.integers(0, 2, 700),
    )  # fmt: skip
    cost = Cost(200_000.5, 100, 10.25, 30, 3 * SECOND, SECOND, 40 * SECOND, 2)
    check(nodes, cost, changes, compiled=True, threads=threads)


def check(nodes, cost, changes, *, compiled, threads):
    proxies = Proxies(nodes, cost, compiled=compiled, threads=threads)
    outcome = Outcome(proxies, 10 * SECOND, compiled=compiled, threads=threads)
    half = int(changes.written_us[len(changes) // 2])
    upto = int(np.searchsorted(changes.written_us, half, "right"))
    seen, quantiles, total = [], [], []
    batches = (
        lambda: proxies.advance(changes[:upto], half),
        lambda: proxies.advance(changes[upto:], half + 10**9),
        lambda: proxies.finish(half + 10**9),
    )
    for batch in batches:
        known = batch()
        seen.append(known.seen_us())
        for rows, found in zip((quantiles, total), outcome.take(known), strict=True):
            rows.append(found)
    outcome.close()
    seen_us = np.concatenate(seen)
    wanted, told, buckets = naive(seen_us, changes, 10 * SECOND)
    assert np.array_equal(np.concatenate(quantiles), wanted)
    assert np.concatenate(total).tolist() == (seen_us - changes.trigger_us[:, None]).sum(1).tolist()
    assert outcome.buckets.tolist() == [one.tolist() for one in buckets]
    assert [one.begin_us for one in outcome.intervals] == list(told)
    every = np.sort((seen_us - changes.trigger_us[:, None]).ravel())
    for share, found in zip((0.01, 0.5, 1.0), outcome.quantiles_us((0.01, 0.5, 1.0)).tolist(), strict=True):
        right = every[max(int(np.ceil(share * len(every))) - 1, 0)]
        assert right <= found <= right + (1024 if right < 1 << 28 else 1 << 20)
    for one in outcome.intervals:
        count, summed, exact, most = told[one.begin_us]
        assert (one.changes, one.total_us, one.most_us) == (count, summed, most)
        for found, right in zip(one.quantiles_us, exact, strict=True):
            assert right <= found <= right + (1024 if right < 1 << 28 else 1 << 20)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.data())
def test_select_finds_a_rank_and_puts_what_is_less_before_it(values, data):
    rank = data.draw(st.integers(0, len(values) - 1))
    row = np.array(values)
    assert plain_form(select)(row, 0, len(row), rank) == sorted(values)[rank]
    assert (row[:rank] <= row[rank]).all() and (row[rank:] >= row[rank]).all()


def test_quantiles_of_nothing():
    assert fine_quantiles(fine_histogram(), INTERVAL_SHARES).tolist() == [-1, -1, -1]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 1 << 33), min_size=1, max_size=50))
def test_long_latencies_are_in_wide_places(values):
    fine = fine_histogram()
    for value in values:
        fine[value >> 10 if value < 1 << 28 else min((1 << 18) - 256 + (value >> 20), len(fine) - 1)] += 1
    found = fine_quantiles(fine, [0.5])[0]
    right = sorted(values)[max(int(np.ceil(len(values) / 2)) - 1, 0)]
    assert found > right or right >= 4_352 << 20
