"""What a set of Kubernetes objects amounts to for the scheduler."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from kscale.state.descriptions import PodTemplate, Surroundings
from kscale.state.labels import Taint
from kscale.state.manifests.workloads import Workloads


@dataclass(frozen=True)
class NodeObject:
    """A Node.

    Attributes:
        labels: all of its labels.
        taints: in its order.
        unschedulable: ``spec.unschedulable``.
        allocatable: every resource that it names: cpu in milli, everything else in whole units.
        images: (name, bytes) pairs, every name of every image.
    """

    name: str
    labels: dict[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    allocatable: dict[str, int]
    images: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class PodColumns:
    """Pods, one row each: first those that are bound to a node, then those that are pending, each in input order.

    Attributes:
        template: int32, row of ``Inventory.templates``.
        node: int32, row of ``Inventory.nodes``; -1 is pending.
        start_us: int64, ``status.startTime`` in microseconds since 1970, filled in where it is missing.
        created_us: int64, ``metadata.creationTimestamp``; -1 where it is missing.
        controllers: kind and name of what controls each; None where nothing does.
    """

    names: list[str]
    namespaces: list[str]
    template: npt.NDArray[np.int32]
    node: npt.NDArray[np.int32]
    start_us: npt.NDArray[np.int64]
    created_us: npt.NDArray[np.int64]
    controllers: list[tuple[str, str] | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Ordinals:
    """Ordinals of a StatefulSet that go by templates with claims of their own.

    Attributes:
        template: row of the template that all other ordinals go by.
        rows: rows of the templates, by ordinal.
    """

    template: int
    rows: dict[int, int]


@dataclass(frozen=True)
class Inventory:
    """Nodes, pods, and what else decides where a pod may go.

    Attributes:
        nodes: in the order of the input, which is the order of ties.
        templates: the distinct ones, in the order of the rows of ``pods``.
        pods: bound ones first.
        pending: rows of ``pods`` that have yet to be placed, in input order.
        sources: the JSON of each pending pod, aligned with ``pending``.
        surroundings: of the nodes and pods.
        read: objects by kind.
        ignored: how often something was met that is not modelled, by what it is.
        notes: what was filled in or left out, a sentence each.
        inputs: the files.
        workloads: what controllers look after.
        wanted: int64, rows of ``templates`` by the handles of ``workloads``.
        ordinals: of StatefulSets whose claims tell them apart.
    """

    nodes: list[NodeObject]
    templates: list[PodTemplate]
    pods: PodColumns
    pending: npt.NDArray[np.int64]
    sources: list[bytes]
    surroundings: Surroundings
    read: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    workloads: Workloads = field(default_factory=Workloads)
    wanted: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    ordinals: list[Ordinals] = field(default_factory=list)

    def source(self, number: int) -> dict[str, object]:
        """Return the object of the pending pod ``number``, counted from 0."""
        found = msgspec.json.decode(self.sources[number], type=dict[str, object])
        return {"apiVersion": "v1", "kind": "Pod"} | found
