"""VolumeZone: volumes with labels of a zone or region."""

from __future__ import annotations

import pytest

from kscale.scheduler.plugins.volume_zone import ZONE as PLUGIN
from kscale.scheduler.plugins.volume_zone import elsewhere
from kscale.state.manifests import inventory_of
from tests.scheduler.claims import (
    BETA_ZONE,
    REGION,
    ZONE,
    Object,
    claim,
    node,
    nodes_of,
    placed,
    pod,
    rejected,
    run,
    storage_class,
    volume,
)

NODES = [
    node("n0", zone="a", region="r"), node("n1", zone="b", region="r"), node("n2", beta="a"), node("n3", region="s"),
    node("n4"),
]  # fmt: skip
BETA_REGION = "failure-domain.beta.kubernetes.io/region"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, [0, 0, 0, 0, 0]),
        ({"other": "a"}, [0, 0, 0, 0, 0]),
        ({ZONE: "a"}, [0, 1, 1, 1, 0]),  # a node without any such label takes every volume
        ({ZONE: "a__b"}, [0, 0, 1, 1, 0]),
        ({ZONE: "a____b"}, [0, 0, 0, 0, 0]),  # an empty part: the label says nothing
        ({BETA_ZONE: "a"}, [0, 1, 0, 1, 0]),  # the newer label of a node stands in
        ({BETA_ZONE: "b"}, [1, 0, 1, 1, 0]),
        ({REGION: "r"}, [0, 0, 1, 1, 0]),
        ({BETA_REGION: "s"}, [1, 1, 1, 0, 0]),
        ({ZONE: "a", REGION: "s"}, [1, 1, 1, 1, 0]),
        ({ZONE: "none"}, [1, 1, 1, 1, 0]),
    ],
)
def test_nodes_where_a_volume_is(labels: dict[str, str], expected: list[int]) -> None:
    objects = [*NODES, volume("v", claim="c", labels=labels, phase="Bound"), claim("c", volume="v")]
    simulation = run(objects, [pod("p", "c", cpu="99")])
    assert rejected(elsewhere, simulation.cluster, 0) == expected


def test_all_volumes_of_a_pod_must_be_there() -> None:
    objects: list[Object] = [*NODES[:4]]
    for name, labels in (("c", {ZONE: "a__b"}), ("d", {ZONE: "b__c"}), ("e", {ZONE: "a"})):
        objects += [volume(f"v{name}", claim=name, labels=labels, phase="Bound"), claim(name, volume=f"v{name}")]
    found = placed(objects, [pod("p", "c", "d"), pod("q", "d", "e"), pod("r", "e")])
    assert nodes_of(found) == ["n1", None, "n0"]
    assert found[1].message == "0/4 nodes are available: 4 node(s) had no available volume zone."
    assert PLUGIN.unresolvable == (0,)


def test_a_claim_that_waits_is_nowhere_yet() -> None:
    objects = [*NODES, storage_class("made"), claim("c", storage_class="made"), volume("v", labels={ZONE: "b"})]
    assert nodes_of(placed(objects, [pod("p", "c")])) == ["n0"]


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([], 'persistentvolumeclaim "c" not found'),
        ([claim("c", volume="gone")], 'persistentvolume "gone" not found'),
        ([claim("c", storage_class=None)], "PersistentVolumeClaim had no pv name and storageClass name"),
        ([claim("c", storage_class="")], "PersistentVolumeClaim had no pv name and storageClass name"),
        ([claim("c", storage_class="none")], 'storageclass.storage.k8s.io "none" not found'),
        ([claim("c", storage_class="now"), storage_class("now", mode="Immediate")], "PersistentVolume had no name"),
        ([claim("c", storage_class="made"), storage_class("made")], None),
        ([claim("c", volume="v"), volume("v")], None),
    ],
)
def test_a_pod_is_turned_away_whose_volume_is_not_known(objects: list[Object], reason: str | None) -> None:
    inventory = inventory_of([*NODES, *objects], [pod("p", "c")])
    simulation = run([*NODES, *objects], [pod("p", "c")])
    assert PLUGIN.bar is not None
    bar = PLUGIN.bar(simulation.building.nodes, inventory.templates[0].description)
    assert (bar and bar.reason) == reason
    if objects and "volumeName" in objects[0]["spec"] and reason is not None:
        assert placed([*NODES, *objects], [pod("p", "c")])[0].message == f"0/5 nodes are available: {reason}."
