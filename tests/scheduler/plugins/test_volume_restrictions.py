"""VolumeRestrictions: disks that are not shared, claims for one pod alone, and which pods that go are told of."""

from __future__ import annotations

from typing import Any

import pytest

from kscale.scheduler.counting import count_pod, count_trial
from kscale.scheduler.plugins.volume_restrictions import conflict, frees_a_volume, restricted
from kscale.state.descriptions import Disk
from tests.scheduler.claims import Object, both, claim, node, nodes_of, placed, pod, rejected, run, volume

NODES = [node("n0"), node("n1")]
NO_DISK = "node(s) had no available disk"
TAKEN = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
)
ONE_POD = ["ReadWriteOncePod"]


def gce(name: str, read_only: bool = False) -> Object:
    return {"gcePersistentDisk": {"pdName": name, "readOnly": read_only}}


def aws(name: str, read_only: bool = False) -> Object:
    return {"awsElasticBlockStore": {"volumeID": name, "readOnly": read_only}}


def iscsi(name: str, read_only: bool = False) -> Object:
    return {"iscsi": {"targetPortal": "10.0.0.1", "lun": 0, "iqn": name, "readOnly": read_only}}


def rbd(image: str, read_only: bool = False, pool: str = "p", monitors: tuple[str, ...] = ("m1", "m2")) -> Object:
    return {"rbd": {"monitors": list(monitors), "image": image, "pool": pool, "readOnly": read_only}}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (gce("d"), gce("d"), True),
        (gce("d"), gce("d", True), True),
        (gce("d", True), gce("d", True), False),
        (gce("d"), gce("e"), False),
        (aws("d", True), aws("d", True), True),  # never shared, not even to be read
        (aws("d"), aws("e"), False),
        (gce("d"), aws("d"), False),
        (iscsi("d"), iscsi("d", True), True),
        (iscsi("d", True), iscsi("d", True), False),
        (iscsi("d"), iscsi("e"), False),
        (rbd("i"), rbd("i"), True),
        (rbd("i", True), rbd("i", True), False),
        (rbd("i"), rbd("i", monitors=("m2", "m3")), True),  # one common monitor is enough
        (rbd("i"), rbd("i", monitors=("m3",)), False),
        (rbd("i"), rbd("i", pool="q"), False),
        (rbd("i"), rbd("j"), False),
    ],
)
def test_disks_that_are_not_shared(one: Object, other: Object, expected: bool) -> None:
    there = pod("there", on="n0", volumes=[one])
    found = placed([*NODES[:1], there], [pod("p", volumes=[other])])
    assert found[0].node == (None if expected else "n0")
    assert found[0].message == (f"0/1 nodes are available: 1 {NO_DISK}." if expected else "")


def test_a_conflict_is_the_same_both_ways() -> None:
    monitors = ("p", "i", "m1"), ("p", "i", "m1", "m2"), ("p", "i", "m2"), ("p", "j", "m1")
    disks = [Disk("rbd", names, read_only) for names in monitors for read_only in (False, True)]
    disks += [
        Disk(kind, ("d",), read_only) for kind in ("iscsi", "awsElasticBlockStore") for read_only in (False, True)
    ]
    for one in disks:
        assert [conflict(one, other) for other in disks] == [conflict(other, one) for other in disks]


def test_a_disk_is_free_elsewhere_and_once_its_pod_is_evicted() -> None:
    there = pod("there", on="n0", volumes=[gce("d")])
    assert nodes_of(placed([*NODES, there], [pod("p", volumes=[gce("d")]), pod("q", volumes=[gce("d")])])) == [
        "n1",
        None,
    ]
    found = placed([NODES[0], there], [pod("p", volumes=[gce("d")], priority=1)])
    assert (found[0].status, found[0].victims) == ("preempted", ("default/there",))


def test_a_missing_claim_turns_the_pod_away() -> None:
    found = placed(NODES, [pod("p", "missing")])
    reason = 'persistentvolumeclaim "missing" not found'
    assert (found[0].status, found[0].message) == ("unschedulable", f"0/2 nodes are available: {reason}.")


def sole(name: str) -> list[Object]:
    return [volume(f"v-{name}", claim=name, phase="Bound"), claim(name, volume=f"v-{name}", modes=ONE_POD)]


def test_a_claim_for_one_pod_rejects_every_node_while_it_is_taken() -> None:
    found = placed([*NODES, *sole("c"), *sole("d")], [pod("p", "c"), pod("q", "c"), pod("r", "d"), pod("s", "d", "c")])
    assert nodes_of(found) == ["n0", None, "n1", None]
    assert found[1].message == f"0/2 nodes are available: 2 {TAKEN}."


def test_others_of_that_name_in_another_namespace_do_not_count() -> None:
    other = claim("c", volume="w", modes=ONE_POD)
    other["metadata"]["namespace"] = "other"
    objects = [*NODES, *sole("c"), other, volume("w", phase="Bound")]
    assert nodes_of(placed(objects, [pod("p", "c"), pod("q", "c", namespace="other")])) == ["n0", "n1"]


def test_evicting_the_pod_that_has_the_claim_helps() -> None:
    found = placed([*NODES, *sole("c"), pod("there", "c", on="n1")], [pod("p", "c", priority=1)])
    assert (found[0].node, found[0].victims) == ("n1", ("default/there",))
    # Two such claims with pods on two nodes: no one eviction frees both.
    there = [pod("there", "c", on="n0"), pod("too", "d", on="n1")]
    found = placed([*NODES, *sole("c"), *sole("d"), *there], [pod("p", "c", "d", priority=1)])
    assert (found[0].status, found[0].victims) == ("unschedulable", ())


def test_bits_per_node_compiled_and_plain() -> None:
    objects = [
        *NODES, *sole("c"), pod("a", "c", on="n0", volumes=[gce("d")]), pod("b", on="n1", volumes=[gce("e", True)]),
    ]  # fmt: skip
    pending = [pod("p", volumes=[gce("d"), gce("e", True)], cpu="99"), pod("q", "c", volumes=[gce("e")], cpu="99")]
    simulation = run(objects, [*pending, pod("r", "c", cpu="99")])
    template = {len(t.disks) + 10 * len(t.description.claims): i for i, t in enumerate(simulation.building.templates)}
    assert rejected(restricted, simulation.cluster, template[2]) == [1, 0]
    assert rejected(restricted, simulation.cluster, template[10]) == [2, 2]
    assert rejected(restricted, simulation.cluster, 3) == [2, 1]


def test_only_the_end_of_a_pod_that_stood_in_the_way_helps() -> None:
    shared = [volume("w", claim="many", phase="Bound"), claim("many", volume="w", modes=["ReadWriteMany"])]
    pods = [
        pod("p", "many", volumes=[gce("d")], cpu="99"), pod("claim", "many", cpu="99"), pod("none", cpu="99"),
        pod("disk", volumes=[gce("d", True)], cpu="99"), pod("far", volumes=[gce("d")], namespace="other", cpu="99"),
        pod("other", volumes=[gce("e")], cpu="99"),
    ]  # fmt: skip
    cluster = run([*NODES, *shared], pods).cluster

    def helps(other: int, added: int = 0) -> Any:
        return both(frees_a_volume, cluster, 0, other, added)

    assert [bool(helps(other)) for other in range(6)] == [True, True, False, True, False, False]
    assert not any(helps(other, 1) for other in range(6))


def test_a_trial_counts_on_from_what_was_taken_when_the_try_began() -> None:
    """Pods that a trial moves change the count; claims that two pods have already count once at the start."""
    objects = [*NODES, *sole("c"), *sole("d"), pod("a", "c", on="n0"), pod("b", "c", on="n1")]
    pending = [pod("p", "c", cpu="99"), pod("q", "d", cpu="99"), pod("r", "d", volumes=[gce("x")], cpu="99")]
    cluster = run(objects, pending).cluster

    def shift(template: int, sign: int) -> None:
        both(count_pod, cluster, template, 0, sign)
        both(count_trial, cluster, template, 0, sign)

    assert cluster.sizes["template"] == 4  # the two pods on nodes share one
    templates = dict(zip("apqr", range(4), strict=True))
    shift(templates["a"], -1)
    assert rejected(restricted, cluster, templates["p"]) == [0, 0]
    shift(templates["a"], 1)
    assert rejected(restricted, cluster, templates["p"]) == [2, 2]
    shift(templates["q"], 1)  # a pod that waits for its node counts as there
    assert rejected(restricted, cluster, templates["q"]) == [0, 0]  # nothing was taken: not looked at again
    assert rejected(restricted, cluster, templates["r"]) == [2, 2]  # it names a disk, so it is
    shift(templates["q"], -1)
    assert rejected(restricted, cluster, templates["r"]) == [0, 0]
    both(count_pod, cluster, templates["q"], 0, 1)
    assert rejected(restricted, cluster, templates["q"]) == [2, 2]
