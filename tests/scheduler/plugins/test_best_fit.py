"""BestFit: by hand and against the twin."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.scheduler.plugins.best_fit import least_left
from tests import naive
from tests.engine.columns import call, small
from tests.scheduler.states import State, states


def score(cpu_free: int, gpu_free: int, cpu: int, count: int, milli: int) -> int:
    made = small(node=1)
    made.node_allocatable[0, 0], made.node_requested[0, 0] = cpu_free + 7, 7
    made.node_device_free_total[0] = gpu_free
    made.template_request[0, 0], made.template_device_count[0], made.template_device_milli[0] = cpu, count, milli
    call(least_left, made, 0, 0, 1)
    return int(made.scan_raw[0])


@pytest.mark.parametrize(
    ("cpu_free", "gpu_free", "cpu", "count", "milli", "points"),
    [
        # 100 * (1 - (32000 / 128000 + 2000 / 8000) / 2) = 75
        (64_000, 4000, 32_000, 2, 1000, 75),
        # Cpu only: 100 * (1 - (32000 / 128000 + 4000 / 8000) / 2) = 62.5
        (64_000, 4000, 32_000, 0, 0, 62),
        # Nothing is left: 100. All is left: 0.
        (8000, 500, 8000, 1, 500, 100),
        (128_000, 8000, 0, 0, 0, 0),
        # A share: 100 * (1 - (0 + 300 / 8000) / 2) = 98.1
        (0, 700, 0, 1, 400, 98),
    ],
)
def test_by_hand(cpu_free: int, gpu_free: int, cpu: int, count: int, milli: int, points: int) -> None:
    assert score(cpu_free, gpu_free, cpu, count, milli) == points


@settings(deadline=None)
@given(states(), st.data())
def test_it_agrees_with_the_twin(state: State, data: st.DataObject) -> None:
    spec = data.draw(st.integers(0, len(state.specs) - 1))
    assert state.scores("BestFit", spec) == state.twin_scores(naive.best_fit, spec)


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
    cpu, (count, milli) = min(cpu, cpu_free), devices
    if count * milli > gpu_free:
        return
    state = naive.NodeState(naive.Node("n", {"cpu": cpu_free}))
    state.devices = [gpu_free]
    spec = naive.Spec({"cpu": cpu}, gpu_count=count, gpu_milli=milli)
    assert score(cpu_free, gpu_free, cpu, count, milli) == naive.best_fit(state, spec, ())
