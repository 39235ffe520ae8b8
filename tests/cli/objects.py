"""A small cluster as Kubernetes objects, with a pending pod for every word that ``kscale schedule`` has."""

from __future__ import annotations

import json
from typing import Any

from tests.state.manifests.making import node, pod, thing


def sized(name: str, cpu: str, *, labels: dict[str, str] | None = None, on: str = "", **spec: Any) -> dict[str, Any]:
    """A pod that asks for cpu; ``on`` a node, or pending."""
    made = pod(name, meta={"labels": labels or {}}, **spec)
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    if on:
        made["spec"]["nodeName"] = on
        made["status"] = {"phase": "Running"}
    return made


#: Two nodes of 4 cpu: what is running on them, and a pod for every word.
RUNNING = [sized("low", "3", on="n1", priority=1), sized("calm", "3", on="n2", priority=9)]
PENDING = [
    sized("small", "1", labels={"app": "web"}),
    sized("urgent", "3", priority=5, labels={"app": "db", "tier": "back"}),
    sized("large", "64"),
    sized("gated", "1", schedulingGates=[{"name": "example.com/wait"}]),
    sized("foreign", "1", schedulerName="theirs"),
    {**sized("other", "500m"), "metadata": {"name": "other", "namespace": "shop", "labels": {"app": "web"}}},
]
WORLD = [node("n1"), node("n2"), *RUNNING, *PENDING, thing("ConfigMap", "settings", meta={"namespace": "default"})]
WORDS = {
    "small": "scheduled", "urgent": "preempted", "large": "unschedulable", "gated": "gated", "foreign": "no_profile",
    "other": "scheduled",
}  # fmt: skip


def listed(objects: list[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
