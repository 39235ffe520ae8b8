"""NodePresence: nodes that are cordoned, and nodes that are not there."""

from __future__ import annotations

import polars as pl
import pytest

from kscale.engine.changes import ABSENT, CORDONED, OPEN
from kscale.scheduler.plugins.node_presence import PRESENCE, keeps_lanes_out, keeps_out, open_lane_of
from kscale.scheduler.profile import profile
from kscale.settings import NodeChanges
from kscale.simulation import Settings, Simulation
from kscale.traces import NODE_EVENTS
from tests.engine.columns import call, small
from tests.worlds import MI, World


@pytest.mark.parametrize(("passes", "rejected"), [(0, [0, 0b0100, 0b1000]), (1, [0, 0, 0b1000])])
def test_nodes_keep_pods_out(passes: int, rejected: list[int]) -> None:
    cluster = small()
    cluster.template_passes_cordon[1] = passes
    cluster.node_shut[:] = [OPEN, CORDONED, ABSENT]
    call(keeps_out, cluster, 1, 0, 3, 2)
    assert cluster.scan_reject.tolist() == rejected


@pytest.mark.parametrize(("shut", "rejected"), [(OPEN, [0, 0, 0, 1]), (CORDONED, [1, 0, 1, 1]), (ABSENT, [1, 1, 1, 1])])
def test_lanes_of_a_node_are_kept_out_alike(shut: int, rejected: list[int]) -> None:
    cluster = small(lane=5)
    cluster.template_passes_cordon[:] = [0, 1, 0]
    for lane, template in enumerate([0, 1, 2, 1]):
        call(open_lane_of, cluster, template, lane)
    cluster.node_shut[1] = shut
    cluster.lane_reject[:] = [0, 0, 0, 1, 0]
    call(keeps_lanes_out, cluster, 1, 4)
    assert cluster.lane_reject.tolist() == [*rejected, 0]


def _simulation(tolerations: str, changes: bool) -> Simulation:
    node = {"name": "n0", "cpu_milli": 1000, "memory_bytes": 64 * MI, "pods": 9, "gpu_count": 0}
    spec = {"cpu_milli": 1, "gpu_count": 0, "gpu_milli": 0, "priority": 0, "tolerations": tolerations}
    world = World([node], [spec], [])
    events = NodeChanges(pl.DataFrame(schema=NODE_EVENTS)) if changes else None
    return Simulation(world.trace(), world.node_frame(), Settings(), changes=events)


@pytest.mark.parametrize(
    ("tolerations", "passes"), [("", 0), ("node.kubernetes.io/unschedulable:NoSchedule", 1), ("*", 1), ("other", 0)]
)
def test_templates_pass_cordons_that_they_tolerate(tolerations: str, passes: int) -> None:
    assert _simulation(tolerations, changes=True).cluster.template_passes_cordon.tolist() == [passes]


def test_it_is_composed_only_where_nodes_change() -> None:
    with_changes, without = (_simulation("", changes=changes) for changes in (True, False))
    assert PRESENCE in with_changes.profile.filters
    assert PRESENCE not in without.profile.filters
    every = profile(without.configuration, without.building, devices=False, preempts=False, every=True)
    assert PRESENCE not in every.filters
