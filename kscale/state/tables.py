"""The cluster: its tables allocated from the schema, grown when they fill, and handed to kernels by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kscale.state import schema
from kscale.state.schema import Addition, Column, Table


class Cluster:
    """Every column of the schema as an array, by full name.

    ``sizes`` gives each dimension (``node``, ``resource``, ``pod`` …) its length. ``columns[name]`` is the array; it is
    replaced when a dimension grows, so take it anew after ``resize``: ``generation`` counts these.
    """

    def __init__(self, sizes: Mapping[str, int], extra: Iterable[Addition] = ()) -> None:
        self.tables: dict[str, Table] = schema.load(extra)
        self.sizes = {"one": 1, **sizes}
        self._rows = schema.full_names(self.tables)
        self.columns: dict[str, np.ndarray[Any, Any]] = {}
        self.generation = 0
        for name, (table, column) in self._rows.items():
            shape = tuple(self._size(dimension) for dimension in self._dimensions(table, column))
            self.columns[name] = np.full(shape, column.default, column.numpy_dtype)

    def _dimensions(self, table: Table, column: Column) -> tuple[str, ...]:
        return column.dims or (("one",) if table.name == "cluster" else (table.name,))

    def _size(self, dimension: str) -> int:
        if dimension not in self.sizes:
            raise ValueError(f"the dimension '{dimension}' has no size")
        return self.sizes[dimension]

    def __getattr__(self, name: str) -> np.ndarray[Any, Any]:
        """Return a column by its full name, so that ``cluster.node_requested`` reads as the kernels do."""
        try:
            return self.__dict__["columns"][name]
        except KeyError:
            raise AttributeError(f"no column '{name}'") from None

    def resize(self, dimension: str, size: int) -> None:
        """Give ``dimension`` the length ``size``; rows that are there stay, new ones hold their defaults.

        Raises ValueError when it would shrink.
        """
        if size < self.sizes[dimension]:
            raise ValueError(f"'{dimension}' cannot shrink from {self.sizes[dimension]} to {size}")
        self.sizes[dimension] = size
        self.generation += 1
        for name, (table, column) in self._rows.items():
            dimensions = self._dimensions(table, column)
            if dimension not in dimensions:
                continue
            old = self.columns[name]
            new = np.full(tuple(self._size(d) for d in dimensions), column.default, column.numpy_dtype)
            new[tuple(slice(0, length) for length in old.shape)] = old
            self.columns[name] = new

    def arguments(self, names: Iterable[str]) -> list[np.ndarray[Any, Any]]:
        """Return the columns of these names, in order: what a kernel is called with."""
        return [self.columns[name] for name in names]

    def kinds(self) -> frozenset[tuple[str, str, int]]:
        """Return every column's name, dtype and number of dimensions."""
        return frozenset((name, array.dtype.name, array.ndim) for name, array in self.columns.items())

    def nbytes(self) -> int:
        """Return the memory that all columns take, in bytes."""
        return sum(array.nbytes for array in self.columns.values())
