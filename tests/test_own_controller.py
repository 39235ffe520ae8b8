"""A controller outside the package: the documented example, found through an entry point."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "queue_scaler.py"
#: Reads a QueueScaler from a file, lets it run for an hour, and prints its target's replicas every five minutes.
SCRIPT = """
import sys
import numpy as np
from kscale import controllers
from kscale.state.manifests.taking import take_inventory
from tests.controllers.world import Hand

manifests = {name: kind.manifest for name, kind in controllers.kinds().items() if kind.manifest is not None}
inventory = take_inventory([sys.argv[1]], manifests=manifests)
(made,) = inventory.workloads.made
hand = Hand("queue-scaler", "replicaset", limited=True)
hand.world.references = list(inventory.workloads.references)
scaler = hand.make(made.kind, made.name, namespace=made.namespace, **made.columns)
hand.wait(0)
target = hand.make("ReplicaSet", "mail", replicas=3, template=0)
for _ in range(12):
    hand.wait(300_000_000)
    print(hand.read(target, "replicas"), len(hand.active(target)), hand.read(scaler, "length"))
"""
MANIFEST = EXAMPLE.read_text().split("of its target:\n\n")[1].split('"""')[0]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the example is installed, as pip would: the module, and its entry point."""
    shutil.copy(EXAMPLE, tmp_path / "queue_scaler.py")
    info = tmp_path / "queue_scaler-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: queue-scaler\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kscale.controllers]\nqueue_scaler = queue_scaler\n")
    root = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])}


def run(tmp_path: Path, environment: dict[str, str], text: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "scaler.yaml"
    file.write_text(text)
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)], env=environment, capture_output=True, text=True, check=False
    )


def test_replicas_follow_the_queue(installed: dict[str, str], tmp_path: Path) -> None:
    """Up to 2000 items in half an hour, and down again; a replica for each hundred, at most 30 and at least one."""
    done = run(tmp_path, installed, MANIFEST)
    assert done.returncode == 0, done.stderr
    rows = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    lengths = [333, 666, 1000, 1333, 1666, 2000, 1666, 1333, 1000, 666, 333, 0]
    assert [row[2] for row in rows] == lengths
    assert [row[0] for row in rows] == [max(-(-length // 100), 1) for length in lengths]
    assert all(replicas == pods for replicas, pods, _ in rows)


def test_what_is_wrong_with_one_is_told_in_a_line(installed: dict[str, str], tmp_path: Path) -> None:
    done = run(tmp_path, installed, MANIFEST.replace("itemsPerReplica: 100", "itemsPerReplica: 0"))
    assert done.returncode != 0
    assert "field 'spec.itemsPerReplica': is 0; expected 1 or more" in done.stderr.splitlines()[-1]


def test_without_the_entry_point_there_is_no_such_kind(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[1])
    done = run(tmp_path, {**os.environ, "PYTHONPATH": root}, MANIFEST)
    assert done.returncode != 0
