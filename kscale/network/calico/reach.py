"""Who reaches whom where Calico decides, and why: its policies and Kubernetes' together."""

from __future__ import annotations

from kscale.network.calico.manifests import Calico
from kscale.network.calico.tiers import Endpoints, allowed, in_order, stages
from kscale.network.policy.ends import Ends
from kscale.network.policy.policies import DIRECTIONS
from kscale.network.policy.reach import Reach
from kscale.network.policy.reading import Cluster
from kscale.network.policy.rules import EGRESS, INGRESS, Question, rules_of
from kscale.network.policy.why import Side


class Decided:
    """What Calico's tiers decide over ends, for a question.

    Attributes:
        reach: who reaches whom.
    """

    def __init__(self, calico: Calico, cluster: Cluster, ends: Ends, question: Question) -> None:
        """Take what was read; ``ends`` was made of the pods of ``cluster``."""
        ordered = in_order(calico, cluster.policies)
        endpoints = Endpoints(ends, cluster.pods, cluster.namespaces, calico)
        self._stages = {side: stages(ordered, endpoints, question, side) for side in (INGRESS, EGRESS)}
        made = [allowed(self._stages[side], len(ends)) for side in (INGRESS, EGRESS)]
        self.reach = Reach(rules_of(cluster.policies, ends), ends, question, (made[0], made[1]))

    def side(self, direction: int, source: int, destination: int) -> Side:
        """Return what decides about a pair in one direction: a rule, the end of a tier, or the pod's profiles."""
        own, peer = (destination, source) if direction == INGRESS else (source, destination)
        selecting: tuple[str, ...] = ()

        def said(allowed_by: str = "", denied_by: str = "") -> Side:
            by = (allowed_by,) if allowed_by else ()
            return Side(DIRECTIONS[direction], self.reach.ends.names[own], selecting, by, "", denied_by)

        for stage in self._stages[direction]:
            selecting += tuple(name for name, subjects in stage.policies if subjects[own])
            first = next((one for one in stage.columns if one.own[own] and one.peer[peer]), None)
            if first is not None and first.action != "Pass":
                return said(first.name) if first.action == "Allow" else said(denied_by=first.name)
            if first is None and stage.selected[own] and stage.tier.default_action == "Deny":
                return said(denied_by=f"the end of tier {stage.tier.name}")
        return said("its profiles" if selecting else "")
