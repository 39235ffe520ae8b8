"""What the table ``templates`` says of hand-made worlds: the nearest node to a fit, what it lacks, and the reasons."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from kscale import templates
from kscale.simulation import Settings, Simulation
from kscale.templates import described_templates
from tests.worlds import World

GI = 1 << 30


def node(name: str, **columns: Any) -> dict[str, Any]:
    row = {
        "name": name,
        "cpu_milli": 8000,
        "memory_bytes": 16 * GI,
        "pods": 110,
        "gpu_count": 0,
        "unschedulable": False,
    }
    return row | columns


def spec(**columns: Any) -> dict[str, Any]:
    return {"gpu_count": 0, "gpu_milli": 0, "priority": 0} | columns


def pods(*specs: int) -> list[dict[str, Any]]:
    """Pods that arrive one after the other and never end, with these specs."""
    return [
        {"name": f"p{i}", "namespace": "default", "arrival_us": i, "spec": row} for i, row in enumerate(specs)
    ]  # fmt: skip


def ran(world: World, how: Settings) -> Simulation:
    simulation = Simulation(world.trace(), world.node_frame(), how)
    simulation.compile()
    with np.errstate(over="ignore"):  # plain, the draws wrap around with a warning
        simulation.run()
    return simulation


def described(nodes: list[dict[str, Any]], specs: list[dict[str, Any]], *of: int) -> list[dict[str, Any]]:
    """The rows of ``templates`` after an inflation with pods of these specs."""
    world = World(nodes, specs, pods(*of))
    simulation = ran(world, Settings(inflate=True, compiled=False))
    kept = [row for row, name in enumerate(simulation.intake.resources) if name != "ephemeral-storage"]
    return table(simulation, kept).rows(named=True)


def table(simulation: Simulation, kept: list[int]) -> pl.DataFrame:
    """The table ``templates`` of a run that is over."""
    specs, pods = simulation.trace.specs, simulation.pods()
    bound = pods.filter(pl.col("node").is_not_null())
    asked, placed = (np.bincount(part["template"].to_numpy(), minlength=specs.height) for part in (pods, bound))
    return described_templates(simulation, specs, asked, placed, kept)


def nearest(nodes: list[dict[str, Any]], specs: list[dict[str, Any]], *of: int) -> tuple[Any, ...]:
    """Reason, nearest node and what it lacks for the last spec."""
    row = described(nodes, specs, *(of or (len(specs) - 1,)))[-1]
    return row["reason"], row["nearest_node"], row["nearest_lacks"]


def test_the_nearest_node_is_the_one_that_lacks_least_relative_to_what_it_has() -> None:
    found = nearest([node("a", cpu_milli=4000), node("b", cpu_milli=6000)], [spec(cpu_milli=9000)])
    assert found == ("0/2 nodes are available: 2 Insufficient cpu.", "b", "3 cpu")
    big, small = node("big", cpu_milli=32_000), node("small", cpu_milli=1000)
    assert nearest([small, big], [spec(cpu_milli=35_000)])[1:] == ("big", "3 cpu")
    # As much is lacking on both.
    specs = [spec(cpu_milli=31_000), spec(cpu_milli=1500)]
    assert nearest([small, big], specs, 0, 1)[1:] == ("big", "500m cpu")


def test_what_is_missing_is_told_for_every_resource() -> None:
    fpga = "resource.example.com/fpga"
    nodes = [node("a", **{fpga: 1}), node("b", memory_bytes=GI, **{fpga: 0})]
    reason, name, lacks = nearest(nodes, [spec(cpu_milli=9000, memory_bytes=20 * GI, **{fpga: 2})])
    assert name == "a" and lacks == "1 cpu, 4Gi memory, 1 example.com/fpga"
    assert (
        reason == "0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient example.com/fpga, 2 Insufficient memory."
    )


def test_room_that_is_taken_is_missing() -> None:
    specs = [spec(cpu_milli=5000), spec(cpu_milli=4000)]
    rows = described([node("a")], specs, 0, 1, 1)
    assert rows[1]["nearest_lacks"] == "1 cpu"
    assert (rows[0]["reason"], rows[0]["nearest_node"], rows[0]["nearest_lacks"]) == (None, None, None)
    assert [(row["pods"], row["placed"], row["unplaced"]) for row in rows] == [(1, 1, 0), (2, 0, 2)]


def test_a_node_that_is_full_of_pods_lacks_room_for_one() -> None:
    found = nearest([node("a", pods=1)], [spec(cpu_milli=1)], 0, 0)
    assert found[:2] == ("0/1 nodes are available: 1 Too many pods.", "a")
    assert found[2].endswith("pods")


def test_nodes_that_the_description_rejects_are_not_looked_at() -> None:
    nodes = [node("near", cpu_milli=8500, labels="zone=a"), node("far", cpu_milli=1000, labels="zone=b")]
    wants = [spec(cpu_milli=9000, node_selector="zone=b")]
    reason, name, lacks = nearest(nodes, wants)
    assert (name, lacks) == ("far", "8 cpu")
    assert "1 Insufficient cpu" in reason and "1 node(s) didn't match Pod's node affinity/selector" in reason
    nowhere = [spec(cpu_milli=1000, node_selector="zone=c")]
    reason, name, lacks = nearest(nodes, nowhere)
    assert reason == "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    assert (name, lacks) == (None, None)
    tainted = [node("t", taints="spot:NoSchedule"), node("u", unschedulable=True)]
    reason, name, _ = nearest(tainted, [spec(cpu_milli=1000)])
    assert name is None and "untolerated taint" in reason and "1 node(s) were unschedulable" in reason


def test_a_share_of_a_gpu_that_no_device_has_free() -> None:
    nodes = [node("a", gpu_count=1, gpu_model="T4"), node("b", gpu_count=0)]
    specs = [spec(gpu_count=1, gpu_milli=600), spec(gpu_count=1, gpu_milli=500)]
    assert nearest(nodes, specs, 0, 1)[1:] == ("a", "500 milli of a GPU free on one device")
    whole = [spec(gpu_count=1, gpu_milli=600), spec(gpu_count=1, gpu_milli=1000)]
    assert nearest(nodes, whole, 0, 1)[1:] == ("a", "a GPU free on one device")


def test_several_gpus_of_which_some_are_free() -> None:
    nodes = [node("two", gpu_count=2, gpu_model="T4"), node("four", gpu_count=4, gpu_model="T4")]
    assert nearest(nodes, [spec(gpu_count=5, gpu_milli=1000)])[1:] == ("four", "1 more with a GPU free")


def test_only_nodes_with_an_allowed_model_are_near_where_there_are_any() -> None:
    nodes = [node("t4", gpu_count=4, gpu_model="T4"), node("v100", cpu_milli=1000, gpu_count=1, gpu_model="V100")]
    wants = spec(cpu_milli=3000, gpu_count=1, gpu_milli=1000, gpu_models="V100|A100")
    assert nearest(nodes, [wants])[1:] == ("v100", "2 cpu")


def test_a_node_with_another_model_lacks_an_allowed_one() -> None:
    nodes = [
        node("t4", gpu_count=1, gpu_model="T4", labels="zone=a"),
        node("v100", gpu_count=1, gpu_model="V100", labels="zone=b"),
    ]
    wants = {"gpu_count": 1, "gpu_milli": 1000, "gpu_models": "V100", "node_selector": "zone=a"}
    assert nearest(nodes, [spec(**wants)])[1:] == ("t4", "a GPU of an allowed model")
    assert nearest(nodes, [spec(cpu_milli=9000, **wants)])[1:] == ("t4", "1 cpu, a GPU of an allowed model")
    assert nearest(nodes, [spec(**wants | {"gpu_count": 2})])[1:] == ("t4", "2 GPUs of an allowed model")


def test_a_node_without_gpus_is_nearest_where_no_other_is_allowed() -> None:
    nodes = [node("cpu", labels="zone=a"), node("gpu", gpu_count=1, gpu_model="T4", labels="zone=b")]
    wants = spec(gpu_count=1, gpu_milli=300, node_selector="zone=a")
    assert nearest(nodes, [wants])[1:] == ("cpu", "300 milli of a GPU free on one device")


def test_a_template_whose_next_pod_would_fit_has_no_reason() -> None:
    """The second pod's end comes while it waits; then the first one gives its room back."""
    world = World([node("a")], [spec(cpu_milli=8000)], pods(0, 0))
    for pod, end in zip(world.pods, (10_000_000, 5_000_000), strict=True):
        pod["end_us"] = end
    simulation = ran(world, Settings(ends="recorded", compiled=False))
    row = table(simulation, [0, 1]).row(0, named=True)
    assert (row["placed"], row["unplaced"]) == (1, 1)
    assert (row["reason"], row["nearest_node"], row["nearest_lacks"]) == (None, None, None)


def test_only_the_templates_with_the_most_unplaced_pods_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_EXPLAINED", 1)
    specs = [spec(cpu_milli=9000), spec(cpu_milli=10_000), spec(cpu_milli=11_000)]
    rows = described([node("a")], specs, 0, 1, 1, 2)
    assert [row["nearest_lacks"] for row in rows] == [None, "2 cpu", None]
    assert [row["reason"] is None for row in rows] == [True, False, True]


def test_templates_in_words() -> None:
    nodes = [node("a", gpu_count=2, gpu_model="T4"), node("b", gpu_count=8, gpu_model="V100")]
    specs = [
        spec(),
        spec(cpu_milli=0),
        spec(cpu_milli=1500, memory_bytes=3 * GI),
        spec(gpu_count=1, gpu_milli=460, gpu_models="T4"),
        spec(cpu_milli=100, gpu_count=1, gpu_milli=1000),
        spec(gpu_count=4, gpu_milli=1000, gpu_models="V100|T4"),
        spec(**{"resource.example.com/fpga": 2}),
    ]
    rows = described(nodes, specs, *range(len(specs)))
    assert [row["spec"] for row in rows] == [
        "nothing", "nothing", "1.5 cpu, 3Gi memory", "460 milli of a GPU (T4)", "100m cpu, 1 GPU",
        "4 GPUs (T4 or V100)", "2 example.com/fpga",
    ]  # fmt: skip
    assert [row["request_cpu"] for row in rows] == [None, 0, 1500, None, 100, None, None]
    assert [row["request_memory"] for row in rows] == [None, None, 3 * GI, None, None, None, None]
    assert rows[3]["gpu_count"] == 1 and rows[3]["gpu_milli"] == 460


def test_a_run_without_pods_describes_its_templates() -> None:
    rows = described([node("a")], [spec(cpu_milli=1)])
    assert [(row["pods"], row["reason"]) for row in rows] == [(0, None)]
