"""Recordings by node: groups, samples, and the stay of each node."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.ledger import dtypes
from kscale.engine.recording import MOST_GROUPS, MOST_SAMPLES, NodeTimeline, Presence, Stays, groups, pools
from kscale.scheduler import plugins
from kscale.state.intake import Intake, Sizes, take_in
from kscale.traces import NODES, SPECS

GIB = 1 << 30


def intake(nodes: list[dict[str, Any]], specs: list[dict[str, Any]] | None = None) -> Intake:
    extended = {key: pl.Int64 for row in nodes for key in row if key.startswith("resource.")}
    rows = [{"name": f"n{i}", "pods": 110, **row} for i, row in enumerate(nodes)]
    return take_in(
        pl.DataFrame(rows, schema={**NODES, **extended}),
        pl.DataFrame(specs or [{}], schema=SPECS),
        3,
        plugins.columns(),
        Sizes(pod=2, arrival=2, ledger=2, timeline=2, diagnosis=2),
    )


SHAPES = [
    {"cpu_milli": 4000, "memory_bytes": 16 * GIB},
    {"cpu_milli": 4000, "memory_bytes": 16 * GIB, "gpu_count": 2, "gpu_model": "T4"},
    {"cpu_milli": 4000, "memory_bytes": 16 * GIB, "resource.example.com/fpga": 3},
    {"cpu_milli": 500, "memory_bytes": 16 * GIB},
]


def test_nodes_of_one_shape_are_a_pool() -> None:
    codes, names = pools(
        intake([SHAPES[0], SHAPES[1], SHAPES[0], SHAPES[2], SHAPES[3], {**SHAPES[1], "gpu_model": "A100"}])
    )
    assert codes.tolist() == [0, 1, 0, 2, 3, 4]
    assert names == [
        "4 cpu, 16Gi",
        "4 cpu, 16Gi, 2xT4",
        "4 cpu, 16Gi, 3 example.com/fpga",
        "500m cpu, 16Gi",
        "4 cpu, 16Gi, 2xA100",
    ]


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), st.integers(1, 20))
def test_groups_are_few_within_pools_and_ordered(kinds: list[int], most: int) -> None:
    order = {kind: code for code, kind in enumerate(dict.fromkeys(kinds))}
    pool = np.array([order[kind] for kind in kinds], np.int64)
    group = groups(pool, most)
    count = group.max() + 1
    assert count <= most
    assert np.unique(group).tolist() == list(range(count))
    mixed = [g for g in range(count) if len(np.unique(pool[group == g])) > 1]
    # More pools than groups: the smallest share the last one.
    assert mixed in ([], [count - 1])
    if len(order) <= most:
        assert mixed == []
    for code in range(len(order)):
        members = group[pool == code]
        assert (np.diff(members) >= 0).all()
        # A pool is cut into parts that differ by one node at most.
        if not set(members) & set(mixed):
            sizes = np.unique(members, return_counts=True)[1]
            assert sizes.max() - sizes.min() <= 1


def test_a_large_cluster_has_200_groups_at_most() -> None:
    assert MOST_GROUPS == 200
    one = groups(np.zeros(10_000, np.int64))
    assert one.max() + 1 == 200
    assert np.bincount(one).tolist() == [50] * 200
    few = groups(np.zeros(30, np.int64))
    assert few.tolist() == list(range(30))  # each node its own
    many = groups(np.arange(1000))
    assert many.max() + 1 == 200
    assert np.bincount(many).max() == 1000 - 199


def test_samples_are_sums_by_group() -> None:
    taken = intake([SHAPES[0], SHAPES[1], SHAPES[0]])
    timeline = NodeTimeline(taken, devices=True)
    assert timeline.group.max() == 2
    cluster = taken.cluster
    cluster.node_requested[0] = [100, 20, 3]
    cluster.node_bound_pods[:] = [1, 2, 4]
    cluster.node_device_free_total[1] = 2000 - 300
    timeline.sample(cluster, 0)
    cluster.node_requested[0] = [100, 20, 4]
    timeline.sample(cluster, 7)
    frame = timeline.frame([0])
    assert frame["time_us"].to_list() == [0, 0, 0, 7, 7, 7]
    by_pool = frame.group_by("time_us", "pool", maintain_order=True).agg(
        pl.col(
            "nodes", "bound_pods", "allocatable_cpu", "requested_cpu", "allocatable_gpu_milli", "used_gpu_milli"
        ).sum()
    )
    assert by_pool.rows() == [
        (0, "4 cpu, 16Gi", 2, 5, 8000, 103, 0, 0),
        (0, "4 cpu, 16Gi, 2xT4", 1, 2, 4000, 20, 2000, 300),
        (7, "4 cpu, 16Gi", 2, 5, 8000, 104, 0, 0),
        (7, "4 cpu, 16Gi, 2xT4", 1, 2, 4000, 20, 2000, 300),
    ]
    for name, dtype in dtypes("node_timeline").items():
        assert frame.schema[name] == dtype
    without = NodeTimeline(taken, devices=False)
    without.sample(cluster, 0)
    assert not any("gpu" in name for name in without.frame([0]).columns)


def test_samples_leave_out_nodes_that_are_not_there() -> None:
    taken = intake([SHAPES[0], SHAPES[1], SHAPES[0]])
    timeline = NodeTimeline(taken, devices=True)
    for time_us, shut in enumerate(([0, 0, 0], [0, 2, 1], [2, 0, 2])):
        taken.cluster.node_shut[:] = shut
        timeline.sample(taken.cluster, time_us)
    columns = ("time_us", "nodes", "allocatable_cpu", "allocatable_gpu_milli", "used_gpu_milli")
    sums = timeline.frame([0]).group_by("time_us", maintain_order=True).agg(pl.col(columns[1:]).sum()).select(columns)
    assert sums.rows() == [(0, 3, 12_000, 2000, 0), (1, 2, 8000, 0, 0), (2, 1, 4000, 2000, 0)]


def test_a_stay_with_gaps() -> None:
    taken = intake([SHAPES[0]] * 3)
    taken.cluster.node_idle_us[:], taken.cluster.node_idle_since_us[:] = [30, 0, 0], [-1, -1, 90]
    stays = Stays(taken, 100, [0])
    stays.add({"node": np.array([0]), "bound_us": np.array([10]), "ended_us": np.array([20])}, np.array([0]))
    presence = Presence(np.array([0, -1, 90]), np.array([60, -1, -1]), np.array([40, 0, 10]))
    frame = stays.frame(NodeTimeline(taken, devices=False), presence)
    assert frame.select("joined_us", "left_us", "present_us", "idle_share").rows() == [
        (0, 60, 40, 0.75), (None, None, 0, 0.0), (90, None, 10, 1.0),
    ]  # fmt: skip
    request = int(taken.cluster.template_request[0, 0])
    assert frame["requested_mean_cpu"].to_list() == [request * 10 / 40, 0.0, 0.0]


def test_no_sample_is_an_empty_table() -> None:
    frame = NodeTimeline(intake([SHAPES[1]]), devices=True).frame([0, 1])
    assert frame.height == 0
    assert frame.columns[-1] == "used_gpu_milli"


def test_the_last_sample_of_an_instant_counts() -> None:
    taken = intake([SHAPES[0]])
    timeline = NodeTimeline(taken, devices=False)
    for requested in (1, 2):
        taken.cluster.node_requested[0] = requested
        timeline.sample(taken.cluster, 5)
    assert timeline.frame([0]).select("time_us", "requested_cpu").rows() == [(5, 2)]


@pytest.mark.parametrize("count", [499, 500, 501, 5000])
def test_there_are_500_samples_at_most_evenly_spread(count: int) -> None:
    taken = intake([SHAPES[0]])
    timeline = NodeTimeline(taken, devices=False)
    for time_us in range(count):
        timeline.sample(taken.cluster, time_us)
    times = timeline.frame([0])["time_us"].to_numpy()
    assert len(times) <= MOST_SAMPLES == 500
    assert len(times) >= min(count, 250)
    assert times[0] == 0
    assert len(set(np.diff(times))) == 1


def test_stays_are_means_over_what_pods_held_and_for_how_long() -> None:
    specs = [{"cpu_milli": 1000}, {"cpu_milli": 500, "gpu_count": 2, "gpu_milli": 250}]
    taken = intake([SHAPES[0], SHAPES[1]], specs)
    cluster = taken.cluster
    # n0: 1000 milli from 10 to 60. n1: 500 milli from 40, still there at 100, and 1000 milli from 0 to 100.
    held = np.array([(0, 10, 60), (1, 40, -1), (1, 0, 100), (-1, -1, -1)])
    cluster.node_requested[0] = [0, 500]
    cluster.node_requested_peak[0] = [1000, 1500]
    cluster.node_bound_pods[:] = [0, 1]
    cluster.node_idle_us[:], cluster.node_idle_since_us[:] = [10, 0], [60, -1]
    cluster.node_device_free_total[1] = 1500
    cluster.node_fragmented_gpu_milli[1] = 12.5
    timeline = NodeTimeline(taken, devices=True)
    stays = Stays(taken, 100, [0])
    for part in (slice(0, 2), slice(2, 4)):
        fields = {name: held[part, at] for at, name in enumerate(("node", "bound_us", "ended_us"))}
        stays.add(fields, np.array([0, 1, 0, 0])[part])
    frame = stays.frame(timeline)
    assert frame.rows(named=True) == [
        {
            "name": "n0",
            "group": 0,
            "joined_us": 0,
            "left_us": None,
            "present_us": 100,
            "device_model": None,
            "devices": 0,
            "pods_bound": 1,
            "allocatable_cpu": 4000,
            "requested_mean_cpu": 1000 * 50 / 100,
            "requested_peak_cpu": 1000,
            "requested_end_cpu": 0,
            "used_gpu_milli_mean": 0.0,
            "used_gpu_milli_end": 0,
            "fragmented_gpu_milli_end": 0.0,
            "idle_share": (10 + 40) / 100,
        },
        {
            "name": "n1",
            "group": 1,
            "joined_us": 0,
            "left_us": None,
            "present_us": 100,
            "device_model": "T4",
            "devices": 2,
            "pods_bound": 2,
            "allocatable_cpu": 4000,
            "requested_mean_cpu": (500 * 60 + 1000 * 100) / 100,
            "requested_peak_cpu": 1500,
            "requested_end_cpu": 500,
            "used_gpu_milli_mean": 2 * 250 * 60 / 100,
            "used_gpu_milli_end": 500,
            "fragmented_gpu_milli_end": 12.5,
            "idle_share": 0.0,
        },
    ]
    for name, dtype in dtypes("nodes").items():
        assert frame.schema[name] == dtype


def test_a_run_of_no_length_counts_empty_nodes_as_idle() -> None:
    taken = intake([SHAPES[0], SHAPES[0]])
    taken.cluster.node_bound_pods[:] = [0, 1]
    frame = Stays(taken, 0, [0]).frame(NodeTimeline(taken, devices=False))
    assert frame["idle_share"].to_list() == [1.0, 0.0]
