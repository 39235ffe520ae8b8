"""NetworkPolicies, checked and with their defaults (Kubernetes 1.34, ``pkg/apis/networking``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from kscale.errors import InputError
from kscale.network.policy import models
from kscale.network.policy.addresses import Network, network_of
from kscale.state.descriptions import Selector
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.models import LabelSelector
from kscale.state.manifests.selectors import label_selector

PROTOCOLS = ("TCP", "UDP", "SCTP")
DIRECTIONS = ("Ingress", "Egress")
LARGEST_PORT = 65535
_NUMBER = f"1 to {LARGEST_PORT}"
_NAME = "a name of at most 15 lower-case letters, digits and '-', with a letter"
#: An IANA service name: at most 15 characters, a letter among them, no two hyphens side by side.
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?", re.ASCII)
_EVERYTHING = Selector(())


class Ports(NamedTuple):
    """Ports of a protocol: from ``first`` to ``last``, or those that the destination calls ``name``."""

    protocol: str
    first: int = 0
    last: int = LARGEST_PORT
    name: str = ""

    def __str__(self) -> str:
        if self.name:
            return f"{self.name}/{self.protocol}"
        if (self.first, self.last) == (0, LARGEST_PORT):
            return f"every port/{self.protocol}"
        return f"{self.first}{'' if self.first == self.last else f'-{self.last}'}/{self.protocol}"


@dataclass(frozen=True)
class Peer:
    """Who is at the other end: pods, or a block of addresses without some smaller ones.

    Attributes:
        pods: whose labels match, in the namespaces that match; None where it is a block.
        namespaces: None is the policy's own.
    """

    pods: Selector | None = None
    namespaces: Selector | None = None
    block: Network | None = None
    excepted: tuple[Network, ...] = ()


@dataclass(frozen=True)
class Rule:
    """What is allowed: any of the peers (None: everybody) on any of the ports (none: every port)."""

    peers: tuple[Peer, ...] | None = None
    ports: tuple[Ports, ...] = ()


@dataclass(frozen=True)
class Policy:
    """A NetworkPolicy.

    Attributes:
        selector: the pods of its namespace that it selects.
        ingress, egress: its rules, which add up; None where it does not isolate in that direction.
    """

    namespace: str
    name: str
    selector: Selector = _EVERYTHING
    ingress: tuple[Rule, ...] | None = None
    egress: tuple[Rule, ...] | None = None

    @property
    def rules(self) -> tuple[tuple[Rule, ...] | None, tuple[Rule, ...] | None]:
        """The rules by direction, ingress first."""
        return self.ingress, self.egress

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def policy_of(found: models.NetworkPolicy, namespace: str, name: str) -> Policy:
    """Return a policy. Raises InputError with the field that is wrong.

    ``policyTypes`` defaults to Ingress, and Egress where there are egress rules; rules of a direction that is not among
    them do nothing. A missing ``podSelector`` selects every pod of the namespace.
    """
    spec = found.spec
    if spec is None:
        raise InputError("is missing", field="spec", expected="the policy's spec")
    types = spec.policy_types or (DIRECTIONS if spec.egress else DIRECTIONS[:1])
    if len(types) > len(DIRECTIONS):
        raise InputError(f"has {len(types)} values", field="spec.policyTypes", expected="at most two")
    for place, type_ in enumerate(types):
        one_of(type_, DIRECTIONS, f"spec.policyTypes[{place}]")
    selector = label_selector(spec.pod_selector or LabelSelector(), "spec.podSelector")
    assert selector is not None
    # Rules are checked whether they do anything or not.
    ingress = tuple(_rule(rule, f"spec.ingress[{i}]", "from") for i, rule in enumerate(spec.ingress or ()))
    egress = tuple(_rule(rule, f"spec.egress[{i}]", "to") for i, rule in enumerate(spec.egress or ()))
    return Policy(
        namespace,
        name,
        selector,
        ingress if DIRECTIONS[0] in types else None,
        egress if DIRECTIONS[1] in types else None,
    )


def _rule(rule: models.IngressRule | models.EgressRule, field: str, side: str) -> Rule:
    peers = tuple(_peer(peer, f"{field}.{side}[{i}]") for i, peer in enumerate(rule.peers or ()))
    ports = tuple(_ports(port, f"{field}.ports[{i}]") for i, port in enumerate(rule.ports or ()))
    return Rule(tuple(dict.fromkeys(peers)) or None, tuple(dict.fromkeys(ports)))


def _peer(peer: models.Peer, field: str) -> Peer:
    selectors = peer.pod_selector is not None or peer.namespace_selector is not None
    if peer.ip_block is not None:
        if selectors:
            raise InputError("stands beside a selector", field=f"{field}.ipBlock", expected="a peer of its own")
        return _block(peer.ip_block, f"{field}.ipBlock")
    if not selectors:
        raise InputError("is empty", field=field, expected="a podSelector, a namespaceSelector or an ipBlock")
    pods = label_selector(peer.pod_selector or LabelSelector(), f"{field}.podSelector")
    return Peer(pods, label_selector(peer.namespace_selector, f"{field}.namespaceSelector"))


def _block(block: models.IpBlock, field: str) -> Peer:
    whole = network_of(need(block.cidr, f"{field}.cidr", "a CIDR"), f"{field}.cidr")
    excepted = []
    for place, text in enumerate(block.excepted or ()):
        where = f"{field}.except[{place}]"
        part = network_of(text, where)
        if part.version != whole.version or part == whole or not part.subnet_of(whole):  # type: ignore[arg-type]
            raise InputError(
                f"'{text[:80]}' is no part of {whole}", field=where, expected="a smaller block within cidr"
            )
        excepted.append(part)
    return Peer(block=whole, excepted=tuple(excepted))


def _ports(port: models.Port, field: str) -> Ports:
    protocol = one_of(port.protocol or "TCP", PROTOCOLS, f"{field}.protocol")
    if isinstance(port.port, str) or port.port is None:
        if port.end_port is not None:
            raise InputError("is stated", field=f"{field}.endPort", expected="a number as port beside it")
        return Ports(protocol) if port.port is None else Ports(protocol, name=port_name(port.port, f"{field}.port"))
    first = port_number(port.port, f"{field}.port")
    last = first if port.end_port is None else port_number(port.end_port, f"{field}.endPort")
    if last < first:
        raise InputError(f"is {last}", field=f"{field}.endPort", expected=f"{first} or more, as port is {first}")
    return Ports(protocol, first, last)


def port_number(port: int | None, field: str) -> int:
    """Return a port's number, 1 to 65535. Raises InputError."""
    if port is None or not 1 <= port <= LARGEST_PORT:
        raise InputError(f"is {'missing' if port is None else port}", field=field, expected=_NUMBER)
    return port


def port_name(text: str, field: str) -> str:
    """Return a port's name, an IANA service name. Raises InputError."""
    if _PORT_NAME.fullmatch(text) is None:
        raise InputError(f"'{text[:80]}' is no port name", field=field, expected=f"{_NUMBER}, or {_NAME}")
    return text
