"""DotProd: by hand and against the twin."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.scheduler.plugins.dot_product import least_product
from tests import naive
from tests.engine.columns import call, small
from tests.scheduler.states import State, states


def score(cpu_free: int, gpu_free: int, cpu: int, count: int, milli: int) -> int:
    made = small(node=1)
    made.node_allocatable[0, 0], made.node_requested[0, 0] = cpu_free + 7, 7
    made.node_device_free_total[0] = gpu_free
    made.template_request[0, 0], made.template_device_count[0], made.template_device_milli[0] = cpu, count, milli
    call(least_product, made, 0, 0, 1)
    return int(made.scan_raw[0])


@pytest.mark.parametrize(
    ("cpu_free", "gpu_free", "cpu", "count", "milli", "points"),
    [
        # 100 * (1 - (0.5 * 0.25 + 0.5 * 0.25) / 2) = 87.5
        (64_000, 4000, 32_000, 2, 1000, 87),
        # Cpu only: 100 * (1 - 0.5 * 0.25 / 2) = 93.75
        (64_000, 4000, 32_000, 0, 0, 93),
        # A pod that asks for nothing is alike to nothing; one that asks for all of the largest node is alike to it.
        (64_000, 4000, 0, 0, 0, 100),
        (128_000, 8000, 128_000, 8, 1000, 0),
    ],
)
def test_by_hand(cpu_free: int, gpu_free: int, cpu: int, count: int, milli: int, points: int) -> None:
    assert score(cpu_free, gpu_free, cpu, count, milli) == points


@settings(deadline=None)
@given(states(), st.data())
def test_it_agrees_with_the_twin(state: State, data: st.DataObject) -> None:
    spec = data.draw(st.integers(0, len(state.specs) - 1))
    assert state.scores("DotProd", spec) == state.twin_scores(naive.dot_product, spec)


@settings(deadline=None, max_examples=300)
@given(
    st.integers(0, 128_000),
    st.integers(0, 8000),
    st.integers(0, 128_000),
    st.sampled_from([(0, 0), (1, 460), (2, 1000)]),
)
def test_it_agrees_with_the_twin_on_large_nodes(
    cpu_free: int, gpu_free: int, cpu: int, devices: tuple[int, int]
) -> None:
    count, milli = devices
    state = naive.NodeState(naive.Node("n", {"cpu": cpu_free}))
    state.devices = [gpu_free]
    spec = naive.Spec({"cpu": cpu}, gpu_count=count, gpu_milli=milli)
    assert score(cpu_free, gpu_free, cpu, count, milli) == naive.dot_product(state, spec, ())
