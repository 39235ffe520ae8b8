"""What the API server fills in of a pod, and what the scheduler sees of it, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from kscale.errors import InputError
from kscale.state.descriptions import Disk, PodTerm, Selector, SpreadConstraint
from kscale.state.labels import Requirement, Toleration
from kscale.state.manifests import inventory_of
from tests.state.manifests.making import SELECT, container, node, pod, template, thing

HARD, SOFT = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"


def is_in(key: str, *values: str) -> Requirement:
    return Requirement(key, "In", values)


def priority(name: str, value: int, **more: Any) -> dict[str, Any]:
    return thing("PriorityClass", name, "scheduling.k8s.io/v1", value=value, **more)


def test_priorities() -> None:
    classes = [priority("low", -5), priority("high", 10, preemptionPolicy="Never")]
    assert template(pod(), *classes).priority == 0
    assert template(pod(priorityClassName="low"), *classes).priority == -5
    high = template(pod(priorityClassName="high"), *classes)
    assert (high.priority, high.preempts) == (10, False)
    assert template(pod(priorityClassName="system-node-critical")).priority == 2_000_001_000
    assert template(pod(priorityClassName="system-cluster-critical")).priority == 2_000_000_000
    assert template(pod(preemptionPolicy="Never")).preempts is False


def test_a_global_default_is_for_pods_without_a_class() -> None:
    classes = [priority("usual", 7, globalDefault=True, preemptionPolicy="Never"), priority("high", 10)]
    usual = template(pod(), *classes)
    assert (usual.priority, usual.preempts) == (7, False)
    assert template(pod(priorityClassName="high"), *classes).priority == 10
    assert template(pod(), *classes, priority("other", 3, globalDefault=True)).priority == 3


def test_a_stated_priority_stands() -> None:
    found = template(pod(priority=99, priorityClassName="gone", preemptionPolicy="PreemptLowerPriority"))
    assert (found.priority, found.preempts) == (99, True)
    with pytest.raises(InputError, match=r"there is no PriorityClass 'hihg'; did you mean 'high'\?"):
        template(pod(priorityClassName="hihg"), priority("high", 1))


def test_ports() -> None:
    ports = [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}, {"containerPort": 80, "hostPort": 8080}]
    udp = {"containerPort": 53, "hostPort": 53, "hostIP": "127.0.0.1", "protocol": "UDP"}
    init = container(ports=[{"containerPort": 1, "hostPort": 1}])
    found = template(pod(containers=[container(ports=[*ports, udp])], initContainers=[init]))
    assert found.ports == (("TCP", "0.0.0.0", 8080), ("UDP", "127.0.0.1", 53))
    sidecar = init | {"restartPolicy": "Always"}
    assert template(pod(initContainers=[sidecar])).ports == (("TCP", "0.0.0.0", 1),)
    own = template(pod(containers=[container(ports=[{"containerPort": 80}])], hostNetwork=True))
    assert own.ports == (("TCP", "0.0.0.0", 80),)


def test_images_have_tags_and_count_per_container() -> None:
    names = ["app", "registry:5000/app", "registry:5000/app:v2", "app@sha256:abc", "app:v1"]
    found = template(
        pod(containers=[container(image=name) for name in names], initContainers=[container(image="init")])
    )
    images = (
        "init:latest",
        "app:latest",
        "registry:5000/app:latest",
        "registry:5000/app:v2",
        "app@sha256:abc",
        "app:v1",
    )
    assert found.description.images == images


def test_node_affinity() -> None:
    terms = [
        {"matchExpressions": [{"key": "gen", "operator": "Gt", "values": ["-5"]}]},
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
        {},
    ]
    preferred = [{"weight": 3, "preference": {}}]
    affinity = {"nodeAffinity": {HARD: {"nodeSelectorTerms": terms}, SOFT: preferred}}
    found = template(pod(affinity=affinity, nodeSelector={"b": "2", "a": "1"})).description
    assert found.terms == (
        (Requirement("gen", "Gt", ("-5",)),),
        (Requirement("metadata.name", "In", ("n1",), field=True),),
        (),
    )
    assert found.preferred == ((3, ()),)
    assert found.node_selector == (("a", "1"), ("b", "2"))
    assert template(pod()).description.terms is None
    assert template(pod(affinity={"nodeAffinity": {HARD: {"nodeSelectorTerms": []}}})).description.terms == ()


def test_tolerations_stay_as_they_are() -> None:
    stated = [
        {"key": "a", "value": "1"},
        {"operator": "Exists", "tolerationSeconds": 3},
        {"key": "b", "operator": "Exists"},
    ]
    assert template(pod(tolerations=stated)).description.tolerations == (
        Toleration("a", "Equal", "1", ""),
        Toleration("", "Exists", "", ""),
        Toleration("b", "Exists", "", ""),
    )


def test_keys_of_pod_affinity_are_merged_into_the_selector() -> None:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
    labels = {"app": "web", "hash": "7", "tenant": "t"}
    merged = term | {"matchLabelKeys": ["hash", "gone"], "mismatchLabelKeys": ["tenant"]}
    found = template(pod(meta={"labels": labels}, affinity={"podAffinity": {HARD: [merged]}}))
    not_in = Requirement("tenant", "NotIn", ("t",))
    assert found.affinity == (PodTerm("zone", Selector((is_in("app", "x"), is_in("hash", "7"), not_in)), ("default",)),)
    # A dump of a live cluster has them merged already: once is enough.
    merged["labelSelector"] = {
        "matchLabels": {"app": "x"},
        "matchExpressions": [
            {"key": "hash", "operator": "In", "values": ["7"]},
            {"key": "tenant", "operator": "NotIn", "values": ["t"]},
        ],
    }
    assert template(pod(meta={"labels": labels}, affinity={"podAffinity": {HARD: [merged]}})).affinity == found.affinity
    none = {"topologyKey": "zone", "matchLabelKeys": ["hash"]}
    assert template(pod(meta={"labels": labels}, affinity={"podAntiAffinity": {HARD: [none]}})).anti_affinity == (
        PodTerm("zone", None, ("default",)),
    )


def test_namespaces_of_pod_affinity() -> None:
    def term(**more: Any) -> PodTerm:
        affinity = {"podAffinity": {SOFT: [{"weight": 2, "podAffinityTerm": {"topologyKey": "z", **more}}]}}
        ((weight, found),) = template(pod(affinity=affinity)).preferred_affinity
        assert weight == 2
        return found

    assert term().namespaces == ("default",)
    assert term(namespaces=["b", "a"]).namespaces == ("a", "b")
    assert term(namespaceSelector={}) == PodTerm("z", None, (), Selector())
    assert term(namespaces=["a"], namespaceSelector={"matchLabels": {"x": "y"}}) == PodTerm(
        "z", None, ("a",), Selector((is_in("x", "y"),))
    )


def test_spread_constraints() -> None:
    plain = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    whole = plain | {"whenUnsatisfiable": "DoNotSchedule", "minDomains": 2, "nodeAffinityPolicy": "Ignore"}
    whole |= {"nodeTaintsPolicy": "Honor", "labelSelector": {}, "matchLabelKeys": ["hash"]}
    found = template(pod(meta={"labels": {"hash": "1"}}, topologySpreadConstraints=[plain, whole])).spread
    assert found == (
        SpreadConstraint(1, "zone", False, None),
        SpreadConstraint(1, "zone", True, Selector((is_in("hash", "1"),)), 2, False, True),
    )


def owned(kind: str, name: str, version: str = "apps/v1", **more: Any) -> dict[str, Any]:
    owner = {"apiVersion": version, "kind": kind, "name": name, "uid": "u", "controller": True}
    return pod(meta={"labels": {"app": "web", "tier": "front"}, "ownerReferences": [owner]}, **more)


def test_default_selectors_come_from_services_and_the_controller() -> None:
    service = thing("Service", "web", spec={"selector": {"app": "web"}})
    other = thing("Service", "other", spec={"selector": {"app": "web", "tier": "back"}})
    none = thing("Service", "none", spec={})
    empty = thing("Service", "empty", spec={"selector": {}})
    far = thing("Service", "far", meta={"namespace": "far"}, spec={"selector": {"app": "web"}})
    labels = {"labels": {"app": "web"}}
    assert template(pod(), service, none, empty).default_selector is None
    assert template(pod(meta=labels), none, empty, far).default_selector is None
    assert template(pod(meta=labels), service, other).default_selector == Selector((is_in("app", "web"),))
    replicas = thing("ReplicaSet", "web", "apps/v1", spec={"selector": SELECT})
    whole = Selector((is_in("app", "web"), is_in("tier", "front")))
    assert template(owned("ReplicaSet", "web"), replicas).default_selector == whole
    assert template(owned("ReplicaSet", "web"), replicas, service).default_selector == whole
    assert template(owned("ReplicaSet", "gone"), replicas).default_selector is None
    assert template(owned("ReplicaSet", "web", "v1"), replicas).default_selector is None
    assert template(owned("Job", "web"), replicas).default_selector is None
    old = thing("ReplicationController", "web", spec={"template": {"metadata": {"labels": {"app": "web"}}}})
    assert template(owned("ReplicationController", "web", "v1"), old).default_selector == Selector(
        (is_in("app", "web"),)
    )
    own = {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}
    assert template(owned("ReplicaSet", "web", topologySpreadConstraints=[own]), replicas).default_selector is None


def test_volumes() -> None:
    volumes = [
        {"name": "token", "projected": {}},
        {"name": "x", "ephemeral": {}},
        {"name": "a", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "b", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}},
        {"name": "d", "gcePersistentDisk": {"pdName": "g", "readOnly": True}},
        {"name": "e", "awsElasticBlockStore": {"volumeID": "v"}},
        {"name": "f", "iscsi": {"iqn": "q"}},
        {"name": "g", "rbd": {"monitors": ["m2", "m1"], "image": "i", "pool": "p"}},
    ]
    found = template(pod(volumes=volumes))
    assert found.description.claims == ("default/p-x", "default/c")
    assert found.disks == (
        Disk("gcePersistentDisk", ("g",), True),
        Disk("awsElasticBlockStore", ("v",)),
        Disk("iscsi", ("q",)),
        Disk("rbd", ("p", "i", "m1", "m2")),
    )


def test_labels_that_nobody_reads_make_no_templates() -> None:
    service = thing("Service", "web", spec={"selector": {"app": "web"}})
    pods = [pod(f"p{i}", meta={"labels": {"app": "web", "unique": f"u{i}"}}) for i in range(5)]
    inventory = inventory_of([node(), service], pods)
    assert len(inventory.templates) == 1
    assert inventory.templates[0].labels == (("app", "web"),)
    term = {"topologyKey": "z", "labelSelector": {"matchLabels": {"unique": "u1"}}}
    far = pod("far", affinity={"podAffinity": {HARD: [term | {"namespaces": ["elsewhere"]}]}})
    assert len(inventory_of([node(), service], [*pods, far]).templates) == 2
    near = pod("near", affinity={"podAffinity": {HARD: [term | {"namespaceSelector": {}}]}})
    assert len(inventory_of([node(), service], [*pods, near]).templates) == 6


def test_what_else_the_scheduler_reads() -> None:
    found = template(
        pod(
            meta={"deletionTimestamp": "2026-01-01T00:00:00Z"},
            schedulerName="mine",
            schedulingGates=[{"name": "b"}, {"name": "a"}],
            nodeName="n1",
        )
    )
    assert found.terminating and found.gates == ("b", "a")
    assert (found.description.profile, found.description.node_name) == ("mine", "n1")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"containers": []}, "spec.containers"),
        ({"restartPolicy": "always"}, "spec.restartPolicy"),
        ({"tolerations": [{"key": "a", "operator": "exists"}]}, "spec.tolerations[0].operator"),
        ({"tolerations": [{"key": "a", "effect": "NoSchedul"}]}, "spec.tolerations[0].effect"),
        ({"tolerations": [{"value": "a"}]}, "spec.tolerations[0]"),
        ({"tolerations": [{"operator": "Exists", "value": "a"}]}, "spec.tolerations[0].value"),
        ({"nodeSelector": {"bad key": "a"}}, "spec.nodeSelector"),
        ({"nodeSelector": {"a": "b c"}}, "spec.nodeSelector.a"),
        ({"nodeName": "Bad_Name"}, "spec.nodeName"),
        ({"preemptionPolicy": "never"}, "spec.preemptionPolicy"),
        ({"priority": 1 << 40}, "spec.priority"),
        ({"containers": [container(ports=[{"containerPort": 70000}])]}, "spec.containers[0].ports[0].containerPort"),
        ({"containers": [container(ports=[{"hostPort": -1}])]}, "spec.containers[0].ports[0].hostPort"),
        ({"containers": [container(ports=[{"protocol": "tcp"}])]}, "spec.containers[0].ports[0].protocol"),
        ({"initContainers": [container(restartPolicy="x")]}, "spec.initContainers[0].restartPolicy"),
        ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "spec.topologySpreadConstraints[0].whenUnsatisfiable"),
        ({"volumes": [{"persistentVolumeClaim": {}}]}, "spec.volumes.persistentVolumeClaim.claimName"),
        ({"schedulingGates": [{}]}, "spec.schedulingGates[0].name"),
        ({"hostNetwork": "yes"}, "spec.hostNetwork"),
        ({"affinity": {"podAffinity": {HARD: [{}]}}}, f"spec.affinity.podAffinity.{HARD}[0].topologyKey"),
        (
            {"affinity": {"podAffinity": {SOFT: [{"weight": 0, "podAffinityTerm": {"topologyKey": "z"}}]}}},
            f"spec.affinity.podAffinity.{SOFT}[0].weight",
        ),
        (
            {"affinity": {"nodeAffinity": {SOFT: [{"weight": 101, "preference": {}}]}}},
            f"spec.affinity.nodeAffinity.{SOFT}[0].weight",
        ),
    ],
)
def test_wrong_pods_are_refused_with_their_field(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as told:
        template(pod(**spec))
    assert told.value.field == field
    assert str(told.value).startswith("pending, item 1 (Pod default/p), field '")
    assert told.value.expected and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("requirement", "field"),
    [
        ({"operator": "In", "values": ["a"]}, ".key"),
        ({"key": "a"}, ".operator"),
        ({"key": "a", "operator": "in", "values": ["a"]}, ".operator"),
        ({"key": "a", "operator": "Gt", "values": ["1"]}, ".operator"),
        ({"key": "a", "operator": "In"}, ".values"),
        ({"key": "a", "operator": "NotIn", "values": []}, ".values"),
        ({"key": "a", "operator": "Exists", "values": ["a"]}, ".values"),
        ({"key": "a", "operator": "In", "values": ["-"]}, ".values"),
        ({"key": "/a", "operator": "Exists"}, ".key"),
    ],
)
def test_wrong_selectors_are_refused(requirement: dict[str, Any], field: str) -> None:
    term = {"topologyKey": "z", "labelSelector": {"matchExpressions": [requirement]}}
    with pytest.raises(InputError) as told:
        template(pod(affinity={"podAntiAffinity": {HARD: [term]}}))
    where = f"spec.affinity.podAntiAffinity.{HARD}[0].labelSelector.matchExpressions[0]"
    assert told.value.field == where + field
