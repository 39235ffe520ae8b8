"""Whatever is done to valid objects, what comes is an inventory, an InputError or a MachineError, in one line."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kscale.errors import InputError, MachineError
from kscale.state.manifests import Inventory, inventory_of, take_inventory
from tests.state.manifests.making import OBJECTS

DEEP: Any = 0
for _ in range(3000):
    DEEP = [DEEP]
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**70), 1.5, 1e308, "", "x", "\x00", "é", "\u202e", "😀" * 70,
    "1Gi", "-5", "1e999", "999999999999999999999Ei", "a/b/c", "=", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
    [], {}, [None], {"": ""}, {"x": None}, [[]], "In", "Exists", "List",
]  # fmt: skip


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, one in inner for path in paths(one, (*here, key)))]


PLACES = [(i, path) for i, found in enumerate(OBJECTS) for path in paths(found) if path]


def changed(found: list[dict[str, Any]], i: int, path: tuple[Any, ...], odd: Any) -> None:
    """Put ``odd`` at a path of an object, where the path is still there; ``...`` takes it away."""
    holder: Any = found[i]
    try:
        for key in path[:-1]:
            holder = holder[key]
        if odd is ...:
            del holder[path[-1]]
        else:
            holder[path[-1]] = copy.deepcopy(odd)
    except (KeyError, IndexError, TypeError):
        return


def take(found: list[dict[str, Any]]) -> Inventory | None:
    try:
        return inventory_of(found)
    except (InputError, MachineError) as error:
        assert "\n" not in str(error) and len(str(error)) <= 600
        return None


def test_unchanged_they_are_taken() -> None:
    assert take(copy.deepcopy(OBJECTS)) is not None


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from([*ODD, ...])), min_size=1, max_size=3))
def test_odd_values_anywhere(changes: list[tuple[tuple[int, tuple[Any, ...]], Any]]) -> None:
    found = copy.deepcopy(OBJECTS)
    for (i, path), odd in changes:
        changed(found, i, path, odd)
    take(found)


def test_every_place_of_every_object_with_another_type() -> None:
    for i, path in PLACES:
        for odd in (..., None, 3, "x\n", [], {}, [{}], {"a": []}):
            found = copy.deepcopy(OBJECTS)
            changed(found, i, path, odd)
            take(found)


@pytest.mark.parametrize(
    "odd", ["x" * 10_000_000, "9" * 10_000_000, DEEP, {"k" * 10_000_000: "v"}], ids=["x", "9", "deep", "key"]
)
def test_huge_and_deep_values(odd: Any) -> None:
    for i, path in PLACES[:: 7 if isinstance(odd, list) else 29]:
        found = copy.copy(OBJECTS)
        found[i] = copy.deepcopy(OBJECTS[i])
        holder: Any = found[i]
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = odd
        take(found)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_bytes_that_are_cut_flipped_and_put_in(tmp_path: Path, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    raw = bytearray(text)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        what = data.draw(st.sampled_from(["cut", "flip", "put"]))
        if what == "cut":
            del raw[at : at + data.draw(st.integers(1, 40))]
        elif what == "flip":
            raw[at] = data.draw(st.integers(0, 255))
        else:
            raw[at:at] = data.draw(
                st.binary(max_size=8) | st.sampled_from([b"- ", b"&a ", b"*a", b"{", b"\n", b"? ", b"---\n"])
            )
        if not raw:
            return
    path = tmp_path / "in"
    path.write_bytes(raw)
    try:
        take_inventory([path])
    except (InputError, MachineError) as error:
        assert "\n" not in str(error) and len(str(error)) <= 600


TEXTS = [
    json.dumps(OBJECTS).encode(),
    "\n".join(json.dumps(one) for one in OBJECTS).encode(),
    yaml.safe_dump_all(OBJECTS).encode(),
    yaml.safe_dump({"kind": "List", "items": OBJECTS}).encode(),
]
