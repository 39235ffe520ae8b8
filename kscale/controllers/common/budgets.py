"""How a PodDisruptionBudget is read: policy/v1, with the API server's checks (v1.34)."""

from __future__ import annotations

import re
from typing import Any

from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import one_of
from kscale.state.manifests.models import Part
from kscale.state.manifests.selectors import INT32, keys_read, label_selector
from kscale.state.manifests.workloads import Taking

_PERCENT = re.compile(r"([0-9]+)%", re.ASCII)
_POLICIES = ("IfHealthyBudget", "AlwaysAllow")


class Spec(Part, frozen=True):
    """policy/v1 PodDisruptionBudgetSpec."""

    selector: models.LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    unhealthy_pod_eviction_policy: str | None = None


class PodDisruptionBudget(Part, frozen=True):
    """policy/v1 PodDisruptionBudget."""

    spec: Spec | None = None


def take(taking: Taking, found: PodDisruptionBudget) -> dict[str, Any]:
    """Return the columns of a budget. Raises InputError."""
    version = taking.item.api_version.rpartition("/")[2]
    if version not in ("v1", ""):
        raise InputError(f"is {version}", field="apiVersion", expected="policy/v1")
    spec = found.spec or Spec()
    if spec.min_available is not None and spec.max_unavailable is not None:
        raise InputError("is stated", field="spec.maxUnavailable", expected="only one of it and minAvailable")
    least, least_percent = _amount(spec.min_available, "spec.minAvailable")
    most, most_percent = _amount(spec.max_unavailable, "spec.maxUnavailable")
    policy = spec.unhealthy_pod_eviction_policy or _POLICIES[0]
    selector = label_selector(spec.selector, "spec.selector")
    return {
        "selection": taking.selection(selector, keys_read(spec.selector)),
        "least": least, "least_percent": least_percent, "most": most, "most_percent": most_percent,
        "always": _POLICIES.index(one_of(policy, _POLICIES, "spec.unhealthyPodEvictionPolicy")),
    }  # fmt: skip


def _amount(value: int | str | None, field: str) -> tuple[int, int]:
    """Return pods and percent, -1 for what is not stated. Raises InputError."""
    if value is None:
        return -1, -1
    if isinstance(value, int):
        if not 0 <= value <= INT32:
            raise InputError(f"is {value}", field=field, expected=f"0 to {INT32}, or a percentage")
        return value, -1
    found = _PERCENT.fullmatch(value) if len(value) <= 8 else None
    if found is None or int(found[1]) > 100:
        raise InputError(f"'{value[:80]}' is not a percentage", field=field, expected="a number, or 0% to 100%")
    return -1, int(found[1])
