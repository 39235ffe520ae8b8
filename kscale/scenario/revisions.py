"""Revisions of workloads, as kubectl rollout undo knows them: templates by number, the present one last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from kscale.errors import InputError
from kscale.scenario.changing import Found, part
from kscale.state.manifests.workloads import HASH_LABEL, Made

#: Kinds that keep revisions of their templates: kubectl rollout restart and undo take no others.
ROLLED = ("DaemonSet", "Deployment", "StatefulSet")
#: The annotation of a Deployment and its ReplicaSets that says their revision.
REVISION = "deployment.kubernetes.io/revision"
#: spec.revisionHistoryLimit where none is stated (apps/v1 defaults).
HISTORY_LIMIT = 10


def keeps_revisions(kind: str) -> bool:
    """Tell whether a kind keeps revisions."""
    return kind in ROLLED


@dataclass(frozen=True)
class Revisions:
    """(number, template) pairs, numbers rising; the last is the present one."""

    known: tuple[tuple[int, Any], ...] = ()

    def after(self, found: Found) -> Revisions:
        """Return the revisions after a change of the object.

        An old template that comes back gets the next number. A Deployment that is paused begins no new revision.
        """
        template = part(found, ("spec", "template"))
        if part(found, ("spec", "paused")) is True or (self.known and self.known[-1][1] == template):
            return self
        number = self.known[-1][0] + 1 if self.known else 1
        kept = [one for one in self.known if one[1] != template]
        limit = part(found, ("spec", "revisionHistoryLimit"))
        limit = limit if isinstance(limit, int) else HISTORY_LIMIT
        return Revisions((*(kept[-limit:] if limit > 0 else ()), (number, template)))

    def template(self, to: int, present: Any) -> Any:
        """Return the template of a revision; 0 is the one before the present template. Raises InputError."""
        earlier = [one for one in self.known if one[1] != present]
        if to == 0 and earlier:
            return earlier[-1][1]
        for number, template in self.known:
            if number == to:
                return template
        numbers = ", ".join(str(number) for number, _ in earlier)
        raise InputError(
            f"there is no revision {to}" if to else "there is no earlier revision", field="rollback.to",
            expected=f"one of {numbers}" if numbers else "a workload whose template has changed",
        )  # fmt: skip


def revisions_of(kind: str, found: Found, dependents: Iterable[Made]) -> Revisions:
    """Return the revisions of an object as it was read: those of its ReplicaSets, and its own."""
    if not keeps_revisions(kind):
        return Revisions()
    template = part(found, ("spec", "template"))
    old: dict[int, Any] = {}
    for made in dependents:
        one = msgspec.json.decode(made.item.raw)
        old[_number(one)] = _without_hash(part(one, ("spec", "template")))
    newest = max(_number(found), *(old or {1: None}))
    return Revisions((*sorted((n, one) for n, one in old.items() if one != template), (newest, template)))


def _number(found: Found) -> int:
    noted = part(found, ("metadata", "annotations", REVISION))
    return int(noted) if isinstance(noted, str) and noted.isascii() and noted.isdecimal() and len(noted) < 18 else 1


def _without_hash(template: Any) -> Any:
    labels = part(template, ("metadata", "labels"))
    if not isinstance(labels, dict) or HASH_LABEL not in labels:
        return template
    kept = {key: value for key, value in labels.items() if key != HASH_LABEL}
    return {**template, "metadata": {**template["metadata"], "labels": kept}}
