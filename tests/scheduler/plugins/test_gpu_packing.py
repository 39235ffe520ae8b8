"""GpuPacking: by hand and against the twin."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.scheduler.plugins.gpu_packing import packed
from tests import naive
from tests.engine.columns import call, small
from tests.scheduler.states import State, states


def score(devices: list[int], count: int, milli: int) -> int:
    made = small(node=1, device=len(devices))
    made.node_device_count[0], made.node_device_free_total[0] = len(devices), sum(devices)
    made.node_device_free[0] = devices
    made.template_device_count[0], made.template_device_milli[0] = count, milli
    call(packed, made, 0, 0, 1)
    return int(made.scan_raw[0])


@pytest.mark.parametrize(
    ("devices", "count", "milli", "points"),
    [
        ([1000] * 4, 1, 500, 33 - 4),  # all idle: small nodes first
        ([1000] * 20, 1, 500, 20),
        ([900, 1000, 1000], 2, 1000, 50 - 2),  # two idle ones of a used node
        ([900, 1000, 1000], 1, 950, 50 - 1),
        ([900, 1000, 1000], 2, 900, 50 - 1),  # the used one and an idle one
        ([1000] * 20 + [0], 18, 1000, 33),
        ([900, 409, 1000], 1, 400, 100 - 40 // 10),  # 40 % of the fullest that fits
        ([900, 409, 1000], 2, 400, 100 - (90 + 40) // 10),
        ([600, 600, 600], 3, 400, 100 - 3 * 60 // 10),  # equals are different devices
        ([990] * 8, 8, 400, 50),
        ([500], 0, 0, 0),  # cpu only
        ([500, 500], 1, 600, 0),  # nothing fits: not asked for
    ],
)
def test_by_hand(devices: list[int], count: int, milli: int, points: int) -> None:
    assert score(devices, count, milli) == points


@settings(deadline=None)
@given(states(), st.data())
def test_it_agrees_with_the_twin(state: State, data: st.DataObject) -> None:
    spec = data.draw(st.integers(0, len(state.specs) - 1))
    assert state.scores("GpuPacking", spec) == state.twin_scores(naive.gpu_packing, spec)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from([0, 100, 409, 500, 999, 1000]), min_size=1, max_size=10), st.integers(1, 4),
    st.sampled_from([100, 410, 500, 1000]),
)  # fmt: skip
def test_it_agrees_with_the_twin_on_any_devices(devices: list[int], count: int, milli: int) -> None:
    if sum(free >= milli for free in devices) < count:
        return
    state = naive.NodeState(naive.Node("n", {}, gpus=len(devices)))
    state.devices = devices
    assert score(devices, count, milli) == naive.gpu_packing(state, naive.Spec(gpu_count=count, gpu_milli=milli), ())
