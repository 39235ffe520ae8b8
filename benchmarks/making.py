"""Makes a workload's input: a synthetic trace from its seed, or a published one from the folder of foreign data.

The foreign data is where ``KSCALE_DATA`` says (a folder that holds ``data/``); without it the rows that need it are
skipped, and each of them has a sibling of the same shape that kscale makes itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.traces import Days, Waiting
from kscale.traces import Trace
from kscale.traces.common import opening, transform
from kscale.traces.common.synth import synth
from kscale.traces.common.writing import write_nodes, write_trace

NO_DATA = "KSCALE_DATA is not set: it names the folder with the published traces"


class NoDataError(Exception):
    """The foreign data is not at hand."""


@dataclass(frozen=True)
class Made:
    """A synthetic trace: the arguments of ``kscale trace synth``. ``shapes`` takes the place of the preset's nodes."""

    preset: str
    pods: int
    nodes: int
    days: float
    load: float | None = None
    seed: int = 1
    shapes: str | None = None

    def read(self) -> tuple[Trace, pl.DataFrame]:
        """Return the trace and its nodes."""
        trace = synth(
            self.preset,
            np.random.default_rng(self.seed),
            nodes=self.nodes,
            pods=self.pods,
            days=self.days,
            load=self.load,
        )
        assert trace.nodes is not None
        return trace, opening.read_nodes(self.shapes) if self.shapes else trace.nodes

    def files(self, folder: Path) -> tuple[Path, str]:
        """Write the trace into ``folder`` and return what ``kscale replay`` takes: the file, and the nodes."""
        trace, nodes = self.read()
        pods, node_file = folder / "pods.parquet", folder / "nodes.parquet"
        write_trace(trace, pods)
        write_nodes(nodes, node_file)
        return pods, self.shapes or str(node_file)


@dataclass(frozen=True)
class Published:
    """A published trace: files below the data folder, or shapes for the nodes.

    ``order`` names an .npz with the order of pods (``pods_<seed>``) and the rank of nodes (``rank_<seed>``).
    """

    pods: str
    nodes: str
    order: str | None = None
    seed: int = 42

    def files(self, folder: Path) -> tuple[Path, str]:
        """Return what ``kscale replay`` takes: the pod file, and the nodes (a file or shapes)."""
        data = data_folder()
        return data / self.pods, self.nodes if "cpu" in self.nodes else str(data / self.nodes)

    def read(self) -> tuple[Trace, pl.DataFrame]:
        """Return the trace and its nodes, in the published order where there is one."""
        pods, nodes_source = self.files(Path())
        trace, nodes = opening.open_trace(pods), opening.read_nodes(nodes_source)
        if self.order is not None:
            with np.load(data_folder() / self.order) as orders:
                trace = transform.order_pods(trace, orders[f"pods_{self.seed}"].astype(np.int64))
                nodes = transform.order_nodes(nodes, np.argsort(orders[f"rank_{self.seed}"], kind="stable"))
        return trace, nodes


Source = Made | Published | Days | Waiting


def data_folder() -> Path:
    """Return the folder of the published traces. Raises NoDataError."""
    folder = os.environ.get("KSCALE_DATA")
    if not folder or not (Path(folder) / "data").is_dir():
        raise NoDataError(NO_DATA)
    return Path(folder) / "data"


@cache
def made(source: Source) -> tuple[Trace, pl.DataFrame]:
    """Return the trace and nodes of a source, made once for all rows that share it. Raises NoDataError."""
    trace, nodes = source.read()
    # Where no node states its ephemeral storage, requests for it are not counted: as in a replay.
    storage = "ephemeral_storage_bytes"
    if storage not in nodes.columns or nodes[storage].null_count() == nodes.height:
        trace = Trace(trace.format, trace.pods, trace.specs.drop(storage, strict=False), timed=trace.timed)
        nodes = nodes.drop(storage, strict=False)
    return trace, nodes
