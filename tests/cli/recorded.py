"""Decisions recorded from kube-scheduler, made again by ``kscale schedule --order given``."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Families of recordings that are small enough for plain kernels.
FAMILIES = (
    "dense_fill", "fit_cpu_mem", "image_locality", "interpod_affinity", "mixed", "node_name", "node_selector_affinity",
    "ports", "preemption", "scheduling_gates", "strategies", "taints", "topology_spread", "unschedulable", "volumes",
)  # fmt: skip


def files(data: Path, family: str) -> list[Path]:
    """The recordings of a family."""
    return sorted((data / "golden" / "scheduler" / family).glob("*.json.gz"))


def read(path: Path) -> Any:
    with gzip.open(path) as file:
        return json.load(file)


def written(recording: Any, folder: Path) -> list[str]:
    """Write the scenario as one file of objects, pending pods last, and its configuration; the options that read them.

    The pods that are pending may be told apart only by their lack of a status, as in a dump.
    """
    scenario = recording["scenario"]
    pending = [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in scenario["pending"]]
    listed = {"apiVersion": "v1", "kind": "List", "items": [*scenario["objects"], *pending]}
    (folder / "objects.json").write_text(json.dumps(listed))
    if not scenario.get("config"):
        return ["-f", "objects.json"]
    (folder / "config.yaml").write_text(scenario["config"])
    return ["-f", "objects.json", "--config", "config.yaml"]


def expected(recording: Any) -> list[dict[str, Any]]:
    """What the real scheduler made of each pending pod, in the words of the command, without messages."""
    rows = []
    for pod in recording["result"]["pods"]:
        namespace, _, name = pod["pod"].partition("/")
        victims = pod.get("victims", pod.get("preemption", {}).get("victims", []))
        rows.append(
            {"namespace": namespace, "name": name, "status": pod["status"], "node": pod.get("node"), "victims": victims}
        )
    return rows


def found(recording: Any, folder: Path, run: Callable[..., Any]) -> list[dict[str, Any]]:
    """What the command makes of each, in the same words."""
    done = run("schedule", *written(recording, folder), "--order", "given", "-o", "json", "--quiet")
    assert done.code == 0, done.err
    rows = json.loads(done.out)["pods"]
    for row in rows:
        message = row.pop("message")
        assert (message == "" or message.startswith("Preempted by pod ")) == (row["node"] is not None)
    return rows
