"""The schema: every column of the state is declared once, on one row of a table module in this folder.

A module here is a table: its name is the table's name, its docstring says what a row is, and ``COLUMNS``
lists its columns (``BY_ROW``: they lie row by row in memory). A leaf elsewhere (a scheduler plug-in, say) may
declare further columns in the same rows under ``COLUMNS = {"table": (Column(...), ...)}``; two columns of one
name are an error. A table of its own is declared there as ``NewTable("what a row is", (Column(...), ...))``.
Allocation, kernel wiring, ``kscale schema`` and the checks of the tests all follow from these rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np

from kscale import shelf


@dataclass(frozen=True)
class Column:
    """One column: ``table_name`` is its full name, and the name of the kernel parameter that receives it.

    Attributes:
        name: the column's name within its table.
        dtype: numpy dtype name.
        doc: what it means, one sentence.
        unit: unit of its values; empty where there is none.
        default: value of a fresh row; -1 is "none" for an index.
        dims: the dimensions in storage order; empty means one value per row of the table.
            ``("resource", "node")`` is stored resource by resource, so that a scan over nodes is contiguous.
        path: where a Kubernetes manifest says it; None for what kscale keeps itself.
    """

    name: str
    dtype: str
    doc: str
    unit: str = ""
    default: float = 0
    dims: tuple[str, ...] = ()
    path: str | None = None

    @property
    def numpy_dtype(self) -> np.dtype:
        """The column's numpy dtype."""
        return np.dtype(self.dtype)


def bounds(table: str) -> tuple[Column, Column]:
    """Return the columns of ``template`` that say where a template's list in ``table`` begins and ends."""
    return (
        Column(f"{table}_first", "int64", f"Its first row of {table}."),
        Column(f"{table}_last", "int64", f"The row of {table} after its last."),
    )


@dataclass(frozen=True)
class Table:
    """A table: its columns by name, and what one row of it is.

    ``by_row`` lays the columns of a row side by side in memory: for rows that come and go one by one, in no order, and
    that no pass looks at column by column.
    """

    name: str
    doc: str
    columns: dict[str, Column]
    by_row: bool = False


@dataclass(frozen=True)
class NewTable:
    """A table that a leaf declares: what one row of it is, and its columns."""

    doc: str
    columns: tuple[Column, ...]


#: What a leaf declares: columns for a table of this folder, or a table of its own, by the table's name.
Addition = Mapping[str, tuple[Column, ...] | NewTable]


def load(extra: Iterable[Addition] = ()) -> dict[str, Table]:
    """Return the tables of this folder with the columns and tables that leaves add (``extra``), by name.

    Raises ValueError when a column is declared twice or added to an unknown table.
    """
    tables: dict[str, Table] = {}
    for module in _leaves():
        name = module.__name__.rpartition(".")[2]
        doc = (module.__doc__ or "").strip()
        tables[name] = Table(name, doc, {}, getattr(module, "BY_ROW", False))
        _add(tables, name, module.COLUMNS, module.__name__)
    additions = list(extra)
    for addition in additions:
        for name, new in addition.items():
            if isinstance(new, NewTable):
                known = tables.setdefault(name, Table(name, new.doc, {}))
                if known.doc != new.doc:
                    raise ValueError(f"the table '{name}' is declared twice")
                _add(tables, name, new.columns, "a leaf")
    for addition in additions:
        for name, columns in addition.items():
            if isinstance(columns, NewTable):
                continue
            if name not in tables:
                raise ValueError(f"columns are added to the unknown table '{name}'")
            _add(tables, name, columns, "a leaf")
    return tables


@cache
def _leaves() -> tuple[ModuleType, ...]:
    return tuple(shelf.modules(__name__))


def _add(tables: dict[str, Table], table: str, columns: Iterable[Column], where: str) -> None:
    for column in columns:
        known = tables[table].columns.setdefault(column.name, column)
        if known != column:
            raise ValueError(f"{where}: the column '{table}_{column.name}' is declared twice, with different rows")


def full_names(tables: Mapping[str, Table]) -> dict[str, tuple[Table, Column]]:
    """Return every column by its full name, ``table_name``.

    Raises ValueError when two full names clash.
    """
    result: dict[str, tuple[Table, Column]] = {}
    for table in tables.values():
        for column in table.columns.values():
            name = f"{table.name}_{column.name}"
            if name in result:
                raise ValueError(f"two columns have the full name '{name}'")
            result[name] = (table, column)
    return result
