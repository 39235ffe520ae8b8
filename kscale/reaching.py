"""Reaching: from manifests to who reaches whom under NetworkPolicies, and why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.errors import InputError, nearest
from kscale.network.calico.manifests import calico_of
from kscale.network.calico.reach import Decided
from kscale.network.dump import Dump, dump_of
from kscale.network.policy.addresses import Address, network_of
from kscale.network.policy.carried import Carried, carried
from kscale.network.policy.ends import Outside, Pod, ends_of
from kscale.network.policy.packet import packet_path
from kscale.network.policy.policies import PROTOCOLS, port_name, port_number
from kscale.network.policy.reach import Reach
from kscale.network.policy.reading import Cluster, cluster_of, named, read_cluster
from kscale.network.policy.rules import Question, rules_of
from kscale.network.policy.why import Reason, why
from kscale.network.proxies import NODE_PORT, Mode
from kscale.network.translation import Endpoint, Translation, translated
from kscale.state.descriptions import Selector
from kscale.state.manifests import ReadOptions
from kscale.state.manifests.faults import one_of
from kscale.state.manifests.reading import read_objects
from kscale.state.manifests.selectors import selects

#: Where pods without an address get one, where nothing else is said (kubeadm's and flannel's example; assumed).
POD_CIDR = "10.244.0.0/16"
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Whom:
    """Ends that somebody named with an option: an address, a pod, or pods by labels.

    Attributes:
        option: as it is called in errors.
        namespace: of the pod, or of the pods that are selected; None is any.
        name: of the pod.
        selector: of the pods; None is all.
    """

    option: str
    address: Address | None = None
    namespace: str | None = None
    name: str | None = None
    selector: Selector | None = None


def read(paths: Sequence[str | Path], options: ReadOptions, pod_cidr: str = POD_CIDR) -> Cluster:
    """Return the pods, namespaces, nodes and NetworkPolicies of files, folders or ``-`` (stdin).

    Pods that state no address get one of ``pod_cidr``, in input order. Raises InputError and MachineError.
    """
    return read_cluster(paths, options, network_of(pod_cidr, "--pod-cidr"))


def read_both(paths: Sequence[str | Path], options: ReadOptions, pod_cidr: str = POD_CIDR) -> tuple[Cluster, Dump]:
    """Return the same, and the service ports that kube-proxy sees. Raises InputError and MachineError."""
    inputs: list[str] = []
    # Standard input is read once.
    items = list(read_objects(paths, options, inputs))
    return named(cluster_of(items, network_of(pod_cidr, "--pod-cidr")), inputs), dump_of(items)


def question_of(text: str, cluster: Cluster, field: str = "--port") -> Question:
    """Return a port that a text states, ``80``, ``80/TCP``, ``http`` or ``dns/UDP``. Raises InputError."""
    port, _, protocol = text.partition("/")
    protocol = one_of(protocol.upper() or PROTOCOLS[0], PROTOCOLS, field)
    if port.isascii() and port.isdigit() and len(port) < 6:
        return Question(protocol, port_number(int(port), field))
    port_name(port, field)
    known = {one.name for pod in cluster.pods for one in pod.ports if one.protocol == protocol}
    if port not in known:
        raise InputError(
            f"no pod has a port named {port}/{protocol}{nearest(port, sorted(known))}", field=field,
            expected="1 to 65535, or a name among the ports of containers",
        )  # fmt: skip
    return Question(protocol, port)


class Reaching:
    """Who reaches whom in a cluster, for some sources and destinations.

    ``source`` and ``destination`` name them; None is every pod. ``version`` is the IP version, 4 or 6: without it, that
    of the addresses that are named, or IPv4 where some pod has an address of it. Raises InputError where nobody is of
    such a name.
    """

    def __init__(
        self, cluster: Cluster, question: Question, source: Whom | None = None, destination: Whom | None = None,
        version: int | None = None,
    ) -> None:  # fmt: skip
        self.cluster, self.question = cluster, question
        self.version = version or _version(cluster, source, destination)
        outside: list[Outside] = []
        self.sources = _rows(cluster, source, outside, self.version)
        self.destinations = _rows(cluster, destination, outside, self.version)
        self.ends = ends_of(cluster.pods, cluster.namespaces, cluster.policies, outside, self.version)
        self.rules = rules_of(cluster.policies, self.ends)
        self.calico = calico_of(cluster.calico)

    @cached_property
    def _decided(self) -> Decided | None:
        """What Calico's tiers decide; None where it has no policies."""
        return Decided(self.calico, self.cluster, self.ends, self.question) if self.calico else None

    @cached_property
    def reach(self) -> Reach:
        """Who reaches whom, over all ends."""
        return self._decided.reach if self._decided else Reach(self.rules, self.ends, self.question)

    def _why(self, source: int, destination: int) -> Reason:
        side = self._decided.side if self._decided else None
        return why(self.reach, self.cluster.policies, source, destination, side)

    @property
    def pairs(self) -> int:
        """How many pairs of a source and a destination there are, without those of an end and itself."""
        return len(self.sources) * len(self.destinations) - len(np.intersect1d(self.sources, self.destinations))

    def reasons(self) -> list[Reason]:
        """Return for each pair whether the source reaches the destination, and why; sources first."""
        alone = len(self.sources) == len(self.destinations) == 1
        return [
            self._why(source, destination)
            for source in self.sources.tolist() for destination in self.destinations.tolist()
            if source != destination or alone
        ]  # fmt: skip

    def connected(self) -> bool:
        """Return whether the first source and the first destination can have a connection, whatever policies say."""
        return bool(self.reach.ends.addressed[self.sources[0]] and self.reach.there[self.destinations[0]])

    def translated(
        self, dump: Dump, mode: Mode, options: Mapping[str, str], packet: str | None, service: str | None
    ) -> Translation:
        """Return what a mode of kube-proxy does to a packet from the first source to the first destination.

        ``packet`` and ``service`` are as in ``kscale.network.translation.translated``. Raises InputError where no
        Service leads there in this way, or policies see another packet than the one that was sent.
        """
        ends, source, destination = self.ends, int(self.sources[0]), int(self.destinations[0])
        pods, protocol = self.cluster.pods, self.question.protocol
        pod = pods[destination] if destination < ends.pods else None
        endpoint = Endpoint(
            ends.names[destination], tuple(str(one) for one in pod.addresses) if pod else (ends.names[destination],),
            int(self.reach.asked[destination]), protocol,
            {one.name: one.number for one in (pod.ports if pod else ()) if one.protocol == protocol},
        )  # fmt: skip
        outside = bool(source >= ends.pods and ends.node[source] < 0)
        found = translated(mode, options, dump, endpoint, packet, service, outside)
        if found.packet == NODE_PORT and not outside:
            raise InputError(
                f"is {NODE_PORT}, and {ends.names[source]} is in the cluster", field="--packet",
                expected="an address outside as --from",
            )  # fmt: skip
        if not found.onward:
            raise InputError(
                f"is {mode.name}: kube-proxy itself opens the connection to {endpoint.name}, and policies see its node",
                field="--mode", expected="the node's address as --from",
            )  # fmt: skip
        return found

    def path(self, translation: Translation | None = None) -> tuple[str, ...]:
        """Return what a packet from the first source to the first destination passes, kube-proxy's part included.

        Empty where the two can have no connection, whatever policies say.
        """
        if not self.connected():
            return ()
        source, destination = int(self.sources[0]), int(self.destinations[0])
        reason = self._why(source, destination)
        dropped = next((side.direction for side in reason.sides if not side.passes), "")
        port = f"{self.reach.asked[destination]}/{self.question.protocol}"
        if translation is None:
            return packet_path(self.ends, source, destination, port, dropped=dropped)
        return packet_path(
            self.ends, source, destination, port, translation.steps, dropped, translation.masqueraded,
            translation.onward,
        )  # fmt: skip

    def by_namespace(self) -> list[tuple[str, str, int, int]]:
        """Return (from, to, pairs that reach each other, pairs) by namespaces and by addresses; none without pairs."""
        ends, spaces = self.ends, len(self.ends.namespaces)
        group = ends.namespace.astype(np.int64)
        group[ends.pods :] = spaces + np.arange(len(ends) - ends.pods)
        names = [*ends.namespaces, *ends.names[ends.pods :]]
        reached, pairs = self.reach.counts(
            _only(group, self.sources), _only(group, self.destinations), len(names)
        )  # fmt: skip
        return [
            (names[row], names[column], int(reached[row, column]), int(pairs[row, column]))
            for row, column in zip(*np.nonzero(pairs), strict=True)
        ]

    def carried(self) -> Carried:
        """Return what each node carries for the policies of its pods."""
        return carried(self.cluster.policies, self.rules, self.ends)


def _only(group: npt.NDArray[np.int64], rows: Rows) -> npt.NDArray[np.int64]:
    result = np.full(len(group), -1, np.int64)
    result[rows] = group[rows]
    return result


def _version(cluster: Cluster, *whom: Whom | None) -> int:
    stated = {one.address.version for one in whom if one is not None and one.address is not None}
    if len(stated) > 1:
        raise InputError("are addresses of two IP versions", field="--from, --to", expected="one version")
    if stated:
        return stated.pop()
    versions = {address.version for pod in cluster.pods for address in pod.addresses}
    return 6 if versions == {6} else 4


def _rows(cluster: Cluster, whom: Whom | None, outside: list[Outside], version: int) -> Rows:
    """Return the rows of ends; an address that is no pod's is added to ``outside``. Raises InputError."""
    pods = cluster.pods
    if whom is None:
        return np.arange(len(pods))
    if whom.address is not None:
        return np.array([_addressed(cluster, whom, outside, version)], np.int64)
    if whom.name is not None:
        return np.array([_named(pods, whom)], np.int64)
    found = [
        row for row, pod in enumerate(pods)
        if whom.namespace in (None, pod.namespace) and (whom.selector is None or selects(whom.selector, pod.labels))
    ]  # fmt: skip
    if not found:
        where = f" in the namespace {whom.namespace}" if whom.namespace else ""
        raise InputError(f"selects no pod{where}", field=whom.option, expected=f"one of the {len(pods):,} pods read")
    return np.array(found, np.int64)


def _addressed(cluster: Cluster, whom: Whom, outside: list[Outside], version: int) -> int:
    address = whom.address
    assert address is not None
    if address.version != version:
        raise InputError(f"{address} is no IPv{version} address", field=whom.option, expected=f"one, for IPv{version}")
    if address in cluster.services:
        raise InputError(
            f"{address} is the address of the Service {cluster.services[address]}", field=whom.option,
            expected="a pod behind it (and --mode, --service): kube-proxy translates before policies are asked",
        )  # fmt: skip
    node = next((name for name, known in cluster.nodes.items() if address in known), "")
    for row, pod in enumerate(cluster.pods):
        if address in pod.addresses:
            if not pod.host:
                return row
            node = node or pod.node
    one = Outside(address, node)
    if one not in outside:
        outside.append(one)
    return len(cluster.pods) + outside.index(one)


def _named(pods: Sequence[Pod], whom: Whom) -> int:
    rows = [
        row for row, pod in enumerate(pods)
        if pod.name == whom.name and whom.namespace in (None, pod.namespace)
    ]  # fmt: skip
    if len(rows) == 1:
        return rows[0]
    said = f"{whom.namespace}/{whom.name}" if whom.namespace else str(whom.name)
    if rows:
        names = ", ".join(f"{pods[row].namespace}/{pods[row].name}" for row in rows[:3])
        raise InputError(
            f"'{said[:200]}' may be {names}", field=whom.option, expected="NAMESPACE/NAME, or -n NAMESPACE"
        )
    known: list[Any] = [f"{pod.namespace}/{pod.name}" if whom.namespace else pod.name for pod in pods]
    raise InputError(
        f"there is no pod '{said[:200]}'{nearest(said[:200], known)}", field=whom.option,
        expected="NAMESPACE/NAME, an address, or a label selector",
    )  # fmt: skip
