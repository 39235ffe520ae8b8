"""Selectors of labels, terms of node affinity, tolerations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
Labels = Mapping[str, str]
Requirement = tuple[str, str, tuple[str, ...]]


def requirement_matches(requirement: Requirement, labels: Labels) -> bool:
    """Whether labels meet one requirement."""
    key, operator, values = requirement
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return key not in labels or labels[key] not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    number = whole_number(labels.get(key, ""))
    if number is None:
        return False
    bound = int(values[0])
    return number > bound if operator == "Gt" else number < bound


def whole_number(text: str) -> int | None:
    """The 64-bit integer that a text is, or None."""
    if not re.fullmatch("[+-]?[0-9]+", text) or not -(1 << 63) <= int(text) < 1 << 63:
        return None
    return int(text)


class Selector:
    """Requirements on labels, all of which must hold; ``nothing`` matches nothing at all."""

    def __init__(self, requirements: Iterable[Requirement], *, nothing: bool = False) -> None:
        self.requirements = list(requirements)
        self.nothing = nothing

    @property
    def empty(self) -> bool:
        """Whether it matches everything."""
        return not self.requirements and not self.nothing

    def matches(self, labels: Labels) -> bool:
        """Whether labels meet all requirements."""
        return not self.nothing and all(requirement_matches(r, labels) for r in self.requirements)

    def __and__(self, requirements: Iterable[Requirement]) -> Selector:
        return Selector([*self.requirements, *requirements], nothing=self.nothing)


NOTHING = Selector([], nothing=True)


def of_labels(labels: Labels) -> Selector:
    """A selector of equal labels."""
    return Selector((key, "In", (value,)) for key, value in labels.items())


def label_selector(written: Mapping[str, Any] | None) -> Selector:
    """A written label selector; none at all matches nothing."""
    if written is None:
        return NOTHING
    selector = of_labels(written.get("matchLabels") or {})
    return selector & (_requirement(r) for r in written.get("matchExpressions") or [])


def _requirement(written: Mapping[str, Any]) -> Requirement:
    return written["key"], written["operator"], tuple(written.get("values") or ())


class NodeTerm:
    """One term of node affinity; one that cannot be read matches nothing, and ``broken`` says so."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self.expressions = [_requirement(r) for r in written.get("matchExpressions") or []]
        self.fields = [_requirement(r) for r in written.get("matchFields") or []]
        self.empty = not self.expressions and not self.fields
        self.broken = not all(_is_valid(r) for r in self.expressions)

    def matches(self, name: str, labels: Labels) -> bool:
        """Whether a node with this name and these labels is meant."""
        if self.empty or self.broken:
            return False
        fields = {"metadata.name": name}
        return all(requirement_matches(r, labels) for r in self.expressions) and all(
            requirement_matches(r, fields) for r in self.fields
        )

    def names(self) -> set[str] | None:
        """The nodes that its fields name, None if they name none."""
        found: set[str] | None = None
        for key, operator, values in self.fields:
            if key == "metadata.name" and operator == "In":
                found = set(values) if found is None else found & set(values)
        return found


def _is_valid(requirement: Requirement) -> bool:
    _, operator, values = requirement
    if operator in ("In", "NotIn") and not values:
        return False
    if operator in ("Exists", "DoesNotExist") and values:
        return False
    if operator in ("Gt", "Lt") and (len(values) != 1 or whole_number(values[0]) is None):
        return False
    return all(_VALUE.fullmatch(value) for value in values)


def tolerates(toleration: Mapping[str, Any], key: str, value: str, effect: str) -> bool:
    """Whether a toleration covers a taint."""
    if (toleration.get("effect") or effect) != effect or (toleration.get("key") or key) != key:
        return False
    operator = toleration.get("operator") or "Equal"
    return operator == "Exists" or (operator == "Equal" and (toleration.get("value") or "") == value)


def untolerated(
    taints: Iterable[Mapping[str, Any]], tolerations: Iterable[Mapping[str, Any]], effects: Iterable[str]
) -> list[Mapping[str, Any]]:
    """The taints with these effects that no toleration covers, in their order."""
    return [
        taint
        for taint in taints
        if taint["effect"] in effects
        and not any(tolerates(t, taint["key"], taint.get("value") or "", taint["effect"]) for t in tolerations)
    ]
