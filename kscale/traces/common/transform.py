"""What is done to a trace before it is replayed: more or less load, another pace, another order. Pure functions.

A clone is a pod like its original, named ``<name>~1``, ``~2`` … . Specs keep their rows throughout.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Trace
from kscale.traces.common import files
from kscale.traces.common.checks import Checker, Field
from kscale.traces.common.specs import MAX_PODS

_LARGEST = 1 << 59
#: Largest factor that load or pace may take.
MAX_FACTOR = 1e6


def _factor(value: float, option: str) -> float:
    if not (math.isfinite(value) and 0 < value <= MAX_FACTOR):
        raise InputError(f"{value} is out of range", field=option, expected=f"above 0 and at most {MAX_FACTOR:,.0f}")
    return value


def scale_load(trace: Trace, factor: float, rng: np.random.Generator) -> Trace:
    """Return a trace with ``factor`` times the pods, rounded to the nearest.

    Above 1, clones of pods drawn uniformly (with repeats) are added: a clone arrives with its original and stands
    right behind it, so that the course of the day keeps its shape. Below 1, a uniform choice of pods stays.
    Raises InputError when the factor is out of range or the result would pass ``MAX_PODS``.
    """
    rows = trace.pods.height
    wanted = round(rows * _factor(factor, "--load"))
    if wanted > MAX_PODS:
        raise InputError(f"{wanted:,} pods", field="--load", expected=f"a load of at most {MAX_PODS:,} pods")
    if wanted < rows:
        index = np.sort(rng.choice(rows, wanted, replace=False, shuffle=False))
    else:
        drawn = rng.integers(0, max(rows, 1), wanted - rows)
        index = np.repeat(np.arange(rows), 1 + np.bincount(drawn, minlength=rows)[:rows])
    return _taken(trace, index)


def compress(trace: Trace, factor: float) -> Trace:
    """Return a trace whose times between arrivals are divided by ``factor``; the first arrival stays where it is.

    Durations stay; a recorded end moves with its arrival, and what happens to nodes with the arrivals around it. A
    trace without times is returned as it is.
    Raises InputError when the factor is out of range.
    """
    _factor(factor, "--compress")
    if not trace.timed or not trace.pods.height:
        return trace
    arrival = pl.col("arrival_us")
    first = trace.pods.select(arrival.min()).item()
    moved = ((arrival - first) / factor).round()
    furthest = trace.pods.select(moved.max() + (pl.col("end_us").fill_null(0) - arrival).clip(0).max()).item()
    if furthest + first > _LARGEST:
        raise InputError(f"{factor} leads past the end of time", field="--compress", expected="a larger factor")
    new = first + moved.cast(pl.Int64)
    pods = trace.pods.with_columns(arrival_us=new, end_us=pl.col("end_us") + (new - arrival))
    events = trace.node_events
    if events is not None:
        time = pl.col("time_us")
        since = ((time - first) / factor).round().cast(pl.Int64)
        events = events.with_columns(pl.when(time > first).then(first + since).otherwise(time).alias("time_us"))
    return replace(trace, pods=pods, node_events=events)


def by_arrival(trace: Trace) -> Trace:
    """Return a trace whose pods stand in the order of arrival; equal arrivals keep the order of the file."""
    return replace(trace, pods=trace.pods.sort("arrival_us", maintain_order=True))


def untimed(trace: Trace) -> Trace:
    """Return a trace without times: pods arrive one by one in the order of their rows, and none ends (--inflate)."""
    return replace(trace, pods=_renumbered(trace.pods), timed=False)


def order_pods(trace: Trace, index: npt.NDArray[np.int64], *, file: Path | None = None) -> Trace:
    """Return the pods with the row numbers ``index``, in that order; a number that repeats gives a clone.

    Times stay with their pods; a trace without times is numbered afresh. Raises InputError, with the row of
    ``file``, when a number is out of range.
    """
    _check_index(index, trace.pods.height, "pods", file)
    return _taken(trace, index)


def order_nodes(nodes: pl.DataFrame, index: npt.NDArray[np.int64], *, file: Path | None = None) -> pl.DataFrame:
    """Return the nodes with the row numbers ``index``, in that order, which is the order of ties.

    Raises InputError, with the row of ``file``, when a number is out of range or repeats.
    """
    _check_index(index, nodes.height, "nodes", file)
    seen, first = np.unique(index, return_index=True)
    if len(seen) < len(index):
        again = np.ones(len(index), bool)
        again[first] = False
        at = int(again.argmax())
        raise InputError(f"{index[at]} occurs twice", file=file, row=at + 1, expected="each node at most once")
    return nodes[index]


def read_order(path: Path, what: str, options: Options | None = None) -> npt.NDArray[np.int64]:
    """Return the row numbers, from 0, that an order file holds: one a line, or a one-dimensional array in .npy.

    ``what`` (pods, nodes) goes into messages. Raises InputError on anything else; the range is checked by
    ``order_pods`` and ``order_nodes``.
    """
    options = options or Options()
    if files.head(path).startswith(b"\x93NUMPY"):
        return _read_npy(path, what, options)
    field = Field("index", high=MAX_PODS, doc=f"row of the {what}, from 0")
    data = files.whole(path, options).rstrip()
    with files.readable(path, "text"):
        lines = pl.Series("index", data.decode().splitlines(), dtype=pl.String)
    frame = pl.DataFrame([lines]).with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(files.ROW))
    return Checker(path, replace(options, lenient=False)).typed(frame, [field])["index"].to_numpy()


def _read_npy(path: Path, what: str, options: Options) -> npt.NDArray[np.int64]:
    expected = f"a one-dimensional array of integers: rows of the {what}, from 0"
    if files.check_file(path) > options.max_input:
        raise InputError(f"is larger than {options.max_input:,} bytes", file=path, expected="less")
    try:
        # Mapped, so that a header that claims too much is found against the file's size before anything is taken.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the header is a Python literal: many kinds of faults
        raise InputError(f"cannot be read as .npy: {error}", file=path, expected=expected) from error
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError("is another kind of array", file=path, expected=expected)
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:
        array = np.minimum(array, np.uint64(1 << 62))  # stays out of range, and does not wrap
    return array.astype(np.int64)


def _check_index(index: npt.NDArray[np.int64], rows: int, what: str, file: Path | None) -> None:
    if len(index) > MAX_PODS:
        raise InputError(f"{len(index):,} rows", file=file, expected=f"at most {MAX_PODS:,}")
    bad = (index < 0) | (index >= rows)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{index[at]} is out of range", file=file, row=at + 1, field="index",
            expected=f"a row of the {rows:,} {what}, 0 to {rows - 1}",
        )  # fmt: skip


def _renumbered(pods: pl.DataFrame) -> pl.DataFrame:
    return pods.with_columns(
        arrival_us=pl.int_range(pl.len(), dtype=pl.Int64),
        duration_us=pl.lit(None, pl.Int64),
        end_us=pl.lit(None, pl.Int64),
    )


def _taken(trace: Trace, index: npt.NDArray[np.int64]) -> Trace:
    """Return the rows ``index`` of the pods; the second and later use of a row is a clone."""
    pods = trace.pods[index]
    count = pl.Series("clone", _occurrence(index), dtype=pl.Int64)
    if count.max():
        pods = _named(trace.pods, pods, count)
    return replace(trace, pods=pods if trace.timed else _renumbered(pods))


def _occurrence(index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each place how often its value stood before."""
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    place = np.arange(len(index))
    starts = np.r_[True, ordered[1:] != ordered[:-1]] if len(index) else np.zeros(0, bool)
    within = place - np.maximum.accumulate(np.where(starts, place, 0)) if len(index) else place
    result = np.empty(len(index), np.int64)
    result[order] = within
    return result


def _named(original: pl.DataFrame, pods: pl.DataFrame, count: pl.Series) -> pl.DataFrame:
    """Return ``pods`` with clones named ``<name>~<number>``; numbers that the trace has already are passed over."""
    taken = (
        original.lazy()
        .filter(pl.col("name").str.contains("~", literal=True))
        .select(
            "namespace",
            pl.col("name").str.extract(r"^(.*)~\d{1,9}$").alias("name"),
            pl.col("name").str.extract(r"~(\d{1,9})$").cast(pl.Int64).alias("last"),
        )
        .drop_nulls()
        .group_by("namespace", "name")
        .agg(pl.col("last").max())
        .collect()
    )
    named = pods.with_columns(count)
    number = pl.col("clone")
    if taken.height:
        named = named.join(taken, on=["namespace", "name"], how="left", maintain_order="left")
        number = number + pl.col("last").fill_null(0)
    clone = pl.concat_str("name", pl.lit("~"), number)
    return named.with_columns(name=pl.when(pl.col("clone") > 0).then(clone).otherwise("name")).select(pods.columns)
