"""Rows that place Kubernetes objects: what the scheduler must reach, and scheduler_perf's workloads.

What happens in each stands in ``expected.json``; ``python -m benchmarks.expect NAME`` writes that of a new row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.objects import Objects
from benchmarks.row import Expected, Workload
from benchmarks.traces import Days, Waiting

STORED = Path(__file__).parent / "expected.json"


@cache
def _stored() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(STORED.read_text()) if STORED.exists() else {}
    return known


def expected(name: str) -> Expected:
    """Return what is known to happen in a row; nothing for a new one."""
    known = _stored().get(name, {"counts": {}, "fingerprint": ""})
    return Expected(known["counts"], known["fingerprint"])


#: What must be reached on two cores: name, sentence, cluster, pods per second.
_NODES, _PODS = 5_000, 150_000
_TARGETS: tuple[tuple[str, str, Objects, float], ...] = (
    ("place-1", "Pods of one template.", Objects("simple", _NODES, _PODS, 1, seed=5), 4e6),
    ("place-20", "Pods of 20 templates in turn.", Objects("simple", _NODES, _PODS, 20), 1.5e6),
    ("place-500", "Pods of 500 templates in turn.", Objects("simple", _NODES, _PODS, 500), 200_000),
    ("place-own", "Every pod is its own template.", Objects("own", _NODES, _PODS, 20), 50_000),
    ("place-services", "ReplicaSets of 30 pods, each with a Service: system-default spreading.",
     Objects("services", _NODES, _PODS, 5_000), 50_000),
    ("place-wide", "A million pods of 50 templates on 100,000 nodes.", Objects("simple", 100_000, 1_000_000, 50),
     600_000),
    ("place-node-affinity", "Required and preferred node affinity, 20 templates.",
     Objects("node-affinity", _NODES, _PODS, 20), 300_000),
    ("place-hard-spread", "Spread by zone or not at all, 20 templates.", Objects("hard-spread", _NODES, _PODS, 20),
     500_000),
    ("place-soft-spread", "Soft spread and system defaults with Services, 20 templates.",
     Objects("soft-spread", _NODES, _PODS, 20), 150_000),
    ("place-anti-affinity", "Required pod anti-affinity by hostname, 60 templates.",
     Objects("anti-affinity", _NODES, _PODS, 60), 300_000),
    ("place-preferred-pods", "Preferred pod affinity and anti-affinity, namespace selectors, 60 templates.",
     Objects("preferred-pods", _NODES, _PODS, 60), 60_000),
    ("place-preemption", "5,000 pods evict others from nodes full of low priority, with budgets.",
     Objects("preemption", _NODES, 5_000, 20), 30_000),
)  # fmt: skip
#: Those that take seconds; the others are run more often.
_LONG = ("place-own", "place-services", "place-wide")
#: The same on fewer nodes, for every run: name, nodes, pods, templates.
_SMALL = {
    "place-1": (1_000, 20_000, 1), "place-20": (1_000, 20_000, 20), "place-500": (1_000, 20_000, 500),
    "place-own": (1_000, 10_000, 20), "place-services": (1_000, 6_000, 200), "place-node-affinity": (1_000, 10_000, 20),
    "place-hard-spread": (1_000, 20_000, 20), "place-soft-spread": (1_000, 10_000, 20),
    "place-anti-affinity": (1_000, 10_000, 60), "place-preferred-pods": (1_000, 10_000, 60),
    "place-preemption": (300, 300, 20),
}  # fmt: skip


def _targets() -> Iterator[Workload]:
    for name, doc, objects, rate in _TARGETS:
        rounds = 3 if name in _LONG else 9
        yield Workload(name, doc, "place", objects=objects, labels=("target",), rounds=rounds, full=True,
                       limits={"pods_per_second": rate}, expected=expected(name))  # fmt: skip
        if name in _SMALL:
            nodes, pods, templates = _SMALL[name]
            small, shown = Objects(objects.kind, nodes, pods, templates, seed=objects.seed), f"{name}-small"
            yield Workload(shown, f"{doc[:-1]}; {pods:,} pods on {nodes:,} nodes.", "place", objects=small,
                           labels=("target",), rounds=3, expected=expected(shown))  # fmt: skip


#: scheduler_perf's: name, pods bound before, pods measured, nodes, the least pods per second that upstream accepts.
_UPSTREAM = (
    ("SchedulingBasic", 1_000, 10_000, 5_000, 680), ("SchedulingPodAntiAffinity", 1_000, 2_000, 5_000, 60),
    ("SchedulingPodAffinity", 5_000, 5_000, 5_000, 35), ("SchedulingPreferredPodAffinity", 5_000, 5_000, 5_000, 90),
    ("SchedulingPreferredPodAntiAffinity", 5_000, 5_000, 5_000, 90),
    ("SchedulingRequiredPodAntiAffinityWithNSSelector", 2_000, 2_000, 6_000, 24),
    ("SchedulingNodeAffinity", 5_000, 10_000, 5_000, 220), ("TopologySpreading", 5_000, 5_000, 5_000, 460),
    ("PreferredTopologySpreading", 5_000, 5_000, 5_000, 340), ("DefaultTopologySpreading", 5_000, 5_000, 5_000, 160),
    ("MixedSchedulingBasePod", 10_000, 1_000, 5_000, 140), ("PreemptionBasic", 20_000, 5_000, 5_000, None),
    ("Unschedulable", 0, 10_000, 5_000, 600), ("SchedulingPodMatchingAntiAffinity", 1_000, 5_000, 5_000, 595),
    ("SchedulingRequiredPodAffinityWithNSSelector", 5_000, 2_000, 5_000, 35),
    ("SchedulingPreferredAntiAffinityWithNSSelector", 4_000, 2_000, 5_000, 55),
    ("SchedulingPreferredAffinityWithNSSelector", 5_000, 5_000, 5_000, 90),
    ("SchedulingWithNodeInclusionPolicy", 0, 4_000, 5_000, 270), ("PreemptionAsync", 20_000, 5_000, 5_000, 570),
    ("SchedulingSecrets", 1_000, 10_000, 5_000, 790), ("SchedulingCSIPVs", 5_000, 5_000, 5_000, 100),
    ("SchedulingDaemonset", 0, 30_000, 15_000, 1_100),
)  # fmt: skip
#: Those with gated pods on one node: name, gated pods (twice as many follow), the same gate.
_GATED = (
    ("SchedulingWhileGated", 10_000, 910), ("SchedulingWhileGated", 1_000, None),
    ("SchedulingGatedPodsWithPodAffinityImpactForThroughput", 10_000, 110),
    ("SchedulingGatedPodsWithPodAffinityImpactForThroughput", 1_000, None),
)  # fmt: skip
#: Every pod of these has a claim of its own.
_OWN_CLAIMS = ("SchedulingCSIPVs",)
#: Those that are run on other numbers of nodes too; the largest only when asked for.
_SCALED = ("SchedulingBasic", "SchedulingPodAntiAffinity", "TopologySpreading")
_SIZES = (100, 1_000, 20_000, 100_000)


def _upstream() -> Iterator[Workload]:
    for kind, bound, pods, nodes, gate in _UPSTREAM:
        sizes = [nodes, 1_000] if kind not in _SCALED else [nodes, *_SIZES]
        for size in sizes:
            share = min(size / nodes, 1)
            templates = int(pods * share) if kind in _OWN_CLAIMS else 1
            objects = Objects(kind, size, int(pods * share), templates, bound=int(bound * share))
            name = f"{kind}-{size}Nodes"
            doc = f"scheduler_perf's {kind}: {objects.pods:,} pods on {size:,} nodes, {objects.bound:,} bound before."
            yield Workload(name, doc, "place", objects=objects, labels=("upstream",), rounds=3, full=size > 1_000,
                           gate=gate if size == nodes else None, expected=expected(name))  # fmt: skip
    for kind, gated, gate in _GATED:
        name = f"{kind}-1Node_{gated}GatedPods"
        doc = f"scheduler_perf's {kind}: {2 * gated:,} pods on one node, {gated:,} gated ones before them."
        yield Workload(name, doc, "place", objects=Objects(kind, 1, 3 * gated, 1), labels=("upstream",), rounds=3,
                       full=gated > 1_000, gate=gate, expected=expected(name))  # fmt: skip


def _growth() -> Iterator[Workload]:
    doc = "20,000 pods of 20 templates on {} nodes: how much more does a pod cost on the most?"
    for name, counts, full in (
        ("nodes-1000-100000", (1_000, 100_000), True),
        ("nodes-1000-5000", (1_000, 5_000), False),
    ):
        yield Workload(name, doc.format(" and ".join(f"{n:,}" for n in counts)), "nodes", labels=("growth",), rounds=3,
                       sizes=tuple(Objects("simple", nodes, 20_000, 20) for nodes in counts), full=full,
                       limits={"ratio": 3}, expected=expected(name))  # fmt: skip
    doc = "Ten pods a node of 20 templates, on 1,000 and 100,000 nodes: how much more does a pod cost on the most?"
    yield Workload("nodes-1000-100000-filled", doc, "nodes", labels=("growth",), rounds=3, full=True,
                   sizes=tuple(Objects("simple", nodes, 10 * nodes, 20) for nodes in (1_000, 100_000)),
                   limits={"ratio": 3}, expected=expected("nodes-1000-100000-filled"))  # fmt: skip
    doc = "A full cluster of {:,} nodes, {} pods waiting, {:,} pods a second come and go: does an event cost the same?"
    for name, nodes, rate, seconds, sizes, full in (
        ("waiting-small", 500, 100, 10, (500, 2_500), False),
        ("waiting", 5_000, 1_000, 10, (1_000, 10_000, 100_000), True),
    ):
        words = " and ".join(f"{size:,}" for size in sizes)
        yield Workload(name, doc.format(nodes, words, rate), "waiting", labels=("growth",), rounds=3, full=full,
                       sizes=tuple(Waiting(size, nodes, rate, seconds) for size in sizes),
                       limits={"growth_percent": 25}, expected=expected(name))  # fmt: skip


def _days() -> Iterator[Workload]:
    doc = "The whole command on {} pods of {:,} templates, 12,500 nodes, {} days."
    yield Workload("days-small", doc.format("200,000", 150, 0.6), "command", Days(200_000, 12_500, 0.6, 150),
                   labels=("days", "command"), rounds=2, expected=expected("days-small"))  # fmt: skip
    for templates, seconds, peak_mb in ((150, 90, 4_000), (1_500, 240, 6_000)):
        name = f"days-{templates}"
        yield Workload(name, doc.format("10 million", templates, 30), "command",
                       Days(10_000_000, 12_500, 30, templates), labels=("days", "command"), rounds=1, full=True,
                       limits={"seconds": seconds, "peak_mb": peak_mb}, expected=expected(name))  # fmt: skip


PLACEMENTS = (*_targets(), *_upstream(), *_growth(), *_days())
