"""A plug-in outside the package: the documented example, found through an entry point."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "cost_per_hour.py"
CONFIG = {
    "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
    "profiles": [{"plugins": {"score": {"enabled": [{"name": "CostPerHour", "weight": 50}]}}}],
}  # fmt: skip
#: Places three pods on three empty nodes of the same size and prints where they went.
SCRIPT = """
import sys
from kscale.placing import outcomes, simulation_of
from kscale.scheduler.configuration import parse_configuration
from kscale.simulation import Settings
from kscale.state.manifests import inventory_of

def node(name, cost):
    labels = {} if cost is None else {"example.com/cost-per-hour": cost}
    size = {"cpu": "4", "memory": "8Gi", "pods": "2"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "status": {"allocatable": size}}

pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{i}"},
         "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}} for i in range(5)]
inventory = inventory_of([node("dear", "2.5"), node("cheap", "0.25"), node("unknown", None)], pods)
settings = Settings(configuration=parse_configuration(sys.argv[1]), compiled=sys.argv[2] == "compiled")
simulation = simulation_of(inventory, settings, given=True)
simulation.compile()
simulation.run()
print(*(outcome.node for outcome in outcomes(simulation, inventory)))
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the example is installed, as pip would: the module, and its entry point."""
    shutil.copy(EXAMPLE, tmp_path / "cost_per_hour.py")
    info = tmp_path / "cost_per_hour-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cost-per-hour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kscale.scheduler.plugins]\ncost_per_hour = cost_per_hour\n")
    root = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])}


def test_the_cheapest_node_that_has_room_is_chosen(installed: dict[str, str]) -> None:
    """Two pods fit on each node: first the cheap one fills, then the first of the two that count as dearest."""
    form = "plain" if os.environ.get("NUMBA_DISABLE_JIT") == "1" else "compiled"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(CONFIG), form], env=installed, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    placed = done.stdout.split()
    assert placed[:2] == ["cheap", "cheap"]
    assert sorted(placed[2:]) == ["dear", "dear", "unknown"] or sorted(placed[2:]) == ["dear", "unknown", "unknown"]


def test_without_the_entry_point_the_name_is_unknown() -> None:
    """The configuration is refused in one line when the plug-in is not installed."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, json.dumps(CONFIG), "plain"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "CostPerHour" in done.stderr
