"""FGD: the score of a placement, the device that gives it, by hand and against the twin."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.scheduler.fragmentation import measure_node
from kscale.scheduler.plugins.fgd import FGD, least_fragmenting, points, take_least_fragmenting
from kscale.state.tables import Cluster
from tests import naive
from tests.engine.columns import call, small
from tests.scheduler.states import State, states


def cluster(cpu: int, devices: list[int]) -> Cluster:
    """Return one node; typical pods: half a device (weight 0.5), a whole one with 4 cores (0.25), cpu only (0.25)."""
    made = small(node=1, device=len(devices), typical=3, level=2)
    made.node_allocatable[0, 0] = cpu
    made.node_device_count[0], made.node_device_model[0] = len(devices), 0
    made.node_device_free[0], made.node_device_free_total[0] = devices, sum(devices)
    made.level_milli[:] = [500, 1000]
    made.typical_cpu_milli[:], made.typical_device_count[:] = [1000, 4000, 1000], [1, 1, 0]
    made.typical_level[:], made.typical_weight[:] = [0, 1, -1], [0.5, 0.25, 0.25]
    call(measure_node, made, 0)
    return made


def choice(made: Cluster, cpu: int, count: int, milli: int) -> tuple[int, int]:
    """Return the score and the bit set of the devices."""
    made.template_request[0, 0], made.template_device_count[0], made.template_device_milli[0] = cpu, count, milli
    call(least_fragmenting, made, 0, 0, 1)
    return int(made.scan_raw[0]), int(call(take_least_fragmenting, made, 0, 0, 0))


def test_by_hand() -> None:
    # 8000 cpu, [1000, 500]: 0.5 * 0 + 0.25 * 500 + 0.25 * 1500 = 500.
    assert cluster(8000, [1000, 500]).node_fragmented_gpu_milli[0] == 500
    # Half a device. Device 0, [500, 500]: 0 + 0.25 * 1000 + 0.25 * 1000 = 500: unchanged, exactly 50.
    # Device 1, [1000, 0]: 0 + 0 + 0.25 * 1000 = 250: 100 / (1 + exp(-0.25)) = 56.2.
    assert choice(cluster(8000, [1000, 500]), 1000, 1, 500) == (56, 0b10)
    # A whole device takes the idle one, [0, 500]: 0 + 0.25 * 500 + 0.25 * 500 = 250.
    assert choice(cluster(8000, [1000, 500]), 1000, 1, 1000) == (56, 0b01)
    # Cpu only, 3000 left: a whole one lacks cpu: 0 + 0.25 * 1500 + 0.25 * 1500 = 750: 100 / (1 + exp(0.25)) = 43.8.
    assert choice(cluster(8000, [1000, 500]), 5000, 0, 0)[0] == 43
    # Two devices of 300 each: [700, 700] of [1000, 1000]. Before: 0.25 * 2000 = 500.
    # After, 7000 cpu: 0 + 0.25 * 1400 + 0.25 * 1400 = 700: 100 / (1 + exp(0.2)) = 45.01.
    assert choice(cluster(8000, [1000, 1000]), 1000, 2, 300) == (45, 0b11)


def test_equal_devices_give_the_first() -> None:
    # [600, 600] and [700, 500] of [700, 600] are equal: 0 + 0.25 * 1200 + 0.25 * 1200 = 600 after 650.
    assert choice(cluster(8000, [700, 600]), 0, 1, 100) == (int(100 / (1 + math.exp(-0.05))), 0b01)
    # A device without room is passed over: [50, 600] to [50, 500].
    assert choice(cluster(8000, [50, 600]), 0, 1, 100)[1] == 0b10


@pytest.mark.parametrize(
    ("before", "after", "expected"), [(0.0, 0.0, 50), (0.0, 1e-10, 49), (64e3, 0.0, 100), (0.0, 64e3, 0)]
)
def test_points_are_a_truncated_sigmoid(before: float, after: float, expected: int) -> None:
    """Noise in the last bits decides between 50 and 49: so the sums are in a fixed order."""
    assert points(before, after) == expected


def test_nodes_that_are_rejected_are_not_scored() -> None:
    made = cluster(8000, [1000, 500])
    made.scan_reject[0], made.scan_raw[0] = 1, -9
    call(least_fragmenting, made, 0, 0, 1)
    assert made.scan_raw[0] == -9


@settings(deadline=None)
@given(states(), st.data())
def test_it_agrees_with_the_twin(state: State, data: st.DataObject) -> None:
    spec = data.draw(st.integers(0, len(state.specs) - 1))
    scores = state.scores("FGD", spec)
    assert scores == state.twin_scores(naive.fgd_score, spec)
    for node in scores:
        if state.specs[spec].gpu_count:
            expected = naive.fgd(state.nodes[node], state.specs[spec], state.typical)[1]
            assert state.devices(FGD, spec, node) == expected
