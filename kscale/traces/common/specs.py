"""Distinct specs: pods of one spec share a row, in the order of first appearance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from kscale.errors import InputError
from kscale.state.alike import alike
from kscale.traces import DEFAULT_PODS_PER_NODE, NODES, PODS, SPECS, TIMES, Options, Portions, Rest, Trace

#: Most pods that a trace may hold; the rows of pods are int32 in the state, and each takes about 100 bytes here.
MAX_PODS = 100_000_000
#: About what one pod takes in memory here, for the bound of ``Options.max_input``.
POD_BYTES = 100
RESOURCE = "resource."


def resources(columns: Sequence[str]) -> list[str]:
    """Return the columns of extended resources among ``columns``, in their order."""
    return [name for name in columns if name.startswith(RESOURCE)]


def conform(frame: pl.DataFrame, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """Return ``frame`` with exactly ``columns``, then its extended resources; what it lacks is null."""
    lacking = [pl.lit(None, dtype).alias(name) for name, dtype in columns.items() if name not in frame.columns]
    wanted = [pl.col(name).cast(dtype) for name, dtype in columns.items()]
    return frame.with_columns(lacking).select(*wanted, *(pl.col(n).cast(pl.Int64) for n in resources(frame.columns)))


def conform_nodes(frame: pl.DataFrame) -> pl.DataFrame:
    """Return ``frame`` with the columns of ``NODES`` and its extended resources; what a node does not say is filled."""
    nodes = conform(frame, NODES)
    return nodes.with_columns(
        pl.col("gpu_count").fill_null(0),
        pl.col("pods").fill_null(DEFAULT_PODS_PER_NODE),
        pl.col("unschedulable").fill_null(False),
        pl.col(resources(nodes.columns)).fill_null(0),
    )


class SpecTable:
    """Collects distinct specs over batches; the rows come in the order of first appearance."""

    def __init__(self) -> None:
        self._specs: pl.DataFrame | None = None

    def add(self, frame: pl.DataFrame) -> pl.Series:
        """Return the spec of each row of ``frame`` (its columns of ``SPECS`` and resources) as UInt32.

        Every batch must have the same columns.
        """
        specs = conform(frame, SPECS).with_columns(pl.col("gpu_count", "gpu_milli", "priority").fill_null(0))
        keys = specs.columns
        firsts, places = alike(specs)
        distinct = specs[firsts]
        known = distinct.clear() if self._specs is None else self._specs
        known = known.with_row_index("spec")
        merged = distinct.join(known, on=keys, how="left", nulls_equal=True, maintain_order="left")
        fresh = merged["spec"].is_null()
        numbers = merged["spec"].fill_null(fresh.cast(pl.UInt32).cum_sum() + known.height - 1)
        self._specs = pl.concat([known.drop("spec"), distinct.filter(fresh)])
        return pl.Series("spec", numbers.cast(pl.UInt32).to_numpy()[places])

    def frame(self) -> pl.DataFrame:
        """Return the distinct specs so far, with the columns of ``SPECS`` and the extended resources."""
        return conform(pl.DataFrame(schema=SPECS), SPECS) if self._specs is None else self._specs


def build(
    name: str,
    frame: pl.DataFrame,
    *,
    nodes: pl.DataFrame | None = None,
    notes: Sequence[str] = (),
    dropped: Mapping[str, int] | None = None,
    timed: bool = True,
) -> Trace:
    """Return a trace from one flat frame: columns of ``PODS`` without ``spec``, columns of ``SPECS``, resources."""
    table = SpecTable()
    pods = conform(frame.with_columns(table.add(frame)).drop(resources(frame.columns)), PODS)
    return Trace(name, pods, table.frame(), nodes, tuple(notes), dict(dropped or {}), timed)


def reading(name: str, portions: Callable[[Path, Options], Portions]) -> Callable[[Path, Options], Trace]:
    """Return the ``read`` of a reader that gives portions: all of them in one trace. Raises InputError."""

    def read(path: Path, options: Options) -> Trace:
        table = SpecTable()
        given = portions(path, options)
        frames = [pl.DataFrame(schema=PODS)]
        height = 0
        while True:
            try:
                frame = next(given)
            except StopIteration as end:
                rest: Rest = end.value
                break
            frames.append(conform(frame.with_columns(table.add(frame)).drop(resources(frame.columns)), PODS))
            height += frame.height
            if height > MAX_PODS:
                raise InputError("is too long", file=path, expected=f"at most {MAX_PODS:,} pods; kscale trace sample")
        pods = pl.concat(frames) if rest.timed else without_times(pl.concat(frames))
        return Trace(
            name, pods, table.frame(), rest.nodes, rest.notes, rest.dropped, rest.timed, node_events=rest.node_events
        )

    return read


def portions_of(trace: Trace, rows: int = 1_000_000) -> Portions:
    """Give a trace that was read whole in portions of so many rows, without the columns that say nothing."""
    specs, pods = trace.specs, trace.pods if trace.timed else trace.pods.drop(TIMES)
    specs = specs.drop(name for name in specs.columns if specs[name].null_count() == specs.height)
    pods = pods.drop(name for name in ("owner",) if pods[name].null_count() == pods.height)
    for portion in pods.iter_slices(rows):
        yield portion.hstack(specs[portion["spec"]]).drop("spec")
    return Rest(trace.notes, trace.nodes, trace.dropped, trace.timed, trace.node_events)


def without_times(pods: pl.DataFrame) -> pl.DataFrame:
    """Return pods that arrive in the order of their rows; none of them ends."""
    never = pl.lit(None, pl.Int64)
    return pods.with_columns(arrival_us=pl.int_range(pl.len(), dtype=pl.Int64), duration_us=never, end_us=never)


def repeated(frame: pl.DataFrame, counts: pl.Series, limit: int) -> tuple[pl.DataFrame, pl.Series]:
    """Return ``frame`` with each row as often as ``counts`` says, and the number of each within its row, from 0.

    Raises InputError when there would be more than ``limit`` rows.
    """
    times = counts.to_numpy().astype(np.int64)
    total = float(times.sum(dtype=np.float64))  # a float does not wrap
    if total > limit:
        raise InputError(f"comes to {total:,.0f} pods", expected=f"at most {limit:,}; see --max-input")
    if (times == 1).all():  # the usual: nothing to copy
        return frame, pl.zeros(len(times), pl.Int64, eager=True).alias("index")
    rows = np.repeat(np.arange(len(times)), times)
    starts = np.cumsum(times) - times
    within = np.arange(len(rows)) - np.repeat(starts, times)
    return frame[rows], pl.Series("index", within, dtype=pl.Int64)
