"""What a connection may begin and end at, as columns: pods, and addresses outside the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.network.policy.addresses import Address, columns, inside
from kscale.network.policy.policies import Peer, Policy
from kscale.state.descriptions import Selector
from kscale.state.labels import Labels

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Port:
    """A named port of a container."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True)
class Pod:
    """What of a pod decides about its connections.

    Attributes:
        addresses: IPv4 or IPv6, at most one of each.
        node: empty where it has none yet.
        host: whether it is on its node's own network.
        ports: those with a name, in the order of its containers.
        account: its service account.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    addresses: tuple[Address, ...] = ()
    node: str = ""
    host: bool = False
    ports: tuple[Port, ...] = ()
    account: str = "default"


@dataclass(frozen=True)
class Outside:
    """An address outside the cluster, or of a node."""

    address: Address
    node: str = ""


@dataclass(frozen=True)
class Ends:
    """Pods first, then addresses, one row each; connections between them are of one IP version.

    Attributes:
        names: ``namespace/name``, or the address.
        pods: how many rows are pods.
        version: 4 or 6; ``address``, uint64 of shape (ends, 2), and ``addressed`` say who has an address of it.
        namespace: int32, row of ``namespaces``; -1 is an address.
        group: int32, row of the groups of pods that no policy tells apart but by their addresses; -1 is an address.
        seen: whether selectors see it. Pods on their node's network are not seen, and so are isolated by no policy:
            most network plug-ins cannot tell them from their node (assumed; Kubernetes leaves it open).
        node: int32, row of ``nodes``; -1 is none.
        host: whether it is at its node's own address.
        group_namespace: int32 by group.
        group_ports: the named ports of each group.
    """

    names: list[str]
    pods: int
    version: int
    address: npt.NDArray[np.uint64]
    addressed: Flags
    namespaces: list[str]
    namespace: npt.NDArray[np.int32]
    group: npt.NDArray[np.int32]
    seen: Flags
    nodes: list[str]
    node: npt.NDArray[np.int32]
    host: Flags
    group_namespace: npt.NDArray[np.int32]
    group_ports: list[tuple[Port, ...]]
    _pod_labels: Labels
    _namespace_labels: Labels
    _namespace_row: dict[str, int]
    _labelled: dict[Selector, Flags] = field(default_factory=dict)
    _within: dict[Selector | str, Flags] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def of_groups(self, flags: Flags) -> Flags:
        """Return flags of groups as flags of ends; an address has none."""
        result = np.zeros(len(self), bool)
        result[: self.pods] = flags[self.group[: self.pods]]
        return result

    def selected(self, pods: Selector, namespaces: Selector | str) -> Flags:
        """Return which ends a selector selects, in a namespace or in all that another one selects."""
        # Policies ask for the same selectors again and again.
        if pods not in self._labelled:
            self._labelled[pods] = _matches(self._pod_labels, pods)
        if namespaces not in self._within:
            if isinstance(namespaces, str):
                within = self.group_namespace == self._namespace_row.get(namespaces, -1)
            else:
                within = _matches(self._namespace_labels, namespaces)[self.group_namespace]
            self._within[namespaces] = within
        return self.of_groups(self._labelled[pods] & self._within[namespaces]) & self.seen

    def matched(self, peer: Peer, namespace: str) -> Flags:
        """Return which ends are a peer of a policy in a namespace."""
        if peer.block is None:
            assert peer.pods is not None
            return self.selected(peer.pods, namespace if peer.namespaces is None else peer.namespaces)
        found = inside(self.address, self.addressed, self.version, peer.block)
        for part in peer.excepted:
            found &= ~inside(self.address, self.addressed, self.version, part)
        return found


def _matches(labels: Labels, selector: Selector) -> Flags:
    """Return what a label selector matches; one without requirements matches everything."""
    if not selector.requirements:
        return np.ones(labels.columns.shape[1], bool)
    return labels.matches(selector.requirements)


def ends_of(
    pods: Sequence[Pod], namespaces: Mapping[str, Mapping[str, str]], policies: Iterable[Policy],
    outside: Sequence[Outside] = (), version: int = 4,
) -> Ends:  # fmt: skip
    """Return pods and addresses as columns, for connections of an IP version.

    ``namespaces`` are the labels of each; one that is not there has none. Labels that no selector of ``policies`` reads
    tell no pods apart.
    """
    spaces = list(dict.fromkeys([*namespaces, *(pod.namespace for pod in pods)]))
    space_of = {name: row for row, name in enumerate(spaces)}
    keys = _keys(policies)
    groups: dict[tuple[Any, ...], int] = {}
    group = np.full(len(pods) + len(outside), -1, np.int32)
    for row, pod in enumerate(pods):
        labels = tuple(sorted((key, value) for key, value in pod.labels.items() if key in keys))
        group[row] = groups.setdefault((pod.namespace, labels, pod.ports), len(groups))
    every = [*(pod.node for pod in pods), *(one.node for one in outside)]
    nodes = list(dict.fromkeys(name for name in every if name))
    node_of = {name: row for row, name in enumerate(nodes)}
    known = [*(_of_version(pod.addresses, version) for pod in pods)]
    known += [_of_version((one.address,), version) for one in outside]
    address, addressed = columns(known)
    away = [True] * len(outside)
    return Ends(
        names=[*(f"{pod.namespace}/{pod.name}" for pod in pods), *(str(one.address) for one in outside)],
        pods=len(pods),
        version=version,
        address=address,
        addressed=addressed,
        namespaces=spaces,
        namespace=np.array([*(space_of[pod.namespace] for pod in pods), *(-1 for _ in outside)], np.int32),
        group=group,
        seen=~np.array([*(pod.host for pod in pods), *away], bool),
        nodes=nodes,
        node=np.array([node_of.get(name, -1) for name in every], np.int32),
        host=np.array([*(pod.host for pod in pods), *(bool(one.node) for one in outside)], bool),
        group_namespace=np.array([space_of[key[0]] for key in groups], np.int32),
        group_ports=[key[2] for key in groups],
        _pod_labels=Labels([dict(key[1]) for key in groups]),
        _namespace_labels=Labels([dict(namespaces.get(name, {})) for name in spaces]),
        _namespace_row=space_of,
    )


def _of_version(addresses: Iterable[Address], version: int) -> Address | None:
    return next((address for address in addresses if address.version == version), None)


def _keys(policies: Iterable[Policy]) -> set[str]:
    """Return the label keys of pods that policies read."""
    selectors = set()
    for policy in policies:
        selectors.add(policy.selector)
        for rules in policy.rules:
            selectors |= {peer.pods for rule in rules or () for peer in rule.peers or () if peer.pods is not None}
    return {requirement.key for selector in selectors for requirement in selector.requirements}
