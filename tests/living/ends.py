"""What has to hold when a run has come to rest, and what two runs that came to the same end have in common."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kscale.controllers.common.claims import DELETE, claim_names
from kscale.controllers.common.jobs import COMPLETE, FAILED_JOB
from kscale.controllers.common.progress import (
    AVAILABILITY,
    NEW_REPLICA_SET_AVAILABLE,
    PROGRESS_DEADLINE_EXCEEDED,
    PROGRESSING,
)
from kscale.engine.kinds import THERE
from kscale.engine.objects import RUNNING_PHASE
from kscale.engine.pods import EVICTED, GONE, REMOVED, UNUSED
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]


def there(world: World) -> Rows:
    """Return the pods that are there, finished ones included."""
    return np.flatnonzero(~np.isin(world.cluster.pod_state, (UNUSED, GONE, REMOVED, EVICTED)))


def is_bad(world: World, template: int) -> bool:
    """Whether an image of the template cannot be pulled."""
    cluster = world.cluster
    first, last = cluster.template_container_first[template], cluster.template_container_last[template]
    return bool((cluster.container_pull_failures[first:last] < 0).any())


def objects(world: World, kind: str) -> list[int]:
    """Return the objects of a kind that are there and not being deleted, the oldest first."""
    cluster, found = world.cluster, world.all_of(kind)
    found = found[(cluster.object_live[found] == THERE) & (cluster.object_deleted_us[found] < 0)]
    return found[np.argsort(cluster.object_uid[found])].tolist()


def columns(world: World, object_: int, *names: str) -> tuple[int, ...]:
    """Return columns of an object's own table."""
    table, row = world.kind_of(object_).table, world.cluster.object_row[object_]
    return tuple(world.cluster.columns[f"{table}_{name}"][row].item() for name in names)


def check(world: World, *, disturbed: bool) -> None:
    """Check that every workload is complete, or says what Kubernetes would say of it.

    ``disturbed``: containers crashed, or a person deleted pods.
    """
    for one in objects(world, "Deployment"):
        _check_deployment(world, one)
    for one in objects(world, "StatefulSet"):
        wanted, updated, available = columns(world, one, "replicas", "updated_replicas", "available_replicas")
        pods = there(world)[world.cluster.life_owner[there(world)] == one]
        # One that waits for a pod whose image cannot be pulled goes no further, not even back (a known limit of
        # OrderedReady): its pod says why.
        stuck = any(is_bad(world, int(world.cluster.pod_template[pod])) for pod in pods)
        assert stuck or (updated, available, len(pods)) == (wanted,) * 3, "a StatefulSet is not complete"
        ordinals = world.cluster.life_number[pods]
        assert len(set(ordinals.tolist())) == len(pods)
        assert stuck or sorted(ordinals.tolist()) == list(range(wanted))
        _check_claims(world, one, ordinals.tolist())
    for one in objects(world, "DaemonSet"):
        desired, updated, available, template = columns(
            world, one, "desired_scheduled", "updated_scheduled", "available_nodes", "template"
        )
        assert desired == len(world.nodes or ())
        # With maxUnavailable 1 the first node without an available pod holds the others back.
        assert (updated, available) == (desired, desired) or is_bad(world, template), "a DaemonSet is not complete"
        assert available >= desired - 1 or world.cluster.object_created_us[one] > 0 or disturbed
    for one in objects(world, "Job"):
        finished, succeeded, completions = columns(world, one, "finished", "succeeded", "completions")
        assert finished == COMPLETE or (finished == FAILED_JOB and disturbed), "a Job has not finished"
        assert finished == FAILED_JOB or succeeded == completions
    _check_owners(world)
    _check_endpoints(world)


def _check_claims(world: World, one: int, ordinals: list[int]) -> None:
    """Check that every pod of a set has its claims, and that no others are there where they are not retained."""
    names = claim_names(world, one)
    wanted = {f"{name}-{world.name(one)}-{ordinal}" for name in names for ordinal in ordinals}
    claims = {world.name(claim): claim for claim in objects(world, "PersistentVolumeClaim")}
    assert wanted <= set(claims), "a claim is missing"
    scaled, deleted = columns(world, one, "when_scaled", "when_deleted")
    for name in wanted:
        assert world.cluster.object_owner[claims[name]] == (one if deleted == DELETE else -1)
    if scaled == DELETE:
        assert {name for name in claims if any(name.startswith(f"{own}-{world.name(one)}-") for own in names)} == wanted


def _check_deployment(world: World, one: int) -> None:
    wanted, updated, available, template, paused, reason = columns(
        world, one, "replicas", "updated_replicas", "available_replicas", "template", "paused", "progressing"
    )
    pods = int(world.cluster.object_active[world.dependents_of(np.array([one]))[0]].sum())
    if paused:
        return
    if is_bad(world, template) and wanted:
        assert reason == PROGRESS_DEADLINE_EXCEEDED, f"a rollout that cannot end says {PROGRESSING[reason]!r}"
        assert available <= pods and pods >= wanted
        return
    assert (updated, available, pods) == (wanted,) * 3, "a Deployment is not complete"
    assert reason == NEW_REPLICA_SET_AVAILABLE, f"a Deployment that is complete says {PROGRESSING[reason]!r}"


def _check_owners(world: World) -> None:
    """Nothing is left over of what was deleted, but what was orphaned: that has no owner."""
    cluster = world.cluster
    pods = there(world)
    owners = cluster.life_owner[pods]
    assert (cluster.object_live[owners[owners >= 0]] == THERE).all(), "a pod outlives its owner"
    assert (cluster.life_deleted_us[pods] < 0).all(), "a pod is still being deleted"
    sets = world.all_of("ReplicaSet")
    owner = cluster.object_owner[sets[cluster.object_live[sets] == THERE]]
    assert (cluster.object_live[owner[owner >= 0]] == THERE).all(), "a ReplicaSet outlives its Deployment"


def _check_endpoints(world: World) -> None:
    """The slices of each Service hold the pods that it selects, and say of each whether it is ready."""
    cluster, pods = world.cluster, there(world)
    pods = pods[(cluster.life_addressed[pods] != 0) & (cluster.life_phase[pods] <= RUNNING_PHASE)]
    for service in objects(world, "Service"):
        slices = [one for one in objects(world, "EndpointSlice") if cluster.object_owner[one] == service]
        held, _ = world.members.of("endpointslice", cluster.object_row[slices])
        found = {(cluster.endpoint_pod[row].item(), cluster.endpoint_ready[row].item()) for row in held}
        selected = np.isin(cluster.pod_template[pods], world.selections[columns(world, service, "selection")[0]])
        wanted = {(pod, cluster.life_ready[pod].item()) for pod in pods[selected].tolist()}
        assert found == wanted, "the endpoints of a Service are not its pods"


def end_state(world: World) -> dict[str, Any]:
    """Return counts, templates, ordinals, ownership and conditions, without times and numbers of creation.

    Of ReplicaSets only those that are asked for pods count: a controller that slept through a template never made one.
    """
    cluster = world.cluster

    def called(object_: int) -> str:
        return "" if object_ < 0 else f"{world.kind_of(object_).name}/{world.name(object_)}"

    pods: Counter[tuple[Any, ...]] = Counter()
    for pod in there(world).tolist():
        owner = int(cluster.life_owner[pod])
        number = int(cluster.life_number[pod]) if owner >= 0 and world.kind_of(owner).name == "StatefulSet" else -1
        names = ("phase", "ready", "available")
        above = called(int(cluster.object_owner[owner])) if owner >= 0 else ""
        kind = world.kind_of(owner).name if owner >= 0 else ""
        facts = tuple(cluster.columns[f"life_{name}"][pod].item() for name in names)
        pods[kind, above, cluster.pod_template[pod].item(), number, int(cluster.life_pin[pod]), *facts] += 1
    told: dict[str, Any] = {"pods": pods}
    for kind, names in {
        "Deployment": ("replicas", "template", "updated_replicas", "available_replicas"),
        "StatefulSet": ("replicas", "template", "updated_replicas", "available_replicas", "update_revision",
                        "current_revision"),
        "DaemonSet": ("template", "desired_scheduled", "updated_scheduled", "available_nodes", "misscheduled"),
        "Job": ("finished", "succeeded", "active", "target"),
        "PodDisruptionBudget": ("expected", "desired", "healthy", "allowed", "may", "may_reason"),
        "HorizontalPodAutoscaler": ("current", "desired"),
    }.items():  # fmt: skip
        for one in objects(world, kind):
            told[called(one)] = columns(world, one, *names)
    for one in objects(world, "Deployment"):
        progressing, availability = columns(world, one, "progressing", "availability")
        told[called(one)] += (PROGRESSING[progressing], AVAILABILITY[availability])
    for one in objects(world, "ReplicaSet"):
        asked, template, ready = columns(world, one, "replicas", "template", "ready_replicas")
        if asked:
            told["ReplicaSet of", called(int(cluster.object_owner[one])), template] = (asked, ready)
    told["slices"] = sorted(
        (called(int(cluster.object_owner[one])), *columns(world, one, "members_count"))
        for one in objects(world, "EndpointSlice")
    )
    return told
