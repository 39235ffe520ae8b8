"""Objects that own pods, as a recording applies and deletes them: so many pods of each template, from when to when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from kscale.errors import InputError
from kscale.traces.common.podspecs import name_of, namespace_of
from kscale.traces.common.recorded import Recorded, at, whole

#: Where a kind has its template of pods, as JSON pointers.
TEMPLATES = {
    "Deployment": ("/spec/template",),
    "ReplicaSet": ("/spec/template",),
    "StatefulSet": ("/spec/template",),
    "DaemonSet": ("/spec/template",),
    "ReplicationController": ("/spec/template",),
    "Job": ("/spec/template",),
    "CronJob": ("/spec/jobTemplate/spec/template",),
    "Pod": ("",),
}
_MOST = 10**6
#: An object by its group, version and kind, and by ``namespace/name``.
Key = tuple[str, str]
#: Start and end of a pod in microseconds; an end that is None is not known.
Life = tuple[int, int | None]


@dataclass(slots=True)
class _Owner:
    """An object that has pods.

    Attributes:
        specs: numbers of its pods' specs, by template.
        live: rows of its pods, by template.
        rows: of all pods that it ever had.
    """

    name: str
    namespace: str
    called: str | None
    specs: list[int] = field(default_factory=list)
    live: list[list[int]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


class Owners:
    """Objects as they are applied and deleted; their pods go to ``recorded``.

    A changed template replaces all pods at once. ``counts`` says what became of objects, in words.
    """

    def __init__(self, recorded: Recorded, pointers: Mapping[str, Sequence[str]]) -> None:
        self.counts: Counter[str] = Counter()
        self._recorded, self._pointers = recorded, pointers
        self._owners: dict[Key, _Owner] = {}

    def apply(self, found: Mapping[str, Any], time_us: int) -> None:
        """Take an object as it is from now on. Raises InputError with the field that is wrong."""
        kind, key, name, namespace = _identity(found)
        pointers = self._pointers.get(key[0]) or TEMPLATES.get(kind, ())
        if not pointers:
            self.counts[f"{kind}: has no pods"] += 1
            return
        specs = [self._recorded.specs.number(at(_pointed(found, pointer), "spec")) for pointer in pointers]
        replicas = _replicas(kind, found)
        called = None if kind == "Pod" else f"{kind.lower()}/{name}"
        owner = self._owners.setdefault(key, _Owner(name, namespace, called))
        if specs != owner.specs or not owner.live:
            self._end(owner, time_us)
            owner.specs, owner.live = specs, [[] for _ in specs]
        for spec, live in zip(specs, owner.live, strict=True):
            for row in live[replicas:]:
                self._recorded.ends(row, time_us)
            del live[replicas:]
            live += [self._comes(owner, time_us, spec) for _ in range(replicas - len(live))]

    def delete(self, found: Mapping[str, Any], time_us: int) -> None:
        """Take an object away, with its pods. Raises InputError with the field that is wrong."""
        kind, key, _, _ = _identity(found)
        owner = self._owners.get(key)
        if owner is None:
            self.counts[f"{kind}: was deleted, and never applied"] += 1
            return
        self._end(owner, time_us)
        owner.live = []

    def _end(self, owner: _Owner, time_us: int) -> None:
        for live in owner.live:
            for row in live:
                self._recorded.ends(row, time_us)

    def _comes(self, owner: _Owner, time_us: int, spec: int) -> int:
        name = owner.name if owner.called is None else f"{owner.name}-{len(owner.rows)}"
        row = self._recorded.comes(name, owner.namespace, owner.called, time_us, spec)
        owner.rows.append(row)
        return row

    def lived(self, key: Key, lives: Sequence[Life]) -> None:
        """Take the lives that are recorded of an object's pods: they pair with its pods in the order of their starts.

        Lives beyond its pods are pods of their own (of CronJobs, and those that took the place of others).
        """
        owner = self._owners.get(key)
        if owner is None or not owner.specs:
            self.counts["lives of pods whose owner is not among the objects"] += len(lives)
            return
        for row, life in zip_longest(list(owner.rows), sorted(lives, key=lambda life: life[0])):
            if life is None:
                continue
            start, end = life
            place = self._comes(owner, max(start, 0), owner.specs[0]) if row is None else row
            self._recorded.lived(place, start, end)


def _identity(found: Mapping[str, Any]) -> tuple[str, Key, str, str]:
    kind, version = found.get("kind"), found.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        raise InputError("is missing", field="kind" if isinstance(version, str) else "apiVersion", expected="a text")
    name, namespace = name_of(found), namespace_of(found)
    return kind, (f"{version}.{kind}", f"{namespace}/{name}"), name, namespace


def _pointed(found: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) leads to, through mappings; None where there is nothing."""
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    return at(found, *keys)


def _suspended(found: Mapping[str, Any]) -> bool:
    return at(found, "spec", "suspend") is True


def _job(found: Mapping[str, Any]) -> int:
    parallel = whole(at(found, "spec", "parallelism"), "spec.parallelism", _MOST, 1)
    completions = whole(at(found, "spec", "completions"), "spec.completions", _MOST, parallel)
    return 0 if _suspended(found) else min(parallel, completions)


#: How many pods an object of a kind has at a time; the others say it in ``spec.replicas``. What CronJobs and DaemonSets
#: have does not stand in the object: only their lives tell.
_COUNTS: dict[str, Callable[[Mapping[str, Any]], int]] = {
    "Pod": lambda found: 1,
    "Job": _job,
    "CronJob": lambda found: 0,
    "DaemonSet": lambda found: 0,
}


def _replicas(kind: str, found: Mapping[str, Any]) -> int:
    if kind in _COUNTS:
        return _COUNTS[kind](found)
    return whole(at(found, "spec", "replicas"), "spec.replicas", _MOST, 1)
