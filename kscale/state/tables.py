"""The cluster: its tables allocated from the schema, grown when they fill, and handed to kernels by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from kscale.state import schema
from kscale.state.schema import Addition, Column, Table

#: Bytes of a cache line.
_LINE = 64


class Cluster:
    """Every column of the schema as an array, by full name.

    ``sizes`` gives each dimension (``node``, ``resource``, ``pod`` …) its length. ``columns[name]`` is the array; it is
    replaced when a dimension grows, so take it anew after ``resize``: ``generation`` counts these.
    """

    def __init__(self, sizes: Mapping[str, int], extra: Iterable[Addition] = ()) -> None:
        self.tables: dict[str, Table] = schema.load(extra)
        self.sizes = {"one": 1, **sizes}
        self._rows = schema.full_names(self.tables)
        self._dimensions = {name: _dimensions(*row) for name, row in self._rows.items()}
        self.columns: dict[str, np.ndarray[Any, Any]] = {}
        self.generation = 0
        self._allocate(self._rows)

    def _allocate(self, names: Iterable[str]) -> None:
        """Make these columns anew, of default rows; those of a table that lies row by row share a block."""
        blocks: dict[str, list[str]] = {}
        for name in names:
            table, column = self._rows[name]
            if self._by_row(name):
                blocks.setdefault(table.name, []).append(name)
            else:
                shape = tuple(map(self._size, self._dimensions[name]))
                # What is 0 everywhere takes memory where it is written to.
                dtype, default = column.numpy_dtype, column.default
                self.columns[name] = np.full(shape, default, dtype) if default else np.zeros(shape, dtype)
        for table_name, members in blocks.items():
            for name, array in side_by_side({name: self._rows[name][1] for name in members}, self._size(table_name)):
                self.columns[name] = array

    def _by_row(self, name: str) -> bool:
        table = self._rows[name][0]
        return table.by_row and self._dimensions[name] == (table.name,)

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
        grown = {
            name: self.columns[name] for name, dimensions in self._dimensions.items() if dimension in dimensions
        }  # fmt: skip
        self._allocate(grown)
        for name, old in grown.items():
            self.columns[name][tuple(slice(0, length) for length in old.shape)] = old

    def arguments(self, names: Iterable[str]) -> list[np.ndarray[Any, Any]]:
        """Return the columns of these names, in order: what a kernel is called with."""
        return [self.columns[name] for name in names]

    def kinds(self) -> frozenset[tuple[str, str, int, int]]:
        """Return every column's name, dtype, dimensions, and the bytes from row to row (0: no other column between)."""
        return frozenset(
            (name, array.dtype.name, array.ndim, array.strides[0] if self._by_row(name) else 0)
            for name, array in self.columns.items()
        )

    def nbytes(self) -> int:
        """Return the memory that all columns take, in bytes."""
        return sum(array.nbytes for array in self.columns.values())


def _dimensions(table: Table, column: Column) -> tuple[str, ...]:
    return column.dims or (("one",) if table.name == "cluster" else (table.name,))


def side_by_side(columns: Mapping[str, Column], size: int) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Yield the columns' arrays of ``size`` default rows, laid row by row; a row begins with a cache line.

    The largest values come first, so that each lies at a multiple of its size.
    """
    order = sorted(columns, key=lambda name: -columns[name].numpy_dtype.itemsize)
    ends = np.cumsum([columns[name].numpy_dtype.itemsize for name in order])
    width = -(-int(ends[-1]) // _LINE) * _LINE
    block = np.zeros((size + 1) * width + _LINE, np.uint8)
    first = -block.ctypes.data % _LINE
    for name, end in zip(order, ends.tolist(), strict=True):
        dtype = columns[name].numpy_dtype
        array: np.ndarray[Any, Any] = np.ndarray(size, dtype, block, first + end - dtype.itemsize, width)
        array[:] = columns[name].default
        yield name, array
