"""Random clusters of Kubernetes objects: every verdict, score, victim and placement is the plain twin's."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kscale.verify import verify_file
from tests.object_worlds import World
from tests.twin.schedule import Twin

COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"


def recorded(scenario: dict[str, Any]) -> dict[str, Any]:
    """What the twin decides on a scenario, as a recording."""
    twin = Twin(scenario)
    statuses: list[dict[str, Any]] = []

    def number(status: tuple[str, str, tuple[str, ...]]) -> int:
        plugin, code, reasons = status
        row = {"plugin": plugin, "code": code, "reasons": list(reasons)}
        if row not in statuses:
            statuses.append(row)
        return statuses.index(row)

    pods = []
    for pod in twin.schedule_given():
        pod = dict(pod)
        if "prefilter" in pod:
            pod["prefilter"] = number(pod["prefilter"])
        if "filter" in pod:
            pod["filter"] = [number(status) for status in pod["filter"]]
        pods.append(pod)
    nodes = [item["metadata"]["name"] for item in scenario["objects"] if item["kind"] == "Node"]
    profiles = {name: profile.described() for name, profile in twin.profiles.items()}
    result = {"name": "world", "profiles": profiles, "nodes": nodes, "statuses": statuses, "pods": pods}
    return {"scenario": scenario, "result": result}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
@example(seed=180)  # a trial of preemption passes through counts of 0
def test_a_random_world_is_decided_as_by_the_twin(tmp_path_factory: Any, seed: int) -> None:
    file = Path(tmp_path_factory.mktemp("world")) / "world.json.gz"
    with gzip.open(file, "wt", compresslevel=1) as stream:
        json.dump(recorded(World(seed).scenario()), stream)
    comparison = verify_file(file, compiled=COMPILED)
    assert comparison.agrees, comparison.first
    assert comparison.pods > 0
