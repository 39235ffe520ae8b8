"""Files of kscale's own columns, in batches: typed, checked, and under their long names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl

from kscale.errors import InputError, nearest
from kscale.state.labels import parse_labels, parse_preferred_terms, parse_taints, parse_terms, parse_tolerations
from kscale.state.quantities import parse_quantity
from kscale.traces.common import files, specs
from kscale.traces.common.checks import Checker, Field, microseconds

_QUANTITIES = {"cpu": "cpu_milli", "memory": "memory_bytes", "ephemeral_storage": "ephemeral_storage_bytes"}
_SECONDS = {"arrival": "arrival_us", "duration": "duration_us", "end": "end_us", "time": "time_us"}
_WRITTEN = {
    "node_selector": parse_labels,
    "node_affinity": parse_terms,
    "preferred_node_affinity": parse_preferred_terms,
    "tolerations": parse_tolerations,
    "labels": parse_labels,
    "taints": parse_taints,
}


def optional(name: str, dtype: type[pl.DataType], doc: str, **bounds: float) -> Field:
    """Return a field that a file may lack and a row may leave empty."""
    return Field(name, dtype, required=False, nullable=True, doc=doc, **bounds)


def fields_of(columns: list[str], fields: tuple[Field, ...], check: Checker) -> list[Field]:
    """Return the fields that the file has; a column that is none is an error, or left out under ``lenient``.

    Raises InputError.
    """
    known = {f.name: f for f in fields}
    present = [known[name] for name in columns if name in known]
    for name in columns:
        if name in known or name == files.ROW:
            continue
        if name.startswith(specs.RESOURCE) and len(name) > len(specs.RESOURCE):
            present.append(Field(name, pl.Int64, nullable=True))
        elif not check.options.lenient:
            close = nearest(name, known)
            raise InputError(
                f"is not a column of the format{close}", file=check.path, field=name, expected=", ".join(known)
            )
    names = {f.name for f in present}
    for short, long in (_QUANTITIES | _SECONDS).items():
        if {short, long} <= names:
            raise InputError(f"stands beside '{long}'", file=check.path, field=short, expected="one of the two")
    check.columns(columns, fields)
    return present


def batches(path: Path, fields: tuple[Field, ...], check: Checker) -> Iterator[pl.DataFrame]:
    """Yield the file in batches of typed columns under their long names, with ``ROW``. Raises InputError."""
    if files.head(path).startswith(b"PAR1"):
        present = fields_of(list(files.parquet_schema(path)), fields, check)
        raws = files.parquet_batches(path, [f.name for f in present], check.options)
    else:
        raws = files.csv_batches(path, check.options, check.dropped)
    for raw in raws:
        present = fields_of(raw.columns, fields, check)
        yield long_names(check.typed(raw, present), check)


def long_names(frame: pl.DataFrame, check: Checker) -> pl.DataFrame:
    """Return typed columns under their long names: quantities and seconds as integers, written forms checked."""
    for name in [n for n in _QUANTITIES if n in frame.columns]:
        resource = "cpu" if name == "cpu" else "memory"
        frame = check.parsed(frame, name, partial(parse_quantity, resource=resource))
        texts = frame[name].unique(maintain_order=True).drop_nulls()
        amounts = pl.Series([parse_quantity(text, resource) for text in texts], dtype=pl.Int64)
        column = frame[name].replace_strict(texts, amounts, default=None, return_dtype=pl.Int64)
        frame = frame.with_columns(column.alias(_QUANTITIES[name])).drop(name)
    for name in [n for n in _SECONDS if n in frame.columns]:
        frame = frame.with_columns(microseconds(pl.col(name)).alias(_SECONDS[name])).drop(name)
    for name in [n for n in _WRITTEN if n in frame.columns]:
        frame = check.parsed(frame, name, _WRITTEN[name])
    return frame.with_columns(pl.col(pl.String).replace("", None))
