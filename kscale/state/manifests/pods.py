"""Pods become rows that share templates: what one decodes is written back without what differs from pod to pod.

A first pass takes each pod's parts apart and counts equal ones once; when all objects are known, a second one makes a
template of each distinct combination.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from kscale.errors import InputError
from kscale.state.descriptions import PodTemplate, Selector
from kscale.state.labels import Requirement
from kscale.state.lives import PodLife
from kscale.state.manifests import models
from kscale.state.manifests.admission import Place, refusal, template_of, with_volumes
from kscale.state.manifests.claiming import Claimant
from kscale.state.manifests.faults import Item, full_name, one_of
from kscale.state.manifests.kinds import PLAIN_FIELDS, READ_FIELDS
from kscale.state.manifests.names import check_labels
from kscale.state.manifests.selectors import keys_read, selector_of, selects
from kscale.state.manifests.surroundings import Kept
from kscale.state.manifests.workloads import Taking, Workloads

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
_ENDED = ("Succeeded", "Failed")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
#: Controllers whose selectors spread pods by default, with their apiVersion.
_OWNERS = {"ReplicationController": "v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1"}
Owner = tuple[str, str]
#: What a kubelet reads of a pod's spec (JSON), its annotations and its namespace. Raises InputError.
LifeOf = Callable[[bytes | msgspec.Raw, Mapping[str, str], str], PodLife]


def microseconds(time: datetime.datetime | None) -> int:
    """Return a time in microseconds since 1970, or -1 for none."""
    return -1 if time is None else (time - _EPOCH) // _MICROSECOND


@dataclass(slots=True)
class Row:
    """A pod between the two passes. ``spec`` and ``status`` are numbers of distinct ones.

    ``made``: it is the template of pods that controllers make.
    """

    name: str
    namespace: str
    file: str
    number: int
    spec: int
    status: int
    volumes: tuple[models.Volume, ...] | None
    labels: dict[str, str]
    owner: Owner | None
    terminating: bool
    node: str
    start_us: int
    created_us: int
    controller: Owner | None = None
    life: PodLife | None = None
    claimant: Claimant | None = None
    made: bool = False


@dataclass
class Pods:
    """Pods of a set of objects: bound ones, pending ones, and what they share.

    Attributes:
        sources: the JSON of each pending pod.
        specs, statuses: distinct ones as JSON, and their numbers.
        keys: label keys that pods' selectors read, by the namespace in which they look; ``everywhere``: in all of them.
        ignored: fields that are not modelled.
        ended: pods that have run.
        named: pending pods that name a node.
        wanted: templates that controllers may make pods of.
        life_of: reads what a kubelet reads of a pod; None where no kubelet is at work.
    """

    bound: list[Row] = field(default_factory=list)
    pending: list[Row] = field(default_factory=list)
    wanted: list[Row] = field(default_factory=list)
    sources: list[bytes] = field(default_factory=list)
    specs: dict[bytes, int] = field(default_factory=dict)
    statuses: dict[bytes, int] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)
    everywhere: set[str] = field(default_factory=set)
    ignored: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    named: int = 0
    life_of: LifeOf | None = None
    _lives: dict[tuple[bytes, tuple[tuple[str, str], ...], str], PodLife] = field(default_factory=dict)
    _encode: msgspec.json.Encoder = field(default_factory=msgspec.json.Encoder)
    _looked_at: set[tuple[int, str]] = field(default_factory=set)

    def add(self, item: Item, pod: models.Pod, namespace: str, name: str, bound: bool | None = None) -> None:
        """Add a pod; ``bound`` says whether it is on the node that it names, else its status tells.

        Raises InputError with the field that is wrong.
        """
        meta, spec, status = pod.metadata or models.Meta(), pod.spec, pod.status
        if spec is None:
            raise InputError("is missing", field="spec", expected="the pod's spec")
        if status is not None and status.phase and one_of(status.phase, PHASES, "status.phase") in _ENDED:
            self.ended += 1
            return
        node = spec.node_name or ""
        is_bound = bool(node) and (_has_status(status) if bound is None else bound)
        if is_bound:
            spec.node_name = None
        volumes = spec.volumes and _shared_volumes(spec.volumes, item, name)
        spec.volumes = None
        row = Row(
            name,
            namespace,
            item.file,
            item.number,
            self._number(self.specs, spec),
            self._status(status),
            volumes or None,
            meta.labels or {},
            _owner(meta),
            meta.deletion_timestamp is not None,
            node,
            microseconds(status.start_time) if status else -1,
            microseconds(meta.creation_timestamp),
            _controller(meta),
            self._life_of_pod(item, namespace),
        )
        check_labels(row.labels)
        self._look(spec, row)
        if spec.runtime_class_name:
            self.ignored["Pod.spec.runtimeClassName: only the overhead that the pod states counts"] += 1
        if is_bound:
            self.bound.append(row)
        else:
            self.named += bool(node)
            self._count_fields(item)
            self.pending.append(row)
            self.sources.append(bytes(item.raw))

    def _life_of_pod(self, item: Item, namespace: str) -> PodLife | None:
        if self.life_of is None:
            return None
        found = item.decode(_noted_spec)
        notes = (found.metadata.annotations if found.metadata else None) or {}
        return self._life(found.spec, notes, namespace)

    def _life(self, spec: msgspec.Raw, notes: Mapping[str, str], namespace: str) -> PodLife | None:
        """Return what a kubelet reads of a spec; equal ones are read once."""
        if self.life_of is None:
            return None
        key = (bytes(spec), tuple(sorted(notes.items())), namespace)
        if key not in self._lives:
            self._lives[key] = self.life_of(spec, notes, namespace)
        return self._lives[key]

    def want(
        self, taking: Taking, raw: msgspec.Raw, labels: dict[str, str], notes: dict[str, str], owner: Owner | None,
        claimant: Claimant | None,
    ) -> int:  # fmt: skip
        """Add a template that controllers may make pods of; return its place. Raises InputError."""
        item = taking.item
        spec = item._replace(raw=raw).decode(_spec)
        shared = spec.volumes and _shared_volumes(spec.volumes, item, taking.name)
        spec.volumes = None
        row = Row(
            taking.name, taking.namespace, item.file, item.number, self._number(self.specs, spec), self._status(None),
            shared or None, labels, owner if owner and owner[0] in _OWNERS else None, False, "", -1, -1,
            controller=(item.kind, taking.name), life=self._life(raw, notes, taking.namespace), claimant=claimant,
            made=True,
        )  # fmt: skip
        self._look(spec, row)
        self.wanted.append(row)
        return len(self.wanted) - 1

    def _count_fields(self, item: Item) -> None:
        """Count fields that no pod has; only pods that a person wrote can have them."""
        for name in item.decode(_fields).spec or ():
            if name not in READ_FIELDS and name not in PLAIN_FIELDS:
                self.ignored[f"Pod.spec.{name[:80]}"] += 1

    def _number(self, known: dict[bytes, int], part: object) -> int:
        return known.setdefault(self._encode.encode(part), len(known))

    def _status(self, status: models.PodStatus | None) -> int:
        """Return the number of what a status says of resources; 0 where it says nothing."""
        if not self.statuses:
            self._number(self.statuses, models.Allotment())
        if status is None or not (status.container_statuses or status.init_container_statuses):
            return 0
        infeasible = False
        for condition in status.conditions or ():
            if condition.type == "PodResizePending":
                infeasible = condition.reason == "Infeasible"
                break
        return self._number(
            self.statuses,
            models.Allotment(
                container_statuses=status.container_statuses,
                init_container_statuses=status.init_container_statuses,
                infeasible=infeasible,
            ),
        )

    def _look(self, spec: models.PodSpec, row: Row) -> None:
        """Note which label keys the pod's own selectors read, and where."""
        if spec.affinity is None and not spec.topology_spread_constraints:
            return
        if (row.spec, row.namespace) in self._looked_at:
            return
        self._looked_at.add((row.spec, row.namespace))
        own = self.keys.setdefault(row.namespace, set())
        for constraint in spec.topology_spread_constraints or ():
            own.update(keys_read(constraint.label_selector), constraint.match_label_keys or ())
        for term in _terms(spec.affinity):
            merged = {*(term.match_label_keys or ()), *(term.mismatch_label_keys or ())}
            own |= merged
            keys = keys_read(term.label_selector) | merged
            if term.namespace_selector is not None:
                self.everywhere |= keys
            for namespace in term.namespaces or (row.namespace,):
                self.keys.setdefault(namespace, set()).update(keys)


def _has_status(status: models.PodStatus | None) -> bool:
    return status is not None and status != models.PodStatus()


def _shared_volumes(volumes: tuple[models.Volume, ...], item: Item, pod: str) -> tuple[models.Volume, ...] | None:
    """Return only the volumes that matter; an ephemeral one becomes the claim that is made for it."""
    kept = [volume for volume in volumes if volume != _NO_VOLUME]
    if any(volume.ephemeral is not None for volume in kept):
        spec = item.decode(_names).spec
        names = [one.name or "" for one in (spec.volumes if spec else None) or ()]
        kept = [
            volume
            if volume.ephemeral is None
            else models.Volume(persistent_volume_claim=models.ClaimSource(claim_name=f"{pod}-{name}"))
            for volume, name in zip(volumes, names, strict=True)
            if volume != _NO_VOLUME
        ]
    return tuple(kept) or None


_NO_VOLUME = models.Volume()


class _Notes(models.Part, frozen=True):
    annotations: dict[str, str] | None = None


class _NotedSpec(models.Part, frozen=True):
    metadata: _Notes | None = None
    spec: msgspec.Raw = msgspec.Raw(b"{}")


_noted_spec = msgspec.json.Decoder(_NotedSpec).decode
_spec = msgspec.json.Decoder(models.PodSpec).decode
_fields = msgspec.json.Decoder(models.Fields).decode
_names = msgspec.json.Decoder(models.NamedVolumes).decode
_allotment = msgspec.json.Decoder(models.Allotment).decode


def _owner(meta: models.Meta) -> Owner | None:
    """Return kind and name of the controller whose selector spreads the pod by default."""
    for owner in meta.owner_references or ():
        if owner.controller:
            known = _OWNERS.get(owner.kind or "")
            return (
                (owner.kind or "", owner.name or "") if known in (owner.api_version or known, None) and known else None
            )
    return None


def _controller(meta: models.Meta) -> Owner | None:
    """Return kind and name of what controls the pod."""
    return next(((one.kind or "", one.name or "") for one in meta.owner_references or () if one.controller), None)


def _terms(affinity: models.Affinity | None) -> list[models.PodAffinityTerm]:
    found: list[models.PodAffinityTerm] = []
    if affinity is not None:
        for side in (affinity.pod_affinity, affinity.pod_anti_affinity):
            if side is not None:
                found += side.required or ()
                found += (w.pod_affinity_term for w in side.preferred or () if w.pod_affinity_term is not None)
    return found


class Templates:
    """The second pass: templates of rows, each distinct one once."""

    def __init__(self, pods: Pods, kept: Kept, workloads: Workloads) -> None:
        self._kept, self._workloads = kept, workloads
        self._specs, self._statuses = list(pods.specs), list(pods.statuses)
        self._decode = msgspec.json.Decoder(models.PodSpec).decode
        self._keys = {
            namespace: pods.everywhere | pods.keys.get(namespace, set()) | kept.keys.get(namespace, set())
            for namespace in {row.namespace for rows in (pods.bound, pods.pending, pods.wanted) for row in rows}
        }
        self._known: dict[object, int] = {}
        self._dry: dict[object, PodTemplate] = {}
        self.distinct: dict[PodTemplate, int] = {}

    def of(self, row: Row) -> int:
        """Return the row of a pod's template in ``distinct``. Raises InputError.

        Volumes come last: pods of a StatefulSet differ in nothing else.
        """
        keys = self._keys[row.namespace]
        labels = tuple([pair for pair in row.labels.items() if pair[0] in keys]) if keys else ()
        life = self._life_of(row)
        same = (row.spec, row.status, row.namespace, labels, row.owner, row.terminating, life, row.made)
        number = self._known.get((same, row.volumes))
        if number is None:
            try:
                template = self._dry.get(same)
                if template is None:
                    template = self._dry[same] = self._make(row, dict(labels), life)
                if row.volumes:
                    template = with_volumes(template, row.volumes)
            except InputError as error:
                Item(row.file, row.number, "Pod", "v1", b"").refuse(error, full_name(row.namespace, row.name))
            number = self._known[same, row.volumes] = self.distinct.setdefault(template, len(self.distinct))
        return number

    def _life_of(self, row: Row) -> PodLife | None:
        """Return what a kubelet reads, and whose crashes concern the pods: others do not share their template."""
        if row.controller is None or not self._workloads.crashing:
            return row.life
        kind, name = row.controller
        crashing = self._workloads.crashing_above((kind, row.namespace, name))
        return replace(row.life or PodLife(), crashing=crashing) if crashing else row.life

    def _make(self, row: Row, labels: dict[str, str], life: PodLife | None) -> PodTemplate:
        allotment = _allotment(self._statuses[row.status])
        statuses = (*(allotment.container_statuses or ()), *(allotment.init_container_statuses or ()))
        spec = self._decode(self._specs[row.spec])
        refused = refusal(spec, self._kept.priorities) if row.made else ""
        if refused:
            spec.priority_class_name = None
        devices, device_claims = self._kept.allocation.of_pod(spec.resource_claims or (), row.namespace)
        place = Place(
            row.namespace,
            labels,
            row.terminating,
            self._kept.priorities,
            self._default_selector(row, labels),
            {status.name or "": status for status in statuses},
            allotment.infeasible,
            devices,
            device_claims,
        )
        template = template_of(spec, place)
        return replace(template, life=life, refused=refused) if life is not None or refused else template

    def _default_selector(self, row: Row, labels: Mapping[str, str]) -> Selector | None:
        """Return services' and the owner's selectors as one (kube-scheduler's DefaultSelector); None for no more."""
        requirements: list[Requirement] = []
        services = self._kept.services.get(row.namespace)
        if services:
            for pair in labels.items():
                for selector in services.get(pair, ()):
                    if selects(selector, labels):
                        requirements += selector.requirements
        if row.owner is not None:
            owner = self._kept.owners.get((row.owner[0], row.namespace, row.owner[1]))
            requirements += owner.requirements if owner else ()
        return selector_of(requirements) if requirements else None
