"""percentageOfNodesToScore: the search ends when enough nodes are found, and the next one goes on from there."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from kscale.placing import outcomes, simulation_of
from kscale.scheduler.configuration import parse_configuration
from kscale.simulation import Settings
from kscale.state.manifests import inventory_of

ZONE = "topology.kubernetes.io/zone"


def configuration(percentage: int) -> str:
    """Only LeastAllocated scores, of cpu and memory."""
    score = {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]}
    return json.dumps(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
            "percentageOfNodesToScore": percentage, "profiles": [{"plugins": {"score": score}}],
        }
    )  # fmt: skip


def node(index: int, zone: str | None, cpu: int) -> dict[str, Any]:
    """A node of 4 GiB."""
    labels = {} if zone is None else {ZONE: zone}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{index}", "labels": labels},
        "status": {"allocatable": {"cpu": f"{cpu}m", "memory": "4Gi", "pods": "3"}},
    }  # fmt: skip


def pod(index: int, cpu: int) -> dict[str, Any]:
    """A pod that asks for cpu and 1 MiB."""
    requests = {"cpu": f"{cpu}m", "memory": "1Mi"}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{index}", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i:v1", "resources": {"requests": requests}}]},
    }  # fmt: skip


def interleaved(zones: list[str | None]) -> list[int]:
    """One node of each zone in turn, zones by their first node."""
    lists: dict[str | None, list[int]] = {}
    for index, zone in enumerate(zones):
        lists.setdefault(zone, []).append(index)
    order: list[int] = []
    while any(lists.values()):
        order += [nodes.pop(0) for nodes in lists.values() if nodes]
    return order


def expected(zones: list[str | None], sizes: list[int], asked: list[int], percentage: int) -> list[str | None]:
    """Where the pods go, by the rule itself."""
    count, order = len(zones), interleaved(zones)
    if count < 100 or percentage >= 100:
        wanted = count
    else:
        share = percentage or max(50 - count // 125, 5)
        wanted = max(count * share // 100, 100)
    used, held, start, result = [0] * count, [0] * count, 0, []
    for cpu in asked:
        found, looked_at = [], 0
        for place in range(count):
            if len(found) >= wanted:
                break
            index = order[(start + place) % count]
            looked_at += 1
            if used[index] + cpu <= sizes[index] and held[index] < 3:
                found.append(index)
        start = (start + looked_at) % count
        if not found:
            result.append(None)
            continue

        def points(index: int, cpu: int = cpu) -> int:
            memory = (4 << 30) - (held[index] + 1) * (1 << 20)
            return ((sizes[index] - used[index] - cpu) * 100 // sizes[index] + memory * 100 // (4 << 30)) // 2

        best = max(found, key=lambda index: (points(index), -index))
        used[best] += cpu
        held[best] += 1
        result.append(f"n{best}")
    return result


@pytest.mark.parametrize(("nodes", "percentage"), [(250, 10), (250, 60), (130, 0), (220, 100), (60, 5)])
def test_the_nodes_are_those_of_the_rotating_search(nodes: int, percentage: int) -> None:
    draw = random.Random(nodes + percentage)
    zones = [draw.choice(["a", "b", "c", None]) for _ in range(nodes)]
    sizes = [draw.choice([1000, 2000, 3000]) for _ in range(nodes)]
    asked = [draw.choice([300, 900, 1500, 2500]) for _ in range(120)]
    objects = [node(index, zone, cpu) for index, (zone, cpu) in enumerate(zip(zones, sizes, strict=True))]
    inventory = inventory_of(objects, [pod(index, cpu) for index, cpu in enumerate(asked)])
    settings = Settings(configuration=parse_configuration(configuration(percentage)), compiled=False)
    simulation = simulation_of(inventory, settings, given=True)
    simulation.compile()
    simulation.run()
    found = [outcome.node for outcome in outcomes(simulation, inventory)]
    assert found == expected(zones, sizes, asked, percentage)
