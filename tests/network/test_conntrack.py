"""Connection tracking against a table that is a dict, and by Little's law."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.network import conntrack
from kscale.network.conntrack import ENDINGS, Flows, Removals, ending, little, memory_bytes, table_size, track

TIMEOUTS = {"tcp_closed": 120, "tcp_silent": 86_400, "tcp_half_closed": 3_600, "udp": 30, "udp_stream": 120}
SECOND = 1_000_000


def twin(flows: Flows, size: int, removals: Removals) -> tuple[list[bool], list[int], int]:
    """Who is admitted, the entries after each flow, and how many a sync deleted: second by second of what happens."""
    table: dict[int, tuple[int, bool, int]] = {}
    syncs = sorted(zip(map(int, removals.synced_us), map(int, removals.endpoint), strict=True))
    admitted, entries, deleted = [], [], 0

    def pass_time(now_us: int) -> None:
        nonlocal deleted
        while syncs and syncs[0][0] <= now_us:
            synced_us, endpoint = syncs.pop(0)
            for flow in [flow for flow, (end, _, _) in table.items() if end <= synced_us]:
                del table[flow]
            for flow in [flow for flow, (_, udp, where) in table.items() if udp and where == endpoint]:
                del table[flow]
                deleted += 1
        for flow in [flow for flow, (end, _, _) in table.items() if end <= now_us]:
            del table[flow]

    for flow in range(len(flows.arrival_us)):
        now_us = int(flows.arrival_us[flow])
        pass_time(now_us)
        admitted.append(len(table) < size)
        if admitted[-1]:
            name = ENDINGS[int(flows.ending[flow])].name
            end = now_us + int(flows.duration_us[flow]) + TIMEOUTS[name] * SECOND
            table[flow] = end, "udp" in name, int(flows.endpoint[flow])
        entries.append(len(table))
    pass_time(1 << 62)
    return admitted, entries, deleted


def some_flows(rng: Random) -> tuple[Flows, Removals]:
    rows = rng.randint(0, 60)
    gap = rng.choice([1, 20 * SECOND, 3_000 * SECOND])
    arrival = np.cumsum([rng.choice([0, rng.randint(0, gap), 30 * SECOND]) for _ in range(rows)], dtype=np.int64)
    duration = np.array([rng.choice([0, 5 * SECOND, gap]) for _ in range(rows)], np.int64)
    horizon = int(arrival[-1]) if rows else 1
    gone = rng.choice([0, 0, 1, 6])
    return (
        Flows(arrival, duration, np.array([rng.randrange(5) for _ in range(rows)], np.int64),
              np.array([rng.randrange(3) for _ in range(rows)], np.int64)),
        Removals(np.array([rng.randrange(3) for _ in range(gone)], np.int64),
                 np.array([rng.choice([rng.randint(0, horizon + 5), horizon]) for _ in range(gone)], np.int64)),
    )  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 1 << 32), size=st.integers(1, 40))
def test_a_table_is_its_plain_twin(seed: int, size: int) -> None:
    flows, removals = some_flows(Random(seed))
    result = track(flows, size, removals=removals, compiled=False)
    admitted, entries, deleted = twin(flows, size, removals)
    assert result.admitted.tolist() == admitted
    assert result.entries.tolist() == entries
    assert (result.dropped, result.most) == (admitted.count(False), max(entries, default=0))
    assert result.deleted == deleted


@pytest.mark.compiled
def test_compiled_and_plain_are_equal() -> None:
    full = 0
    for seed in range(30):
        flows, removals = some_flows(Random(seed))
        compiled, plain = (track(flows, 5, removals=removals, compiled=form) for form in (True, False))
        assert (compiled.admitted == plain.admitted).all()
        assert (compiled.entries == plain.entries).all()
        full += compiled.dropped > 0
    assert full >= 10


def test_the_size_is_kube_proxys() -> None:
    assert [table_size(cores) for cores in (1, 4, 5, 64)] == [131_072, 131_072, 163_840, 2_097_152]
    assert memory_bytes(131_072) == (41_943_040, 52_428_800)


def test_the_timeouts_are_those_of_kube_proxy_and_the_kernel() -> None:
    assert {row.name: row.value // SECOND for row in ENDINGS} == TIMEOUTS
    for name, seconds in TIMEOUTS.items():
        result = track(Flows([7], [2 * SECOND], [ending(name)]), 10)
        assert result.end_us.tolist() == [7 + (2 + seconds) * SECOND]


def test_a_full_table_drops_new_flows_and_keeps_the_old_ones() -> None:
    result = track(Flows([0, 1, 2, 120 * SECOND + 1], [0, 10, 0, 0]), 2, compiled=False)
    assert result.admitted.tolist() == [True, True, False, True]  # the first has gone, the second has not
    assert (result.dropped, result.most) == (1, 2)


def test_a_sync_deletes_udp_entries_of_removed_endpoints_and_leaves_tcp_ones() -> None:
    endings = [ending("udp_stream"), ending("tcp_silent"), ending("udp_stream"), ending("udp_stream")]
    flows = Flows([0, 0, 0, 50], [SECOND] * 4, endings, [1, 1, 0, 1])
    result = track(flows, 10, removals=Removals([1], [50]))
    assert result.end_us.tolist() == [50, 86_401 * SECOND, 121 * SECOND, 121 * SECOND + 50]
    assert result.deleted == 1


def test_occupancy_agrees_with_littles_law() -> None:
    rng = np.random.default_rng(3)
    rate, rows = 200.0, 200_000
    arrival = np.cumsum(rng.exponential(SECOND / rate, rows)).astype(np.int64)
    duration = rng.exponential(10 * SECOND, rows).astype(np.int64)
    result = track(Flows(arrival, duration), table_size(4))
    assert result.dropped == 0
    steady = result.mean_entries(300 * SECOND, int(arrival[-1]))
    assert steady == pytest.approx(little(rate, 130 * SECOND), rel=0.01)
    # Over the whole of it, the law is an identity: rate x life is the sum of lives by the time.
    whole = int(result.end_us.max()) - int(arrival[0])
    lives = result.end_us - arrival
    law = little(rows / whole * SECOND, float(lives.mean()))
    assert result.mean_entries(int(arrival[0]), int(result.end_us.max())) == pytest.approx(law, rel=1e-9)


def test_a_rate_beyond_the_size_drops_what_is_too_much() -> None:
    life = 130 * SECOND
    rate = 2 * conntrack.most_flows_per_second(1_000, life)
    arrival = np.arange(20_000, dtype=np.int64) * int(SECOND / rate)
    result = track(Flows(arrival, np.full(20_000, 10 * SECOND)), 1_000, compiled=False)
    assert result.most == 1_000
    steady = result.admitted[2_000:]
    assert 1 - steady.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: track(Flows([2, 1], [0, 0]), 5), "field 'arrival_us': comes before the row above"),
        (lambda: track(Flows([1], [-1]), 5), "field 'duration_us': holds -1 to -1"),
        (lambda: track(Flows([1], [1], [9]), 5), "field 'ending': holds 9 to 9"),
        (lambda: track(Flows([1], [1]), 0), "field 'size': holds 0 to 0"),
        (lambda: track(Flows([1], [1]), 5, removals=Removals([0], [3])), "flows have no endpoints"),
        (lambda: table_size(0), "a node has no 0 cores"),
        (lambda: ending("sctp"), "no flow ends as 'sctp'"),
        (lambda: track(Flows([1], [1]), 5).mean_entries(3, 3), "the window is empty"),
    ],
)
def test_wrong_input_is_told(call: Any, words: str) -> None:
    with pytest.raises(InputError) as told:
        call()
    assert words in str(told.value)
