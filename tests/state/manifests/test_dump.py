"""A dump as kubectl gives it, with every field that the scheduler reads somewhere."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from benchmarks.dump import write
from kscale.state.descriptions import PodDescription, PodTemplate
from kscale.state.manifests import models, take_inventory
from kscale.state.manifests.pods import microseconds
from tests.state.manifests.making import same


def test_a_dump_is_the_same_twice_and_however_it_is_written(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "pretty")]
    for path in paths:
        write(path, 2500, 40, seed=3, pretty=path.name == "pretty")
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    inventory = take_inventory([paths[0]])
    assert same(inventory, take_inventory([paths[2]]))
    assert len(inventory.pods) == 2500 and len(inventory.nodes) == 40 and len(inventory.pending) == 25
    # Claims make templates of their own; beside them an app has one, or one per step of its life.
    assert len(inventory.templates) < 8 * 25 + 2 * 100
    assert inventory.pods.start_us[0] == microseconds(
        msgspec.convert("2026-05-04T08:00:00Z", type=models.Time)  # type: ignore[call-overload]
    )


def test_every_field_of_the_scheduler_is_somewhere(tmp_path: Path) -> None:
    write(tmp_path / "dump", 5000, 100)
    found = json.loads((tmp_path / "dump").read_text())["items"]
    specs = [msgspec.convert(one["spec"], models.PodSpec) for one in found if one["kind"] == "Pod"]
    missing = {f.name for f in msgspec.structs.fields(models.PodSpec) if all(getattr(s, f.name) is None for s in specs)}
    assert not missing
    templates = take_inventory([tmp_path / "dump"]).templates
    empty, plain = PodTemplate(), PodDescription()
    same_in_all = {name for name in vars(empty) if all(getattr(t, name) == getattr(empty, name) for t in templates)}
    # What a kubelet reads is read where kubelets are at work, and sets that make claims where controllers are; what is
    # refused is no pod.
    assert same_in_all == {"preempts", "disks", "terminating", "device_claims", "life", "claimant", "refused"}
    descriptions = [t.description for t in templates]
    same_in_all = {name for name in vars(plain) if all(getattr(d, name) == getattr(plain, name) for d in descriptions)}
    assert same_in_all == {"node_name", "profile", "own_drivers"}
