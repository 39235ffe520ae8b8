"""Whole runs of StatefulSets with claims: where pods come back, what waits and why, and what becomes of claims."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kscale import casting
from kscale.simulation import Settings, Simulation
from tests.living.stage import MINUTE, Manifest, live, read, workload
from tests.scheduler.claims import ZONE, claim, csi_node, node, only, storage_class, volume

ZONES = ("a", "b", "c")
NODES = [node(f"{zone}{number}", zone=zone) for zone in ZONES for number in (1, 2)]
IMMEDIATE, NONE = "Immediate", "kubernetes.io/no-provisioner"


def stateful(
    name: str = "web", classes: Iterable[str | None] = ("fast",), retention: dict[str, str] | None = None, **spec: Any
) -> Manifest:
    """Return a StatefulSet whose pods have a claim of each class, called data, data1 and so on."""
    templates = []
    for row, one in enumerate(classes):
        templates.append(claim(f"data{row or ''}", storage_class=one))
    more = {"persistentVolumeClaimRetentionPolicy": retention} if retention else {}
    return workload(
        "StatefulSet", name, **{"replicas": 3, "volumeClaimTemplates": templates, **more, **spec}
    )  # fmt: skip


def play(
    objects: Sequence[Manifest], actions: Sequence[Manifest] = (), *, minutes: int = 20, compiled: bool = False
) -> Simulation:
    """Run objects, nodes among them, to the end."""
    with tempfile.TemporaryDirectory() as folder:
        gathering, script = read(Path(folder), objects, actions)
    staged = casting.stage(gathering, None, None, limited=False, scenario=script)
    how = Settings(until_us=minutes * MINUTE, sample_us=MINUTE, check=True, compiled=compiled)
    made = Simulation(staged.trace, staged.nodes, how, objects=staged.objects, cast=staged.cast)
    made.compile()
    return live(made)


def nodes_of(made: Simulation, name: str = "web") -> dict[str, list[str | None]]:
    """Return the nodes of a set's pods in the order in which they came, by pod."""
    pods = made.pods().filter(pl.col("name").str.starts_with(f"{name}-")).sort("arrived_us")
    found: dict[str, list[str | None]] = {}
    for pod, where in zip(pods["name"].to_list(), pods["node"].to_list(), strict=True):
        found.setdefault(pod, []).append(where)
    return found


def zones_of(made: Simulation, name: str = "web") -> dict[str, list[str]]:
    return {pod: [(where or "?")[0] for where in nodes] for pod, nodes in nodes_of(made, name).items()}


def claims_of(made: Simulation) -> list[str]:
    assert made.living is not None
    table = made.living.tables()["objects"]
    return table.filter(pl.col("kind") == "PersistentVolumeClaim")["name"].sort().to_list()


def templates_of(made: Simulation) -> dict[str, int]:
    """Return the template of each pod that there was."""
    return {
        name: template
        for _, templates, frame in made.stretches()
        for name, template in zip(frame["name"].to_list(), templates.tolist(), strict=True)
    }


def reasons(made: Simulation) -> dict[str, str]:
    """Return why pods of sets wait at the end, by pod."""
    pods = made.pods().filter(pl.col("started_us").is_null() & pl.col("reason").is_not_null())
    return dict(zip(pods["name"].to_list(), pods["reason"].to_list(), strict=True))


def hog(zone: str, cpu: str) -> Manifest:
    """Return a Deployment without pods yet, which are for a zone and take most of a node each."""
    made = workload("Deployment", f"hog-{zone}", replicas=0)
    spec = made["spec"]["template"]["spec"]
    spec["nodeSelector"] = {ZONE: zone}
    spec["containers"][0]["resources"]["requests"]["cpu"] = cpu
    return made


def scale(what: str, replicas: int, at: str = "5m") -> Manifest:
    return {"at": at, "scale": {"target": what, "replicas": replicas}}


GONE = {"at": "5m", "delete": {"pods": "app=web", "grace": "1s"}}
PARALLEL = {"podManagementPolicy": "Parallel"}


def crowded(fast: Manifest, cpu: str, **how: Any) -> Simulation:
    """Return a run in which the zone of web-0 is taken while its pods are away."""
    return play([*NODES, fast, stateful(**PARALLEL), hog("a", cpu)], [GONE, scale("deployment/hog-a", 2)], **how)


def test_a_pod_comes_back_to_the_zone_of_its_volume() -> None:
    found = zones_of(crowded(storage_class("fast", zones=ZONES), "7500m"))
    assert found == {"web-0": ["a", "a"], "web-1": ["b", "b"], "web-2": ["c", "c"]}
    # Where any node can use the volume it goes elsewhere.
    assert zones_of(crowded(storage_class("fast"), "7500m"))["web-0"] == ["a", "b"]


def test_it_waits_where_its_zone_is_full_and_says_why() -> None:
    made = crowded(storage_class("fast", zones=ZONES), "7950m")
    assert zones_of(made)["web-0"] == ["a", "?"]
    assert reasons(made)["web-0"].startswith(
        "0/6 nodes are available: 2 Insufficient cpu, 4 node(s) didn't match PersistentVolume's node affinity."
    )


def test_compiled_and_plain_come_to_the_same() -> None:
    runs = [crowded(storage_class("fast", zones=ZONES), "7950m", compiled=compiled) for compiled in (False, True)]
    plain, compiled = (made.pods() for made in runs)
    assert plain.equals(compiled)
    assert claims_of(runs[0]) == claims_of(runs[1]) == [f"data-web-{number}" for number in range(3)]


def test_the_parameter_topology_makes_a_class_zonal() -> None:
    fast = {**storage_class("fast"), "parameters": {"topology": "zonal"}}
    assert zones_of(crowded(fast, "7500m"))["web-0"] == ["a", "a"]


def test_local_volumes_hold_pods_to_their_nodes() -> None:
    disks = [volume(f"disk-{name}", 1, "local", affinity=only("kubernetes.io/hostname", name)) for name in ("b2", "c1")]
    objects = [*NODES, storage_class("local", NONE), *disks, stateful(classes=["local"])]
    made = play(objects, [GONE])
    found = nodes_of(made)
    assert {found["web-0"][0], found["web-1"][0]} == {"b2", "c1"}
    assert all(len(found[pod]) == 2 and len(set(found[pod])) == 1 for pod in ("web-0", "web-1"))
    # There is no third.
    assert set(found["web-2"]) == {None}
    assert reasons(made)["web-2"].startswith(
        "0/6 nodes are available: 6 node(s) didn't find available persistent volumes to bind."
    )


UNBOUND = "0/6 nodes are available: pod has unbound immediate PersistentVolumeClaims."


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ([], UNBOUND),
        ([storage_class("fast")], UNBOUND),
        ([storage_class("slow", NONE, IMMEDIATE)], UNBOUND),
    ],
)
def test_without_a_class_pods_wait(classes: list[Manifest], told: str) -> None:
    name = "slow" if classes and classes[0]["metadata"]["name"] == "slow" else None
    made = play([*NODES, *classes, stateful(classes=[name])], minutes=5)
    assert nodes_of(made) == {"web-0": [None]}
    assert reasons(made)["web-0"].startswith(told)
    assert claims_of(made) == ["data-web-0"]


def test_a_claim_without_a_class_is_of_the_default_one() -> None:
    default = storage_class("fast")
    default["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    made = play([*NODES, default, stateful(classes=[None])], minutes=5)
    assert sorted(nodes_of(made)) == ["web-0", "web-1", "web-2"]
    assert not reasons(made)


def test_a_claim_of_the_dump_holds_its_pod() -> None:
    there = volume("disk", 1, "fast", claim="data-web-1", affinity=only(ZONE, "c"), phase="Bound")
    objects = [*NODES, storage_class("fast"), there, claim("data-web-1", storage_class="fast", volume="disk")]
    made = play([*objects, stateful(**PARALLEL, replicas=6)], minutes=5)
    assert zones_of(made)["web-1"] == ["c"]
    assert claims_of(made) == [f"data-web-{number}" for number in range(6)]
    # All others go by one template: their claims say nothing of nodes.
    found = templates_of(made)
    assert len({template for pod, template in found.items() if pod != "web-1"}) == 1
    assert len(set(found.values())) == 2


def test_immediate_claims_are_bound_before_their_pods() -> None:
    disk = volume("disk", 1, "now", affinity=only(ZONE, "c"))
    made = play([*NODES, storage_class("now", mode=IMMEDIATE, zones=ZONES), disk, stateful(classes=["now"])], minutes=5)
    # The free volume first, then the class makes some, going round the zones by ordinals.
    assert zones_of(made) == {"web-0": ["c"], "web-1": ["b"], "web-2": ["c"]}


def test_limits_of_csi_drivers_count_what_pods_have_for_themselves() -> None:
    nodes = NODES[:3]
    limits = [csi_node(one["metadata"]["name"], csi=2) for one in nodes]
    made = play([*nodes, *limits, storage_class("fast"), stateful(**PARALLEL, replicas=8)], minutes=5)
    found = nodes_of(made)
    assert len(set(templates_of(made).values())) == 1
    assert sorted(str(where) for (where,) in found.values()) == ["None"] * 2 + ["a1", "a1", "a2", "a2", "b1", "b1"]
    assert set(reasons(made).values()) == {reasons(made)["web-6"]}
    assert reasons(made)["web-6"].startswith("0/3 nodes are available: 3 node(s) exceed max volume count.")
    assert made.cluster.driver_attached[0].tolist() == [2, 2, 2]


def test_volumes_of_pods_that_went_count_no_more() -> None:
    limits = [csi_node(one["metadata"]["name"], csi=1) for one in NODES[:3]]
    made = play([*NODES[:3], *limits, storage_class("fast"), stateful(**PARALLEL, replicas=4)],
                [scale("statefulset/web", 1)], minutes=10)  # fmt: skip
    assert sorted(made.cluster.driver_attached[0].tolist()) == [0, 0, 1]
    assert claims_of(made) == [f"data-web-{number}" for number in range(4)]


@pytest.mark.parametrize(("policy", "zones"), [("Retain", ["a", "a"]), ("Delete", ["a", "b"])])
def test_a_new_set_finds_the_claims_that_outlived_the_old_one(policy: str, zones: list[str], tmp_path: Path) -> None:
    web = stateful(retention={"whenDeleted": policy}, **PARALLEL)
    (tmp_path / "web.json").write_text(json.dumps(web))
    actions = [
        {"at": "5m", "delete": {"target": "statefulset/web"}}, scale("deployment/hog-a", 2),
        {"at": "10m", "apply": str(tmp_path / "web.json")},
    ]  # fmt: skip
    made = play([*NODES, storage_class("fast", zones=ZONES), web, hog("a", "7500m")], actions)
    assert zones_of(made)["web-0"] == zones
    table = made.living.tables()["objects"].filter(pl.col("kind") == "PersistentVolumeClaim")  # type: ignore[union-attr]
    assert set(table["created_us"].to_list()) == {0 if policy == "Retain" else 10 * MINUTE}
    assert set(table["owner"].to_list()) == {None if policy == "Retain" else "StatefulSet/web"}


@pytest.mark.parametrize(("policy", "claims"), [("Retain", 3), ("Delete", 1)])
def test_claims_of_pods_that_are_scaled_away(policy: str, claims: int) -> None:
    web = stateful(retention={"whenScaled": policy}, **PARALLEL)
    objects = [*NODES, storage_class("fast", zones=ZONES), web, hog("c", "7500m")]
    down = play(objects, [scale("statefulset/web", 1)], minutes=10)
    assert claims_of(down) == [f"data-web-{number}" for number in range(claims)]
    again = [scale("statefulset/web", 1), scale("deployment/hog-c", 2), scale("statefulset/web", 3, "10m")]
    # With its claim web-2 comes back to its zone, without it goes where there is room.
    assert (zones_of(play(objects, again))["web-2"] == ["c", "c"]) is (policy == "Retain")


def test_ordinals_that_a_scenario_adds_have_claims_of_their_own() -> None:
    more = {"at": "10m", "delete": {"pods": "app=web", "grace": "1s"}}
    objects = [*NODES, storage_class("fast", zones=ZONES), stateful(**PARALLEL)]
    found = zones_of(play(objects, [scale("statefulset/web", 6), more]))
    assert sorted(found) == [f"web-{number}" for number in range(6)]
    assert all(len(zones) == 2 and zones[0] == zones[1] for zones in found.values())
