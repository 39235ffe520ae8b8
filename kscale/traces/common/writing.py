"""Writes traces, node lists and templates in kscale's own format: beside the final name, renamed when whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import polars as pl
from polars.io.plugins import register_io_source

from kscale.engine.runfolder import machine_errors
from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, PODS, SPECS, TIMES, Portions, Rest, Trace
from kscale.traces.common import specs

FORMATS = ("parquet", "csv", "csv.gz")
_WEB = {
    "name": ["web-0", "web-1", "train-0", "batch-0"],
    "owner": ["web", "web", "train", None],
    "arrival": [0.0, 1.5, 60.0, 90.0],
    "duration": [None, None, 7200.0, 30.0],
    "cpu": ["500m", "500m", "16", "250m"],
    "memory": ["1Gi", "1Gi", "64Gi", "512Mi"],
    "gpu_count": [0, 0, 1, 0],
    "gpu_milli": [0, 0, 500, 0],
    "gpu_models": [None, None, "A100|H100", None],
    "priority": [100, 100, 0, -10],
    "node_selector": [None, None, None, "disk=ssd"],
    "node_affinity": ["zone in (a,b)", "zone in (a,b)", None, None],
    "preferred_node_affinity": ["10: zone=a", "10: zone=a", None, None],
    "tolerations": [None, None, "dedicated=gpu:NoSchedule", "*"],
}
_EVENTS = {
    "time": [0.0, 3600.0, 7200.0, 7200.0, 9000.0, 10800.0],
    "node": ["node-b", "node-a", "node-b", "node-a", "node-a", "node-b"],
    "event": ["leave", "cordon", "join", "uncordon", "update", "leave"],
    "cpu": [None, None, None, None, "32", None],
    "memory": [None, None, None, None, "128Gi", None],
}
_NODES = {
    "name": ["node-a", "node-b"],
    "cpu": ["64", "96"],
    "memory": ["256Gi", "512Gi"],
    "pods": [110, 110],
    "gpu_count": [0, 8],
    "gpu_model": [None, "A100"],
    "labels": ["zone=a,disk=ssd", "zone=b"],
    "taints": [None, "dedicated=gpu:NoSchedule"],
    "unschedulable": [False, False],
}


def format_of(path: Path) -> str:
    """Return the format that the ending of ``path`` names, one of ``FORMATS``. Raises InputError."""
    for ending in FORMATS:
        if path.name.endswith(f".{ending}"):
            return ending
    raise InputError("has no ending of a format", file=path, expected="a name that ends in .parquet, .csv or .csv.gz")


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a name beside ``path`` to write to; it takes the name ``path`` only when the block ends well."""
    if path.is_dir():
        raise InputError("is a directory", file=path, expected="the name of a file")
    if not path.parent.is_dir():
        raise InputError("is no directory", file=path.parent, expected="a directory that is there")
    with machine_errors(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        os.close(handle)
    partial = Path(name)
    try:
        with machine_errors(path, writing=True):
            yield partial
            partial.chmod(0o644)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _sink(frame: pl.LazyFrame, path: Path) -> None:
    """Write ``frame`` in a streaming way, rows in their order."""
    ending = format_of(path)
    with beside(path) as partial:
        _sink_to(frame, partial, ending)


def _sink_to(frame: pl.LazyFrame, partial: Path, ending: str) -> None:
    if ending == "parquet":
        frame.sink_parquet(partial, compression="zstd", maintain_order=True)
    else:
        packed: Literal["gzip", "uncompressed"] = "gzip" if ending == "csv.gz" else "uncompressed"
        frame.sink_csv(partial, compression=packed, check_extension=False, maintain_order=True)


def flat(trace: Trace) -> pl.LazyFrame:
    """Return a trace as one lazy frame: a row a pod, with its spec; the columns of kscale's own format.

    A trace without times has no columns of times.
    """
    pods = trace.pods.lazy() if trace.timed else trace.pods.lazy().drop(TIMES)
    distinct = trace.specs.lazy().with_row_index("spec")
    return pods.join(distinct, on="spec", how="left", maintain_order="left").drop("spec")


def write_trace(trace: Trace, path: Path) -> None:
    """Write the pods of a trace in kscale's own format; the ending of ``path`` names it (``FORMATS``).

    Reading it gives the same pods. Raises InputError for an unfit name, MachineError where the machine refuses.
    """
    empty = [name for name in trace.specs.columns if trace.specs[name].null_count() == trace.specs.height]
    _sink(flat(trace).drop(empty, *(n for n in ("owner",) if trace.pods[n].null_count() == trace.pods.height)), path)


def write_portions(
    portions: Portions,
    path: Path,
    saw: Callable[[pl.DataFrame], None] | None = None,
    besides: Callable[[Rest], None] | None = None,
) -> Rest:
    """Write pods as they come, in kscale's own format; no more than a few portions are in memory at once.

    ``saw`` is shown each portion. ``besides`` is shown what the reader says at its end, which is also returned, and
    writes other files, just before the pods take their name. Raises as ``write_trace``, and what the reader and these
    raise.
    """
    ending = format_of(path)
    with beside(path) as partial:
        source = _Source(portions, saw)
        _sink_to(source.frame(), partial, ending)
        rest = source.end()
        if besides is not None:
            besides(rest)
        return rest


class _Source:
    """Portions as a lazy frame; what their reader raises is kept from the library, which would put it in its words."""

    def __init__(self, portions: Portions, saw: Callable[[pl.DataFrame], None] | None) -> None:
        self._portions, self._saw = portions, saw
        self._rest: Rest | None = None
        self._error: Exception | None = None
        self._first = self._next()
        if self._error is not None:
            raise self._error
        self._schema = flat_schema(self._first)

    def frame(self) -> pl.LazyFrame:
        """Return the pods, which can be taken once."""
        return register_io_source(self._frames, schema=self._schema)

    def _next(self) -> pl.DataFrame | None:
        try:
            frame = next(self._portions)
            if self._saw is not None:
                self._saw(frame)
            return frame
        except StopIteration as end:
            self._rest = end.value
        except Exception as error:
            self._error = error
        return None

    def _frames(
        self, wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, batch: int | None
    ) -> Iterator[pl.DataFrame]:
        frame, self._first = self._first, None
        while frame is not None:
            yield frame.select(pl.col(name).cast(dtype) for name, dtype in self._schema.items())
            frame = self._next()

    def end(self) -> Rest:
        """Return the reader's last words, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._rest or Rest()


def flat_schema(first: pl.DataFrame | None) -> dict[str, type[pl.DataType]]:
    """Return the columns of portions in the order of kscale's own format, from the first of them (None: no pods)."""
    known = PODS | SPECS
    if first is None:
        return {name: known[name] for name in ("name", "namespace", *TIMES)}
    there = {name: dtype for name, dtype in known.items() if name in first.columns}
    return there | dict.fromkeys(specs.resources(first.columns), pl.Int64)


def write_nodes(nodes: pl.DataFrame, path: Path) -> None:
    """Write a node list (columns of ``NODES``) in kscale's own format. Raises as ``write_trace``."""
    _sink(specs.conform_nodes(nodes).lazy(), path)


def write_node_events(events: pl.DataFrame, path: Path) -> None:
    """Write node events (columns of ``NODE_EVENTS``) in kscale's own format. Raises as ``write_trace``."""
    _sink(specs.conform(events, NODE_EVENTS).lazy(), path)


def template(kind: str) -> pl.DataFrame:
    """Return an example of kscale's own format, ``kind`` is pods, nodes or node-events. Raises InputError."""
    if kind == "pods":
        return pl.DataFrame(_WEB)
    if kind == "nodes":
        return pl.DataFrame(_NODES)
    if kind == "node-events":
        return pl.DataFrame(_EVENTS)
    raise InputError(f"'{kind[:40]}' is no kind of template", expected="pods, nodes or node-events")


def write_template(path: Path, kind: str = "pods") -> None:
    """Write the example of ``kind`` (see ``template``); the ending of ``path`` names the format. Raises InputError."""
    _sink(template(kind).lazy(), path)
