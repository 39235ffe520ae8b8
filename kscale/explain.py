"""Explain: what every plug-in says of every node for one pod, who wins and why, and what evicting others would do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from kscale.placing import Outcome, choose_form, outcomes, simulation_of
from kscale.scheduler.configuration import UPSTREAM, SchedulerConfiguration
from kscale.scheduler.planes import message
from kscale.selecting import with_pending
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import Inventory
from kscale.verdicts import NOT_HELPFUL, UNRESOLVABLE, Eviction, Status, Verdicts

#: Which of the other pending pods are placed first: none, those ahead of it in the queue, those ahead in the input.
After = Literal["none", "queue", "given"]
NEVER = "not eligible due to preemptionPolicy=Never."
_SECOND_US = 1_000_000
_DEVICES = "DynamicResources"
#: How preemption chooses among nodes, in the order that it looks at them.
_CRITERIA = (
    "it breaks the fewest disruption budgets", "its most important victim has the lowest priority",
    "the priorities of its victims add up to the least", "it has the fewest victims",
    "its most important victims started last", "it comes first",
)  # fmt: skip


@dataclass(frozen=True)
class Score:
    """What a score plug-in gives a node: ``points`` are 0 to 100, ``weight`` is the plug-in's."""

    plugin: str
    raw: int
    points: int
    weight: int


@dataclass(frozen=True)
class Room:
    """What evicting pods of lower priority on a node would do.

    Attributes:
        victims: ``namespace/name`` of who would go, the most important first; empty where that does not help.
        broken: how many of them break a disruption budget.
        reasons: why it does not help.
    """

    victims: tuple[str, ...]
    broken: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class NodeVerdict:
    """What is said of a node.

    Attributes:
        status: of the first filter to reject it; empty where the pod fits.
        rejecting: every filter that rejects it when it runs alone.
        scores: of a node that fits, by plug-in in the order they run; ``total``: weighted and summed.
        room: what evicting would do, where the pod fits nowhere and may evict others.
    """

    name: str
    status: Status
    rejecting: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()
    total: int | None = None
    room: Room | None = None


@dataclass(frozen=True)
class Explanation:
    """What becomes of a pod, and why.

    Attributes:
        bound_to: the node that it is on in the input, where it is explained as if it were pending.
        before: how many other pending pods were placed first.
        outcome: what becomes of it.
        message: the event line that a user knows from kubectl; where others are evicted, the one before that.
        why: the decision in words.
        bar: why it is turned away before any node is looked at; None where it is not.
        nodes: in input order; none where it is turned away before.
        ties: the nodes with the highest total.
        percentage: how many nodes in a hundred the profile scores; 0 adapts to their number.
    """

    profile: str
    bound_to: str | None
    before: int
    outcome: Outcome
    message: str
    why: str
    bar: Status | None
    nodes: tuple[NodeVerdict, ...]
    ties: tuple[str, ...]
    percentage: int = 100


def explain(
    inventory: Inventory, row: int, configuration: SchedulerConfiguration | None = None, *, after: After = "none",
    compiled: bool = True,
) -> Explanation:  # fmt: skip
    """Explain the pod in a row of the inventory, as things stand or after other pending pods. Raises InputError."""
    before = ahead(inventory, row, after)
    alone = with_pending(inventory, [*before, row], away=row)
    settings = Settings(configuration=configuration, every=True, detailed=True, compiled=compiled)
    simulation = simulation_of(alone, choose_form(alone, settings, given=True), given=True)
    simulation.compile()
    simulation.start()
    simulation.advance(len(before) * _SECOND_US)
    found = _Reading(simulation, alone)
    last = (len(before) + 1) * _SECOND_US
    simulation.advance(last)
    simulation.finish(last)
    node = int(inventory.pods.node[row])
    return found.explanation(
        outcomes(simulation, alone)[-1], inventory.nodes[node].name if node >= 0 else None, len(before)
    )


def ahead(inventory: Inventory, row: int, after: After) -> list[int]:
    """Return the pending pods that come before a pod: by priority and then in input order, or in input order.

    A bound pod is taken to come last in the input.
    """
    pods = inventory.pods
    waiting = [other for other in inventory.pending.tolist() if other != row]
    earlier = [other for other in waiting if other < row or pods.node[row] >= 0]
    if after == "given":
        return earlier
    if after == "none":
        return []
    priorities = {other: inventory.templates[pods.template[other]].priority for other in [*waiting, row]}
    first = [other for other in waiting if priorities[other] > priorities[row]]
    first += [other for other in earlier if priorities[other] == priorities[row]]
    return sorted(first, key=lambda other: -priorities[other])


class _Reading:
    """What is said of the last pending pod of an inventory, before it is tried."""

    def __init__(self, simulation: Simulation, inventory: Inventory) -> None:
        self.simulation, self.inventory = simulation, inventory
        self.template = int(inventory.pods.template[inventory.pending[-1]])
        self.held = bool(simulation.cluster.template_held[self.template])
        self.names = [node.name for node in inventory.nodes]
        self.verdicts = verdicts = Verdicts(simulation, self.template)
        self.evictions: list[Eviction] = []
        fits = self.held or verdicts.bar is not None or len(verdicts.feasible) > 0
        if verdicts.may_evict and not fits:
            self.evictions = [verdicts.eviction(node) for node in range(len(self.names))]

    def explanation(self, outcome: Outcome, bound_to: str | None, before: int) -> Explanation:
        """Return all that was read, with what became of the pod."""
        verdicts = self.verdicts
        looked = not self.held and verdicts.bar is None
        nodes = tuple(self._node(node) for node in range(len(self.names))) if looked else ()
        ties = tuple(self.names[node] for node in verdicts.ties) if looked else ()
        stated = verdicts.configuration.percentage_of_nodes_to_score
        return Explanation(
            verdicts.description.profile, bound_to, before, outcome, self._message(outcome),
            self._why(outcome, nodes, ties), None if self.held else verdicts.bar, nodes, ties,
            100 if stated is None else stated,
        )  # fmt: skip

    def _node(self, node: int) -> NodeVerdict:
        verdicts, name = self.verdicts, self.names[node]
        status = verdicts.status(node)
        if status != Status():
            rejecting = () if verdicts.left_out[node] else self._rejecting(node)
            return NodeVerdict(name, status, rejecting, room=self._room(node))
        place = int(verdicts.feasible.searchsorted(node))
        scores = tuple(
            Score(plugin, int(raw[place]), int(points[place]), weight)
            for plugin, (raw, points, weight) in verdicts.scores.items()
        )
        return NodeVerdict(name, status, scores=scores, total=int(verdicts.totals[place]))

    def _rejecting(self, node: int) -> tuple[str, ...]:
        return tuple(plugin.name for plugin in self.verdicts.filters if self.verdicts.rejects(plugin)[node])

    def _room(self, node: int) -> Room | None:
        if not self.evictions:
            return None
        found, pods = self.evictions[node], self.inventory.pods
        victims = tuple(f"{pods.namespaces[row]}/{pods.names[row]}" for row in found.victims)
        return Room(victims, found.broken, found.reasons)

    def _message(self, outcome: Outcome) -> str:
        """Return the event line, with what the plug-ins say that run after no node was found."""
        verdicts = self.verdicts
        if self.held:
            return outcome.message
        if outcome.status == "error" and verdicts.bar is not None:
            return verdicts.bar.reasons[0]
        if outcome.status == "scheduled":
            return f"Successfully assigned {outcome.namespace}/{outcome.name} to {outcome.node}"
        reasons: Counter[str] = Counter()
        if verdicts.bar is None:
            for node in range(len(self.names)):
                reasons.update(verdicts.status(node).reasons)
            text = message(reasons, len(self.names))
        else:
            text = f"0/{len(self.names)} nodes are available: {verdicts.bar.reasons[0]}."
        later = self._after_filters()
        return f"{text} {later}" if later else text

    def _after_filters(self) -> str:
        """Return what the plug-ins of postFilter say; nothing where evicting pods makes room."""
        verdicts, parts = self.verdicts, []
        if any(eviction.victims for eviction in self.evictions):
            return ""
        for plugin in verdicts.configuration.points["postFilter"]:
            if plugin == _DEVICES:
                if verdicts.bar is not None and verdicts.bar.code == UNRESOLVABLE and verdicts.bar.plugin != _DEVICES:
                    # It was not asked before the pod was turned away, and misses what it would have noted then
                    # (kube-scheduler v1.34.1 stops there).
                    return "not found"
                claims = verdicts.described.devices or verdicts.described.device_claims
                parts.append("still not schedulable" if claims else "no new claims to deallocate")
            elif plugin == "DefaultPreemption":
                parts.append(f"preemption: {self._preemption()}")
        return ", ".join(parts)

    def _preemption(self) -> str:
        if not self.verdicts.described.preempts:
            return NEVER
        reasons: Counter[str] = Counter()
        for eviction in self.evictions:
            reasons.update(eviction.reasons)
        return message(reasons or {NOT_HELPFUL: len(self.names)}, len(self.names))

    def _why(self, outcome: Outcome, nodes: tuple[NodeVerdict, ...], ties: tuple[str, ...]) -> str:
        if self.held or self.verdicts.bar is not None:
            gated = "it is not tried before its gates are gone" if outcome.status == "gated" else outcome.message
            bar = self.verdicts.bar
            return gated if self.held or bar is None else f"{bar.plugin} turns it away before any node is looked at"
        if outcome.status == "preempted":
            return self._why_evicted(outcome)
        if outcome.node is None:
            if not self.verdicts.may_evict:
                return "no node fits, and it may not evict others"
            return "no node fits, and evicting pods of lower priority makes room on none"
        totals = sorted((node.total for node in nodes if node.total is not None), reverse=True)
        if len(totals) == 1:
            return f"{outcome.node} is the only node that fits: kube-scheduler does not score it"
        if outcome.node not in ties:
            return f"{outcome.node} is the best of the nodes that were looked at before the search ended"
        if len(ties) > 1:
            return (
                f"{outcome.node} is the first of {len(ties):,} nodes with the highest total, {totals[0]:,}; "
                "kube-scheduler takes one of them by chance"
            )
        return f"{outcome.node} has the highest total, {totals[0]:,}; the next has {totals[1]:,}"

    def _why_evicted(self, outcome: Outcome) -> str:
        """Return why the node is the one that is cleared: the first thing in which it beats the next best."""
        helping = [node for node, eviction in enumerate(self.evictions) if eviction.victims]
        keys = {self.names[node]: self._importance(self.evictions[node]) for node in helping}
        if len(helping) < 2 or outcome.node not in keys:
            return f"no node fits; {outcome.node} is the only one where evicting pods makes room"
        chosen = keys.pop(outcome.node)
        others = min(keys.values())
        differing = (place for place, (a, b) in enumerate(zip(chosen, others, strict=True)) if a != b)
        reason = _CRITERIA[next(differing, len(chosen))]
        return f"no node fits; of {len(helping):,} nodes where evicting pods makes room, {outcome.node} wins: {reason}"

    def _importance(self, eviction: Eviction) -> tuple[int, int, int, int, int]:
        pods, templates = self.inventory.pods, self.inventory.templates
        priorities = [templates[pods.template[row]].priority for row in eviction.victims]
        top = max(priorities)
        began = min(int(pods.start_us[r]) for r, p in zip(eviction.victims, priorities, strict=True) if p == top)
        return eviction.broken, top, sum(p + (1 << 31) for p in priorities), len(priorities), -began


def score_order(explanation: Explanation) -> list[str]:
    """Return the score plug-ins that say something of some node, in kube-scheduler's order."""
    named = dict.fromkeys(score.plugin for node in explanation.nodes for score in node.scores)
    return sorted(named, key=lambda name: list(UPSTREAM).index(name) if name in UPSTREAM else len(UPSTREAM))
