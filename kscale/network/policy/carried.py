"""What each node carries for the policies of its pods: chains, rules and IP sets, as Calico's iptables mode has them.

A node carries a policy where it selects one of the node's pods. Each such pod has a chain for what comes to it and one
for what comes from it, which jump to the chain of each of its policies in turn; a policy's chain has a rule for each
peer and group of ports; selectors are IP sets, with the addresses of all pods that match anywhere. What a node carries
whatever the policies are (the dispatch to its pods' chains, profiles' chains, failsafes) is left out, and so are the
chains in which newer releases group policies of one selector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.network.parameters import ASSUMED, STRUCTURAL, Parameter, Parameters
from kscale.network.policy.bits import packed, stripes, unpacked
from kscale.network.policy.ends import Ends
from kscale.network.policy.policies import Peer, Policy, Ports, Rule
from kscale.network.policy.rules import EGRESS, INGRESS, Rules

Counts = npt.NDArray[np.int64]
_ENDPOINTS, _POLICY = "projectcalico/calico, felix/rules/endpoints.go", "projectcalico/calico, felix/rules/policy.go"

PARAMETERS = Parameters((
    Parameter("to_fixed", 8, "rules", STRUCTURAL,
              f"{_ENDPOINTS}: conntrack 2, marks cleared 1, two profiles 4, drop 1"),
    Parameter("from_fixed", 10, "rules", STRUCTURAL, f"{_ENDPOINTS}: as to_fixed, and 2 that drop tunnelled packets"),
    Parameter("tier", 2, "rules", STRUCTURAL, f"{_ENDPOINTS}: start of the tier, drop at its end"),
    Parameter("jump", 2, "rules", STRUCTURAL, f"{_ENDPOINTS}: jump to a policy, return if it accepted"),
    Parameter("allow", 2, "rules", ASSUMED, "a rule that allows sets a mark and returns: two rules of iptables"),
    Parameter("ports_of_a_match", 15, "ports", STRUCTURAL, f"{_POLICY}: limit of multiport; a range counts as two"),
    Parameter("except", 1, "rules", ASSUMED, "one for each except of an ipBlock, before the rule that allows"),
))  # fmt: skip
_VALUE = PARAMETERS.wholes({})


@dataclass(frozen=True)
class Carried:
    """What nodes carry; int64 of shape (nodes,), nodes as ``Ends.nodes`` has them.

    Attributes:
        endpoints: local pods that have chains: those that are not on their node's network.
        isolated: of these, those that a policy isolates in some direction.
        policies: that select a local pod.
        chains: two of each endpoint, and one of each policy and direction.
        rules: in all of these.
        sets: IP sets, of selectors and of named ports.
        members: of all of these together.
        longest: most rules that the first packet to or from a local pod can pass, of one direction.
    """

    endpoints: Counts
    isolated: Counts
    policies: Counts
    chains: Counts
    rules: Counts
    sets: Counts
    members: Counts
    longest: Counts


def carried(policies: Sequence[Policy], rules: Rules, ends: Ends) -> Carried:
    """Return what each node carries; ``rules`` are those of ``policies`` over ``ends``."""
    nodes = len(ends.nodes)
    local = (ends.node >= 0) & ends.seen
    local[ends.pods :] = False
    policy, end = _pairs(rules, local)
    node_of = ends.node.astype(np.int64)
    written = np.array([[sum(map(_written, found or ())) for found in one.rules] for one in policies], np.int64)
    written = written.reshape(-1, 2)
    at, who = np.unique(np.stack([node_of[end], policy]), axis=1)
    isolates = rules.isolates.astype(np.int64)
    endpoints = np.bincount(node_of[local], minlength=nodes)
    chains, total = 2 * endpoints, (_VALUE["to_fixed"] + _VALUE["from_fixed"]) * endpoints
    np.add.at(chains, at, isolates[who].sum(axis=1))
    np.add.at(total, at, written[who].sum(axis=1))
    longest, either = np.zeros(nodes, np.int64), np.zeros(len(ends), bool)
    for direction, fixed in ((INGRESS, _VALUE["to_fixed"]), (EGRESS, _VALUE["from_fixed"])):
        mine = isolates[policy, direction] > 0
        jumps = np.bincount(end[mine], minlength=len(ends))
        own = _VALUE["jump"] * jumps + _VALUE["tier"] * (jumps > 0)
        np.add.at(total, node_of[local], own[local])
        np.add.at(own, end[mine], written[policy[mine], direction])
        np.maximum.at(longest, node_of[local], own[local] + fixed)
        either |= jumps > 0
    sets, members = _ip_sets(policies, ends, at, who)
    return Carried(
        endpoints, np.bincount(node_of[local & either], minlength=nodes), np.bincount(at, minlength=nodes), chains,
        total, sets, members, longest,
    )  # fmt: skip


def _pairs(rules: Rules, local: npt.NDArray[np.bool_]) -> tuple[Counts, Counts]:
    """Return each policy and local pod that it selects."""
    found: list[tuple[Any, Any]] = []
    kept = packed(local)
    for first, last in stripes(len(rules.policy_subjects), len(local)):
        chosen = rules.sets[rules.policy_subjects[first:last]] & kept
        policy, end = np.nonzero(unpacked(chosen, len(local)))
        found.append((policy + first, end))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([one for one, _ in found]), np.concatenate([end for _, end in found])


def _written(rule: Rule) -> int:
    """Return how many rules of iptables a rule is."""
    groups = 0
    for protocol in dict.fromkeys(ports.protocol for ports in rule.ports):
        own = [ports for ports in rule.ports if ports.protocol == protocol]
        numbers = sum(2 if ports.first < ports.last else 1 for ports in own if not ports.name)
        groups += -(-numbers // _VALUE["ports_of_a_match"]) + sum(1 for ports in own if ports.name)
    each = _VALUE["allow"] * max(groups, 1)
    return sum(each + _VALUE["except"] * len(peer.excepted) for peer in rule.peers or (Peer(),))


def _ip_sets(policies: Sequence[Policy], ends: Ends, at: Counts, who: Counts) -> tuple[Counts, Counts]:
    """Return how many IP sets each node has, and their members; ``at`` and ``who`` are nodes and their policies."""
    known: dict[Any, int] = {}
    size: list[int] = []
    used: list[tuple[int, int]] = []
    for number, policy in enumerate(policies):
        for key in _keys(policy):
            if key not in known:
                known[key] = len(size)
                size.append(_size(ends, key))
            used.append((number, known[key]))
    nodes = len(ends.nodes)
    if not used:
        return np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    owner, of_policy = np.array(sorted(used), np.int64).T
    begin = np.searchsorted(owner, who, "left")
    count = np.searchsorted(owner, who, "right") - begin
    place = np.repeat(begin, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    pairs = np.unique(np.stack([np.repeat(at, count), of_policy[place]]), axis=1)
    members = np.zeros(nodes, np.int64)
    np.add.at(members, pairs[0], np.array(size, np.int64)[pairs[1]])
    return np.bincount(pairs[0], minlength=nodes), members


def _keys(policy: Policy) -> set[Any]:
    """Return what of a policy is an IP set: a peer's selectors with the namespace they are about, a named port."""
    found: set[Any] = set()
    for rule in (*(policy.ingress or ()), *(policy.egress or ())):
        found |= {(peer.pods, peer.namespaces or policy.namespace) for peer in rule.peers or () if peer.block is None}
        found |= {ports for ports in rule.ports if ports.name}
    return found


def _size(ends: Ends, key: Any) -> int:
    """Return how many members an IP set has: addresses, or addresses with a port."""
    if isinstance(key, Ports):
        named = [
            sum(port.name == key.name and port.protocol == key.protocol for port in ports) for ports in ends.group_ports
        ]
        mine = ends.seen[: ends.pods] & ends.addressed[: ends.pods]
        return int(np.array(named, np.int64)[ends.group[: ends.pods]][mine].sum())
    return int((ends.selected(*key) & ends.addressed).sum())
