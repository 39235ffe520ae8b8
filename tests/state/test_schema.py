"""The schema's rows: no clashes, and every row says what it is."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.scheduler import plugins
from kscale.state import schema
from kscale.state.schema import Column, NewTable, Table

ROWS = schema.full_names(schema.load(plugins.columns()))


@pytest.mark.parametrize("name", ROWS)
def test_every_row_says_what_it_is(name: str) -> None:
    table, column = ROWS[name]
    assert table.doc.endswith(".")
    assert column.doc.endswith(".")
    assert column.numpy_dtype.name == column.dtype
    # The default is a value of the type.
    assert np.full(1, column.default, column.numpy_dtype)[0] == column.default
    if column.name.endswith("_us"):
        assert column.unit == "us"
    if column.name == "milli" or column.name.endswith("_milli"):
        assert column.unit == "milli"
    if column.name in ("allocatable", "request", "requested", "nonzero_request", "nonzero_requested", "requested_peak"):
        assert column.unit == "the resource's"
    if column.name.endswith("_pods"):
        assert column.unit == "pods"


def test_a_second_column_of_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'node_allocatable' is declared twice"):
        schema.load([{"node": (Column("allocatable", "int32", "Another."),)}])
    mine = {"node": (Column("mine", "int64", "Mine."),)}
    with pytest.raises(ValueError, match="'node_mine' is declared twice"):
        schema.load([mine, {"node": (Column("mine", "int64", "Yours."),)}])
    # The very same row from two leaves is one column.
    assert schema.load([mine, mine])["node"].columns["mine"].doc == "Mine."


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown table 'nodes'"):
        schema.load([{"nodes": (Column("mine", "int64", "Mine."),)}])


def test_a_leaf_declares_a_table_and_another_adds_to_it() -> None:
    table = {"disk": NewTable("A disk.", (Column("size", "int64", "Its size."),))}
    added = {"disk": (Column("node", "int64", "Where it is."),)}
    for order in ([table, added], [added, table], [table, table, added]):
        disk = schema.load(order)["disk"]
        assert (disk.doc, sorted(disk.columns)) == ("A disk.", ["node", "size"])
    with pytest.raises(ValueError, match="the table 'disk' is declared twice"):
        schema.load([table, {"disk": NewTable("Another.", ())}])
    with pytest.raises(ValueError, match="'disk_size' is declared twice"):
        schema.load([table, {"disk": (Column("size", "int64", "Another."),)}])
    assert "disk" not in schema.load()


def test_what_a_leaf_adds_does_not_stay() -> None:
    schema.load([{"node": (Column("mine", "int64", "Mine."),)}])
    assert "mine" not in schema.load()["node"].columns


def test_full_names_must_differ_across_tables() -> None:
    one = Table("a", "A.", {"b_c": Column("b_c", "int64", "One.")})
    two = Table("a_b", "B.", {"c": Column("c", "int64", "Two.")})
    assert list(schema.full_names({"a": one})) == ["a_b_c"]
    with pytest.raises(ValueError, match="two columns have the full name 'a_b_c'"):
        schema.full_names({"a": one, "a_b": two})
