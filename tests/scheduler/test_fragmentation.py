"""The fragmentation measure: typical pods, and a node's fragmented share, by hand and against the plain twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.scheduler.fragmentation import TypicalPod, fill_levels, fragmented, measure_node, typical_pods
from kscale.state.tables import Cluster
from tests import naive
from tests.engine.columns import call, small

MODELS = ("A100", "T4", "V100")


def names_of(found: list[tuple[TypicalPod, float]]) -> list[TypicalPod]:
    return [kind for kind, _ in found]


def kind(cpu: int, milli: int = 500, count: int = 1, models: str = "") -> TypicalPod:
    return TypicalPod(cpu, milli, count, models)


def test_typical_pods_are_the_shortest_prefix_that_covers_95_percent() -> None:
    kinds = [kind(cpu) for cpu in (1, 2, 3, 4)]
    # 60 + 35 = 95 of 100: the third is not needed. Weights 60/95 and 35/95.
    found = typical_pods(kinds, [3, 60, 35, 2])
    assert names_of(found) == [kind(2), kind(3)]
    assert [weight for _, weight in found] == pytest.approx([60 / 95, 35 / 95])
    # 60 + 34 = 94: the third is needed, 97 in all.
    found = typical_pods(kinds, [3, 60, 34, 3])
    assert names_of(found) == [kind(2), kind(3), kind(4)]
    assert [weight for _, weight in found] == pytest.approx([60 / 97, 34 / 97, 3 / 97])


def test_equal_counts_are_ordered_by_cpu_share_devices_and_models_downwards() -> None:
    ordered = [
        kind(9, 0, 0), kind(3, 200, 1), kind(2, 900, 1), kind(2, 500, 2), kind(2, 500, 1, "V100"),
        kind(2, 500, 1, "T4"), kind(2, 500, 1), kind(1, 1000, 8),
    ]  # fmt: skip
    assert names_of(typical_pods(ordered[::-1], [1] * 8)) == ordered


def test_the_tail_of_equal_counts_is_cut_by_that_order() -> None:
    kinds = [kind(cpu) for cpu in range(20)]
    # 19 of 20 are 95 %: the one with the least cpu is left out.
    assert names_of(typical_pods(kinds, [1] * 20)) == [kind(cpu) for cpu in range(19, 0, -1)]


def test_a_kind_that_several_specs_share_counts_once() -> None:
    found = typical_pods([kind(1), kind(2), kind(1)], [2, 3, 2])
    assert found == [(kind(1), 4 / 7), (kind(2), 3 / 7)]


def test_no_pods_have_no_typical_ones() -> None:
    assert typical_pods([], []) == []
    assert typical_pods([kind(1)], [0]) == []


kinds_asked = st.sampled_from(
    [
        (0, 0, ()),
        (1, 300, ()),
        (1, 500, ()),
        (1, 1000, ()),
        (2, 1000, ()),
        (1, 500, ("T4",)),
        (4, 1000, ("A100", "V100")),
    ]
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 500, 2000]), kinds_asked, st.integers(1, 40)), min_size=1, max_size=25))
def test_typical_pods_agree_with_the_twin(rows: list[tuple[int, tuple[int, int, tuple[str, ...]], int]]) -> None:
    kinds = [TypicalPod(cpu, milli, count, "|".join(models)) for cpu, (count, milli, models), _ in rows]
    specs = [
        naive.Spec({"cpu": cpu}, gpu_count=count, gpu_milli=milli, gpu_models=models)
        for cpu, (count, milli, models), times in rows
        for _ in range(times)
    ]
    expected = [
        (TypicalPod(t.cpu, t.gpu_milli, t.gpu_count, "|".join(t.models)), t.weight) for t in naive.typical_pods(specs)
    ]
    assert typical_pods(kinds, [times for _, _, times in rows]) == expected


def cluster_of(cpu: int, devices: Sequence[int], model: str | None, typical: Sequence[naive.Typical]) -> Cluster:
    """One node with so much free, and the typical pods."""
    levels = sorted({t.gpu_milli for t in typical if t.gpu_count})
    cluster = small(node=1, device=max(len(devices), 1), typical=len(typical), level=len(levels))
    cluster.node_allocatable[0, 0], cluster.node_requested[0, 0] = cpu + 700, 700
    cluster.node_device_count[0], cluster.node_device_free_total[0] = len(devices), sum(devices)
    cluster.node_device_free[0, : len(devices)] = devices
    cluster.node_device_model[0] = MODELS.index(model) if model else -1
    cluster.level_milli[:] = levels
    for row, each in enumerate(typical):
        cluster.typical_cpu_milli[row] = each.cpu
        cluster.typical_device_count[row] = each.gpu_count
        cluster.typical_device_models[row] = sum(1 << MODELS.index(name) for name in each.models)
        cluster.typical_level[row] = levels.index(each.gpu_milli) if each.gpu_count else -1
        cluster.typical_weight[row] = each.weight
    return cluster


def measured(cpu: int, devices: Sequence[int], model: str | None, typical: Sequence[naive.Typical]) -> float:
    cluster = cluster_of(cpu, devices, model, typical)
    call(measure_node, cluster, 0)
    return float(cluster.node_fragmented_gpu_milli[0])


def one(cpu: int = 0, milli: int = 0, count: int = 0, models: tuple[str, ...] = ()) -> list[naive.Typical]:
    return [naive.Typical(cpu, milli, count, models, 1.0)]


@pytest.mark.parametrize(
    ("typical", "share"),
    [
        (one(), 1900),  # cpu only: all that is free
        (one(cpu=4001), 1900),
        (one(500, 500, 1), 300),  # fits: what is below 500 on a device
        (one(500, 200, 1), 100),
        (one(500, 100, 1), 0),
        (one(500, 1000, 1), 900),  # 100 + 200 + 600
        (one(500, 1000, 2), 1900),  # one device is idle, not two
        (one(4000, 600, 2), 300),
        (one(4001, 600, 2), 1900),  # too little cpu
        (one(4001, 1000, 2), 1900),  # too little of both
        (one(500, 500, 1, ("T4",)), 300),
        (one(500, 500, 1, ("A100", "V100")), 1900),  # the wrong model
    ],
)
def test_the_share_that_one_kind_cannot_use(typical: list[naive.Typical], share: int) -> None:
    # 4000 milli of cpu; 100 + 200 + 600 + 1000 = 1900 milli of four devices
    assert measured(4000, [100, 600, 1000, 200], "T4", typical) == share


def test_the_kinds_are_weighted() -> None:
    typical = [naive.Typical(0, 0, 0, (), 0.25), naive.Typical(0, 500, 1, (), 0.5), naive.Typical(9, 700, 1, (), 0.25)]
    # Of 400 + 600: 1/4 * 1000 for cpu only; 1/2 * 400; 1/4 * 1000, since no device has 700.
    assert measured(100, [400, 600], "T4", typical) == 250 + 200 + 250


def test_a_node_without_devices_has_no_share() -> None:
    assert measured(4000, [], None, one()) == 0


def test_a_model_list_turns_away_devices_without_a_model() -> None:
    assert measured(4000, [1000], None, one(0, 500, 1, ("T4",))) == 1000
    assert measured(4000, [1000], None, one(0, 500, 1)) == 0


shares = st.sampled_from([0, 1, 250, 300, 499, 500, 700, 999, 1000])
kinds_measured = st.builds(
    lambda cpu, asked, weight: naive.Typical(cpu, asked[1], asked[0], asked[2], weight),
    st.sampled_from([0, 500, 2000, 2001]), kinds_asked, st.floats(0.001, 1),
)  # fmt: skip
nodes = st.tuples(
    st.sampled_from([-1, 0, 500, 2000, 8000]),
    st.lists(shares, min_size=1, max_size=8),
    st.sampled_from([*MODELS, None]),
)


@settings(deadline=None)
@given(nodes, st.lists(kinds_measured, max_size=12))
def test_the_measure_agrees_with_the_twin_to_the_last_bit(
    node: tuple[int, list[int], str | None], typical: list[naive.Typical]
) -> None:
    cpu, devices, model = node
    assert measured(cpu, devices, model, typical) == naive.fragmentation(model, cpu, devices, typical)


@settings(deadline=None)
@given(nodes, st.lists(kinds_measured, max_size=12), st.data())
def test_a_placement_is_measured_without_being_made(
    node: tuple[int, list[int], str | None], typical: list[naive.Typical], data: Any
) -> None:
    cpu, devices, model = node
    old = data.draw(st.sampled_from(devices))
    new, less_cpu = data.draw(st.integers(0, old)), data.draw(st.sampled_from([0, 1, 500]))
    changed = data.draw(st.integers(1, devices.count(old)))
    cluster = cluster_of(cpu, devices, model, typical)
    call(fill_levels, cluster, 0)
    total = sum(devices) - changed * (old - new)
    found = call(fragmented, cluster, cpu - less_cpu, total, cluster.node_device_model[0], old, new, changed)
    after, left = [], changed
    for free in devices:
        after.append(new if free == old and left else free)
        left -= free == old and left > 0
    assert found == naive.fragmentation(model, cpu - less_cpu, after, typical)
