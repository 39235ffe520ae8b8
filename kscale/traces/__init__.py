"""Traces: each module here reads one format and gives it in kscale's own columns.

To add a format, add a module that declares a ``Reader`` (and its test, ``tests/traces/test_<module>.py``).
What every reader gives is a ``Trace``: pods, distinct specs, nodes where the format has them, and what it maps,
drops and assumes, in sentences that are shown to the user.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from kscale.engine.scratch import Scratch
from kscale.traces.common.pods import Framed, Stream

#: Columns of ``Trace.pods``, one row a pod, in the order of the file.
PODS = {
    "name": pl.String,  # unique within the namespace
    "namespace": pl.String,
    "owner": pl.String,  # null: a pod of its own
    "arrival_us": pl.Int64,
    "duration_us": pl.Int64,  # from start to end; null never ends
    "end_us": pl.Int64,  # the recorded end; null unknown
    "spec": pl.UInt32,  # row of Trace.specs
}

#: The columns of times among them.
TIMES = ("arrival_us", "duration_us", "end_us")

#: Columns of ``Trace.specs``, one row a distinct spec; besides, ``resource.<name>`` (Int64) per extended resource.
#: An amount that is null is not stated (kube-scheduler's scoring defaults apply); 0 is stated as 0.
SPECS = {
    "cpu_milli": pl.Int64,
    "memory_bytes": pl.Int64,
    "ephemeral_storage_bytes": pl.Int64,
    "gpu_count": pl.Int64,  # devices
    "gpu_milli": pl.Int64,  # share of each device, 1 to 1000
    "gpu_models": pl.String,  # "A|B"; null or empty allows every model
    "priority": pl.Int64,
    "node_selector": pl.String,  # "key=value,key=value"
    "node_affinity": pl.String,  # terms joined by " | ", each in kubectl's selector syntax
    "preferred_node_affinity": pl.String,  # "weight: term | weight: term"
    "tolerations": pl.String,  # "key=value:Effect,key:Effect,key,*"
    "node_name": pl.String,
}

#: Columns of ``Trace.nodes``, one row a node; besides, ``resource.<name>`` (Int64) per extended resource.
NODES = {
    "name": pl.String,
    "cpu_milli": pl.Int64,
    "memory_bytes": pl.Int64,
    "ephemeral_storage_bytes": pl.Int64,
    "pods": pl.Int64,
    "gpu_count": pl.Int64,
    "gpu_model": pl.String,
    "labels": pl.String,  # "key=value,key=value"
    "taints": pl.String,  # "key=value:Effect,key:Effect"
    "unschedulable": pl.Boolean,
}

#: Columns of ``Trace.node_events``, in the order of time; what is null stays as it is.
NODE_EVENTS = {
    "time_us": pl.Int64,
    "node": pl.String,  # of the trace's own nodes, or a new one
    "event": pl.String,  # one of NODE_EVENT_KINDS
    "cpu_milli": pl.Int64,
    "memory_bytes": pl.Int64,
}
#: A node joins (again), leaves with all that runs on it, changes its capacity, takes no new pods, or takes some again.
NODE_EVENT_KINDS = ("join", "leave", "update", "cordon", "uncordon")

#: kubelet's default for the most pods on a node (facts of Kubernetes: --max-pods).
DEFAULT_PODS_PER_NODE = 110


@dataclass(frozen=True)
class Options:
    """What the user may say about reading.

    Attributes:
        lenient: drop bad rows and count them per reason instead of stopping at the first.
        max_input: most bytes that a whole-document reader may produce.
        machine_unit: what 1.0 of a machine is, as a shape ("96cpu,512Gi"); None takes the reader's default.
        workload: which workload of a file that holds several; None takes the only one.
        told: is told of bytes of the file as they are read, so many at a time; for progress.
    """

    lenient: bool = False
    max_input: int = 2 << 30
    machine_unit: str | None = None
    workload: str | None = None
    told: Callable[[int], None] | None = None


@dataclass(frozen=True)
class Trace:
    """A workload as a reader gives it; the frames have the columns of ``PODS``, ``SPECS`` and ``NODES``.

    Attributes:
        format: name of the reader.
        pods: one row a pod, in the order of the file.
        specs: one row a distinct spec, in the order of first appearance.
        nodes: the format's own nodes, or None; those that join later are among them.
        notes: what the reader maps, drops and assumes, a sentence each.
        dropped: rows left out under ``lenient``, by reason.
        timed: False when the format has no times (``arrival_us`` is then the row number, and nothing ends).
        stream: the pods of a file that is read again where they are needed; ``pods`` is then empty.
        node_events: what happens to nodes, with the columns of ``NODE_EVENTS``; None where the format does not say.
    """

    format: str
    pods: pl.DataFrame
    specs: pl.DataFrame
    nodes: pl.DataFrame | None = None
    notes: tuple[str, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    timed: bool = True
    stream: Stream | None = None
    node_events: pl.DataFrame | None = None

    @property
    def rows(self) -> Framed | Stream:
        """The pods by row, wherever they are."""
        return self.stream or Framed(self.pods)


@dataclass(frozen=True)
class Rest:
    """What a reader knows of a trace once it has given the last of its pods; the attributes are those of ``Trace``."""

    notes: tuple[str, ...] = ()
    nodes: pl.DataFrame | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    timed: bool = True
    node_events: pl.DataFrame | None = None


#: Pods in portions: flat frames, all of the same columns (those of ``PODS`` without ``spec``, of ``SPECS``, resources).
#: A trace without times has no columns of times.
Portions = Generator[pl.DataFrame, None, Rest]


@dataclass(frozen=True)
class Reader:
    """One trace format.

    Attributes:
        name: the format's name, as ``--format`` takes it.
        doc: one sentence.
        detects_folder: whether a folder holds the tables of this format; ``read`` then takes it as its path.
        detects: whether a file is of this format, from its path and its first bytes (decompressed, at most 64 KiB).
        read: reads pods; raises InputError on bad input.
        portions: the same in portions, for what may be larger than memory; memory is bounded by a portion and by what
            is alive in the trace. None where a file has to be read whole.
        stream: reads a file that may be larger than memory, with a place for its numbers; gives None where the file
            has to be read whole.
        read_nodes: reads a node list of this format, or None where the format has none.
    """

    name: str
    doc: str
    detects: Callable[[Path, bytes], bool]
    read: Callable[[Path, Options], Trace]
    read_nodes: Callable[[Path, Options], pl.DataFrame] | None = None
    detects_folder: Callable[[Path], bool] = lambda path: False
    detects_nodes: Callable[[Path, bytes], bool] = lambda path, head: False
    stream: Callable[[Path, Options, Scratch], Trace | None] | None = None
    portions: Callable[[Path, Options], Portions] | None = None
