"""Claims that live: bound for good once a pod of theirs is placed, against plain rules; and what ordinals come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.placing import outcomes, simulation_of
from kscale.settings import Settings
from kscale.state.descriptions import Claim, PodTemplate, StorageClass, Surroundings, Volume
from kscale.state.labels import Requirement
from kscale.state.lives import PodLife
from kscale.state.manifests import inventory_of
from kscale.state.manifests.claiming import Claimant, Claiming
from kscale.state.manifests.inventory import NodeObject
from tests.scheduler.claims import HOST, ZONE, Object, claim, node, only, pod, storage_class, volume

NONE = "kubernetes.io/no-provisioner"
Topology = tuple[str, ...]
#: Classes by name: whether they make volumes, and the zones that they allow (None: any, and volumes go anywhere).
CLASSES: dict[str, tuple[bool, Topology | None]] = {
    "any": (True, None), "zonal": (True, ("a", "b")), "one": (True, ("a",)), "disks": (False, None),
}  # fmt: skip


class Plain:
    """What each claim is bound to, one claim and node at a time."""

    def __init__(self, zones: list[str | None], disks: list[int], claims: dict[str, str]) -> None:
        """Take the zone of each node, the node of each disk, and the class of each claim."""
        self.zones, self.claims = zones, claims
        self.free = dict(enumerate(disks))
        self.bound: dict[str, set[int]] = {}

    def is_possible(self, names: list[str], node: int) -> bool:
        wanted = 0
        for name in names:
            makes, zones = CLASSES[self.claims[name]]
            if name in self.bound:
                if node not in self.bound[name]:
                    return False
            elif not makes:
                wanted += 1
            elif zones is not None and self.zones[node] not in zones:
                return False
        return wanted <= sum(where == node for where in self.free.values())

    def place(self, names: list[str], node: int) -> None:
        for name in names:
            makes, zones = CLASSES[self.claims[name]]
            if name in self.bound:
                continue
            if not makes:
                disk = next(one for one, where in self.free.items() if where == node)
                del self.free[disk]
                self.bound[name] = {node}
            elif zones is None or self.zones[node] is None:
                self.bound[name] = set(range(len(self.zones)))
            else:
                self.bound[name] = {row for row, zone in enumerate(self.zones) if zone == self.zones[node]}


def objects_of(zones: list[str | None], disks: list[int], claims: dict[str, str]) -> list[Object]:
    return [
        *(node(f"n{row}", cpu="2", **({"zone": zone} if zone else {})) for row, zone in enumerate(zones)),
        *(
            storage_class(name, "csi" if makes else NONE, zones=allowed or ())
            for name, (makes, allowed) in CLASSES.items()
        ),
        *(volume(f"disk-{row}", 1, "disks", affinity=only(HOST, f"n{at}")) for row, at in enumerate(disks)),
        *(claim(name, storage_class=of) for name, of in claims.items()),
    ]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_placed_pods_bind_their_claims_for_good(data: st.DataObject) -> None:
    zones = data.draw(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=5))
    disks = data.draw(st.lists(st.integers(0, len(zones) - 1), max_size=3))
    claims = data.draw(st.dictionaries(st.sampled_from("stuvw"), st.sampled_from(sorted(CLASSES)), min_size=1))
    some = st.lists(st.sampled_from(sorted(claims)), max_size=2, unique=True)
    wanted = data.draw(st.lists(some, min_size=1, max_size=7))
    pending = [pod(f"p{row}", *names, cpu="500m") for row, names in enumerate(wanted)]
    inventory = inventory_of(objects_of(zones, disks, claims), pending)
    living = {name: replace(one, lives=True) for name, one in inventory.surroundings.claims.items()}
    inventory = replace(inventory, surroundings=replace(inventory.surroundings, claims=living))
    run = simulation_of(inventory, Settings(compiled=False), given=True)
    run.compile()
    run.run()
    plain, used = Plain(zones, disks, claims), [0] * len(zones)
    for names, found in zip(wanted, outcomes(run, inventory), strict=True):
        possible = [n for n in range(len(zones)) if used[n] < 4 and plain.is_possible(names, n)]
        if found.node is None:
            assert not possible, (names, found.message)
        else:
            where = int(found.node[1:])
            assert where in possible, (names, found)
            used[where] += 1
            plain.place(names, where)


def test_a_bound_claim_says_that_its_volume_is_elsewhere() -> None:
    objects = objects_of(["a", "b"], [], {"s": "zonal"})
    inventory = inventory_of(objects, [pod("p0", "s", cpu="2"), pod("p1", "s", cpu="2")])
    messages = []
    for lives in (False, True):
        living = {name: replace(one, lives=lives) for name, one in inventory.surroundings.claims.items()}
        told = replace(inventory, surroundings=replace(inventory.surroundings, claims=living))
        run = simulation_of(told, Settings(compiled=False), given=True)
        run.compile()
        run.run()
        messages.append(outcomes(run, told)[1].message)
    assert messages == [
        f"0/2 nodes are available: 1 Insufficient cpu, 1 {text}."
        for text in (
            "node(s) didn't find available persistent volumes to bind",
            "node(s) didn't match PersistentVolume's node affinity",
        )
    ]


# What ordinals come to


def surroundings(*found: Any) -> Surroundings:
    classes = {one.name: one for one in found if isinstance(one, StorageClass)}
    volumes = {one.name: one for one in found if isinstance(one, Volume)}
    claims = {one.name: one for one in found if isinstance(one, Claim)}
    return Surroundings(classes=classes, volumes=volumes, claims=claims)


def ordinals(around: Surroundings, *claims: Claim, most: int = 3, start: int = 0) -> tuple[PodTemplate, dict[int, Any]]:
    nodes = [NodeObject(f"n{row}", {ZONE: zone}, (), False, {}) for row, zone in enumerate("abab")]
    base = PodTemplate(life=PodLife())
    return Claiming(around, nodes).ordinals(Claimant("default", "web", start, claims), most, base)


ANY = StorageClass("any", "csi", True)
ZONAL = StorageClass("zonal", "csi", True, realm=(ZONE,))
NOW = StorageClass("now", "csi", False)
PLACED = Volume("disk", 9, ("ReadWriteOnce",), "any", terms=((Requirement(ZONE, "In", ("b",)),),))


def data_of(name: str | None, **more: Any) -> Claim:
    return Claim("data", request=5, access_modes=("ReadWriteOnce",), storage_class=name, **more)


def test_ordinals_that_nobody_can_tell_apart_go_by_one_template() -> None:
    shared, own = ordinals(surroundings(ANY, NOW), data_of("any"), replace(data_of("now"), name="logs"), most=1000)
    assert own == {}
    assert (shared.description.claims, shared.description.own_drivers, shared.claimant) == ((), ("csi", "csi"), "")
    assert shared.life is not None
    assert (shared.life.own_claims, shared.life.claims) == (2, ())


@pytest.mark.parametrize("of", [ZONAL, StorageClass("local", NONE, True), StorageClass("gone", "", False)])
def test_others_have_templates_that_name_their_claims(of: StorageClass) -> None:
    around = surroundings(of)
    shared, own = ordinals(around, data_of(of.name), start=4)
    assert shared.claimant == "default/web"
    assert {ordinal: one.description.claims for ordinal, one in own.items()} == {
        ordinal: (f"default/data-web-{ordinal}",) for ordinal in (4, 5, 6)
    }
    assert {one.life.claims for one in own.values()} == {(f"default/data-web-{ordinal}",) for ordinal in (4, 5, 6)}
    assert all(around.claims[f"default/data-web-{ordinal}"].lives for ordinal in own)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (replace(PLACED, claim="default/data-web-1", phase="Bound"), [1]),
        (replace(PLACED, terms=None, claim="default/data-web-1", phase="Bound"), []),
        (replace(PLACED, terms=None, labels=((ZONE, "a"),), claim="default/data-web-1", phase="Bound"), [1]),
        # One that is free may become any ordinal's.
        (replace(PLACED, phase="Available"), [0, 1, 2]),
        # One that is kept for a claim that nobody has made yet.
        (replace(PLACED, claim="default/data-web-2", phase="Available"), [0, 1, 2]),
        (replace(PLACED, claim="default/data-web-2", phase="Released"), [2]),
    ],
)
def test_volumes_that_are_there_tell_ordinals_apart(there: Volume, expected: list[int]) -> None:
    found = [replace(data_of("any"), name="default/data-web-1", volume="disk", bound=True)]
    around = surroundings(ANY, there, *(found if there.claim == "default/data-web-1" else ()))
    assert sorted(ordinals(around, data_of("any"))[1]) == expected


def test_immediate_claims_get_the_smallest_volume_that_fits_once() -> None:
    disks = [
        Volume(name, size, modes, "old", mode, labels=(("tier", tier),), phase=phase)
        for name, size, modes, mode, tier, phase in [
            ("small", 4, ("ReadWriteOnce",), "Filesystem", "x", "Available"),
            ("large", 9, ("ReadWriteOnce",), "Filesystem", "x", "Available"),
            ("right", 5, ("ReadWriteOnce",), "Filesystem", "x", "Available"),
            ("many", 5, ("ReadWriteMany",), "Filesystem", "x", "Available"),
            ("block", 5, ("ReadWriteOnce",), "Block", "x", "Available"),
            ("taken", 5, ("ReadWriteOnce",), "Filesystem", "x", "Bound"),
        ]
    ]
    around = surroundings(*disks)
    ordinals(around, data_of("old"))
    found = [around.claims[f"default/data-web-{ordinal}"] for ordinal in range(3)]
    assert [(one.volume, one.bound) for one in found] == [("right", True), ("large", True), ("", False)]
    assert around.volumes["right"].claim == "default/data-web-0"


def test_immediate_claims_of_a_zonal_class_go_round_its_zones() -> None:
    zonal = StorageClass("now", "csi", False, ((Requirement(ZONE, "In", ("a", "b", "c")),),), (ZONE,))
    around = surroundings(zonal)
    ordinals(around, data_of("now"), start=1)
    terms = [around.volumes[f"pvc-default-data-web-{ordinal}"].terms for ordinal in (1, 2, 3)]
    # No node is in the zone c.
    assert terms == [((Requirement(ZONE, "In", (zone,)),),) for zone in "bab"]


def test_a_claim_that_is_being_deleted_keeps_its_pod_away() -> None:
    found = replace(data_of("any"), name="default/data-web-0", deleted=True)
    assert sorted(ordinals(surroundings(ANY, found), data_of("any"))[1]) == [0]
