"""What Calico's tiers let pass: policies in order, for all ends at once.

Tiers go by their order, policies of a tier by theirs; what has none comes last, and equal ones go by name. In a tier,
the first Allow, Deny or Pass of a policy that selects the end decides; Log decides nothing. Pass goes to the next tier.
Where policies of a tier select an end and none decides, the tier's default action does. After the last tier come the
pod's profiles, which allow (projectcalico/calico, felix: profiles of namespaces).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kscale.network.calico.manifests import Calico
from kscale.network.calico.policies import ORCHESTRATOR, Entity, Policy, Rule, Tier, from_kubernetes
from kscale.network.calico.selectors import Expression, LabelColumns
from kscale.network.policy import bits as bit
from kscale.network.policy import policies as kubernetes
from kscale.network.policy.addresses import Network, inside
from kscale.network.policy.bits import Flags
from kscale.network.policy.ends import Ends, Pod
from kscale.network.policy.policies import DIRECTIONS, Ports
from kscale.network.policy.reach import Allowed, Rows
from kscale.network.policy.rules import INGRESS, Question, asked_ports

NAMESPACE = "projectcalico.org/namespace"
ACCOUNT = "projectcalico.org/serviceaccount"


class Endpoints:
    """Ends as Calico's selectors see them: labels of pods, of their namespaces and of their service accounts."""

    def __init__(
        self, ends: Ends, pods: Sequence[Pod], namespaces: Mapping[str, Mapping[str, str]], calico: Calico
    ) -> None:
        """Take the pods that ``ends`` was made of, in its order, and the labels of namespaces by name."""
        self.ends, self._sets = ends, calico.sets
        accounts = [pod.account for pod in pods]
        labels = [
            {**pod.labels, ORCHESTRATOR[0]: ORCHESTRATOR[1], NAMESPACE: pod.namespace, ACCOUNT: account}
            for pod, account in zip(pods, accounts, strict=True)
        ]
        of_accounts = [
            calico.accounts.get(f"{pod.namespace}/{account}", {}) for pod, account in zip(pods, accounts, strict=True)
        ]
        sets = [{**one.labels, **({NAMESPACE: one.namespace} if one.namespace else {})} for one in calico.sets]
        # Rows of selectors: the pods, then the sets of addresses.
        self._spaces = [*(pod.namespace for pod in pods), *(one.namespace for one in calico.sets)]
        self._own = LabelColumns([*labels, *sets])
        self._of_spaces = LabelColumns([namespaces.get(name, {}) for name in self._spaces])
        self._of_accounts = LabelColumns([*of_accounts, *({} for _ in sets)])
        self._namespaced = np.array([bool(name) for name in self._spaces], bool)
        self._space = np.array(self._spaces)
        self._accounted = np.array([*accounts, *("" for _ in sets)])

    def subjects(self, policy: Policy) -> Flags:
        """Return which ends a policy selects, bool of shape (ends,): pods that are not on their node's network."""
        found = self._own.matches(policy.selector) & self._within(policy.namespaces)
        if policy.account_selector is not None:
            found &= self._of_accounts.matches(policy.account_selector)
        return self._pods(found)

    def matched(self, entity: Entity) -> Flags:
        """Return which ends are an end of a rule, their ports aside, bool of shape (ends,)."""
        result = self.ends.addressed.copy()
        narrowing = (entity.selector, entity.namespaces, entity.account_selector)
        if entity.accounts or any(one is not None for one in narrowing):
            found = self._within(entity.namespaces)
            if entity.selector is not None:
                found &= self._own.matches(entity.selector)
            if entity.account_selector is not None:
                found &= self._of_accounts.matches(entity.account_selector)
            if entity.accounts:
                found &= np.isin(self._accounted, entity.accounts)
            result &= self._addresses(found)
        if entity.excluded is not None:
            result &= ~self._addresses(self._own.matches(entity.excluded))
        if entity.nets:
            result &= self._inside(entity.nets)
        return result & ~self._inside(entity.not_nets)

    def _within(self, namespaces: Expression | str | None) -> Flags:
        if namespaces is None:
            return np.ones(len(self._spaces), bool)
        if isinstance(namespaces, str):
            return self._space == namespaces
        return self._of_spaces.matches(namespaces, self._namespaced)

    def _pods(self, found: Flags) -> Flags:
        result = np.zeros(len(self.ends), bool)
        result[: self.ends.pods] = found[: self.ends.pods]
        return result & self.ends.seen

    def _addresses(self, found: Flags) -> Flags:
        """Return the ends that have an address of a pod or of a set that was found."""
        nets = [
            net for one, there in zip(self._sets, found[self.ends.pods :], strict=True) if there for net in one.nets
        ]
        return self._pods(found) | self._inside(nets)

    def _inside(self, nets: Iterable[Network]) -> Flags:
        result = np.zeros(len(self.ends), bool)
        for net in nets:
            result |= inside(self.ends.address, self.ends.addressed, self.ends.version, net)
        return result


@dataclass(frozen=True)
class Column:
    """A rule over ends, for one question.

    Attributes:
        name: as a person is told it, ``namespace/name ingress[0]``.
        action: Allow, Deny or Pass.
        own: bool of shape (ends,): the ends that its policy selects and that are this side of the rule.
        peer: bool of shape (ends,): the other side.
    """

    name: str
    action: str
    own: Flags
    peer: Flags


@dataclass(frozen=True)
class Stage:
    """A tier in one direction: its policies and whom each selects, their rules in order, and whom any selects."""

    tier: Tier
    policies: list[tuple[str, Flags]]
    columns: list[Column]
    selected: Flags


def in_order(calico: Calico, others: Iterable[kubernetes.Policy] = ()) -> list[tuple[Tier, list[Policy]]]:
    """Return tiers that have policies, and their policies, Kubernetes' among them, as they are looked at."""
    by_tier: dict[str, list[Policy]] = {}
    for policy in [*calico.policies, *map(from_kubernetes, others)]:
        by_tier.setdefault(policy.tier, []).append(policy)
    tiers = sorted((calico.tiers[name] for name in by_tier), key=lambda tier: (tier.order, tier.name))
    return [(tier, sorted(by_tier[tier.name], key=lambda one: (one.order, one.name))) for tier in tiers]


def stages(
    ordered: Sequence[tuple[Tier, Sequence[Policy]]], endpoints: Endpoints, question: Question, direction: int
) -> list[Stage]:
    """Return the tiers of a direction over ends; rules that cannot match the question are not there."""
    ends = endpoints.ends
    asked = asked_ports(ends, question)
    result = []
    for tier, policies in ordered:
        about, columns = [], []
        for policy in policies:
            rules = policy.rules[direction]
            if rules is None:
                continue
            subjects = endpoints.subjects(policy)
            about.append((policy.name, subjects))
            for rule in rules:
                if rule.action == "Log" or not _concerns(rule, question, ends.version):
                    continue
                source = endpoints.matched(rule.source)
                destination = endpoints.matched(rule.destination) & _at_port(rule.destination, ends, question, asked)
                own, peer = (destination, source) if direction == INGRESS else (source, destination)
                name = f"{policy.name} {DIRECTIONS[direction].lower()}[{rule.place}]"
                columns.append(Column(name, rule.action, own & subjects, peer))
        selected = np.logical_or.reduce([one for _, one in about]) if about else np.zeros(len(ends), bool)
        result.append(Stage(tier, about, columns, selected))
    return result


def _concerns(rule: Rule, question: Question, version: int) -> bool:
    if rule.version and rule.version != version:
        return False
    return rule.protocol in (None, question.protocol) and rule.not_protocol != question.protocol


def _at_port(entity: Entity, ends: Ends, question: Question, asked: npt.NDArray[np.int32]) -> Flags:
    """Return at which ends the port that is asked for is one that a rule names."""
    result = np.ones(len(ends), bool)
    if entity.ports:
        result = _any_port(entity.ports, ends, question, asked)
    if entity.not_ports:
        result &= ~_any_port(entity.not_ports, ends, question, asked)
    return result


def _any_port(ports: Sequence[Ports], ends: Ends, question: Question, asked: npt.NDArray[np.int32]) -> Flags:
    result = np.zeros(len(ends), bool)
    for one in ports:
        if one.name:
            named = asked_ports(ends, Question(question.protocol, one.name))
            result |= (named >= 0) & (named == asked)
            continue
        result |= (asked >= one.first) & (asked <= one.last)
    return result


def allowed(found: Sequence[Stage], ends: int) -> Allowed:
    """Return what the tiers of a direction allow, for kinds of ends that no rule tells apart."""
    columns = [column for stage in found for column in stage.columns]
    own = [*(column.own for column in columns), *(stage.selected for stage in found)]
    first, kind = _kinds(own, ends)
    others, other = _kinds([column.peer for column in columns], ends)
    verdict = np.ones((len(first), len(others)), bool)
    undecided = np.ones_like(verdict)
    for stage in found:
        # What passed waits for the next tier.
        here = undecided.copy()
        for column in stage.columns:
            block = np.ix_(np.flatnonzero(column.own[first]), np.flatnonzero(column.peer[others]))
            hit = here[block]
            here[block] = False
            if column.action != "Pass":
                verdict[block] = np.where(hit, column.action == "Allow", verdict[block])
                undecided[block] &= ~hit
        if stage.tier.default_action == "Deny":
            denied = here & stage.selected[first][:, None]
            verdict[denied] = False
            undecided[denied] = False
    peers = np.zeros((len(first), bit.words(ends)), np.uint64)
    for begin, end in bit.stripes(len(first), ends):
        peers[begin:end] = bit.packed(np.take(verdict[begin:end], other, axis=1))
    return Allowed(kind, peers)


def _kinds(sets: Sequence[Flags], ends: int) -> tuple[Rows, Rows]:
    """Return the first end of each kind that is in the same sets, and the kind of each end."""
    rows = bit.packed(np.array(sets, bool).reshape(len(sets), ends))
    return bit.alike(bit.transposed(rows, ends))
