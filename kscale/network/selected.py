"""The endpoints behind a Service: those that its slices list, or the pods and workloads that its selector selects."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kscale.network import objects
from kscale.state.manifests.faults import one_of
from kscale.state.manifests.names import check_labels
from kscale.state.manifests.pods import PHASES

_ENDED = ("Succeeded", "Failed")
Labels = Mapping[str, str]


@dataclass
class Backends:
    """The endpoints of a service port that are used.

    Attributes:
        count: how many there are.
        nodes: how many are on each node that is named.
        members: addresses that slices list, or ``namespace/name`` of pods; none of those that are yet to come.
        targets: numbers of their ports that slices state.
    """

    count: int = 0
    nodes: Counter[str] = field(default_factory=Counter)
    members: list[str] = field(default_factory=list)
    targets: set[int] = field(default_factory=set)

    def add(self, count: int, node: str | None) -> None:
        """Count some more, all on one node; None is not known."""
        self.count += count
        if node:
            self.nodes[node] += count


def of_endpoints(slices: Iterable[objects.EndpointSlice], port: str, family: str) -> Backends:
    """Return the endpoints of slices for the port of that name, each address once.

    What does not say whether it is ready is. Where none is ready, those are used that serve while they are deleted.
    """
    ready: dict[str, str | None] = {}
    draining: dict[str, str | None] = {}
    targets: set[int] = set()
    for one in slices:
        listed = [known for known in one.ports or () if (known.name or "") == port]
        if (one.address_type or "IPv4") != family or not listed:
            continue
        targets |= {known.port for known in listed if known.port is not None}
        for endpoint in one.endpoints or ():
            state = endpoint.conditions or objects.EndpointConditions()
            address = next(iter(endpoint.addresses or ()), None)
            if address is None:
                continue
            if state.ready is not False:
                ready[address] = endpoint.node_name
            elif state.terminating and state.serving is not False:
                draining[address] = endpoint.node_name
    used = ready or draining
    found = Backends(members=list(used), targets=targets)
    for node in used.values():
        found.add(1, node)
    return found


class _One(NamedTuple):
    """What may be behind a Service: a pod, or a workload that makes ``replicas`` of them (-1: one on each node).

    ``name`` is a pod's ``namespace/name``; a workload has none.
    """

    labels: Labels
    replicas: int
    node: str | None
    ready: bool
    name: str = ""


class _Index:
    """Things with labels in namespaces; one that a selector selects is found by its rarest label."""

    def __init__(self) -> None:
        self._by_label: dict[tuple[str, str, str], list[_One]] = defaultdict(list)

    def add(self, namespace: str, one: _One) -> None:
        for key, value in one.labels.items():
            self._by_label[namespace, key, value].append(one)

    def of(self, namespace: str, selector: Labels) -> list[_One]:
        lists = [self._by_label.get((namespace, key, value), []) for key, value in selector.items()]
        rarest = min(lists, key=len)
        return [one for one in rarest if selector.items() <= one.labels.items()]


class Selected:
    """Pods and workloads of a dump, for Services that have no slices there."""

    def __init__(self) -> None:
        self._pods, self._workloads = _Index(), _Index()

    def add_pod(self, pod: objects.Pod, namespace: str) -> None:
        """Take a pod; one that has ended, or is being deleted, is behind no Service. Raises InputError."""
        status, meta = pod.status or objects.PodStatus(), pod.metadata
        phase = one_of(status.phase, PHASES, "status.phase") if status.phase else None
        if phase in _ENDED or (meta and meta.deletion_timestamp):
            return
        told = next((one.status for one in status.conditions or () if one.type == "Ready"), None)
        # A pod of a manifest says nothing of itself yet, and is taken as it is going to be.
        ready = told == "True" if told is not None else phase in (None, "Running")
        node = pod.spec.node_name if pod.spec else None
        labels = (meta.labels if meta else None) or {}
        self._pods.add(namespace, _One(labels, 1, node, ready, f"{namespace}/{meta.name if meta else ''}"))

    def add_workload(self, workload: objects.Workload, namespace: str, count: int) -> None:
        """Take what makes pods, unless another one controls it. Raises InputError."""
        meta = workload.metadata
        if any(owner.controller for owner in (meta.owner_references if meta else None) or ()):
            return
        template = (workload.spec.template if workload.spec else None) or objects.Template()
        labels = (template.metadata.labels if template.metadata else None) or {}
        check_labels(labels, "spec.template.metadata.labels")
        self._workloads.add(namespace, _One(labels, count, None, True))

    def of(self, namespace: str, selector: Labels | None, everyone: bool, nodes: int) -> tuple[str, Backends]:
        """Return what is behind a selector, and where it is from: pods, workloads, or nowhere.

        ``everyone``: pods that are not ready count too. A DaemonSet counts for one of each of the ``nodes``.
        Raises InputError.
        """
        found = Backends()
        if not selector:
            return "nowhere", found
        check_labels(dict(selector), "spec.selector")
        pods = self._pods.of(namespace, selector)
        workloads = [] if pods else self._workloads.of(namespace, selector)
        for one in pods or workloads:
            if one.ready or everyone:
                found.add(nodes if one.replicas < 0 else one.replicas, one.node)
                if one.name:
                    found.members.append(one.name)
        return ("pods" if pods else "workloads" if workloads else "nowhere"), found
