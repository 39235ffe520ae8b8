"""Objects that controllers look after: each kind says how it is read, and which pods it may make.

A leaf of ``kscale.controllers`` gives a ``Manifest`` with its kind. What its ``take`` returns are columns of the kind's
table; pod templates, selections of pods and references to other objects are handles (small numbers) from ``Taking``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from kscale.errors import InputError
from kscale.state.descriptions import Selector
from kscale.state.manifests import models
from kscale.state.manifests.faults import Item
from kscale.state.manifests.names import check_labels

if TYPE_CHECKING:
    from kscale.state.manifests.claiming import Claimant
    from kscale.state.manifests.taking import Gathering

#: (kind, namespace, name).
Key = tuple[str, str, str]
#: The label that tells the pods of a Deployment's ReplicaSets apart.
HASH_LABEL = "pod-template-hash"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Manifest:
    """How objects of a kind are read.

    Attributes:
        groups: API groups that it may be of.
        model: the struct of the whole object.
        take: what becomes of one: columns of its table, by name (without the table's name).
        templates: those of the columns that hold handles of pod templates.
    """

    groups: tuple[str, ...]
    model: type
    take: Callable[[Taking, Any], dict[str, Any]]
    templates: tuple[str, ...] = ()


class TemplateMeta(models.Part, frozen=True):
    """metav1.ObjectMeta of a pod template."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class PodTemplateSpec(models.Part, frozen=True):
    """v1.PodTemplateSpec, its spec as it stands; empty where it is missing."""

    metadata: TemplateMeta | None = None
    spec: msgspec.Raw = msgspec.Raw()

    @property
    def empty(self) -> bool:
        """Whether its spec is missing."""
        return bytes(self.spec) in (b"", b"null")


@dataclass(frozen=True)
class Made:
    """An object that was read: its columns, and who it says controls it, as (kind, name)."""

    kind: str
    namespace: str
    name: str
    columns: dict[str, Any]
    owner: tuple[str, str] | None
    created_us: int
    item: Item


@dataclass
class Workloads:
    """All objects that were read for controllers.

    Attributes:
        made: in the order of the input.
        contents: distinct pod templates, as JSON without the hash label, and their numbers.
        selections: (selector, namespace) by handle; None selects nothing.
        references: (kind, namespace, name) by handle.
        texts: by handle.
        above: the object that controls one.
        crashing: objects whose crashes are set while a run goes on.
        most: of StatefulSets, the most replicas that something gives them while a run goes on.
    """

    made: list[Made] = field(default_factory=list)
    contents: dict[bytes, int] = field(default_factory=dict)
    selections: list[tuple[Selector | None, str]] = field(default_factory=list)
    references: dict[tuple[str, str, str], int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    above: dict[Key, Key] = field(default_factory=dict)
    crashing: set[Key] = field(default_factory=set)
    most: dict[Key, int] = field(default_factory=dict)

    def crashing_above(self, key: Key) -> tuple[Key, ...]:
        """Return which of an object, and those that it is of in the end, are ``crashing``; the nearest first."""
        chain: dict[Key, None] = {}
        at: Key | None = key
        while at is not None and at not in chain:
            chain[at] = None
            at = self.above.get(at)
        return tuple(one for one in chain if one in self.crashing)


@dataclass(frozen=True)
class Taking:
    """One object while it is read.

    Attributes:
        meta: its metadata, annotations included.
    """

    gathering: Gathering
    item: Item
    namespace: str
    name: str
    meta: models.NotedMeta

    def template(
        self,
        found: PodTemplateSpec | None,
        where: str = "spec.template",
        *,
        labels: Mapping[str, str] | None = None,
        owner: tuple[str, str, Selector | None] | None = None,
        claimant: Claimant | None = None,
    ) -> int:
        """Return the handle of a pod template.

        ``labels`` come on top of its own; ``owner`` is kind, name and selector of what controls its pods, by which
        they are spread; ``claimant`` is the set whose claims each pod mounts besides. Raises InputError.
        """
        if found is None or found.empty:
            raise InputError("is missing", field=f"{where}.spec", expected="the spec of its pods")
        meta = found.metadata or TemplateMeta()
        both = {**(meta.labels or {}), **(labels or {})}
        check_labels(both, f"{where}.metadata.labels")
        return self.gathering.want(self, found.spec, both, meta.annotations or {}, owner, claimant)

    def labels_of(self, found: PodTemplateSpec | None) -> dict[str, str]:
        """Return the labels of a pod template."""
        return dict((found.metadata.labels if found and found.metadata else None) or {})

    def content(self, found: PodTemplateSpec | None) -> int:
        """Return the number of what a pod template says, whatever its hash label: equal ones have one number."""
        meta = (found.metadata if found else None) or TemplateMeta()
        labels = {key: value for key, value in sorted((meta.labels or {}).items()) if key != HASH_LABEL}
        spec = msgspec.json.decode(found.spec) if found and bytes(found.spec) else None
        return self.number((labels, sorted((meta.annotations or {}).items()), spec))

    def number(self, told: object) -> int:
        """Return the number of something that JSON can say: equal ones have one number."""
        contents = self.gathering.workloads.contents
        return contents.setdefault(msgspec.json.encode(told, order="sorted"), len(contents))

    def selection(self, selector: Selector | None, keys: set[str]) -> int:
        """Return the handle of the pods of its namespace that a selector selects; ``keys`` are those that it reads."""
        self.gathering.kept.reads(self.namespace, keys)
        selections = self.gathering.workloads.selections
        selections.append((selector, self.namespace))
        return len(selections) - 1

    def reference(self, kind: str, name: str) -> int:
        """Return the handle of another object of its namespace, which need not be there yet."""
        references = self.gathering.workloads.references
        return references.setdefault((kind, self.namespace, name), len(references))

    def text(self, text: str) -> int:
        """Return the handle of a text; equal ones have one handle."""
        return self.gathering.workloads.texts.setdefault(text, len(self.gathering.workloads.texts))

    def note(self, text: str) -> None:
        """Count something that is not modelled."""
        self.gathering.ignored[text] += 1


def content_hash(content: int, namespace: str, name: str) -> str:
    """Return the pod-template-hash of a template; Kubernetes' own hashes the whole object, which nothing turns on."""
    number = (content + 1) * 2_654_435_761
    for letter in f"{namespace}/{name}":
        number = (number * 31 + ord(letter)) % (1 << 61)
    text = ""
    for _ in range(10):
        number, place = divmod(number, len(_LETTERS))
        text += _LETTERS[place]
    return text
