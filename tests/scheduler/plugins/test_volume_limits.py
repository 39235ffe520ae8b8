"""NodeVolumeLimits: volumes per driver and node, counted once each, kept as pods come and go."""

from __future__ import annotations

from random import Random
from typing import Any

from kscale.scheduler.plugins.volume_limits import LIMITS, NO_LIMIT, attach, may_detach, over_limit
from kscale.simulation import Simulation
from tests.scheduler.claims import (
    Object,
    both,
    claim,
    csi_node,
    node,
    nodes_of,
    placed,
    pod,
    rejected,
    run,
    storage_class,
    volume,
)

NODES = [node("n0"), node("n1"), node("n2")]
FULL = "node(s) exceed max volume count"


def attached(name: str, handle: str = "", driver: str = "csi", claim_name: str = "") -> list[Object]:
    """A bound claim with a volume of a driver."""
    kept = claim_name or name
    return [
        volume(f"v-{kept}", claim=kept, phase="Bound", handle=handle or f"h-{kept}", driver=driver),
        claim(kept, volume=f"v-{kept}"),
    ]


def test_a_node_takes_so_many_volumes() -> None:
    limits = [csi_node("n0", csi=1), csi_node("n1", csi=2)]
    objects = [*NODES[:2], *limits, *attached("a"), *attached("b"), *attached("c"), *attached("d")]
    found = placed(objects, [pod("p", "a", "b"), pod("q", "c"), pod("r", "d"), pod("s")])
    assert nodes_of(found) == ["n1", "n0", None, "n0"]
    assert found[2].message == f"0/2 nodes are available: 2 {FULL}."


def test_without_a_limit_or_a_driver_there_is_none() -> None:
    limits = [csi_node("n0", csi=0), csi_node("n1", csi=None), csi_node("n2", other=0)]
    objects = [*limits, *attached("a"), volume("plain", claim="b", phase="Bound"), claim("b", volume="plain")]
    for there, expected in ((NODES, "n1"), ([NODES[0], NODES[2]], "n2"), (NODES[:1], None)):
        assert nodes_of(placed([*there, *objects], [pod("p", "a"), pod("q", "b")]))[0] == expected
    assert nodes_of(placed([NODES[0], *objects], [pod("q", "b")])) == ["n0"]


def test_a_volume_that_is_there_already_counts_once() -> None:
    objects = [
        NODES[0],
        csi_node("n0", csi=2),
        *attached("a", "same"),
        *attached("b", "same"),
        *attached("c"),
        *attached("d"),
    ]
    found = placed(objects, [pod("p", "a"), pod("q", "a", "b"), pod("r", "c", "a"), pod("s", "d"), pod("t", "c", "b")])
    assert nodes_of(found) == ["n0", "n0", "n0", None, "n0"]


def test_a_node_over_its_limit_takes_what_is_new_of_no_limited_driver() -> None:
    there = pod("there", "a", "b", on="n0")
    objects = [
        NODES[0],
        csi_node("n0", csi=1, nfs=1),
        *attached("a"),
        *attached("b"),
        *attached("c", driver="nfs"),
        there,
    ]
    assert nodes_of(placed(objects, [pod("p", "a"), pod("q", "c"), pod("r", "c", "a")])) == ["n0", "n0", "n0"]


def test_a_claim_without_a_volume_counts_for_the_driver_of_its_class() -> None:
    objects = [NODES[0], csi_node("n0", csi=1), storage_class("made"), *(claim(c, storage_class="made") for c in "abc")]
    assert nodes_of(placed(objects, [pod("p", "a"), pod("q", "a"), pod("r", "b")])) == ["n0", "n0", None]


def test_evicting_pods_makes_room_when_no_other_has_the_volume() -> None:
    objects = [NODES[0], csi_node("n0", csi=1), *attached("a"), *attached("b")]
    there = [pod("one", "a", on="n0"), pod("two", "a", on="n0"), pod("idle", on="n0")]
    found = placed([*objects, *there], [pod("p", "b", priority=1)])
    assert found[0].victims == ("default/one", "default/two")
    kept = [pod("one", "a", on="n0"), pod("two", "a", on="n0", priority=2)]
    found = placed([*objects, *kept], [pod("p", "b", priority=1)])
    assert (found[0].status, found[0].victims) == ("unschedulable", ())


def cluster_of(rng: Random) -> tuple[Simulation, list[tuple[str, ...]]]:
    """A run of pods that do not fit, whose templates are then put on nodes by hand."""
    objects = [*NODES, csi_node("n0", csi=3, nfs=1), csi_node("n1", csi=1), csi_node("n2", nfs=2)]
    names = [f"c{row}" for row in range(6)]
    for row, name in enumerate(names):
        objects += attached(name, rng.choice([f"h{row}", "shared"]), "nfs" if row > 3 else "csi")
    mounts = [tuple(rng.sample(names, rng.randint(1, 4))) for _ in range(5)]
    pending = [pod(f"p{row}", *each, cpu="99") for row, each in enumerate([*mounts, *mounts, *mounts])]
    return run(objects, pending), mounts


def test_attachments_are_kept_exactly_compiled_and_plain() -> None:
    for seed in range(10):
        rng = Random(seed)
        simulation, _ = cluster_of(rng)
        cluster = simulation.cluster
        limits = simulation.building.nodes.surroundings.limits
        mine = [handles_of(simulation, template) for template in range(len(simulation.building.templates))]
        there: list[list[int]] = [[], [], []]
        for _ in range(25):
            node_row = rng.randrange(3)
            if there[node_row] and rng.random() < 0.5:
                template = there[node_row].pop(rng.randrange(len(there[node_row])))
                both(attach, cluster, template, node_row, -1)
            else:
                template = rng.randrange(len(mine))
                if sum(each.count(template) for each in there) == 3:
                    continue  # no more pods of it than the run has: the pool is as long as what they mount
                there[node_row].append(template)
                both(attach, cluster, template, node_row, 1)
            for template, wanted in enumerate(mine):
                expected = []
                for row in range(3):
                    held = {handle for other in there[row] for handle in mine[other]}
                    over = False
                    for driver, most in limits.get(row, ()):
                        new = sum(handle[0] == driver for handle in wanted - held)
                        count = sum(handle[0] == driver for handle in held)
                        over = over or (new > 0 and most is not None and count + new > most)
                    expected.append(int(over))
                assert rejected(over_limit, cluster, template) == expected
        for row in range(3):
            for template in there[row]:
                both(attach, cluster, template, row, -1)
        assert not cluster.driver_attached.any()
        assert (cluster.attachable_first == -1).all()


def handles_of(simulation: Simulation, template: int) -> set[tuple[str, str]]:
    surroundings = simulation.building.nodes.surroundings
    claims = [surroundings.claims[name] for name in simulation.building.templates[template].description.claims]
    found = [surroundings.volumes[each.volume] for each in claims]
    return {(each.driver, each.handle) for each in found}


def test_the_pool_is_as_long_as_what_all_pods_mount() -> None:
    objects = [*NODES, csi_node("n0", csi=5), *attached("a"), *attached("b", driver="other")]
    pending = [pod(f"p{row}", "a", "b", cpu="99") for row in range(2)]
    simulation = run(objects, pending)
    assert simulation.cluster.sizes["attachment"] == 2
    assert simulation.cluster.sizes["driver"] == 1
    assert simulation.cluster.driver_limit.tolist() == [[5, NO_LIMIT, NO_LIMIT]]
    # Never more than every volume on every node.
    assert run(objects, [pod(f"p{row}", "a", cpu="99") for row in range(9)]).cluster.sizes["attachment"] == 3
    building = simulation.building
    building.pods_of = None
    assert LIMITS.plan is not None
    LIMITS.plan(building)
    assert building.lay_out(["attachment"])["attachment"] == 3


def test_the_end_of_a_pod_with_any_claim_may_help() -> None:
    disk = {"gcePersistentDisk": {"pdName": "d"}}
    pods: list[Any] = [pod("p", "a", cpu="99"), pod("plain", cpu="99"), pod("disk", volumes=[disk], cpu="99")]
    cluster = run([*NODES, csi_node("n0", csi=5), *attached("a")], pods).cluster
    assert [bool(both(may_detach, cluster, 0, other, 0)) for other in range(3)] == [True, False, True]
    assert not any(both(may_detach, cluster, 0, other, 1) for other in range(3))


def test_it_is_left_out_where_no_driver_is_limited() -> None:
    assert LIMITS.used is not None
    for limits, expected in (([], False), ([csi_node("n0", csi=None)], False), ([csi_node("n0", other=1)], False)):
        assert LIMITS.used(run([*NODES, *limits, *attached("a")], [pod("p", "a")]).building) is expected
    assert LIMITS.used(run([*NODES, csi_node("n1", csi=0), *attached("a")], [pod("p", "a")]).building)
