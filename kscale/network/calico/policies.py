"""Calico's policies and tiers, checked and with their defaults; Kubernetes' policies as Calico has them.

Fields mean what libcalico-go makes of them (lib/backend/syncersv1/updateprocessors/rules.go): in a namespaced policy a
selector is about its own namespace unless a ``namespaceSelector`` stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from kscale.errors import InputError
from kscale.network.calico import models
from kscale.network.calico.parameters import values
from kscale.network.calico.selectors import Always, Both, Compare, Expression, Has, Negation, parse
from kscale.network.policy import policies as kubernetes
from kscale.network.policy.addresses import Network, network_of
from kscale.network.policy.policies import DIRECTIONS, LARGEST_PORT, Ports, port_name
from kscale.state.descriptions import Selector
from kscale.state.manifests.faults import need, one_of

ACTIONS = ("Allow", "Deny", "Pass", "Log")
TIER_ACTIONS = ("Deny", "Pass")
_PROTOCOLS = ("TCP", "UDP", "SCTP", "ICMP", "ICMPv6", "UDPLite")
#: With ports (IANA's protocol numbers; the others are compared as they are written).
_NUMBERED = {6: "TCP", 17: "UDP", 132: "SCTP", 1: "ICMP", 58: "ICMPv6", 136: "UDPLite"}
_PORTED = ("TCP", "UDP", "SCTP")
_LAST = math.inf
EVERYTHING = Always()
#: Every pod has this label in Calico's eyes, and a Kubernetes policy sees only what has it: no set of addresses.
ORCHESTRATOR = ("projectcalico.org/orchestrator", "k8s")


@dataclass(frozen=True)
class Entity:
    """One end of a rule; what is None or empty does not narrow it.

    Attributes:
        selector: of labels.
        excluded: a selector that must not hold.
        namespaces: a namespace's name, or a selector of namespaces.
        accounts: names of service accounts, one of which it must have.
        account_selector: of labels of service accounts.
        nets, not_nets: one must hold the address; none may.
        ports, not_ports: likewise, of the port.
    """

    selector: Expression | None = None
    excluded: Expression | None = None
    namespaces: Expression | str | None = None
    accounts: tuple[str, ...] = ()
    account_selector: Expression | None = None
    nets: tuple[Network, ...] = ()
    not_nets: tuple[Network, ...] = ()
    ports: tuple[Ports, ...] = ()
    not_ports: tuple[Ports, ...] = ()


@dataclass(frozen=True)
class Rule:
    """What happens to connections from a source to a destination. ``version`` is an IP version, 0 for both.

    ``place`` is its place among the rules as they are written.
    """

    action: str
    source: Entity = Entity()
    destination: Entity = Entity()
    protocol: str | int | None = None
    not_protocol: str | int | None = None
    version: int = 0
    place: int = 0


@dataclass(frozen=True)
class Policy:
    """A policy in the order of its tier.

    Attributes:
        name: as Calico sorts by: ``namespace/name``, or the name of a global one.
        order: lower is earlier; infinite where none is stated.
        namespaces: whose pods it may select: a namespace, a selector of namespaces, or None for all.
        ingress, egress: its rules in order; None where it is not about that direction.
    """

    name: str
    tier: str = "default"
    order: float = _LAST
    selector: Expression = EVERYTHING
    namespaces: Expression | str | None = None
    account_selector: Expression | None = None
    ingress: tuple[Rule, ...] | None = None
    egress: tuple[Rule, ...] | None = None

    @property
    def rules(self) -> tuple[tuple[Rule, ...] | None, tuple[Rule, ...] | None]:
        """The rules by direction, ingress first."""
        return self.ingress, self.egress


@dataclass(frozen=True)
class Tier:
    """A tier: what it does with what its policies select and do not decide is its default action."""

    name: str
    order: float = _LAST
    default_action: str = "Deny"


@dataclass
class Skipped:
    """What of an object is not in the answer: rules with a match that is not modelled, by field."""

    fields: list[str] = field(default_factory=list)


def built_in_tiers() -> dict[str, Tier]:
    """Return the tiers that are always there (libcalico-go, clientv3: their default actions)."""
    number = values()
    return {
        "kube-admin": Tier("kube-admin", number["kube_admin_tier_order"], "Pass"),
        "default": Tier("default", number["default_tier_order"], "Deny"),
        "kube-baseline": Tier("kube-baseline", number["kube_baseline_tier_order"], "Pass"),
    }


def tier_of(found: models.Tier, name: str) -> Tier:
    """Return a tier. Raises InputError."""
    spec = found.spec or models.TierSpec()
    built_in = built_in_tiers().get(name)
    order = spec.order if spec.order is not None else built_in.order if built_in else _LAST
    action = spec.default_action or (built_in.default_action if built_in else "Deny")
    return Tier(name, order, one_of(action, TIER_ACTIONS, "spec.defaultAction"))


def policy_of(found: models.Policy, namespace: str, name: str, skipped: Skipped) -> Policy:
    """Return a policy; ``namespace`` is empty for a global one. Raises InputError with the field that is wrong.

    ``types`` defaults to the directions that have rules, or Ingress where none has. Rules that match by what is not
    modelled (``http``, ``services``, the source's ports) are left out, and told in ``skipped``.
    """
    spec = found.spec or models.PolicySpec()
    stated = [kind for kind, rules in zip(DIRECTIONS, (spec.ingress, spec.egress), strict=True) if rules]
    types = spec.types or stated or DIRECTIONS[:1]
    for place, type_ in enumerate(types):
        one_of(type_, DIRECTIONS, f"spec.types[{place}]")
    both = []
    for kind, rules in zip(DIRECTIONS, (spec.ingress, spec.egress), strict=True):
        made = _rules(rules or (), namespace, f"spec.{kind.lower()}", skipped)
        both.append(made if kind in types else None)
    spaces: Expression | str | None = namespace or _selector(spec.namespace_selector, "spec.namespaceSelector")
    return Policy(
        f"{namespace}/{name}" if namespace else name, spec.tier or "default",
        _LAST if spec.order is None else spec.order, parse(spec.selector or "", "spec.selector"), spaces,
        _selector(spec.service_account_selector, "spec.serviceAccountSelector"), *both,
    )  # fmt: skip


def _selector(text: str | None, where: str) -> Expression | None:
    return parse(text, where) if text else None


def _rules(found: Iterable[models.Rule], namespace: str, where: str, skipped: Skipped) -> tuple[Rule, ...]:
    result = []
    for place, rule in enumerate(found):
        here = f"{where}[{place}]"
        made = replace(_rule(rule, namespace, here), place=place)
        source, destination = rule.source or models.Entity(), rule.destination or models.Entity()
        matched = {
            "http": rule.http, "source.services": source.services, "destination.services": destination.services,
            "source.ports": source.ports, "source.notPorts": source.not_ports,
        }  # fmt: skip
        not_modelled = [f"{here}.{name}" for name, value in matched.items() if value]
        skipped.fields += not_modelled
        if not not_modelled:
            result.append(made)
    return tuple(result)


def _rule(rule: models.Rule, namespace: str, where: str) -> Rule:
    action = one_of(need(rule.action, f"{where}.action", "an action"), ACTIONS, f"{where}.action")
    if rule.ip_version not in (None, 4, 6):
        raise InputError(f"is {rule.ip_version}", field=f"{where}.ipVersion", expected="4 or 6")
    protocol = _protocol(rule.protocol, f"{where}.protocol")
    source = _entity(rule.source or models.Entity(), namespace, protocol, f"{where}.source")
    destination = _entity(rule.destination or models.Entity(), namespace, protocol, f"{where}.destination")
    other = _protocol(rule.not_protocol, f"{where}.notProtocol")
    return Rule(action, source, destination, protocol, other, rule.ip_version or 0)


def _protocol(found: int | str | None, where: str) -> str | int | None:
    if found is None or found == "":
        return None
    if isinstance(found, int):
        if not 1 <= found <= 255:
            raise InputError(f"is {found}", field=where, expected="a protocol's name, or its number from 1 to 255")
        return _NUMBERED.get(found, found)
    known = {name.lower(): name for name in _PROTOCOLS}
    return known.get(found.lower()) or one_of(found, _PROTOCOLS, where)


def _entity(found: models.Entity, namespace: str, protocol: str | int | None, where: str) -> Entity:
    accounts = found.service_accounts or models.ServiceAccounts()
    narrowed = found.selector or found.not_selector or accounts.names or accounts.selector
    spaces: Expression | str | None = _selector(found.namespace_selector, f"{where}.namespaceSelector")
    if spaces is None and namespace and narrowed:
        spaces = namespace
    return Entity(
        _selector(found.selector, f"{where}.selector"), _selector(found.not_selector, f"{where}.notSelector"), spaces,
        accounts.names or (), _selector(accounts.selector, f"{where}.serviceAccounts.selector"),
        _nets(found.nets, f"{where}.nets"), _nets(found.not_nets, f"{where}.notNets"),
        _ports(found.ports, protocol, f"{where}.ports"), _ports(found.not_ports, protocol, f"{where}.notPorts"),
    )  # fmt: skip


def _nets(found: Sequence[str] | None, where: str) -> tuple[Network, ...]:
    return tuple(net_of(text, f"{where}[{place}]") for place, text in enumerate(found or ()))


def net_of(text: str, where: str) -> Network:
    """Return a CIDR, or an address as one of its own. Raises InputError."""
    whole = text if "/" in text else f"{text}/{128 if ':' in text else 32}"
    return network_of(whole, where)


def _ports(found: Sequence[int | str] | None, protocol: str | int | None, where: str) -> tuple[Ports, ...]:
    if not found:
        return ()
    if protocol not in _PORTED:
        beside = f"a protocol of {', '.join(_PORTED)} beside them, not {protocol or 'none'}"
        raise InputError("are stated", field=where, expected=beside)
    return tuple(_port(one, str(protocol), f"{where}[{place}]") for place, one in enumerate(found))


def _port(found: int | str, protocol: str, where: str) -> Ports:
    text = str(found)
    first, colon, last = text.partition(":")
    if not (first.isascii() and first.isdigit() and (not colon or (last.isascii() and last.isdigit()))):
        return Ports(protocol, name=port_name(text, where))
    numbers = int(first[:9]), int((last or first)[:9])
    if not 0 <= numbers[0] <= numbers[1] <= LARGEST_PORT:
        raise InputError(f"is {text[:40]}", field=where, expected=f"0 to {LARGEST_PORT}, or a range such as 80:90")
    return Ports(protocol, *numbers)


def from_kubernetes(policy: kubernetes.Policy) -> Policy:
    """Return a Kubernetes NetworkPolicy as Calico has it: in the tier ``default``, its rules in order, all of Allow."""
    both = [
        None if rules is None else _allowing(rules, policy.namespace, direction)
        for direction, rules in enumerate(policy.rules)
    ]
    return Policy(
        f"{policy.namespace}/knp.default.{policy.name}", "default", values()["kubernetes_policy_order"],
        _pods(policy.selector), policy.namespace, None, *both,
    )  # fmt: skip


def _pods(selector: Selector) -> Expression:
    ours = Compare(ORCHESTRATOR[0], "in", (ORCHESTRATOR[1],))
    return Both((ours, _labels(selector))) if selector.requirements else ours


def _labels(selector: Selector) -> Expression:
    parts: list[Expression] = []
    for one in selector.requirements:
        there = Has(one.key)
        if one.operator in ("In", "NotIn"):
            parts.append(Compare(one.key, "in" if one.operator == "In" else "not in", one.values))
        else:
            parts.append(there if one.operator == "Exists" else Negation(there))
    return Both(tuple(parts)) if parts else Always()


def _allowing(rules: Sequence[kubernetes.Rule], namespace: str, direction: int) -> tuple[Rule, ...]:
    """Return a rule for each peer and each protocol, as Calico has them."""
    result = []
    for place, rule in enumerate(rules):
        peers = [Entity()] if rule.peers is None else [_peer(peer, namespace) for peer in rule.peers]
        by_protocol: dict[str | None, list[Ports]] = {}
        for ports in rule.ports:
            by_protocol.setdefault(ports.protocol, []).append(ports)
        for peer in peers:
            for protocol, some in (by_protocol or {None: []}).items():
                # Ports are the destination's, whichever side the peer is.
                source, destination = (peer, Entity()) if direction == 0 else (Entity(), peer)
                at = replace(destination, ports=tuple(some))
                result.append(Rule("Allow", source, at, protocol, place=place))
    return tuple(result)


def _peer(peer: kubernetes.Peer, namespace: str) -> Entity:
    if peer.block is not None:
        return Entity(nets=(peer.block,), not_nets=peer.excepted)
    assert peer.pods is not None
    return Entity(_pods(peer.pods), namespaces=namespace if peer.namespaces is None else _labels(peer.namespaces))
