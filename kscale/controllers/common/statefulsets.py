"""How StatefulSets are read: what the API server fills in, and what it refuses."""

from __future__ import annotations

from typing import Any

from kscale.controllers.common import sets
from kscale.errors import InputError
from kscale.state.descriptions import Claim
from kscale.state.manifests import models, others
from kscale.state.manifests.claiming import Claimant
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.names import check_name
from kscale.state.manifests.surroundings import claim_of
from kscale.state.manifests.workloads import Manifest, PodTemplateSpec, Taking


class _RollingUpdate(models.Part, frozen=True):
    partition: int | None = None
    max_unavailable: int | str | None = None


class _Strategy(models.Part, frozen=True):
    type: str | None = None
    rolling_update: _RollingUpdate | None = None


class _Ordinals(models.Part, frozen=True):
    start: int | None = None


class _Retention(models.Part, frozen=True):
    when_deleted: str | None = None
    when_scaled: str | None = None


class _Spec(models.Part, frozen=True):
    replicas: int | None = None
    selector: models.LabelSelector | None = None
    template: PodTemplateSpec | None = None
    volume_claim_templates: tuple[others.PersistentVolumeClaim, ...] | None = None
    pod_management_policy: str | None = None
    update_strategy: _Strategy | None = None
    revision_history_limit: int | None = None
    min_ready_seconds: int | None = None
    persistent_volume_claim_retention_policy: _Retention | None = None
    ordinals: _Ordinals | None = None


class Model(models.Part, frozen=True):
    """apps/v1 StatefulSet."""

    metadata: models.NotedMeta | None = None
    spec: _Spec | None = None


def _strategy(found: _Strategy, taking: Taking) -> dict[str, Any]:
    field, kinds = "spec.updateStrategy", ("RollingUpdate", "OnDelete")
    strategy = kinds.index(one_of(found.type or "RollingUpdate", kinds, f"{field}.type"))
    if found.rolling_update is not None and strategy:
        raise InputError("is stated", field=f"{field}.rollingUpdate", expected="none, with OnDelete")
    rolling, field = found.rolling_update or _RollingUpdate(), f"{field}.rollingUpdate"
    most, percent = sets.share(rolling.max_unavailable, 1, f"{field}.maxUnavailable")
    if not most:
        raise InputError("is 0", field=f"{field}.maxUnavailable", expected="1 or more")
    if rolling.max_unavailable is not None:
        taking.note("StatefulSet.spec.updateStrategy.rollingUpdate.maxUnavailable: its feature gate is off")
    return {
        "strategy": strategy, "max_unavailable": most, "max_unavailable_percent": int(percent),
        "partition": sets.whole(rolling.partition, 0, f"{field}.partition"),
    }  # fmt: skip


def _claims(spec: _Spec, claims: tuple[Claim, ...], taking: Taking) -> dict[str, Any]:
    field = "spec.persistentVolumeClaimRetentionPolicy"
    retention, policies = spec.persistent_volume_claim_retention_policy or _Retention(), ("Retain", "Delete")
    deleted = policies.index(one_of(retention.when_deleted or "Retain", policies, f"{field}.whenDeleted"))
    scaled = policies.index(one_of(retention.when_scaled or "Retain", policies, f"{field}.whenScaled"))
    names = [claim.name for claim in claims]
    return {
        "claims": len(claims), "claim_names": taking.text("\n".join(names)) if names else -1, "when_scaled": scaled,
        "when_deleted": deleted,
    }  # fmt: skip


def _claim_templates(spec: _Spec) -> tuple[Claim, ...]:
    """Return the claims that each pod is to have, called as their templates are. Raises InputError."""
    claims: dict[str, Claim] = {}
    for i, found in enumerate(spec.volume_claim_templates or ()):
        where = f"spec.volumeClaimTemplates[{i}]"
        name = check_name(need(found.metadata.name if found.metadata else None, f"{where}.metadata.name", "a name"))
        if name in claims:
            raise InputError("has a name twice", field="spec.volumeClaimTemplates", expected="each name once")
        try:
            claims[name] = claim_of(found, name)
        except InputError as error:
            raise InputError(error.problem, field=f"{where}.{error.field}", expected=error.expected) from None
    return tuple(claims.values())


def _take(taking: Taking, found: Model) -> dict[str, Any]:
    spec = need(found.spec, "spec", "the set's spec")
    selector = sets.selected(taking, spec.selector, spec.template)
    sets.check_runs_for_ever(taking, spec.template)
    policies = ("OrderedReady", "Parallel")
    sets.whole(spec.revision_history_limit, 10, "spec.revisionHistoryLimit")
    claims = _claim_templates(spec)
    start = sets.whole((spec.ordinals or _Ordinals()).start, 0, "spec.ordinals.start")
    claimant = Claimant(taking.namespace, taking.name, start, claims) if claims else None
    return {
        "replicas": sets.whole(spec.replicas, 1, "spec.replicas"),
        "template": taking.template(spec.template, owner=("StatefulSet", taking.name, selector), claimant=claimant),
        "revision": taking.content(spec.template),
        "start": start,
        "management": policies.index(
            one_of(spec.pod_management_policy or policies[0], policies, "spec.podManagementPolicy")
        ),
        "min_ready_us": sets.min_ready_us(spec.min_ready_seconds),
        **_strategy(spec.update_strategy or _Strategy(), taking),
        **_claims(spec, claims, taking),
    }


MANIFEST = Manifest(("apps",), Model, _take, ("template",))
