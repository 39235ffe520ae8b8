"""How Deployments, ReplicaSets and ReplicationControllers are read: their fields, defaults and checks (apps/v1, v1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from kscale.controllers.common.family import RECREATE, ROLLING_UPDATE
from kscale.controllers.common.progress import AVAILABILITY, PROGRESSING
from kscale.errors import InputError
from kscale.state.descriptions import Selector
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.selectors import INT32, equality_selector, label_selector, selects
from kscale.state.manifests.workloads import HASH_LABEL, PodTemplateSpec, Taking, content_hash

_SECOND = 1_000_000
_PERCENT = re.compile(r"[0-9]{1,9}%", re.ASCII)
_NOTE = "deployment.kubernetes.io/"
_ROLLBACK = "deprecated.deployment.rollback.to"
#: Defaults of apps/v1: a quarter of the replicas on top and missing, ten old ReplicaSets, ten minutes.
BOUND, HISTORY_LIMIT, DEADLINE_SECONDS = "25%", 10, 600


class RollingUpdate(models.Part, frozen=True):
    """apps/v1 RollingUpdateDeployment."""

    max_surge: int | str | None = None
    max_unavailable: int | str | None = None


class Strategy(models.Part, frozen=True):
    """apps/v1 DeploymentStrategy."""

    type: str | None = None
    rolling_update: RollingUpdate | None = None


class ReplicaSetSpec(models.Part, frozen=True):
    """apps/v1 ReplicaSetSpec."""

    replicas: int | None = None
    min_ready_seconds: int | None = None
    selector: models.LabelSelector | None = None
    template: PodTemplateSpec | None = None


class DeploymentSpec(ReplicaSetSpec, frozen=True):
    """apps/v1 DeploymentSpec."""

    strategy: Strategy | None = None
    revision_history_limit: int | None = None
    progress_deadline_seconds: int | None = None
    paused: bool | None = None


class ControllerSpec(models.Part, frozen=True):
    """v1 ReplicationControllerSpec, whose selector is a mapping."""

    replicas: int | None = None
    min_ready_seconds: int | None = None
    selector: dict[str, str] | None = None
    template: PodTemplateSpec | None = None


class Status(models.Part, frozen=True):
    """The status of any of them."""

    replicas: int | None = None
    updated_replicas: int | None = None
    ready_replicas: int | None = None
    available_replicas: int | None = None
    unavailable_replicas: int | None = None
    conditions: tuple[models.Condition, ...] | None = None


class DeploymentManifest(models.Part, frozen=True):
    """apps/v1 Deployment."""

    spec: DeploymentSpec | None = None
    status: Status | None = None


class ReplicaSetManifest(models.Part, frozen=True):
    """apps/v1 ReplicaSet."""

    spec: ReplicaSetSpec | None = None
    status: Status | None = None


class ControllerManifest(models.Part, frozen=True):
    """v1 ReplicationController."""

    spec: ControllerSpec | None = None
    status: Status | None = None


class _PodSpec(models.Part, frozen=True):
    restart_policy: str | None = None


_pod_spec = msgspec.json.Decoder(_PodSpec).decode


def take_deployment(taking: Taking, found: DeploymentManifest) -> dict[str, Any]:
    """Return the columns of a Deployment. Raises InputError."""
    spec, status = found.spec or DeploymentSpec(), found.status or Status()
    selector = _selector(taking, spec)
    content = taking.content(spec.template)
    hash_ = content_hash(content, taking.namespace, taking.name)
    own = models.LabelSelector(match_labels={HASH_LABEL: hash_})
    added = label_selector(own, "spec.selector")
    both = Selector((*selector.requirements, *(added.requirements if added else ())))
    ready = number(spec.min_ready_seconds, "spec.minReadySeconds", 0)
    deadline = number(spec.progress_deadline_seconds, "spec.progressDeadlineSeconds", DEADLINE_SECONDS)
    if deadline <= ready:
        raise InputError(
            f"is {deadline}", field="spec.progressDeadlineSeconds", expected=f"more than minReadySeconds ({ready})"
        )
    limit = number(spec.revision_history_limit, "spec.revisionHistoryLimit", HISTORY_LIMIT)
    reasons = {one.type: one.reason or "" for one in status.conditions or ()}
    return {
        "replicas": number(spec.replicas, "spec.replicas", 1),
        "template": taking.template(
            spec.template, labels={HASH_LABEL: hash_}, owner=("ReplicaSet", f"{taking.name}-{hash_}", both)
        ),
        "content": content,
        "min_ready_us": ready * _SECOND,
        **_strategy(spec.strategy or Strategy()),
        # The largest number stands for "none" in both.
        "history_limit": -1 if limit == INT32 else limit,
        "deadline_us": -1 if deadline == INT32 else deadline * _SECOND,
        "paused": int(spec.paused or False),
        "rollback_to": _noted(taking, _ROLLBACK),
        "revision": max(_noted(taking, _NOTE + "revision"), 0),
        "status_replicas": status.replicas or 0,
        "updated_replicas": status.updated_replicas or 0,
        "ready_replicas": status.ready_replicas or 0,
        "available_replicas": status.available_replicas or 0,
        "unavailable_replicas": status.unavailable_replicas or 0,
        "progressing": _place(PROGRESSING, reasons.get("Progressing", "")),
        "availability": _place(AVAILABILITY, reasons.get("Available", "")),
    }


def take_replica_set(taking: Taking, found: ReplicaSetManifest) -> dict[str, Any]:
    """Return the columns of a ReplicaSet. Raises InputError."""
    spec = found.spec or ReplicaSetSpec()
    selector = _selector(taking, spec)
    return {
        **_replicated(taking, spec, found.status, ("ReplicaSet", taking.name, selector)),
        "content": taking.content(spec.template),
        "revision": max(_noted(taking, _NOTE + "revision"), 0),
        "desired": _noted(taking, _NOTE + "desired-replicas"),
        "most": _noted(taking, _NOTE + "max-replicas"),
    }


def take_controller(taking: Taking, found: ControllerManifest) -> dict[str, Any]:
    """Return the columns of a ReplicationController; without a selector it has its template's labels."""
    spec = found.spec or ControllerSpec()
    labels = taking.labels_of(spec.template)
    selector = equality_selector(spec.selector or labels)
    _check(selector, labels, spec.template)
    return _replicated(taking, spec, found.status, ("ReplicationController", taking.name, selector))


def _replicated(
    taking: Taking, spec: ReplicaSetSpec | ControllerSpec, status: Status | None, owner: tuple[str, str, Selector]
) -> dict[str, Any]:
    status = status or Status()
    return {
        "replicas": number(spec.replicas, "spec.replicas", 1),
        "template": taking.template(spec.template, owner=owner),
        "min_ready_us": number(spec.min_ready_seconds, "spec.minReadySeconds", 0) * _SECOND,
        "status_replicas": -1 if status.replicas is None else status.replicas,
        "ready_replicas": status.ready_replicas or 0,
        "available_replicas": status.available_replicas or 0,
    }


def _selector(taking: Taking, spec: ReplicaSetSpec) -> Selector:
    selector = label_selector(need(spec.selector, "spec.selector", "a label selector"), "spec.selector")
    selector = selector or Selector()
    _check(selector, taking.labels_of(spec.template), spec.template)
    return selector


def _check(selector: Selector, labels: Mapping[str, str], template: PodTemplateSpec | None) -> None:
    """Check what the API server checks of a selector and a template. Raises InputError."""
    if template is None or template.empty:
        return  # which the template's own reader tells
    if not selector.requirements:
        raise InputError("selects everything", field="spec.selector", expected="at least one requirement")
    if not selects(selector, labels):
        raise InputError(
            "does not match the labels of the template",
            field="spec.selector",
            expected="a selector of the pods of spec.template",
        )
    policy = _pod_spec(template.spec).restart_policy
    if policy not in (None, "", "Always"):
        raise InputError(f"is '{policy[:80]}'", field="spec.template.spec.restartPolicy", expected="Always")


def _strategy(found: Strategy) -> dict[str, int]:
    type_ = one_of(found.type or "RollingUpdate", ("RollingUpdate", "Recreate"), "spec.strategy.type")
    if type_ == "Recreate":
        if found.rolling_update is not None:
            raise InputError(
                "is stated", field="spec.strategy.rollingUpdate", expected="nothing, where the type is Recreate"
            )
        return {"strategy": RECREATE}
    update, where = found.rolling_update or RollingUpdate(), "spec.strategy.rollingUpdate"
    surge, surge_percent = bound(update.max_surge, f"{where}.maxSurge")
    unavailable, unavailable_percent = bound(update.max_unavailable, f"{where}.maxUnavailable", most=100)
    if surge == 0 and unavailable == 0:
        raise InputError("is 0, and so is maxSurge", field=f"{where}.maxUnavailable", expected="one of them above 0")
    return {
        "strategy": ROLLING_UPDATE,
        "surge": surge,
        "surge_percent": int(surge_percent),
        "unavailable": unavailable,
        "unavailable_percent": int(unavailable_percent),
    }


def bound(value: int | str | None, field: str, most: int = INT32) -> tuple[int, bool]:
    """Return a number of pods or a percentage (``most`` at most), and whether it is one. Raises InputError."""
    value = BOUND if value is None else value
    percent = isinstance(value, str)
    if isinstance(value, str):
        if _PERCENT.fullmatch(value) is None:
            raise InputError(f"is '{value[:80]}'", field=field, expected="a whole number or a percentage, as in 25%")
        value = int(value[:-1])
    if value < 0 or value > (most if percent else INT32):
        raise InputError(
            f"is {value}{'%' if percent else ''}",
            field=field,
            expected=f"0 or more, a percentage of at most {most}" if percent else "0 or more",
        )
    return value, percent


def number(value: int | None, field: str, default: int) -> int:
    """Return a number that may not be negative. Raises InputError."""
    if value is not None and not 0 <= value <= INT32:
        raise InputError(f"is {value}", field=field, expected=f"0 to {INT32:,}")
    return default if value is None else value


def _noted(taking: Taking, annotation: str) -> int:
    """Return the number of an annotation; -1 where there is none that Kubernetes would take."""
    text = (taking.meta.annotations or {}).get(annotation, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else -1


def _place(reasons: tuple[str, ...], reason: str) -> int:
    return reasons.index(reason) if reason in reasons else 0
