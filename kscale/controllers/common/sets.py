"""What StatefulSets and DaemonSets have in common: numbers of pods that may be percentages, and how they are read."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np

from kscale.errors import InputError
from kscale.state.descriptions import Selector
from kscale.state.manifests import models
from kscale.state.manifests.faults import Item, need, one_of
from kscale.state.manifests.selectors import INT32, keys_read, label_selector, selects
from kscale.state.manifests.workloads import PodTemplateSpec, Taking

Rows = np.ndarray[Any, Any]
_PERCENTAGE = re.compile(r"(\d{1,9})%", re.ASCII)
_SECOND = 1_000_000


def resolved(amount: Rows, percent: Rows, of: Rows, *, up: bool) -> Rows:
    """Return numbers of pods; those that are percentages (``percent``) are of ``of``, rounded up or down."""
    share = amount * of
    return np.where(percent != 0, -(-share // 100) if up else share // 100, amount)


def ranks(group: Rows) -> Rows:
    """Return for each row how many rows before it have the same ``group``."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.searchsorted(ordered, ordered)
    return rank


def amount(value: int | str | None, default: int, field: str) -> tuple[int, bool]:
    """Return a number of pods, and whether it is a percentage. Raises InputError."""
    if value is None:
        return default, False
    if isinstance(value, int):
        return whole(value, default, field), False
    found = _PERCENTAGE.fullmatch(value)
    if found is None:
        raise InputError(f"'{value[:80]}' is no number of pods", field=field, expected="a whole number, or one with %")
    return int(found[1]), True


def share(value: int | str | None, default: int, field: str) -> tuple[int, bool]:
    """Return the same, where more than 100% means nothing. Raises InputError."""
    number, percent = amount(value, default, field)
    if percent and number > 100:
        raise InputError(f"is {number}%", field=field, expected="at most 100%")
    return number, percent


def whole(value: int | None, default: int, field: str) -> int:
    """Return a number that is not negative. Raises InputError."""
    if value is None:
        return default
    if not 0 <= value <= INT32:
        raise InputError(f"is {value}", field=field, expected=f"0 to {INT32}")
    return value


def min_ready_us(seconds: int | None) -> int:
    """Return ``spec.minReadySeconds`` in microseconds. Raises InputError."""
    return whole(seconds, 0, "spec.minReadySeconds") * _SECOND


def selected(taking: Taking, selector: models.LabelSelector | None, template: PodTemplateSpec | None) -> Selector:
    """Return the selector of pods, which has to select those of the template. Raises InputError."""
    found = label_selector(need(selector, "spec.selector", "a label selector"), "spec.selector")
    if found is None or not found.requirements:
        raise InputError("selects everything", field="spec.selector", expected="at least one label")
    if not selects(found, taking.labels_of(template)):
        raise InputError(
            "are not those that the selector selects", field="spec.template.metadata.labels",
            expected="labels that match spec.selector",
        )  # fmt: skip
    taking.gathering.kept.reads(taking.namespace, keys_read(selector))
    return found


class _Policy(models.Part, frozen=True):
    restart_policy: str | None = None
    active_deadline_seconds: int | None = None


_policy = msgspec.json.Decoder(_Policy).decode


def spec_of(taking: Taking, template: PodTemplateSpec | None) -> Item:
    """Return the spec of a pod template, to be decoded. Raises InputError where it is missing."""
    if template is None or template.empty:
        raise InputError("is missing", field="spec.template.spec", expected="the spec of its pods")
    return taking.item._replace(raw=template.spec)


def check_runs_for_ever(taking: Taking, template: PodTemplateSpec | None) -> None:
    """Check that the pods of a template start again whenever they end. Raises InputError."""
    spec = spec_of(taking, template).decode(_policy)
    one_of(spec.restart_policy or "Always", ("Always",), "spec.template.spec.restartPolicy")
    if spec.active_deadline_seconds is not None:
        raise InputError(
            "is stated", field="spec.template.spec.activeDeadlineSeconds", expected="none: its pods run for ever"
        )
