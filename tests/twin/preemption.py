"""DefaultPreemption: which pods would have to go from which node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.twin.cycle import Cycle, Trial
from tests.twin.objects import NodeState, Pod
from tests.twin.plugin import UNSCHEDULABLE
from tests.twin.selectors import label_selector


@dataclass
class Candidate:
    """A node with the pods that would have to go, the most important first."""

    node: NodeState
    victims: list[Pod]
    violations: int

    def rank(self) -> tuple[Any, ...]:
        """The best candidate has the lowest."""
        highest = self.victims[0].priority
        return (
            self.violations,
            highest,
            sum(victim.priority + (1 << 31) for victim in self.victims),
            len(self.victims),
            -min(victim.start for victim in self.victims if victim.priority == highest),
        )


def importance(pod: Pod) -> tuple[int, float]:
    """The more important of two pods has the lower: the higher priority, then the earlier start."""
    return -pod.priority, pod.start


def preempt(cycle: Cycle) -> tuple[dict[str, Any], Candidate | None]:
    """What the recordings say of preemption after a search that found no node, and the chosen candidate."""
    pod = cycle.pod
    if pod.preemption_policy == "Never":
        return {"eligible": False, "message": "not eligible due to preemptionPolicy=Never."}, None
    nodes = cycle.twin.cluster.nodes
    potential = [] if cycle.rejected else [n for n in nodes if cycle.statuses[n.index][1] == UNSCHEDULABLE]
    if not potential:
        return {"eligible": True, "message": "no node could be helped by preemption"}, None
    candidates = [c for c in (_try_node(cycle, node) for node in potential) if c is not None]
    if not candidates:
        return {"eligible": True, "message": "no candidates"}, None
    best = min(candidate.rank() for candidate in candidates)
    ties = [candidate for candidate in candidates if candidate.rank() == best]
    chosen = ties[0]
    described = {
        "eligible": True,
        "candidates": [
            {"node": c.node.name, "victims": [v.key for v in c.victims], "pdb_violations": c.violations}
            for c in candidates
        ],
        "ties": [candidate.node.name for candidate in ties],
        "nominated": chosen.node.name,
        "victims": [victim.key for victim in chosen.victims],
    }
    return described, chosen


def _try_node(cycle: Cycle, node: NodeState) -> Candidate | None:
    """Take all pods of lower priority off a copy of the node, then put back what can stay."""
    trial = Trial(cycle, node, cycle.states)
    potential = [other for other in node.pods if other.priority < cycle.pod.priority]
    for other in potential:
        trial.remove(other)
    if not potential or not trial.fits():
        return None
    potential.sort(key=importance)
    violating, others = _violations(potential, cycle.twin.cluster.budgets)
    victims: list[Pod] = []
    violations = 0
    for other in [*violating, *others]:
        trial.add(other)
        if not trial.fits():
            trial.remove(other)
            victims.append(other)
            violations += other in violating
    return Candidate(node, sorted(victims, key=importance), violations)


def _violations(pods: Sequence[Pod], budgets: Sequence[Any]) -> tuple[list[Pod], list[Pod]]:
    """The pods whose removal, in this order, would break a disruption budget, and the rest."""
    left = [(budget.get("status") or {}).get("disruptionsAllowed") or 0 for budget in budgets]
    violating, others = list[Pod](), list[Pod]()
    for pod in pods:
        breaks = False
        for index, budget in enumerate(budgets):
            selector = label_selector(budget["spec"].get("selector"))
            disrupted = (budget.get("status") or {}).get("disruptedPods") or ()
            if (budget["metadata"].get("namespace") or "default") != pod.namespace or not pod.labels:
                continue
            if selector.empty or not selector.matches(pod.labels) or pod.name in disrupted:
                continue
            left[index] -= 1
            breaks = breaks or left[index] < 0
        (violating if breaks else others).append(pod)
    return violating, others
