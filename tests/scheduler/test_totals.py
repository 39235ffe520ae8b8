"""The kernels of totals: the best one, normalisation, reasons counted, memo slots handed on, draws, short searches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.scheduler.totals import (
    NOT_LOOKED_AT,
    add_points,
    choose_slot,
    copy_totals,
    count_reasons,
    drawn_best,
    emit_diagnosis,
    first_best,
    keep_first,
    look_no_further,
    move_count,
    normalise,
    normalise_plane,
    random_bits,
    rejecting_reasons,
    take_plane,
)
from tests.engine.columns import call, small

#: first_best looks at so many totals at a time.
BLOCK = 256
REASONS = 8


def row(values: list[int]) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("totals", "best"),
    [([], -1), ([-1, -1], -1), ([-9, -1, -1], -1), ([0], 0), ([-1, 0, 0], 1), ([3, 7, 7, 5], 1), ([-5, 2, -1], 1)],
)
def test_the_best_is_the_first_of_the_highest(totals: list[int], best: int) -> None:
    assert first_best(row(totals)) == best


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1])
def test_the_first_of_equals_over_the_edges_of_blocks(length: int) -> None:
    for first in {0, 1, BLOCK - 1, BLOCK, BLOCK + 1, length - 1} & set(range(length)):
        totals = row([4] * length)
        totals[:first] = 3
        assert first_best(totals) == first
        totals[:] = -1
        totals[first] = 0
        assert first_best(totals) == first


@given(st.lists(st.integers(-4, 3), max_size=20), st.integers(0, 400))
def test_the_best_against_a_search(values: list[int], before: int) -> None:
    totals = row([-1] * before + values)
    fitting = [total for total in totals.tolist() if total >= 0]
    assert first_best(totals) == (totals.tolist().index(max(fitting)) if fitting else -1)


def test_a_draw_takes_each_of_the_ties_in_turn() -> None:
    totals = row([5, 9, -1, 9, 2, 9])
    assert [int(drawn_best(totals, draw)) for draw in range(7)] == [1, 3, 5, 1, 3, 5, 1]
    assert drawn_best(row([-1, -3]), 5) == -1
    assert [int(drawn_best(row([-1, 0, 0]), draw)) for draw in (0, 1)] == [1, 2]


def test_drawn_ties_come_about_equally_often() -> None:
    cluster = small()
    cluster.cluster_seed[0] = 12
    totals = row([0, -1, 0, 0, -1])
    draws = [int(call(random_bits, cluster, pod, 1, 0)) for pod in range(3000)]
    assert min(draws) >= 0
    times = np.bincount([drawn_best(totals, draw) for draw in draws], minlength=5)
    # 3000 draws of three: 1000 each, with a standard deviation of sqrt(3000 * 1/3 * 2/3) = 26.
    assert times[[1, 4]].tolist() == [0, 0]
    assert np.all(np.abs(times[[0, 2, 3]] - 1000) < 4 * 26)


def test_draws_differ_by_pod_try_use_and_seed() -> None:
    cluster = small()
    seen = set()
    for seed in (0, 1, 2**64 - 1):
        cluster.cluster_seed[0] = seed
        seen |= {
            int(call(random_bits, cluster, pod, attempt, stream))
            for pod in range(5)
            for attempt in range(1, 4)
            for stream in (0, 1)
        }
    assert len(seen) == 3 * 5 * 3 * 2
    # SplitMix64 of the sum 1 that is handed in: seed 1, everything else 0.
    cluster.cluster_seed[0] = 1
    bits, mask = 1, 2**64 - 1
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & mask
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & mask
    assert call(random_bits, cluster, 0, 0, 0) == (bits ^ bits >> 31) >> 1


def added(raw: list[int], totals: list[int], weight: int, reverse: bool) -> list[int]:
    """What a plane adds to the sums of the nodes that fit; the others keep what they have."""
    sums, wide = row(totals), np.full(len(totals), -7, np.int64)
    take_plane(np.array(raw, np.int64), wide)
    assert wide.tolist() == raw
    normalise(reverse, weight, sums, wide)
    gained = (sums - row(totals)).tolist()
    if max(raw) < 1 << 31:
        again = row(totals)
        normalise_plane(reverse, weight, np.array(raw, np.int32), again)
        assert again.tolist() == sums.tolist()
    assert not any(gain for gain, total in zip(gained, totals, strict=True) if total < 0)
    return gained


def test_normalised_scores_are_shares_of_the_highest_that_fits() -> None:
    # The highest of the nodes that fit is 7: 300 // 7 = 42, 700 // 7 = 100, 0; the 50 does not fit.
    assert added([3, 7, 0, 50], [0, 5, 1, -1], 2, False) == [2 * 42, 2 * 100, 0, 0]
    # From 100 down: 100 - 42, 0, 100.
    assert added([3, 7, 0, 50], [0, 5, 1, -2], 3, True) == [3 * 58, 0, 3 * 100, 0]


def test_normalised_scores_where_all_are_nought() -> None:
    assert added([0, 0, 9], [4, 4, -1], 2, False) == [0, 0, 0]
    assert added([0, 0, 9], [4, 4, -1], 3, True) == [300, 300, 0]


@given(
    st.lists(st.integers(0, 1 << 50), min_size=1, max_size=9),
    st.integers(0, 1 << 50) | st.integers(0, 1 << 32) | st.integers(0, 300),
    st.integers(0, 6),
)
def test_normalised_scores_are_exact(raw: list[int], highest: int, edge: int) -> None:
    raw = [min(value, highest) for value in raw] + [highest * edge // 100, highest]
    expected = [100 * value // highest if highest else 0 for value in raw]
    assert added(raw, [0] * len(raw), 1, False) == expected
    assert added(raw, [0] * len(raw), 1, True) == [100 - points for points in expected]


def test_points_are_added_where_a_node_fits() -> None:
    sums = row([5, -1, 0, NOT_LOOKED_AT])
    add_points(3, sums, np.array([100, 100, 7, 100], np.int64))
    assert sums.tolist() == [305, -1, 21, NOT_LOOKED_AT]


def test_sums_start_from_the_totals() -> None:
    sums = row([9, 9, 9])
    copy_totals(row([4, -1, -6]), sums)
    assert sums.tolist() == [4, -1, -6]


def test_the_reasons_of_the_first_plugin_to_reject_are_kept() -> None:
    # Bits 0 and 1 are of the plug-ins before, 2 and 3 of the one that comes after, 30 of the description.
    reject = row([0b0100, 0b0101, 0b1110, 0b0010, 1 << 30 | 0b1000, 0b0101])
    keep_first(0b0011, 0b1100, 0, 5, reject)
    assert reject.tolist() == [0b0100, 0b0001, 0b0010, 0b0010, 1 << 30 | 0b1000, 0b0101]


marks = st.one_of(st.integers(0, 900), st.integers(0, (1 << REASONS) - 1).map(lambda bits: -1 - bits))


@given(st.lists(st.tuples(marks, marks), max_size=30))
def test_moved_counts_are_those_of_a_new_count(changes: list[tuple[int, int]]) -> None:
    totals = row([before for before, _ in changes])
    moved, counted = np.zeros(REASONS, np.int32), np.full(REASONS, 99, np.int32)
    count_reasons(totals, moved)
    expected = [sum(total < -1 and -1 - total >> bit & 1 for total in totals.tolist()) for bit in range(REASONS)]
    assert moved.tolist() == expected
    count_reasons(np.append(totals, np.int32(NOT_LOOKED_AT)), counted)  # nothing is known of such a node
    assert counted.tolist() == expected
    for node, (before, after) in enumerate(changes):
        move_count(before, after, moved)
        totals[node] = after
    count_reasons(totals, counted)
    assert moved.tolist() == counted.tolist()


def test_a_slot_is_handed_on_in_turn() -> None:
    cluster = small(template=3, memo=2)
    cluster.template_slot[:] = -1
    cluster.memo_template[:] = -1
    assert [int(call(choose_slot, cluster, template)) for template in (2, 0, 2)] == [0, 1, 0]
    cluster.memo_cursor[:], cluster.memo_counted[:] = 40, 1
    assert call(choose_slot, cluster, 0) == 1
    assert cluster.memo_cursor.tolist() == [40, 40]  # who has a slot keeps what is in it
    assert call(choose_slot, cluster, 1) == 0  # the slot of template 2
    assert cluster.template_slot.tolist() == [1, 0, -1]
    assert cluster.memo_template.tolist() == [1, 0]
    assert (cluster.memo_cursor.tolist(), cluster.memo_counted.tolist()) == ([-1, 40], [0, 1])
    assert call(choose_slot, cluster, 2) == 1  # the slot of template 0
    assert cluster.template_slot.tolist() == [-1, 0, 1]


def test_the_same_diagnosis_serves_again() -> None:
    cluster = small()
    cluster.template_diagnosis[:] = -1
    cluster.template_description[1] = 1
    cluster.diagnosis_base[0] = 100
    counts = np.zeros(cluster.sizes["reason"], np.int32)
    counts[3] = 2
    for _ in range(2):
        call(emit_diagnosis, cluster, 1, counts)
        assert (cluster.diagnosis_rows[0], cluster.template_diagnosis[1]) == (1, 100)
    assert call(rejecting_reasons, cluster, 1) == 1 << 3
    counts[3] = 0
    call(emit_diagnosis, cluster, 1, counts)
    assert (cluster.diagnosis_rows[0], cluster.template_diagnosis[1]) == (2, 101)
    assert cluster.diagnosis_description[:2].tolist() == [1, 1]
    assert cluster.diagnosis_count[:2, 3].tolist() == [2, 0]
    assert call(rejecting_reasons, cluster, 1) == 0


def search_by_hand(order: list[int], percentage: int, start: int, fits: set[int], left_out: set[int]) -> list[int]:
    """Return who is looked at, in turn, as kube-scheduler v1.34.1 does (numFeasibleNodesToFind)."""
    nodes = len(order) - len(left_out)
    if nodes < 100 or percentage >= 100:
        wanted = nodes
    else:
        share = percentage or max(50 - nodes // 125, 5)
        wanted = max(nodes * share // 100, 100)
    looked_at: list[int] = []
    for node in order[start:] + order[:start]:
        if node not in left_out and len(fits & set(looked_at)) < wanted:
            looked_at.append(node)
    return looked_at


numbers = st.lists(st.integers(0, 259), max_size=8)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([1, 7, 99, 100, 101, 180, 260]), st.sampled_from([0, 1, 40, 60, 99, 100]), st.integers(0, 259),
    numbers, numbers, st.integers(1, 3), numbers,
)  # fmt: skip
def test_a_search_ends_when_enough_is_found(
    nodes: int, percentage: int, start: int, full: list[int], out: list[int], step: int, gone: list[int]
) -> None:
    cluster = small(node=nodes)
    absent = {node for node in gone if 0 < node < nodes}
    order = [node for turn in range(step) for node in range(turn, nodes, step) if node not in absent]
    start %= len(order)
    left_out = {node for node in out if node < nodes}
    fits = set(order) - left_out - set(full)
    cluster.template_profile[2] = cluster.template_description[2] = 1
    cluster.profile_percentage[1] = percentage
    cluster.description_verdict[1, sorted(left_out)] = 1
    cluster.description_left_out[1] = len(left_out)
    cluster.node_search[:], cluster.cluster_start_node[0] = [*order, *sorted(absent)], start
    cluster.cluster_nodes[0] = len(order)
    before = row([node if node in fits else -1 - node % 9 for node in range(nodes)])
    before[sorted(left_out)] = -1
    sums = before.copy()
    call(look_no_further, cluster, 2, sums)
    looked_at = search_by_hand(order, percentage, start, fits, left_out - absent)
    for node in order:
        assert sums[node] == (before[node] if node in looked_at or node in left_out else NOT_LOOKED_AT)
    assert cluster.cluster_start_node[0] == (start + len(looked_at)) % len(order)


def test_of_400_nodes_half_are_enough() -> None:
    order = list(range(400))
    everyone = set(order)
    # The adaptive percentage of 400 nodes is 50 - 400 // 125 = 47: 188 nodes.
    assert search_by_hand(order, 0, 0, everyone, set()) == order[:188]
    assert search_by_hand(order, 50, 300, everyone, set()) == [*order[300:], *order[:100]]
    assert search_by_hand(order, 10, 0, everyone, set()) == order[:100]  # at least 100
    assert search_by_hand(order, 50, 0, {3}, set()) == order


def test_planes_are_normalised_exactly_up_to_where_singles_are() -> None:
    # Quotients next to an integer: the worst of all that singles are used for.
    for highest in (1, 3, 7, 99, 101, 255, 257, 4095, 32_767, 65_521, 65_535, 65_536, 65_537):
        near = [points * highest // 100 + step for points in range(101) for step in (-1, 0, 1)]
        raw = [highest, *(value for value in near if 0 <= value <= highest)]
        sums = row([0] * len(raw))
        normalise_plane(False, 1, np.array(raw, np.int32), sums)
        assert sums.tolist() == [100 * value // highest for value in raw]
