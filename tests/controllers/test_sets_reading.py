"""StatefulSets and DaemonSets as they are read: what is filled in, what is refused, what pods tolerate."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kscale import controllers
from kscale.controllers.common.daemonsets import TOLERATED, TOLERATED_ON_HOST
from kscale.errors import InputError
from kscale.state.manifests.faults import Item
from kscale.state.manifests.inventory import Inventory
from kscale.state.manifests.taking import Gathering
from tests.controllers.world import Hand

KINDS = ("StatefulSet", "DaemonSet")
MANIFESTS = {name: kind.manifest for name, kind in controllers.kinds().items() if kind.manifest is not None}
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]},
}


def read(kind: str, template: dict[str, Any] | None = None, **spec: Any) -> tuple[dict[str, Any], Inventory]:
    gathering = Gathering(manifests=MANIFESTS)
    whole = {"selector": {"matchLabels": {"app": "web"}}, "template": template or TEMPLATE, **spec}
    found = {
        "kind": kind, "apiVersion": "apps/v1", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {name: value for name, value in whole.items() if value is not None},
    }  # fmt: skip
    gathering.take(Item("objects.yaml", 1, kind, "apps/v1", msgspec.json.encode(found)))
    (made,) = gathering.workloads.made
    assert (made.kind, made.namespace, made.name) == (kind, "shop", "web")
    return made.columns, gathering.inventory()


def with_spec(**spec: Any) -> dict[str, Any]:
    return {**TEMPLATE, "spec": {**TEMPLATE["spec"], **spec}}


def test_defaults_of_a_stateful_set() -> None:
    columns, inventory = read("StatefulSet")
    assert columns == {
        "replicas": 1, "template": 0, "revision": 0, "start": 0, "management": 0, "strategy": 0, "partition": 0,
        "max_unavailable": 1, "max_unavailable_percent": 0, "min_ready_us": 0, "claims": 0, "claim_names": -1,
        "when_scaled": 0, "when_deleted": 0,
    }  # fmt: skip
    template = inventory.templates[inventory.wanted[0]]
    assert template.requests == (("cpu", 100),)
    # The set's own selector spreads its pods.
    assert template.default_selector is not None
    assert [one.key for one in template.default_selector.requirements] == ["app"]


def test_all_that_a_stateful_set_says() -> None:
    columns, inventory = read(
        "StatefulSet", replicas=7, minReadySeconds=9, podManagementPolicy="Parallel", ordinals={"start": 4},
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2, "maxUnavailable": "30%"}},
        volumeClaimTemplates=[{"metadata": {"name": "data"}}, {"metadata": {"name": "logs"}}],
        persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete", "whenDeleted": "Delete"},
    )  # fmt: skip
    assert {name: columns[name] for name in columns if name not in ("template", "revision")} == {
        "replicas": 7, "start": 4, "management": 1, "strategy": 0, "partition": 2, "max_unavailable": 30,
        "max_unavailable_percent": 1, "min_ready_us": 9_000_000, "claims": 2, "claim_names": 0, "when_scaled": 1,
        "when_deleted": 1,
    }  # fmt: skip
    assert len([text for text in inventory.ignored if "feature gate" in text]) == 1
    assert list(inventory.workloads.texts) == ["data\nlogs"]


def test_defaults_of_a_daemon_set_and_what_its_pods_tolerate() -> None:
    columns, inventory = read("DaemonSet")
    assert columns == {
        "template": 0, "revision": 0, "min_ready_us": 0, "strategy": 0, "max_unavailable": 1,
        "max_unavailable_percent": 0, "max_surge": 0, "max_surge_percent": 0,
    }  # fmt: skip
    found = inventory.templates[inventory.wanted[0]].description.tolerations
    assert [(one.key, one.operator, one.effect) for one in found] == [
        (key, "Exists", effect) for key, effect in TOLERATED
    ]
    own = [{"key": "dedicated", "operator": "Equal", "value": "db"}]
    _, inventory = read("DaemonSet", with_spec(hostNetwork=True, tolerations=own))
    found = inventory.templates[inventory.wanted[0]].description.tolerations
    assert [(one.key, one.effect) for one in found] == [("dedicated", ""), *TOLERATED, TOLERATED_ON_HOST]


def test_all_that_a_daemon_set_says() -> None:
    columns, _ = read(
        "DaemonSet", minReadySeconds=3, updateStrategy={"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
    )  # fmt: skip
    assert (columns["max_unavailable"], columns["max_surge"], columns["max_surge_percent"]) == (0, 25, 1)
    assert columns["min_ready_us"] == 3_000_000
    assert read("DaemonSet", updateStrategy={"type": "OnDelete"})[0]["strategy"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_that_says_something_else_is_another_revision(kind: str) -> None:
    gathering = Gathering(manifests=MANIFESTS)
    for number, note in enumerate(("a", "b", "a")):
        template = {**TEMPLATE, "metadata": {**TEMPLATE["metadata"], "annotations": {"restarted": note}}}
        found = {
            "kind": kind, "metadata": {"name": f"web-{number}"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
        }  # fmt: skip
        gathering.take(Item("objects.yaml", number + 1, kind, "apps/v1", msgspec.json.encode(found)))
    assert [made.columns["revision"] for made in gathering.workloads.made] == [0, 1, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_are_columns_of_the_kind(kind: str) -> None:
    columns, _ = read(kind)
    hand = Hand()
    one = hand.make(kind, "web", **columns)
    assert all(hand.read(one, name) == value for name, value in columns.items())


BOTH = [
    ({"selector": None}, "spec.selector"),
    ({"selector": {}}, "spec.selector"),
    ({"selector": {"matchLabels": {"app": "other"}}}, "spec.template.metadata.labels"),
    ({"minReadySeconds": -1}, "spec.minReadySeconds"),
    ({"revisionHistoryLimit": -1}, "spec.revisionHistoryLimit"),
    ({"updateStrategy": {"type": "Recreate"}}, "spec.updateStrategy.type"),
    ({"template": with_spec(restartPolicy="Never")}, "spec.template.spec.restartPolicy"),
    ({"template": with_spec(activeDeadlineSeconds=5)}, "spec.template.spec.activeDeadlineSeconds"),
    ({"template": {"metadata": {"labels": {"app": "web"}}}}, "spec.template.spec"),
]
ROLLING = "spec.updateStrategy.rollingUpdate"
STATEFUL = [
    ({"replicas": -1}, "spec.replicas"),
    ({"ordinals": {"start": -1}}, "spec.ordinals.start"),
    ({"podManagementPolicy": "Ordered"}, "spec.podManagementPolicy"),
    ({"updateStrategy": {"type": "OnDelete", "rollingUpdate": {}}}, ROLLING),
    ({"updateStrategy": {"rollingUpdate": {"partition": -1}}}, f"{ROLLING}.partition"),
    ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}}, f"{ROLLING}.maxUnavailable"),
    ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": "a%"}}}, f"{ROLLING}.maxUnavailable"),
    ({"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}},
     "spec.persistentVolumeClaimRetentionPolicy.whenScaled"),
    ({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep"}},
     "spec.persistentVolumeClaimRetentionPolicy.whenDeleted"),
    ({"volumeClaimTemplates": [{}]}, "spec.volumeClaimTemplates[0].metadata.name"),
    ({"volumeClaimTemplates": [{"metadata": {"name": "a"}}] * 2}, "spec.volumeClaimTemplates"),
    ({"volumeClaimTemplates": [{"metadata": {"name": "a"}, "spec": {"volumeMode": "Tape"}}]},
     "spec.volumeClaimTemplates[0].spec.volumeMode"),
    ({"volumeClaimTemplates": [{"metadata": {"name": "a"}, "spec": {"resources": {"requests": {"storage": "lots"}}}}]},
     "spec.volumeClaimTemplates[0].spec.resources.requests.storage"),
]  # fmt: skip
DAEMON = [
    ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}}, f"{ROLLING}.maxUnavailable"),
    ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": "101%"}}}, f"{ROLLING}.maxUnavailable"),
    ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}}, f"{ROLLING}.maxSurge"),
    ({"updateStrategy": {"rollingUpdate": {"maxSurge": -1}}}, f"{ROLLING}.maxSurge"),
]
REFUSED = [(kind, *one) for kind in KINDS for one in BOTH]
REFUSED += [("StatefulSet", *one) for one in STATEFUL] + [("DaemonSet", *one) for one in DAEMON]


@pytest.mark.parametrize(("kind", "spec", "field"), REFUSED)
def test_what_the_api_server_would_refuse_is_refused(kind: str, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        read(kind, **spec)
    assert caught.value.field == field
    assert str(caught.value.file) == f"objects.yaml, item 1 ({kind} shop/web)"
    assert caught.value.expected
