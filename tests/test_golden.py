"""Decisions recorded from the real kube-scheduler v1.34.1, made again: every verdict, score and placement is the same.

``tests/golden/scheduler`` holds a selection (``tests/golden/select.py``); ``KSCALE_DATA`` names the folder of all.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kscale.verify import Comparison, Engine, total, verify, verify_file
from tests.golden.select import HERE, MOST_BYTES

#: Family: recordings kept here, and their pods.
KEPT = {
    "dense_fill": (1, 200), "fit_cpu_mem": (8, 820), "image_locality": (8, 620), "interpod_affinity": (5, 400),
    "mixed": (16, 1510), "mixed_large": (2, 700), "node_name": (3, 270), "node_selector_affinity": (3, 200),
    "ports": (1, 40), "preemption": (8, 430), "scale_deploy": (1, 3000), "scale_mixed": (1, 1500),
    "scale_simple": (1, 5000), "scheduling_gates": (1, 40), "strategies": (14, 910), "taints": (1, 40),
    "topology_spread": (4, 340), "unschedulable": (1, 40), "volumes": (6, 290),
}  # fmt: skip
#: How many pods of each the class index placed; those that it does not serve are left to the scan.
FOUND = {
    "dense_fill": 96, "fit_cpu_mem": 648, "image_locality": 557, "interpod_affinity": 154, "mixed": 313,
    "mixed_large": 0, "node_name": 182, "node_selector_affinity": 96, "ports": 6, "preemption": 91,
    "scale_deploy": 1808, "scale_mixed": 0, "scale_simple": 5000, "scheduling_gates": 23, "strategies": 427,
    "taints": 33, "topology_spread": 200, "unschedulable": 40, "volumes": 28,
}  # fmt: skip
#: What is compared of them.
COMPARED = {
    "nodes": 16_350, "statuses": 16_350, "verdicts": 254_945, "masks": 249_336, "raw": 663_546, "normalised": 663_546,
    "totals": 115_978, "ties": 5_510, "candidates": 31_240, "victims": 238,
}  # fmt: skip
ALL = {
    "dense_fill": (12, 3900), "fit_cpu_mem": (24, 1920), "image_locality": (24, 1920), "interpod_affinity": (24, 1920),
    "mixed": (48, 3840), "mixed_large": (8, 2040), "node_name": (12, 960), "node_selector_affinity": (24, 1920),
    "ports": (24, 1580), "preemption": (24, 1340), "scale_deploy": (2, 6000), "scale_mixed": (1, 1500),
    "scale_simple": (1, 5000), "scheduling_gates": (4, 160), "strategies": (36, 2370), "taints": (24, 1920),
    "topology_spread": (24, 1920), "unschedulable": (12, 960), "volumes": (24, 1160),
}  # fmt: skip
ALL_FOUND = {
    "dense_fill": 3412, "fit_cpu_mem": 1704, "image_locality": 1510, "interpod_affinity": 601, "mixed": 872,
    "mixed_large": 1, "node_name": 610, "node_selector_affinity": 953, "ports": 332, "preemption": 293,
    "scale_deploy": 3983, "scale_mixed": 0, "scale_simple": 5000, "scheduling_gates": 96, "strategies": 1212,
    "taints": 1484, "topology_spread": 1222, "unschedulable": 934, "volumes": 100,
}  # fmt: skip
#: Both ways to decide.
ENGINES: tuple[Engine, ...] = ("index", "scan")
#: Small ones that show much, for plain kernels.
PLAIN = ("interpod_affinity", "mixed", "preemption", "scheduling_gates", "strategies", "topology_spread", "volumes")


def counts(families: dict[str, Comparison]) -> dict[str, tuple[int, int]]:
    """Recordings and pods by family; everything must have been equal."""
    for comparison in families.values():
        assert comparison.first == "" and comparison.agrees and comparison.equal == comparison.compared
    return {family: (comparison.files, comparison.pods) for family, comparison in families.items()}


def test_the_recordings_kept_here_are_few_bytes() -> None:
    files = [file for file in HERE.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    assert len(files) == sum(number for number, _ in KEPT.values())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_recordings_kept_here(engine: Engine) -> None:
    """Compiled once for each way, with every plug-in."""
    families = verify(HERE, engine=engine, compiled=True)
    assert counts(families) == KEPT
    assert total(families).compared == COMPARED
    assert {family: comparison.found for family, comparison in families.items()} == (
        FOUND if engine == "index" else dict.fromkeys(KEPT, 0)
    )


@pytest.mark.parametrize("family", PLAIN)
@pytest.mark.parametrize("engine", ENGINES)
def test_small_recordings_with_plain_kernels(family: str, engine: Engine) -> None:
    file = min((HERE / family).glob("*.json.gz"), key=lambda file: (file.stat().st_size, file.name))
    comparison = verify_file(file, engine=engine, compiled=False)
    assert comparison.first == "" and comparison.agrees and comparison.pods >= 10
    assert (comparison.found > 0) == (engine == "index")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("family", ALL)
def test_all_recordings(family: str) -> None:
    """By the class index; the scan is held to those kept here, and ``kscale verify --engine scan`` holds it to all."""
    folder = Path(os.environ["KSCALE_DATA"]) / "golden" / "scheduler" / family
    families = verify(folder, engine="index", compiled=True)
    assert counts(families) == {family: ALL[family]}
    assert families[family].found == ALL_FOUND[family]
