"""Felix: two throttles in a row, as a slow machine that goes from tick to tick has them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.network.calico.felix import RESYNCED, effects, everywhere, repaired_us, retried_us
from kscale.network.calico.parameters import values


def slow_flush(changes, tick, most):
    """Microsecond by microsecond: a tick gives a token, and flushes what waits."""
    flushed, waiting, tokens = {}, [], most
    for now in range(max(changes, default=0) + tick + 1):
        if now and now % tick == 0:
            tokens = min(most, tokens + 1)
            if waiting and tokens:
                tokens -= 1
                flushed |= dict.fromkeys(waiting, now)
                waiting = []
        for place, at in enumerate(changes):
            if at == now:
                if tokens and not waiting:
                    tokens -= 1
                    flushed[place] = now
                else:
                    waiting.append(place)
    return [flushed[place] for place in range(len(changes))]


def slow_apply(messages, tick, most, batch, long):
    """Microsecond by microsecond: a free dataplane takes a batch; without a token it takes all in until it has one."""
    begun, taken, queue, tokens, busy = {}, [], list(range(len(messages))), most, 0
    now = 0
    while len(begun) < len(messages):
        if now and now % tick == 0:
            tokens = min(most, tokens + 1)
        if now >= busy:
            # What has been taken in without a token is applied by itself, before more is taken.
            if taken and tokens:
                tokens -= 1
                begun |= dict.fromkeys(taken, now)
                taken, busy = [], now + long
            while now >= busy and queue and messages[queue[0]] <= now:
                room = [place for place in queue[:batch] if messages[place] <= now]
                taken, queue = taken + room, queue[len(room) :]
                if tokens:
                    tokens -= 1
                    begun |= dict.fromkeys(taken, now)
                    taken, busy = [], now + long
        now += 1
    return [begun[place] for place in range(len(messages))]


@pytest.mark.compiled
@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 60), max_size=14), min_size=1, max_size=3),
    st.integers(1, 9), st.integers(0, 3), st.integers(1, 12), st.integers(1, 3), st.integers(1, 4), st.integers(0, 15),
    st.booleans(),
)  # fmt: skip
def test_changes_pass_as_in_the_slow_machine(times, flush, tokens, refill, applies, batch, long, compiled):
    nodes = [sorted(own) for own in times]
    first = np.cumsum([0] + [len(own) for own in nodes])
    found = effects(
        np.array([at for own in nodes for at in own], np.int64), first,
        {"felix_flush_us": flush, "felix_flush_tokens": max(tokens, 1), "felix_apply_refill_us": refill,
         "felix_apply_tokens": applies, "felix_batch": batch, "felix_apply_us": long}, compiled=compiled,
    )  # fmt: skip
    for node, own in enumerate(nodes):
        part = slice(first[node], first[node + 1])
        flushed = slow_flush(own, flush, max(tokens, 1))
        assert found.flushed_us[part].tolist() == flushed
        begun = slow_apply(flushed, refill, applies, batch, long)
        assert found.begun_us[part].tolist() == begun
        assert found.effect_us[part].tolist() == [at + long for at in begun]


@pytest.mark.compiled
@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=300), st.integers(0, 60_000), st.booleans())
def test_never_more_than_the_throttle_allows_and_in_order(times, long, compiled):
    found = effects(np.sort(np.array(times)), np.array([0, len(times)]), {"felix_apply_us": long}, compiled=compiled)
    assert (np.diff(found.flushed_us) >= 0).all() and (np.diff(found.effect_us) >= 0).all()
    assert (found.flushed_us >= np.sort(times)).all() and (found.begun_us >= found.flushed_us).all()
    for starts, tick in ((np.unique(found.begun_us), 100_000), (np.unique(found.flushed_us), 10_000)):
        for many in range(1, len(starts)):
            # Any many + 1 of them take ticks for all but the ten of a full bucket.
            ticks = starts[many:] // tick - starts[:-many] // tick
            assert (many + 1 <= 10 + ticks).all()


def test_figures():
    burst = effects(*everywhere(np.zeros(1000, np.int64), 2))
    assert set(burst.flushed_us.tolist()) == {0, 10_000}
    storm = effects(*everywhere(np.arange(0, 10_000_000, 1000), 1))
    # Ten at once, then one each 100 ms: 100 ticks in ten seconds.
    assert 100 <= len(np.unique(storm.begun_us)) <= 111
    lone = effects(np.array([123_456]), np.array([0, 1]))
    assert lone.effect_us.tolist() == [123_456 + values()["felix_apply_us"]]


def test_repairs_and_retries():
    assert repaired_us(np.array([1, 180_000_000, 180_000_001]), "iptables").tolist() == [
        180_000_000, 180_000_000, 360_000_000,
    ]  # fmt: skip
    assert repaired_us(np.array([1]), "routes").tolist() == [90_000_000]
    assert [values()[f"felix_resync_{what}_us"] // 10**6 for what in RESYNCED] == [180, 180, 90, 90, 90]
    assert retried_us(np.array([5]), 2).tolist() == [20_000_005]
    with pytest.raises(InputError, match="expected"):
        repaired_us(np.array([1]), "arp")


@pytest.mark.parametrize(
    ("times", "stated", "field"),
    [([2, 1], {}, "change_us"), ([-1], {}, "change_us"), ([1], {"felix_batch": 0}, "felix_batch")],
)
def test_what_cannot_be(times, stated, field):
    with pytest.raises(InputError, match="expected") as error:
        effects(np.array(times), np.array([0, len(times)]), stated, compiled=False)
    assert error.value.field == field
