"""GpuShare: which nodes have the devices, and which of them a pod takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kscale.scheduler.plugins.devices import GPU_SHARE, has_devices, take_tightest
from kscale.state.tables import Cluster
from tests import naive
from tests.engine.columns import call, small
from tests.scheduler.states import State, states


def nodes(*free: list[int], models: list[int] | None = None) -> Cluster:
    """Return nodes with these free shares; as many devices as there are numbers."""
    made = small(node=len(free), device=max(map(len, free)))
    for node, shares in enumerate(free):
        made.node_device_count[node] = len(shares)
        made.node_device_free[node, : len(shares)] = shares
        made.node_device_free_total[node] = sum(shares)
    made.node_device_model[:] = models or [0 if shares else -1 for shares in free]
    return made


def ask(made: Cluster, count: int, milli: int, models: int = 0) -> None:
    made.template_device_count[0], made.template_device_milli[0], made.template_device_models[0] = count, milli, models


def rejected(made: Cluster, first: int = 0, last: int | None = None) -> list[int]:
    made.scan_reject[:] = 0
    call(has_devices, made, 0, first, made.sizes["node"] if last is None else last, 5)
    return [int(bits) >> 5 for bits in made.scan_reject]


MODEL, SHORT = 1, 2


@pytest.mark.parametrize(
    ("count", "milli", "expected"),
    [
        (1, 300, [0, 0, 0, SHORT]),
        (1, 301, [0, 0, SHORT, SHORT]),
        (1, 1000, [0, SHORT, SHORT, SHORT]),
        (2, 1000, [SHORT, SHORT, SHORT, SHORT]),
        (2, 700, [0, SHORT, SHORT, SHORT]),
        (2, 300, [0, SHORT, 0, SHORT]),  # room on one device does not count twice
        (3, 100, [SHORT, SHORT, SHORT, SHORT]),
        (0, 0, [0, 0, 0, 0]),
    ],
)
def test_as_many_devices_must_have_the_share_free(count: int, milli: int, expected: list[int]) -> None:
    made = nodes([1000, 700], [900, 0], [300, 300], [])
    ask(made, count, milli)
    assert rejected(made) == expected


def test_models() -> None:
    made = nodes([1000], [1000], [100], [], models=[0, 2, 2, -1])
    ask(made, 1, 500, 0b100)
    # The model is looked at first, but a node without devices lacks devices, not a model.
    assert rejected(made) == [MODEL, 0, SHORT, SHORT]
    ask(made, 1, 500, 0b101)
    assert rejected(made) == [0, 0, SHORT, SHORT]
    ask(made, 1, 500)  # no list: any model
    assert rejected(made) == [0, 0, SHORT, SHORT]
    ask(made, 0, 0, 0b010)  # wants no device: any node
    assert rejected(made) == [0, 0, 0, 0]
    made.node_device_model[0] = 63
    ask(made, 1, 500, 1 << 63)
    assert rejected(made)[:2] == [0, MODEL]


def test_nodes_that_are_rejected_already_keep_their_reason_and_the_range_is_kept() -> None:
    made = nodes([0], [0], [0])
    ask(made, 1, 500)
    made.scan_reject[:] = [1, 0, 0]
    call(has_devices, made, 0, 0, 2, 5)
    assert made.scan_reject.tolist() == [1, SHORT << 5, 0]


def taken(free: list[int], count: int, milli: int) -> tuple[int, ...]:
    made = nodes(free)
    ask(made, count, milli)
    bits = int(call(take_tightest, made, 0, 0, 0))
    return tuple(device for device in range(64) if bits >> device & 1)


@pytest.mark.parametrize(
    ("free", "count", "milli", "devices"),
    [
        ([1000, 500, 300, 1000], 1, 300, (2,)),  # the least room that fits
        ([1000, 500, 300, 500], 1, 400, (1,)),  # the lowest of equals
        ([1000, 500, 300, 1000], 1, 600, (0,)),
        ([500, 1000, 300, 1000], 1, 1000, (1,)),  # whole devices: the first that are free
        ([500, 1000, 300, 1000], 2, 1000, (1, 3)),
        ([1000, 500, 300, 1000], 2, 400, (0, 1)),
        ([0] * 63 + [1000], 1, 1000, (63,)),
        ([0] * 63 + [1000], 1, 999, (63,)),
        ([1000] * 64, 64, 1000, tuple(range(64))),
    ],
)
def test_the_devices_that_a_pod_takes(free: list[int], count: int, milli: int, devices: tuple[int, ...]) -> None:
    assert taken(free, count, milli) == devices


def test_reasons() -> None:
    assert GPU_SHARE.reasons is not None
    assert GPU_SHARE.reasons(["cpu"]) == ["node(s) had no allowed GPU model", "Insufficient gpu"]


@settings(deadline=None)
@given(states(), st.data())
def test_it_agrees_with_the_twin(state: State, data: st.DataObject) -> None:
    spec = data.draw(st.integers(0, len(state.specs) - 1))
    reasons: Any = GPU_SHARE.reasons
    for node, bits in enumerate(state.rejects("GpuShare", spec)):
        told = [text for bit, text in enumerate(reasons([])) if bits >> bit & 1]
        assert told == naive.gpu_share(state.nodes[node], state.specs[spec])
        if not told and state.specs[spec].gpu_count:
            assert state.devices(GPU_SHARE, spec, node) == naive.best_devices(state.nodes[node], state.specs[spec])


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8), st.integers(1, 8), st.integers(1, 1000))
def test_what_is_taken_fits(free: list[int], count: int, milli: int) -> None:
    fitting = [device for device, share in enumerate(free) if share >= milli]
    assume(len(fitting) >= count)
    devices = taken(free, count, milli)
    assert len(devices) == count
    assert set(devices) <= set(fitting)
    assert np.all(np.diff(devices) > 0)
