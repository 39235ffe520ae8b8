"""Takes the inventory of Kubernetes objects: from files, or as decoded already."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from kscale.errors import InputError, MachineError
from kscale.state.descriptions import PodTemplate, Selector, Surroundings
from kscale.state.manifests import models
from kscale.state.manifests.claiming import Claimant, settle
from kscale.state.manifests.faults import Item, full_name, need, told
from kscale.state.manifests.inventory import Inventory, PodColumns
from kscale.state.manifests.kinds import IDLE, KINDS, Kind, group_of
from kscale.state.manifests.names import check_labels, check_name
from kscale.state.manifests.pods import LifeOf, Pods, Row, Templates, microseconds
from kscale.state.manifests.reading import ReadOptions, read_objects
from kscale.state.manifests.surroundings import NAMESPACE_LABEL, Kept, add
from kscale.state.manifests.workloads import Made, Manifest, Taking, Workloads

#: Start of bound pods that state none, and the earliest one of pending pods (microseconds since 1970).
FIRST_BOUND = 1_767_225_600_000_000
FIRST_PENDING = 1_780_272_000_000_000
_SECOND = 1_000_000


class _Noted(models.Part, frozen=True):
    metadata: models.NotedMeta | None = None


_noted = msgspec.json.Decoder(_Noted).decode


@dataclass
class Gathering:
    """Objects as they come in."""

    kept: Kept = field(default_factory=Kept)
    pods: Pods = field(default_factory=Pods)
    read: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    seen: set[tuple[str, str, str]] = field(default_factory=set)
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    workloads: Workloads = field(default_factory=Workloads)
    inputs: list[str] = field(default_factory=list)

    def want(
        self, taking: Taking, spec: msgspec.Raw, labels: dict[str, str], notes: dict[str, str],
        owner: tuple[str, str, Selector | None] | None, claimant: Claimant | None,
    ) -> int:  # fmt: skip
        """Return the handle of a template that pods may be made of. Raises InputError."""
        kind, name, selector = owner or ("", "", None)
        if selector is not None:
            self.kept.owners[kind, taking.namespace, name] = selector
            self.kept.reads(taking.namespace, {requirement.key for requirement in selector.requirements})
        return self.pods.want(taking, spec, labels, notes, owner and (owner[0], owner[1]), claimant)

    def _make(self, item: Item, manifest: Manifest, namespace: str, name: str) -> None:
        """Take an object that a controller looks after. Raises InputError."""
        meta = item.decode(_noted).metadata or models.NotedMeta()
        taking = Taking(self, item, namespace, name, meta)
        columns = manifest.take(taking, item.decode(msgspec.json.Decoder(manifest.model).decode))
        owner = next(
            ((one.kind or "", one.name or "") for one in meta.owner_references or () if one.controller), None
        )  # fmt: skip
        created = microseconds(meta.creation_timestamp)
        self.workloads.made.append(Made(item.kind, namespace, name, columns, owner, created, item))
        if owner is not None:
            self.workloads.above[item.kind, namespace, name] = owner[0], namespace, owner[1]

    def take(self, item: Item, bound: bool | None = None) -> None:
        """Take one object. Raises InputError."""
        known, manifest = KINDS.get(item.kind), self.manifests.get(item.kind)
        if known is None and manifest is not None:
            known = Kind(manifest.groups, True, _noted)
        if known is None or (item.api_version and group_of(item.api_version) not in known.groups):
            group = group_of(item.api_version)
            self.ignored[f"{item.kind}.{group}" if group and known else item.kind] += 1
            return
        found = item.decode(known.decode)
        meta = getattr(found, "metadata", None) or models.Meta()
        namespace = (meta.namespace or "default") if known.namespaced else ""
        try:
            name = check_name(need(meta.name, "metadata.name", "a name"))
            if namespace:
                check_name(namespace, "metadata.namespace", "namespace")
            identity = (item.kind, namespace, name)
            if identity in self.seen:
                raise InputError("is there twice", expected="each object once")
            self.seen.add(identity)
            self.read[item.kind] += 1
            if manifest is not None:
                self._make(item, manifest, namespace, name)
            if isinstance(found, models.Pod):
                self.pods.add(item, found, namespace, name, bound)
            elif manifest is not None and (item.kind in IDLE or item.kind not in KINDS):
                check_labels(meta.labels or {})
            elif item.kind in IDLE:
                self.ignored[f"{item.kind}: {IDLE[item.kind]}"] += 1
            else:
                check_labels(meta.labels or {})
                add(self.kept, item.kind, found, namespace, name)
        except InputError as error:
            item.refuse(error, full_name(namespace, meta.name or meta.generate_name))

    def inventory(self, inputs: Sequence[str] = (), implied: bool = True) -> Inventory:
        """Return the inventory of all that was taken; ``implied`` adds the namespaces that pods lie in."""
        kept, pods, notes = self.kept, self.pods, []
        row_of = {node.name: row for row, node in enumerate(kept.nodes)}
        lost = Counter(row.node for row in pods.bound if row.node not in row_of)
        bound = [row for row in pods.bound if row.node in row_of] if lost else pods.bound
        if lost:
            names = ", ".join(sorted(lost)[:3])
            self.ignored["Pod: bound to a node that is not there"] = sum(lost.values())
            notes.append(f"{sum(lost.values()):,} pods are left out: their nodes are not there ({names[:200]}).")
        if pods.ended:
            self.ignored["Pod: has ended"] = pods.ended
        if pods.named:
            notes.append(f"{pods.named:,} pods name a node and have no status: they are pending.")
        if implied:
            self._imply_namespaces()
        columns, pending, templates = self._columns(bound, pods.pending)
        wanted = [templates.of(row) for row in pods.wanted]
        notes += _refused(pods.wanted, list(templates.distinct), np.array(wanted, np.int64))
        surroundings = self._surroundings(row_of)
        ordinals = settle(self._claimants(), wanted, templates.distinct, surroundings, kept.nodes)
        self.ignored += pods.ignored + kept.ignored + kept.allocation.ignored
        return Inventory(
            nodes=kept.nodes,
            templates=list(templates.distinct),
            pods=columns,
            pending=pending,
            sources=pods.sources,
            surroundings=surroundings,
            read=dict(self.read),
            ignored=dict(self.ignored),
            notes=tuple(notes),
            inputs=tuple(inputs),
            workloads=self.workloads,
            wanted=np.array(wanted, np.int64),
            ordinals=ordinals,
        )

    def _claimants(self) -> dict[int, tuple[Claimant, int]]:
        """Return the sets whose pods have claims, by the handles of their templates, with their most replicas."""
        most = dict(self.workloads.most)
        for made in self.workloads.made:
            key = made.kind, made.namespace, made.name
            most[key] = max(most.get(key, 0), int(made.columns.get("replicas", 0)))
        default = min(self.kept.default_classes)[1] if self.kept.default_classes else None
        found = {}
        for handle, row in enumerate(self.pods.wanted):
            if row.claimant is not None and row.controller is not None:
                claims = [
                    replace(one, storage_class=default) if one.storage_class is None else one
                    for one in row.claimant.claims
                ]
                kind, name = row.controller
                found[handle] = replace(row.claimant, claims=tuple(claims)), most.get((kind, row.namespace, name), 0)
        return found

    def _imply_namespaces(self) -> None:
        for rows in (self.pods.bound, self.pods.pending, self.pods.wanted):
            for row in rows:
                if row.namespace not in self.kept.namespaces:
                    self.kept.namespaces[row.namespace] = {NAMESPACE_LABEL: row.namespace}

    def _columns(self, bound: list[Row], pending: list[Row]) -> tuple[PodColumns, np.ndarray, Templates]:
        rows = bound + pending
        templates = Templates(self.pods, self.kept, self.workloads)
        node_of = {node.name: row for row, node in enumerate(self.kept.nodes)}
        start = np.array([row.start_us for row in rows], np.int64)
        split, place = len(bound), np.arange(len(rows), dtype=np.int64)
        first = np.where(place < split, FIRST_BOUND + place * _SECOND, 0)
        missing = start < 0
        start[:split][missing[:split]] = first[:split][missing[:split]]
        latest = max(FIRST_PENDING, int(start[:split].max(initial=0)) + _SECOND)
        start[split:][missing[split:]] = (latest + (place - split) * _SECOND)[split:][missing[split:]]
        columns = PodColumns(
            names=[row.name for row in rows],
            namespaces=[row.namespace for row in rows],
            template=np.array([templates.of(row) for row in rows], np.int32),
            node=np.array([node_of[row.node] for row in bound] + [-1] * len(pending), np.int32),
            start_us=start,
            created_us=np.array([row.created_us for row in rows], np.int64),
            controllers=[row.controller for row in rows],
        )
        return columns, place[split:], templates

    def _surroundings(self, row_of: Mapping[str, int]) -> Surroundings:
        kept = self.kept
        if kept.default_classes:
            default = min(kept.default_classes)[1]
            for name, claim in kept.claims.items():
                if claim.storage_class is None:
                    kept.claims[name] = replace(claim, storage_class=default)
        if self.pods.life_of is not None:
            # Where kubelets are at work, volume controllers are too.
            kept.claims = {name: replace(claim, lives=True) for name, claim in kept.claims.items()}
        return Surroundings(
            namespaces=kept.namespaces,
            volumes=kept.volumes,
            claims=kept.claims,
            classes=kept.classes,
            limits={row_of[name]: drivers for name, drivers in kept.drivers.items() if name in row_of},
            budgets=tuple(kept.budgets),
            device_counts=kept.allocation.counts(row_of),
        )


def _refused(rows: Sequence[Row], templates: Sequence[PodTemplate], wanted: np.ndarray) -> list[str]:
    """Say whose pods the API server refuses, and why; what is refused for one reason is told in one line."""
    of: dict[str, list[str]] = {}
    for row, template in zip(rows, wanted.tolist(), strict=True):
        if templates[template].refused and row.controller is not None:
            of.setdefault(templates[template].refused, []).append(
                f"{row.controller[0]} {full_name(row.namespace, row.name)}"
            )
    return [
        f"The pods of {', '.join(names[:3])}{' and others' if len(names) > 3 else ''} are refused: {reason}."
        for reason, names in of.items()
    ]


def take_inventory(
    paths: Sequence[str | Path], options: ReadOptions | None = None, manifests: Mapping[str, Manifest] | None = None
) -> Inventory:
    """Return the inventory of files, folders or ``-`` (stdin). Raises InputError and MachineError.

    ``manifests`` are the kinds that controllers look after.
    """
    with no_collection():
        gathering = gather_objects(paths, options or ReadOptions(), manifests or {})
        return gathering.inventory(gathering.inputs)


def gather_objects(
    paths: Sequence[str | Path], options: ReadOptions, manifests: Mapping[str, Manifest],
    life_of: LifeOf | None = None,
) -> Gathering:  # fmt: skip
    """Return the objects of files, folders or ``-`` (stdin), of which an inventory is made.

    ``manifests`` are the kinds that controllers look after; ``life_of`` reads what a kubelet reads of a pod. Raises
    InputError and MachineError.
    """
    gathering = Gathering(manifests=manifests, pods=Pods(life_of=life_of))
    for item in read_objects(paths, options, gathering.inputs):
        gathering.take(item)
    if paths and not gathering.read and not gathering.ignored:
        raise InputError("has no objects", file=", ".join(gathering.inputs)[:200], expected="Kubernetes objects")
    return gathering


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Keep the collector of cycles still: there are none, and it would look at millions of parts again and again.

    Out of memory is a MachineError.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    except MemoryError as error:
        raise MachineError("out of memory") from error
    finally:
        if enabled:
            gc.enable()


def inventory_of(
    objects: Iterable[Mapping[str, object]], pending: Iterable[Mapping[str, object]] | None = None
) -> Inventory:
    """Return the inventory of objects that are decoded already. Raises InputError.

    Pods among ``objects`` that name a node are bound to it. Those in ``pending`` are all pending, whatever they name;
    they need no kind.
    """
    gathering = Gathering()
    for number, found in enumerate(objects, 1):
        gathering.take(_item(found, "objects", number), bound=True)
    for number, found in enumerate(pending or (), 1):
        gathering.take(_item(found, "pending", number, "Pod"), bound=False)
    return gathering.inventory(implied=False)


def _item(found: Mapping[str, object], where: str, number: int, kind: object = None) -> Item:
    """Return a decoded object as an item; ``kind`` is what it is whatever it says."""
    place = f"{where}, item {number}"
    if not isinstance(found, Mapping):
        raise InputError("is no mapping", file=place, expected="a Kubernetes object")
    version = found.get("apiVersion")
    kind = kind or found.get("kind")
    if not isinstance(kind, str) or not kind:
        raise InputError("has no kind", file=place, expected="a Kubernetes object")
    try:
        raw = msgspec.json.encode(found)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise InputError(told(error).problem, file=place, expected="a Kubernetes object") from None
    return Item(where, number, kind, version if isinstance(version, str) else "", raw)
