"""Deployments, ReplicaSets and ReplicationControllers as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from kscale import controllers
from kscale.controllers.common.replicated import bound, number
from kscale.controllers.deployment import COLUMNS
from kscale.errors import InputError
from kscale.state.manifests.inventory import Inventory
from kscale.state.manifests.reading import ReadOptions
from kscale.state.manifests.taking import gather_objects
from kscale.state.manifests.workloads import HASH_LABEL, content_hash

MANIFESTS = {name: kind.manifest for name, kind in controllers.kinds().items() if kind.manifest is not None}
LABELS = {"app": "web"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "app:v1"}]}}
SECOND = 1_000_000


def spec(**more: Any) -> dict[str, Any]:
    return {"selector": {"matchLabels": LABELS}, "template": TEMPLATE, **more}


def read(tmp_path: Path, *objects: dict[str, Any]) -> Inventory:
    (tmp_path / "all.json").write_bytes(msgspec.json.encode({"kind": "List", "apiVersion": "v1", "items": objects}))
    return gather_objects([tmp_path / "all.json"], ReadOptions(), MANIFESTS).inventory()


def thing(kind: str, body: dict[str, Any], version: str = "apps/v1", **meta: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "web", **meta}, "spec": body}


def columns(tmp_path: Path, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    return [made.columns for made in read(tmp_path, *objects).workloads.made]


def test_defaults_of_a_deployment(tmp_path: Path) -> None:
    [found] = columns(tmp_path, thing("Deployment", spec()))
    assert found == {
        "replicas": 1, "template": 0, "content": 0, "min_ready_us": 0, "strategy": 0, "surge": 25, "surge_percent": 1,
        "unavailable": 25, "unavailable_percent": 1, "history_limit": 10, "deadline_us": 600 * SECOND, "paused": 0,
        "rollback_to": -1, "revision": 0, "status_replicas": 0, "updated_replicas": 0, "ready_replicas": 0,
        "available_replicas": 0, "unavailable_replicas": 0, "progressing": 0, "availability": 0,
    }  # fmt: skip
    assert set(found) <= {column.name for column in COLUMNS["deployment"].columns}


def test_a_deployment_that_says_all(tmp_path: Path) -> None:
    body = spec(
        replicas=7, minReadySeconds=3, revisionHistoryLimit=2, progressDeadlineSeconds=20, paused=True,
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "40%", "maxUnavailable": 2}},
    )  # fmt: skip
    notes = {"deployment.kubernetes.io/revision": "4", "deprecated.deployment.rollback.to": "0"}
    status = {
        "replicas": 9, "updatedReplicas": 3, "readyReplicas": 6, "availableReplicas": 5, "unavailableReplicas": 4,
        "conditions": [{"type": "Available", "reason": "MinimumReplicasAvailable"},
                       {"type": "Progressing", "reason": "ReplicaSetUpdated"}],
    }  # fmt: skip
    [found] = columns(tmp_path, {**thing("Deployment", body, annotations=notes), "status": status})
    expected = {
        "replicas": 7, "min_ready_us": 3 * SECOND, "history_limit": 2, "deadline_us": 20 * SECOND, "paused": 1,
        "surge": 40, "surge_percent": 1, "unavailable": 2, "unavailable_percent": 0, "revision": 4, "rollback_to": 0,
        "status_replicas": 9, "updated_replicas": 3, "ready_replicas": 6, "available_replicas": 5,
        "unavailable_replicas": 4, "progressing": 3, "availability": 1,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_the_largest_number_is_none(tmp_path: Path) -> None:
    body = spec(revisionHistoryLimit=2**31 - 1, progressDeadlineSeconds=2**31 - 1, strategy={"type": "Recreate"})
    [found] = columns(tmp_path, thing("Deployment", body))
    assert (found["history_limit"], found["deadline_us"], found["strategy"]) == (-1, -1, 1)


def test_a_replica_set_of_a_dump_is_its_deployments(tmp_path: Path) -> None:
    """It has a hash of its own in its labels and selector, and its template is the Deployment's all the same."""
    own = {**LABELS, HASH_LABEL: "65d4f9"}
    template = {**TEMPLATE, "metadata": {"labels": own, "creationTimestamp": None}}
    other = {**template, "spec": {"containers": [{"name": "c", "image": "app:v0"}]}}
    owner = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "controller": True}]
    notes = {"revision": "3", "desired-replicas": "4", "max-replicas": "5"}
    meta = {"ownerReferences": owner, "annotations": {f"deployment.kubernetes.io/{k}": v for k, v in notes.items()}}
    sets = [
        {**thing("ReplicaSet", {"replicas": 4, "selector": {"matchLabels": own}, "template": one}, **meta),
         "status": {"replicas": 4, "readyReplicas": 3, "availableReplicas": 2}}
        for one in (template, other)
    ]  # fmt: skip
    sets[0]["metadata"]["name"], sets[1]["metadata"]["name"] = "web-65d4f9", "web-7"
    found = read(tmp_path, thing("Deployment", spec(replicas=4)), *sets)
    deployment, new, old = (made.columns for made in found.workloads.made)
    assert deployment["content"] == new["content"] != old["content"]
    assert (new["revision"], new["desired"], new["most"]) == (3, 4, 5)
    assert (new["status_replicas"], new["ready_replicas"], new["available_replicas"]) == (4, 3, 2)
    assert found.workloads.made[1].owner == ("Deployment", "web")


def test_pods_get_the_hash_label_where_something_reads_it(tmp_path: Path) -> None:
    inventory = read(tmp_path, thing("Deployment", spec()))
    template = inventory.templates[inventory.wanted[0]]
    hash_ = content_hash(0, "default", "web")
    assert dict(template.labels) == {"app": "web", HASH_LABEL: hash_}
    assert template.default_selector is not None
    assert {one.key: one.values for one in template.default_selector.requirements} == {
        "app": ("web",), HASH_LABEL: (hash_,)
    }  # fmt: skip


def test_defaults_of_the_others(tmp_path: Path) -> None:
    set_, controller = columns(
        tmp_path, thing("ReplicaSet", spec()), thing("ReplicationController", {"template": TEMPLATE}, "v1")
    )
    both = {"replicas": 1, "min_ready_us": 0, "status_replicas": -1, "ready_replicas": 0, "available_replicas": 0}
    assert set_ == {**both, "template": 0, "content": 0, "revision": 0, "desired": -1, "most": -1}
    assert controller == {**both, "template": 1}


BAD = [
    ("Deployment", spec(replicas=-1), "field 'spec.replicas': is -1"),
    ("Deployment", spec(minReadySeconds=-2), "field 'spec.minReadySeconds': is -2"),
    ("Deployment", spec(revisionHistoryLimit=-1), "field 'spec.revisionHistoryLimit': is -1"),
    ("Deployment", spec(minReadySeconds=600), "field 'spec.progressDeadlineSeconds': is 600; expected more than"),
    ("Deployment", spec(selector=None), "field 'spec.selector': is missing"),
    ("Deployment", spec(selector={}), "field 'spec.selector': selects everything"),
    ("Deployment", spec(selector={"matchLabels": {"app": "other"}}), "field 'spec.selector': does not match"),
    ("Deployment", spec(template=None), "field 'spec.template.spec': is missing"),
    ("Deployment", spec(template={**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}),
     "field 'spec.template.spec.restartPolicy': is 'Never'"),
    ("Deployment", spec(strategy={"type": "Rolling"}), "field 'spec.strategy.type': 'Rolling' is not known"),
    ("Deployment", spec(strategy={"type": "Recreate", "rollingUpdate": {}}), "field 'spec.strategy.rollingUpdate'"),
    ("Deployment", spec(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}), "is 0, and so is"),
    ("Deployment", spec(strategy={"rollingUpdate": {"maxSurge": "oops"}}), "maxSurge': is 'oops'"),
    ("Deployment", spec(strategy={"rollingUpdate": {"maxSurge": "55%", "maxUnavailable": "urg"}}), "is 'urg'"),
    ("Deployment", spec(strategy={"rollingUpdate": {"maxUnavailable": "101%"}}), "maxUnavailable': is 101%"),
    ("Deployment", spec(strategy={"rollingUpdate": {"maxSurge": -3}}), "maxSurge': is -3"),
    ("Deployment", spec(replicas="two"), "field 'spec.replicas': is text; expected a whole number"),
    ("ReplicaSet", spec(replicas=-4), "field 'spec.replicas': is -4"),
    ("ReplicaSet", spec(selector={"matchLabels": {"app": "other"}}), "field 'spec.selector': does not match"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "told"), BAD, ids=[row[2] for row in BAD])
def test_what_the_api_server_would_refuse_is_told_in_one_line(
    tmp_path: Path, kind: str, body: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, thing(kind, body))
    line = str(caught.value)
    assert told in line
    assert f"item 1 ({kind} default/web)" in line
    assert "xpected " in line
    assert "\n" not in line


def test_a_controller_whose_selector_does_not_match_is_refused(tmp_path: Path) -> None:
    for body in ({"template": TEMPLATE, "selector": {"app": "other"}}, {"template": {"spec": TEMPLATE["spec"]}}):
        with pytest.raises(InputError, match=r"spec\.selector"):
            read(tmp_path, thing("ReplicationController", body, "v1"))


def test_bounds_and_numbers() -> None:
    assert [bound(value, "x") for value in (None, 0, 3, "0%", "39%", "150%")] == [
        (25, True), (0, False), (3, False), (0, True), (39, True), (150, True)
    ]  # fmt: skip
    assert [number(value, "x", 7) for value in (None, 0, 2**31 - 1)] == [7, 0, 2**31 - 1]
    with pytest.raises(InputError):
        number(2**31, "x", 7)
