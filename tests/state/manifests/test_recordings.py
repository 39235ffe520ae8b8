"""Inventories of recorded scenarios against what kube-scheduler v1.34.1 made of them."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kscale.state.manifests import Inventory, inventory_of

FAMILIES = ("fit_cpu_mem", "mixed", "volumes", "preemption")


def least_allocated(free: int, asked: int) -> int:
    return 0 if asked > free else (free - asked) * 100 // free


class Books:
    """Both books of every node, brought up to date as the recording goes on."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.offers = [(n.allocatable["cpu"], n.allocatable["memory"]) for n in inventory.nodes]
        self.true = [Counter[str]() for _ in inventory.nodes]
        self.nonzero = [[0, 0] for _ in inventory.nodes]
        self.where: dict[str, tuple[int, int]] = {}
        for row, node in enumerate(inventory.pods.node):
            if node >= 0:
                self.put(row, int(node))

    def put(self, row: int, node: int, sign: int = 1) -> None:
        template = self.inventory.templates[self.inventory.pods.template[row]]
        self.true[node].update({name: sign * amount for name, amount in template.requests})
        for i in (0, 1):
            self.nonzero[node][i] += sign * template.nonzero[i]
        self.where[f"{self.inventory.pods.namespaces[row]}/{self.inventory.pods.names[row]}"] = (row, node)

    def take(self, name: str) -> None:
        row, node = self.where[name]
        self.put(row, node, -1)

    def fit(self, row: int, node: int) -> int:
        template = self.inventory.templates[self.inventory.pods.template[row]]
        asked = template.scored or template.nonzero
        scores = [least_allocated(self.offers[node][i], self.nonzero[node][i] + asked[i]) for i in (0, 1)]
        return sum(scores) // 2

    def balance(self, row: int, node: int) -> int:
        asked = dict(self.inventory.templates[self.inventory.pods.template[row]].requests)
        parts = [
            min((self.true[node][name] + asked.get(name, 0)) / offer, 1.0)
            for name, offer in zip(("cpu", "memory"), self.offers[node], strict=True)
        ]
        return int((1 - abs(parts[0] - parts[1]) / 2) * 100)


def compared(recording: dict[str, Any]) -> int:
    """Compare the recorded scores of both books; return how many there were."""
    scenario, result = recording["scenario"], recording["result"]
    inventory = inventory_of(scenario["objects"], scenario["pending"])
    assert [node.name for node in inventory.nodes] == result["nodes"]
    books, count = Books(inventory), 0
    rows = {name: row for row, name in enumerate(result["nodes"])}
    for row, pod in zip(inventory.pending.tolist(), result["pods"], strict=True):
        assert pod["pod"] == f"{inventory.pods.namespaces[row]}/{inventory.pods.names[row]}"
        raw = pod.get("raw") or {}
        for name, book in (("NodeResourcesFit", books.fit), ("NodeResourcesBalancedAllocation", books.balance)):
            if name in raw:
                assert raw[name] == [book(row, node) for node in pod["feasible"]], (result["name"], pod["pod"], name)
                count += len(raw[name])
        for victim in (pod.get("preemption") or {}).get("victims") or ():
            books.take(victim)
        if pod["status"] in ("scheduled", "preempted"):
            books.put(row, rows.get(pod["node"], pod["node"]))
    return count


@pytest.mark.data
@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_scores_come_of_our_requests(family: str) -> None:
    files = sorted((Path(os.environ["KSCALE_DATA"]) / "golden" / "scheduler" / family).glob("*.json.gz"))
    count = 0
    for file in files[:12]:
        recording = json.loads(gzip.decompress(file.read_bytes()))
        if not recording["scenario"].get("config"):
            count += compared(recording)
    assert count > 1000
