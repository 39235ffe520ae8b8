"""Who reaches whom where Calico decides: its policies and Kubernetes' together."""

from __future__ import annotations

from kscale.network.calico.manifests import Calico
from kscale.network.calico.tiers import Endpoints, allowed, in_order, stages
from kscale.network.policy.ends import Ends
from kscale.network.policy.reach import Reach
from kscale.network.policy.reading import Cluster
from kscale.network.policy.rules import EGRESS, INGRESS, Question, rules_of


def reach_of(calico: Calico, cluster: Cluster, ends: Ends, question: Question) -> Reach:
    """Return who reaches whom over ends, for a question, by Calico's tiers.

    Args:
        calico: what was read of Calico.
        cluster: what was read beside it; ``ends`` was made of its pods.
        ends: pods and addresses.
        question: a protocol and a port of the destination.
    """
    ordered = in_order(calico, cluster.policies)
    endpoints = Endpoints(ends, cluster.pods, cluster.namespaces, calico)
    decided = tuple(
        allowed(stages(ordered, endpoints, question, direction), len(ends)) for direction in (INGRESS, EGRESS)
    )
    return Reach(rules_of(cluster.policies, ends), ends, question, (decided[0], decided[1]))
