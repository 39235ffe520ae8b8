"""Writes traces, node lists and templates in kscale's own format: beside the final name, renamed when whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import polars as pl

from kscale.engine.runfolder import machine_errors
from kscale.errors import InputError
from kscale.traces import Trace
from kscale.traces.common.specs import conform_nodes

FORMATS = ("parquet", "csv", "csv.gz")
_TIMES = ("arrival_us", "duration_us", "end_us")
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
def _beside(path: Path) -> Iterator[Path]:
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
    with _beside(path) as partial:
        if ending == "parquet":
            frame.sink_parquet(partial, compression="zstd", maintain_order=True)
        else:
            packed: Literal["gzip", "uncompressed"] = "gzip" if ending == "csv.gz" else "uncompressed"
            frame.sink_csv(partial, compression=packed, check_extension=False, maintain_order=True)


def flat(trace: Trace) -> pl.LazyFrame:
    """Return a trace as one lazy frame: a row a pod, with its spec; the columns of kscale's own format.

    A trace without times has no columns of times.
    """
    pods = trace.pods.lazy() if trace.timed else trace.pods.lazy().drop(_TIMES)
    specs = trace.specs.lazy().with_row_index("spec")
    return pods.join(specs, on="spec", how="left", maintain_order="left").drop("spec")


def write_trace(trace: Trace, path: Path) -> None:
    """Write the pods of a trace in kscale's own format; the ending of ``path`` names it (``FORMATS``).

    Reading it gives the same pods. Raises InputError for an unfit name, MachineError where the machine refuses.
    """
    empty = [name for name in trace.specs.columns if trace.specs[name].null_count() == trace.specs.height]
    _sink(flat(trace).drop(empty, *(n for n in ("owner",) if trace.pods[n].null_count() == trace.pods.height)), path)


def write_nodes(nodes: pl.DataFrame, path: Path) -> None:
    """Write a node list (columns of ``NODES``) in kscale's own format. Raises as ``write_trace``."""
    _sink(conform_nodes(nodes).lazy(), path)


def template(kind: str) -> pl.DataFrame:
    """Return an example of kscale's own format, ``kind`` is pods or nodes. Raises InputError."""
    if kind == "pods":
        return pl.DataFrame(_WEB)
    if kind == "nodes":
        return pl.DataFrame(_NODES)
    raise InputError(f"'{kind[:40]}' is no kind of template", expected="pods or nodes")


def write_template(path: Path, kind: str = "pods") -> None:
    """Write the example of ``kind`` (pods or nodes); the ending of ``path`` names the format. Raises InputError."""
    _sink(template(kind).lazy(), path)
