"""Runs over what only Kubernetes objects say: templates with labels and ports, pods that are bound already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.pods import UNKNOWN_START
from kscale.simulation import Objects, Settings, Simulation
from kscale.state.descriptions import (
    Claim,
    Disk,
    DisruptionBudget,
    PodDescription,
    PodTemplate,
    PodTerm,
    Selector,
    SpreadConstraint,
    StorageClass,
    Surroundings,
    Volume,
)
from kscale.state.intake import Sizes, gather
from kscale.state.labels import Requirement
from kscale.traces import NODES, PODS, SPECS, Trace

DEFAULTS = Settings()
NOTHING = Surroundings()
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_COLUMNS = {"cpu": "cpu_milli", "memory": "memory_bytes"}


def simulation_of(
    nodes: Sequence[dict[str, Any]],
    templates: list[PodTemplate],
    pods: Sequence[dict[str, Any]],
    settings: Settings = DEFAULTS,
    sizes: Sizes | None = None,
    surroundings: Surroundings = NOTHING,
) -> Simulation:
    """Return a run of pods: ``spec`` (row of templates), ``arrival_us``, ``duration_us``, ``node`` (row), ``begun_us``.

    ``nodes`` are rows as in a node list, ten pods each where nothing is stated, and ``images`` as (name, bytes) pairs.
    """
    images = [tuple(node.get("images", ())) for node in nodes]
    rows = [
        {"pods": 10, "name": f"n{row}", **{name: value for name, value in node.items() if name != "images"}}
        for row, node in enumerate(nodes)
    ]
    frame = pl.DataFrame(rows, schema=NODES)
    specs = pl.DataFrame(
        [{_COLUMNS[name]: amount for name, amount in template.requests} for template in templates], schema=SPECS
    )
    sets = list(dict.fromkeys(images))
    described = replace(
        gather(frame, specs).nodes, image_sets=tuple(sets), surroundings=surroundings,
        image_set=np.array([sets.index(each) for each in images], np.int32),
    )  # fmt: skip
    objects = Objects(
        described, templates,
        np.array([pod.get("node", -1) for pod in pods], np.int32),
        np.array([pod.get("begun_us", UNKNOWN_START) for pod in pods], np.int64),
    )  # fmt: skip
    named = [{"name": f"p{row}", "namespace": "default", "arrival_us": 0, **pod} for row, pod in enumerate(pods)]
    known = [{name: value for name, value in row.items() if name in PODS} for row in named]
    trace = Trace("objects", pl.DataFrame(known, schema=PODS), specs)
    return Simulation(trace, frame, settings, sizes=sizes, objects=objects)


def selector(key: str, *values: str) -> Selector:
    """Return a selector of a label: one of the values, or any where none is given."""
    return Selector((Requirement(key, "In" if values else "Exists", values),))


#: Templates that ask for everything: with them every plug-in is used, and all runs are of one kind.
EVERYTHING = [
    PodTemplate(
        PodDescription(images=("i0",), claims=("default/c0", "default/c2")), labels=(("app", "x"),), priority=1,
        ports=(("TCP", "0.0.0.0", 80),), spread=(SpreadConstraint(1, "zone", True, selector("app", "x")),),
        anti_affinity=(PodTerm("zone", selector("app", "y"), ("default",)),), devices=(("gpu", 1),),
        disks=(Disk("gcePersistentDisk", ("d",)),),
    ),
    PodTemplate(preferred_affinity=((1, PodTerm("zone", selector("app", "x"), ("default",))),)),
]  # fmt: skip


def random_simulation(rng: Random, settings: Settings = DEFAULTS, also: Sequence[PodTemplate] = ()) -> Simulation:
    """Return a run of a few pods that ask for everything there is to ask for, on a few nodes.

    No pod is of the templates ``also``.
    """
    nodes = [
        {
            "cpu_milli": rng.choice([1000, 2000, 4000]), "memory_bytes": rng.choice([1, 2, 1 << 8]) << 30,
            "labels": rng.choice(["zone=a", "zone=a", "zone=b", "disk=ssd", "zone=b,disk=ssd"]),
            "images": tuple((f"i{image}", (image + 1) << 27) for image in range(3) if rng.random() < 0.5),
        }
        for _ in range(rng.randint(2, 6))
    ]  # fmt: skip
    nodes[0]["images"] = (("i0", 1 << 28),)
    templates = [_random_template(rng) for _ in range(rng.randint(3, 7))]
    second = 1_000_000
    pods = [
        {
            "spec": rng.randrange(len(templates)), "arrival_us": rng.choice([0, 0, second, 3 * second]),
            "duration_us": rng.choice([None, 0, second // 2, 5 * second, 20 * second]),
            **({"node": rng.randrange(len(nodes)), "begun_us": rng.randrange(9)} if rng.random() < 0.3 else {}),
        }
        for _ in range(rng.randint(8, 20))
    ]  # fmt: skip
    sizes = Sizes(pod=4, arrival=8, ledger=4, timeline=4, diagnosis=4, event=2)
    return simulation_of(nodes, [*templates, *also], pods, settings, sizes, _random_surroundings(rng, len(nodes)))


def _random_term(rng: Random) -> PodTerm:
    return PodTerm(
        rng.choice(["zone", HOSTNAME, "disk"]), rng.choice([selector("app", "x"), selector("app"), Selector(), None]),
        rng.choice([("default",), ("default", "other")]),
    )  # fmt: skip


def _random_template(rng: Random) -> PodTemplate:
    def some(most: int, make: Any) -> tuple[Any, ...]:
        return tuple(make() for _ in range(rng.choice([0] * 3 + list(range(1, most + 1)))))

    spread = some(2, lambda: SpreadConstraint(
        rng.randint(1, 2), rng.choice(["zone", HOSTNAME, "disk"]), rng.random() < 0.5,
        rng.choice([selector("app", "x"), selector("app"), Selector()]), rng.choice([None, None, 2]),
        rng.random() < 0.7, rng.random() < 0.3,
    ))  # fmt: skip
    description = PodDescription(
        node_selector=rng.choice([()] * 4 + [(("zone", "a"),)]),
        images=some(2, lambda: f"i{rng.randrange(4)}"),
        claims=tuple(dict.fromkeys(some(2, lambda: f"default/c{rng.randrange(6)}"))),
    )
    return PodTemplate(
        description, rng.choice(["default", "default", "other"]), rng.choice([(), (("app", "x"),), (("app", "y"),)]),
        (("cpu", rng.choice([100, 300, 900])),), priority=rng.choice([0, 0, 5, 9]), preempts=rng.random() < 0.8,
        ports=some(2, lambda: ("TCP", rng.choice(["0.0.0.0", "10.0.0.1"]), rng.choice([80, 81]))), spread=spread,
        default_selector=rng.choice([None, selector("app", "x")]), affinity=some(1, lambda: _random_term(rng)),
        anti_affinity=some(1, lambda: _random_term(rng)),
        preferred_affinity=some(2, lambda: (rng.randint(1, 100), _random_term(rng))),
        preferred_anti_affinity=some(2, lambda: (rng.randint(1, 100), _random_term(rng))),
        disks=some(2, lambda: Disk("gcePersistentDisk", (rng.choice("de"),), rng.random() < 0.5)),
        gates=rng.choice([()] * 9 + [("wait",)]), terminating=rng.random() < 0.1,
        devices=some(1, lambda: (rng.choice(["gpu", "nic"]), rng.randint(1, 2))),
        device_claims=tuple(dict.fromkeys(some(2, lambda: f"default/d{rng.randrange(2)}"))),
    )  # fmt: skip


def _random_surroundings(rng: Random, nodes: int) -> Surroundings:
    """Claims c0 and c1 are bound (c1 for one pod alone), c2 to c5 wait: for a volume of two, or for one to be made."""
    c0, zone = "default/c0", ((Requirement("zone", "In", (rng.choice("ab"),)),),)
    volumes = [
        Volume("v0", 1 << 30, ("ReadWriteOnce",), terms=rng.choice([None, zone]), driver="csi", handle="h0", claim=c0),
        Volume("v1", 1 << 30, ("ReadWriteOncePod",), labels=((ZONE, "a"),), claim="default/c1"),
        Volume("v2", 1 << 30, ("ReadWriteOnce",), "local", terms=zone, phase="Available"),
        Volume("v3", 2 << 30, ("ReadWriteOnce",), "local", phase="Available", driver="csi", handle="h3"),
    ]  # fmt: skip
    claims = [
        Claim(c0, "u0", 1 << 30, ("ReadWriteOnce",), "", volume="v0", bound=True),
        Claim("default/c1", "u1", 1 << 30, ("ReadWriteOncePod",), "", volume="v1", bound=True),
        *(Claim(f"default/c{n}", f"u{n}", n << 28, ("ReadWriteOnce",), "local") for n in (2, 3)),
        *(Claim(f"default/c{n}", f"u{n}", 1 << 30, ("ReadWriteOnce",), "made") for n in (4, 5)),
    ]
    classes = [
        StorageClass("local", "kubernetes.io/no-provisioner", waits=True),
        StorageClass("made", "csi", waits=True, topologies=rng.choice([(), zone])),
    ]
    return Surroundings(
        {"default": {}, "other": {"team": "o"}}, {volume.name: volume for volume in volumes},
        {claim.name: claim for claim in claims}, {each.name: each for each in classes},
        {0: (("csi", 1),), **{n: (("csi", rng.choice([1, 2, None])),) for n in range(1, nodes, rng.choice([1, 2]))}},
        (DisruptionBudget("b", "default", selector("app", "x"), rng.randint(0, 2)),),
        {name: tuple((node, rng.randint(1, 4)) for node in range(nodes)) for name in ("gpu", "nic")},
    )  # fmt: skip
