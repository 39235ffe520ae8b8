"""Objects as they stand after the earlier actions of a scenario: found out before the run begins.

What an action makes of an object is read again as any manifest is, so that its pod templates get handles before tables
are allocated. Equal templates and selectors get equal handles, so that what is changed can be told by its columns.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from kscale.errors import InputError, nearest
from kscale.scenario.changing import LAST_APPLIED, Found, check_fixed, merged, part
from kscale.scenario.revisions import Revisions, keeps_revisions, revisions_of
from kscale.scenario.targets import Key
from kscale.state.descriptions import Selector
from kscale.state.manifests import models
from kscale.state.manifests.claiming import Claimant
from kscale.state.manifests.faults import Item, full_name, need
from kscale.state.manifests.kinds import KINDS, group_of
from kscale.state.manifests.names import check_labels, check_name
from kscale.state.manifests.taking import Gathering
from kscale.state.manifests.workloads import Made, PodTemplateSpec, Taking, TemplateMeta


class _Noted(models.Part, frozen=True):
    metadata: models.NotedMeta | None = None


_noted = msgspec.json.Decoder(_Noted).decode


@dataclass(frozen=True)
class _Retaking(Taking):
    """One object while it is read again; ``handles`` are those of all that were read so."""

    handles: dict[Hashable, int] = field(default_factory=dict)

    def template(
        self,
        found: PodTemplateSpec | None,
        where: str = "spec.template",
        *,
        labels: Mapping[str, str] | None = None,
        owner: tuple[str, str, Selector | None] | None = None,
        claimant: Claimant | None = None,
    ) -> int:
        """Return the handle of a pod template, the same for the same template. Raises InputError."""
        if found is None:
            return super().template(found, where)
        meta = found.metadata or TemplateMeta()
        key = (
            self.item.kind, self.namespace, self.name, bytes(found.spec), _pairs(meta.labels), _pairs(meta.annotations),
            _pairs(labels), owner, claimant,
        )  # fmt: skip
        if key not in self.handles:
            self.handles[key] = super().template(found, where, labels=labels, owner=owner, claimant=claimant)
        return self.handles[key]

    def selection(self, selector: Selector | None, keys: set[str]) -> int:
        """Return the handle of a selection, the same for the same selector."""
        key = (self.namespace, selector)
        if key not in self.handles:
            self.handles[key] = super().selection(selector, keys)
        return self.handles[key]


def _pairs(labels: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((labels or {}).items()))


@dataclass(frozen=True)
class Standing:
    """An object as it stands.

    Attributes:
        item: where it comes from; its JSON is ``found``.
        applied: what was applied last, as JSON.
        columns: of its kind's table.
        owner: kind and name of what it says controls it.
    """

    key: Key
    item: Item
    found: Found
    applied: Found
    columns: dict[str, Any]
    owner: tuple[str, str] | None
    revisions: Revisions


class Folding:
    """The objects of an inventory, and what becomes of them action by action."""

    def __init__(self, gathering: Gathering) -> None:
        self.gathering = gathering
        self._handles: dict[Hashable, int] = {}
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {
            kind: msgspec.json.Decoder(one.model) for kind, one in gathering.manifests.items()
        }
        self._made: dict[Key, Made] = {(one.kind, one.namespace, one.name): one for one in gathering.workloads.made}
        self._standing: dict[Key, Standing] = {}
        self._gone: dict[Key, str] = {}
        self._dependents: dict[Key, list[Key]] = {}
        for key, one in self._made.items():
            if one.owner is not None:
                self._dependents.setdefault((one.owner[0], key[1], one.owner[1]), []).append(key)

    def there(self, key: Key) -> bool:
        """Tell whether an object is there now."""
        return key not in self._gone and (key in self._standing or key in self._made)

    def all_of(self, kind: str, namespace: str) -> list[Key]:
        """Return the objects of a kind that are there now, in the order of their names."""
        return sorted(key for key in {*self._made, *self._standing} if key[:2] == (kind, namespace) and self.there(key))

    def get(self, key: Key, field: str) -> Standing:
        """Return an object. Raises InputError where it is not there now."""
        if not self.there(key):
            kind, namespace, name = key
            gone = f": {self._gone[key]}" if key in self._gone else ""
            near = [one[2] for one in (*self._made, *self._standing) if one[:2] == key[:2] and self.there(one)]
            raise InputError(
                f"there is no {kind} '{name}' in the namespace '{namespace}'{gone}{nearest(name, near)}", field=field,
                expected="an object that is there at that time",
            )  # fmt: skip
        if key not in self._standing:
            made = self._made[key]
            found = msgspec.json.decode(made.item.raw)
            columns, owner = self._take(key, made.item._replace(raw=msgspec.json.encode(found)))
            own = [self._made[one] for one in self._dependents.get(key, ()) if one in self._made]
            self._standing[key] = Standing(
                key, made.item, found, _last_applied(found), columns, owner, revisions_of(key[0], found, own)
            )
        return self._standing[key]

    def change(self, standing: Standing, found: Found, where: str) -> tuple[dict[str, Any], bool]:
        """Make ``found`` of an object; return the columns that change, and whether its spec does."""
        if found == standing.found:
            return {}, False
        item = standing.item._replace(file=where, number=1, raw=msgspec.json.encode(found))
        try:
            check_fixed(standing.key[0], standing.found, found)
        except InputError as error:
            item.refuse(error, full_name(*standing.key[1:]))
        columns, owner = self._take(standing.key, item)
        new = {name: value for name, value in columns.items() if not _same(value, standing.columns.get(name))}
        revisions = standing.revisions
        if keeps_revisions(standing.key[0]):
            revisions = revisions.after(found)
        self._standing[standing.key] = replace(
            standing, item=item, found=found, columns=columns, owner=owner, revisions=revisions
        )
        return new, found.get("spec") != standing.found.get("spec")

    def apply(self, item: Item) -> Key | None:
        """Return whom a manifest is about, None where its kind is not followed here. Raises InputError."""
        known, manifest = KINDS.get(item.kind), self.gathering.manifests.get(item.kind)
        groups = manifest.groups if manifest is not None else ()
        if manifest is None or (item.api_version and group_of(item.api_version) not in groups):
            if item.kind == "Pod":
                item.refuse(InputError("is a pod", expected="a workload, which makes pods"))
            what = "read before the run alone" if known is not None else "not simulated"
            self.gathering.ignored[f"{item.kind[:80]}: applied by a scenario, {what}"] += 1
            return None
        meta = item.decode(_noted).metadata or models.NotedMeta()
        namespace = meta.namespace or "default"
        try:
            name = check_name(need(meta.name, "metadata.name", "a name"))
            check_name(namespace, "metadata.namespace", "namespace")
            check_labels(meta.labels or {})
        except InputError as error:
            item.refuse(error, full_name(namespace, meta.name))
        return item.kind, namespace, name

    def create(self, key: Key, item: Item) -> Standing:
        """Make an object as a manifest says. Raises InputError."""
        found = as_written(msgspec.json.decode(item.raw))
        item = item._replace(raw=msgspec.json.encode(found))
        columns, owner = self._take(key, item)
        if owner is not None:
            self._check_owner(key, owner, item)
            above = (owner[0], key[1], owner[1])
            self._dependents.setdefault(above, []).append(key)
            self.gathering.workloads.above[key] = above
        standing = Standing(key, item, found, found, columns, owner, revisions_of(key[0], found, ()))
        self._gone.pop(key, None)
        self._standing[key] = standing
        return standing

    def apply_over(self, standing: Standing, item: Item) -> tuple[dict[str, Any], bool]:
        """Apply a manifest to an object that is there; return what changes, as ``change`` does."""
        new = as_written(msgspec.json.decode(item.raw))
        changes, spec = self.change(standing, merged(standing.found, standing.applied, new), item.file)
        now = self._standing[standing.key]
        if now.owner != standing.owner:
            wrong = InputError(
                "changes who controls it", field="metadata.ownerReferences", expected="the same as before"
            )
            item.refuse(wrong, full_name(*standing.key[1:]))
        self._standing[standing.key] = replace(now, applied=new)
        return changes, spec

    def remove(self, key: Key, why: str, *, orphan: bool) -> None:
        """Take an object away, and its dependents unless they are left as orphans."""
        left = [key]
        while left:
            one = left.pop()
            self._gone[one] = why
            self._standing.pop(one, None)
            self._made.pop(one, None)
            dependents = self._dependents.pop(one, [])
            if not orphan:
                left += [other for other in dependents if self.there(other)]

    def _check_owner(self, key: Key, owner: tuple[str, str], item: Item) -> None:
        above: Key = (owner[0], key[1], owner[1])
        if above != key and not self.there(above):
            item.refuse(
                InputError(f"there is no {above[0][:80]} '{above[2][:80]}' at that time",
                           field="metadata.ownerReferences", expected="an object that is there"),
                full_name(key[1], key[2]),
            )  # fmt: skip
        seen = {key}
        while above not in seen:
            seen.add(above)
            found = self.get(above, "apply").owner if self.there(above) else None
            if found is None:
                return
            above = (found[0], key[1], found[1])
        item.refuse(
            InputError("is owned by itself in the end", field="metadata.ownerReferences", expected="no cycle"),
            full_name(key[1], key[2]),
        )

    def _take(self, key: Key, item: Item) -> tuple[dict[str, Any], tuple[str, str] | None]:
        """Return the columns of an object as its leaf reads it, and who controls it. Raises InputError."""
        kind, namespace, name = key
        meta = item.decode(_noted).metadata or models.NotedMeta()
        taking = _Retaking(self.gathering, item, namespace, name, meta, self._handles)
        found = item.decode(self._decoders[kind].decode)
        try:
            columns = self.gathering.manifests[kind].take(taking, found)
        except InputError as error:
            item.refuse(error, full_name(namespace, name))
        owner = next(
            ((one.kind or "", one.name or "") for one in meta.owner_references or () if one.controller), None
        )  # fmt: skip
        return columns, owner


def as_written(found: Found) -> Found:
    """Return a manifest without what only the API server writes."""
    kept = {key: value for key, value in found.items() if key != "status"}
    meta = kept.get("metadata")
    if isinstance(meta, dict):
        server = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields")
        kept["metadata"] = {key: value for key, value in meta.items() if key not in server}
    return kept


def _last_applied(found: Found) -> Found:
    """Return what was applied last, as the object says; of what no API server has seen, all of it."""
    noted = part(found, ("metadata", "annotations", LAST_APPLIED))
    if isinstance(noted, str):
        try:
            last = msgspec.json.decode(noted)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return {}
        return last if isinstance(last, dict) else {}
    return {} if part(found, ("metadata", "uid")) is not None else found


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, int):
        return bool(value == other)
    return other is not None and bool(np.array_equal(value, other))
