"""How DaemonSets are read: what the API server and the controller fill in, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec

from kscale.controllers.common import sets
from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.workloads import Manifest, PodTemplateSpec, Taking

#: What every pod of a DaemonSet tolerates (controller_utils, AddOrUpdateDaemonPodTolerations), as (key, effect).
TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
#: What those with hostNetwork tolerate besides.
TOLERATED_ON_HOST = ("node.kubernetes.io/network-unavailable", "NoSchedule")


class _RollingUpdate(models.Part, frozen=True):
    max_unavailable: int | str | None = None
    max_surge: int | str | None = None


class _Strategy(models.Part, frozen=True):
    type: str | None = None
    rolling_update: _RollingUpdate | None = None


class _Spec(models.Part, frozen=True):
    selector: models.LabelSelector | None = None
    template: PodTemplateSpec | None = None
    update_strategy: _Strategy | None = None
    revision_history_limit: int | None = None
    min_ready_seconds: int | None = None


class Model(models.Part, frozen=True):
    """apps/v1 DaemonSet."""

    metadata: models.NotedMeta | None = None
    spec: _Spec | None = None


class _Tolerant(models.Part, frozen=True):
    tolerations: tuple[dict[str, Any], ...] | None = None
    host_network: bool | None = None


_tolerant = msgspec.json.Decoder(_Tolerant).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def tolerant(taking: Taking, template: PodTemplateSpec | None) -> PodTemplateSpec:
    """Return a template whose pods tolerate what all pods of DaemonSets do. Raises InputError."""
    item = sets.spec_of(taking, template)
    spec, fields = item.decode(_tolerant), item.decode(_fields)
    added = [
        {"key": key, "operator": "Exists", "effect": effect}
        for key, effect in (*TOLERATED, *([TOLERATED_ON_HOST] if spec.host_network else []))
    ]
    own = [one for one in spec.tolerations or () if one not in added]
    fields["tolerations"] = msgspec.Raw(msgspec.json.encode([*own, *added]))
    return PodTemplateSpec(
        metadata=template.metadata if template else None, spec=msgspec.Raw(msgspec.json.encode(fields))
    )


def _strategy(found: _Strategy) -> dict[str, Any]:
    field, kinds = "spec.updateStrategy", ("RollingUpdate", "OnDelete")
    strategy = kinds.index(one_of(found.type or "RollingUpdate", kinds, f"{field}.type"))
    rolling, field = found.rolling_update or _RollingUpdate(), f"{field}.rollingUpdate"
    unavailable, unavailable_percent = sets.share(rolling.max_unavailable, 1, f"{field}.maxUnavailable")
    surge, surge_percent = sets.share(rolling.max_surge, 0, f"{field}.maxSurge")
    if not strategy and not unavailable and not surge:
        raise InputError("is 0", field=f"{field}.maxUnavailable", expected="1 or more where maxSurge is 0")
    if not strategy and unavailable and surge:
        raise InputError("is stated", field=f"{field}.maxSurge", expected="maxUnavailable 0 beside it")
    return {
        "strategy": strategy, "max_unavailable": unavailable, "max_unavailable_percent": int(unavailable_percent),
        "max_surge": surge, "max_surge_percent": int(surge_percent),
    }  # fmt: skip


def _take(taking: Taking, found: Model) -> dict[str, Any]:
    spec = need(found.spec, "spec", "the set's spec")
    sets.selected(taking, spec.selector, spec.template)
    sets.check_runs_for_ever(taking, spec.template)
    sets.whole(spec.revision_history_limit, 10, "spec.revisionHistoryLimit")
    return {
        "template": taking.template(tolerant(taking, spec.template)),
        "revision": taking.content(spec.template),
        "min_ready_us": sets.min_ready_us(spec.min_ready_seconds),
        **_strategy(spec.update_strategy or _Strategy()),
    }


MANIFEST = Manifest(("apps",), Model, _take, ("template",))
