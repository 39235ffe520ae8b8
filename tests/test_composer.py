"""The composer: columns filled in, drivers written out in place, and what it refuses."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

from kscale import kernels
from kscale.composer import Composer
from kscale.kernels import kernel, plain

COLUMNS = ("item_size", "item_seen", "box_total")


@kernel
def look(item: int, item_size: Any, item_seen: Any) -> int:
    item_seen[item] += 1
    return item_size[item]


@kernel
def add(amount: int, box_total: Any) -> None:
    box_total[0] += amount


@kernel
def twice(amount: int) -> int:
    return 2 * amount


@kernel
def mixed(item_size: Any, item: int) -> int:
    return item_size[item]


@kernel
def between(item: int, item_size: Any, amount: int, box_total: Any) -> int:
    return item + amount


def composer() -> Composer:
    made = Composer(COLUMNS)
    for name, function in (("look", look), ("add", add), ("twice", twice)):
        made.use(name, function)
    return made


def body_of(made: Composer, entry: str) -> str:
    """The lines of an entry, without its head."""
    module = ast.parse(made.source())
    function = next(part for part in module.body if isinstance(part, ast.FunctionDef) and part.name == entry)
    return "\n".join(ast.unparse(line) for line in function.body)


def run(made: Composer, entry: str, *arguments: int) -> tuple[Any, dict[str, list[int]]]:
    """What an entry returns as plain Python, and the columns afterwards; sizes are 10, 20, 30."""
    columns = {name: np.zeros(3, np.int64) for name in COLUMNS}
    columns["item_size"][:] = [10, 20, 30]
    module = kernels.load(made.source(), compiled=False)
    result = getattr(module, entry)(*arguments, *(columns[name] for name in made.columns_of(entry)))
    return result, {name: values.tolist() for name, values in columns.items()}


def test_a_kernels_columns_are_filled_in_and_become_the_entrys() -> None:
    made = composer()
    made.define("weigh", "item", "return twice(look(item)) + 1", entry=True)
    assert body_of(made, "weigh") == "return twice(look(item, item_size, item_seen)) + 1"
    assert made.columns_of("weigh") == ["item_seen", "item_size"]  # by name
    assert "def weigh(item, item_seen, item_size):" in made.source()
    assert run(made, "weigh", 1) == (41, {"item_size": [10, 20, 30], "item_seen": [0, 1, 0], "box_total": [0, 0, 0]})


def test_columns_that_a_drivers_own_text_names_are_taken_as_well() -> None:
    made = composer()
    made.define("first", "", "return box_total[0]", entry=True)
    assert made.columns_of("first") == ["box_total"]


@pytest.mark.parametrize("wrong", [mixed, between])
def test_columns_must_come_last(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"{plain(wrong).__name__}: columns must come last, in"):
        Composer(COLUMNS).use("wrong", wrong)


def test_two_kernels_cannot_have_one_name() -> None:
    made = Composer(COLUMNS)
    made.use("look", look)
    made.use("look", look)
    with pytest.raises(ValueError, match=r"'look' is .*test_composer.look already, and cannot be .*test_composer.add"):
        made.use("look", add)


def test_a_kernel_that_is_not_there_is_told_by_name() -> None:
    with pytest.raises(AssertionError, match="reserve_0 has no kernel"):
        Composer(COLUMNS).use("reserve_0", None)


def test_a_driver_is_written_out_in_place() -> None:
    made = composer()
    made.define("put", "item, times", "for _ in range(times):\n    add(look(item))")
    made.define("go", "item", "put(item, 2)\nput(item + 1, 1)", entry=True)
    text = body_of(made, "go")
    assert "put" not in text
    assert "put" not in made.source()  # only entries are functions of the module
    # Two of the first, one of the second: 2 * 10 + 20.
    assert run(made, "go", 0)[1]["box_total"] == [40, 0, 0]


def test_drivers_within_drivers_and_within_branches_and_loops() -> None:
    made = composer()
    made.define("one", "item", "amount = look(item)\nadd(amount)\nreturn amount")
    made.define(
        "all", "last", "total = 0\nfor item in range(last):\n    amount = one(item)\n    total += amount\nreturn total"
    )
    made.define(
        "go", "last, both", "if both:\n    total = all(last)\nelse:\n    total = one(last)\nreturn total", entry=True
    )
    assert run(made, "go", 3, 1) == (60, {"item_size": [10, 20, 30], "item_seen": [1, 1, 1], "box_total": [60, 0, 0]})
    assert run(made, "go", 2, 0) == (30, {"item_size": [10, 20, 30], "item_seen": [0, 0, 1], "box_total": [30, 0, 0]})


def test_a_driver_may_return_what_a_driver_returns() -> None:
    made = composer()
    made.define("inner", "item", "return look(item)")
    made.define("outer", "item", "return inner(item)")
    made.define("go", "item", "size = outer(item)\nreturn size + 1", entry=True)
    made.define("straight", "item", "return outer(item)", entry=True)
    assert run(made, "go", 2)[0] == 31
    assert run(made, "straight", 2)[0] == 30


def test_what_a_statement_does_not_take_is_not_worked_out() -> None:
    made = composer()
    made.define("both", "item", "add(1)\nreturn look(item)")
    made.define("go", "item", "both(item)", entry=True)
    assert run(made, "go", 0) == (None, {"item_size": [10, 20, 30], "item_seen": [0, 0, 0], "box_total": [1, 0, 0]})


def test_names_of_callers_and_callees_do_not_clash() -> None:
    made = composer()
    # Each has its own `item` and `amount`; the inner ones change.
    made.define("bump", "item", "item = item + 1\namount = look(item)\nadd(amount)\nreturn amount")
    made.define("swap", "item, amount", "amount = bump(amount)\nother = bump(item)\nreturn amount - other")
    made.define("go", "item", "amount = 1\ngap = swap(amount, item)\nadd(100 * item + amount)\nreturn gap", entry=True)
    # item 0, amount 1: bump(0) gives 20, bump(1) gives 30; then add(100 * 0 + 1).
    assert run(made, "go", 0) == (-10, {"item_size": [10, 20, 30], "item_seen": [0, 1, 1], "box_total": [51, 0, 0]})


def test_constants_are_put_where_they_are_handed_in() -> None:
    made = composer()
    made.define("put", "item, sign", "if sign > 0:\n    add(look(item))")
    made.define("go", "item", "put(item, 1)", entry=True)
    assert "if 1 > 0:" in body_of(made, "go")
    # Not where the driver assigns to its argument.
    made.define("count", "left", "while left > 0:\n    add(1)\n    left -= 1")
    made.define("three", "", "count(3)", entry=True)
    assert run(made, "three")[1]["box_total"] == [3, 0, 0]


def test_entries_are_written_in_the_order_of_their_definition_and_alike_each_time() -> None:
    made = composer()
    made.define("put", "item", "amount = look(item)\nadd(amount)")
    made.define("second", "item", "put(item)", entry=True)
    made.define("first", "item", "put(item)\nput(item)", entry=True)
    functions = [part.name for part in ast.parse(made.source()).body if isinstance(part, ast.FunctionDef)]
    assert functions == ["second", "first"]
    assert made.source() == made.source()


@pytest.mark.parametrize("call", ["put(1)", "put(1, 2, 3)", "put()"])
def test_a_wrong_number_of_arguments_is_refused(call: str) -> None:
    made = composer()
    made.define("put", "item, sign", "add(sign)")
    made.define("go", "", call, entry=True)
    with pytest.raises(ValueError, match=r"put takes \['item', 'sign'\], not \d arguments"):
        made.source()


@pytest.mark.parametrize(
    "body",
    [
        "size = 1 + inner(0)", "return twice(inner(0))", "if inner(0) > 1:\n    add(1)", "while inner(0):\n    pass",
        "inner(inner(0))", "size = 0\nsize += 1 if inner(0) else 2",
    ],
)  # fmt: skip
def test_a_driver_inside_an_expression_is_refused(body: str) -> None:
    made = composer()
    made.define("inner", "item", "return look(item)")
    made.define("go", "", body, entry=True)
    with pytest.raises(ValueError, match=r"calls the driver inner inside an expression"):
        made.source()


@pytest.mark.compiled
def test_composed_entries_run_compiled_and_plain_alike() -> None:
    made = composer()
    made.define("put", "item, times", "for _ in range(times):\n    amount = look(item)\n    add(amount)")
    made.define("go", "item, times", "put(item, times)\nreturn twice(times)", entry=True)
    columns = {name: np.array([10, 20, 30]) for name in COLUMNS}
    arguments = [columns[name] for name in made.columns_of("go")]
    assert kernels.load(made.source()).go(1, 3, *arguments) == 6
    assert columns["box_total"].tolist() == [10 + 3 * 20, 20, 30]
