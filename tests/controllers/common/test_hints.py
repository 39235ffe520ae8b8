"""Endpoints shared out among zones, all Services at once, as each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.common.hints import Zones, allocations, shared_out
from tests.twin import topology_hints as twin

endpoint = st.builds(twin.Endpoint, st.sampled_from([0, 0, 1, 2, 3, -1]), st.sampled_from([True, True, True, False]),
                     st.integers(-1, 3))  # fmt: skip
zoned = st.builds(twin.Endpoint, st.integers(0, 2), st.just(True), st.integers(-1, 2))
slices = st.lists(st.builds(twin.Slice, st.booleans(), st.lists(zoned, max_size=9) | st.lists(endpoint, max_size=4)),
                  max_size=4)  # fmt: skip
nodes = st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([1000, 2000, 4000, 8000])), max_size=5)


@settings(deadline=None, max_examples=150)
@given(st.lists(slices, min_size=1, max_size=4), nodes, st.booleans())
def test_all_services_at_once_as_each_by_itself(
    services: list[list[twin.Slice]], there: list[tuple[int, int]], strange: bool
) -> None:
    there = [*there, (-1, 1000)] if strange and len(there) > 4 else there
    zones = Zones.of(np.array([z for z, _ in there], np.int64), np.array([c for _, c in there], np.int64))
    # Slices that are created or written come first: those that need not change are numbered by Service before them.
    order = [sorted(found, key=lambda slice_: slice_.fixed) for found in services]
    parts = [slice_ for found in order for slice_ in found if slice_.fixed]
    parts += [slice_ for found in order for slice_ in found if not slice_.fixed]
    number = {id(slice_): place for place, slice_ in enumerate(parts)}
    rows = [
        (group, one.zone, one.ready, number[id(slice_)], one.hint if slice_.fixed else -1)
        for group, found in enumerate(order) for slice_ in found for one in slice_.endpoints
    ]  # fmt: skip
    group, zone, ready, part, kept = (np.array([row[place] for row in rows], np.int64) for place in range(5))
    fixed = np.array([slice_.fixed for slice_ in parts], bool)
    found, good = shared_out(zones, len(order), group, zone, ready.astype(bool), part, fixed, kept)
    expected = [twin.share(twin.ratios(there), one) for one in order]
    assert good.tolist() == expected
    hints = [one.hint if one.ready else -1 for its in order for slice_ in its for one in slice_.endpoints]
    assert found.tolist() == hints


@pytest.mark.parametrize(
    ("cpu", "endpoints", "desired"),
    [
        ([1000, 1000], 2, [1.0, 1.0]), ([1000, 1000, 1000], 2, None), ([3000, 1000], 4, [3.0, 1.0]),
        # Zones of 6, 2 and 2 cpu need 3, 1 and 1 of five, and of three 2, 1 and 1: one more than there are.
        ([6000, 2000, 2000], 5, [3.0, 1.0, 1.0]), ([6000, 2000, 2000], 3, None),
    ],
)  # fmt: skip
def test_when_there_are_hints(cpu: list[int], endpoints: int, desired: list[float] | None) -> None:
    zones = Zones.of(np.arange(len(cpu)), np.array(cpu))
    given_ = allocations(zones, np.array([endpoints]))
    assert given_.good.tolist() == [desired is not None]
    if desired is not None:
        assert np.allclose(given_.desired[0], desired)


@pytest.mark.parametrize(("zone", "cpu"), [([0, -1], [1, 1]), ([0, 1], [1, 0]), ([1, 1], [1, 1]), ([], [])])
def test_when_too_little_is_known_of_nodes(zone: list[int], cpu: list[int]) -> None:
    assert not len(Zones.of(np.array(zone, np.int64), np.array(cpu, np.int64)).ratio)
