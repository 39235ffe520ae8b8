"""Tables in Parquet: a table is a file, or a folder of parts that are read one after another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from kscale.traces import Options
from kscale.traces.common import files

_DIGITS = re.compile(r"(\d+)")


def parts(path: Path, *inner: str) -> list[Path]:
    """Return the Parquet files of a table: ``path`` itself, or those within it, ``part.2`` before ``part.10``.

    ``inner`` are the folders that lead to the table, the last of them its name.
    """
    if path.is_file():
        return [path]
    folder = path.joinpath(*inner[:-1])
    found = files.parts(folder, inner[-1]) if folder.is_dir() else []
    return sorted((one for one in found if one.suffix == ".parquet"), key=_in_numbers)


def _in_numbers(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in _DIGITS.split(path.name)]


def columns(paths: Sequence[Path]) -> dict[str, pl.DataType]:
    """Return the columns that all parts have, with the types of the first. Raises InputError."""
    schemas = [files.parquet_schema(path) for path in paths]
    return {name: dtype for name, dtype in schemas[0].items() if all(name in schema for schema in schemas)}


def batches(paths: Iterable[Path], names: Sequence[str], options: Options) -> Iterator[tuple[Path, pl.DataFrame]]:
    """Yield all parts in batches, with ``files.ROW`` that counts within the part. Raises InputError."""
    for path in paths:
        for frame in files.parquet_batches(path, names, options):
            yield path, frame


def least(paths: Iterable[Path], name: str, high: int) -> int:
    """Return the smallest value from 0 to ``high`` in a column of whole numbers; 0 where there is none.

    Raises InputError when a part is damaged; a column of another type is told where it is read.
    """
    found = []
    for path in paths:
        with files.readable(path, "Parquet"):
            column = pl.scan_parquet(path, glob=False, hive_partitioning=False).select(
                pl.col(name).cast(pl.Int64, strict=False)
            )
            found.append(column.filter(pl.col(name).is_between(0, high)).min().collect().item())
    return min((value for value in found if value is not None), default=0)


def is_parquet(head: bytes) -> bool:
    """Tell whether a file begins as Parquet files do."""
    return head.startswith(b"PAR1")
