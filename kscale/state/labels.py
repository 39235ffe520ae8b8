"""Labels, selectors, taints and tolerations: their written forms, and selectors as programs over label columns.

Written forms follow kubectl: labels ``key=value,key=value``; a selector term ``zone in (a,b),disk=ssd,!gpu,gen>5``;
terms joined by `` | `` are alternatives; preferred terms carry a weight, ``10: zone=a | 5: disk=ssd``;
taints ``key=value:Effect``; tolerations ``key=value:Effect``, ``key:Effect`` (any value), ``key`` (any effect), ``*``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kscale.errors import InputError

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_KEY = r"(?:[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY_PATTERN = re.compile(_KEY, re.ASCII)
_VALUE_PATTERN = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_SET = re.compile(r"(\S+)\s+(in|notin)\s*\(([^()]*)\)")
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_INT64 = 1 << 63


@dataclass(frozen=True)
class Requirement:
    """One requirement of a selector term; ``operator`` is Kubernetes': In, NotIn, Exists, DoesNotExist, Gt, Lt.

    With ``field`` it is one of ``matchFields``, whose only key is ``metadata.name``.
    """

    key: str
    operator: str
    values: tuple[str, ...] = ()
    field: bool = False


#: A term: all its requirements must hold. An empty term matches nothing (kube-scheduler v1.34.1).
Term = tuple[Requirement, ...]


@dataclass(frozen=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True)
class Toleration:
    """A toleration; an empty key with Exists tolerates every key, an empty effect every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def tolerates(self, taint: Taint) -> bool:
        """Tell whether it tolerates ``taint`` (k8s.io/api Toleration.ToleratesTaint)."""
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        return self.operator == "Exists" or self.value == taint.value


def _checked(text: str, pattern: re.Pattern[str], what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise InputError(f"'{text[:80]}' is not a label {what}", expected=f"a Kubernetes label {what}")
    return text


def parse_labels(text: str | None) -> dict[str, str]:
    """Return ``key=value,key=value`` as a dict. Raises InputError."""
    labels: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in (text or "").split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"'{part[:80]}' is not a label", expected="key=value")
        labels[_checked(key.strip(), _KEY_PATTERN, "key")] = _checked(value.strip(), _VALUE_PATTERN, "value")
    return labels


def parse_taints(text: str | None) -> tuple[Taint, ...]:
    """Return ``key=value:Effect,key:Effect`` as taints, in order. Raises InputError."""
    taints = []
    for part in filter(None, (p.strip() for p in (text or "").split(","))):
        left, colon, effect = part.rpartition(":")
        if not colon or effect not in EFFECTS:
            raise InputError(
                f"'{part[:80]}' is not a taint", expected=f"key=value:Effect with an effect of {', '.join(EFFECTS)}"
            )
        key, _, value = left.partition("=")
        taints.append(Taint(_checked(key, _KEY_PATTERN, "key"), _checked(value, _VALUE_PATTERN, "value"), effect))
    return tuple(taints)


def parse_tolerations(text: str | None) -> tuple[Toleration, ...]:
    """Return ``key=value:Effect,key:Effect,key,*`` as tolerations, in order. Raises InputError."""
    tolerations = []
    for part in filter(None, (p.strip() for p in (text or "").split(","))):
        left, colon, effect = part.rpartition(":")
        left, effect = (left, effect) if colon else (part, "")
        if effect and effect not in EFFECTS:
            raise InputError(f"'{part[:80]}' is not a toleration", expected=f"an effect of {', '.join(EFFECTS)}")
        key, equals, value = left.partition("=")
        if key == "*" and not equals:
            tolerations.append(Toleration("", "Exists", "", effect))
        else:
            _checked(key, _KEY_PATTERN, "key")
            tolerations.append(
                Toleration(key, "Equal" if equals else "Exists", _checked(value, _VALUE_PATTERN, "value"), effect)
            )
    return tuple(tolerations)


def parse_term(text: str) -> Term:
    """Return one selector term in kubectl's syntax (``zone in (a,b),disk=ssd,!gpu,gen>5``). Raises InputError."""
    requirements = []
    for part in filter(None, (p.strip() for p in re.split(r",(?![^()]*\))", text))):
        found = _SET.fullmatch(part)
        if found:
            key, operator = found[1], {"in": "In", "notin": "NotIn"}[found[2]]
            values = tuple(_checked(v.strip(), _VALUE_PATTERN, "value") for v in found[3].split(","))
        elif part.startswith("!"):
            key, operator, values = part[1:].strip(), "DoesNotExist", ()
        else:
            for sign, operator in (("!=", "NotIn"), ("==", "In"), ("=", "In"), (">", "Gt"), ("<", "Lt")):
                key, found_sign, value = part.partition(sign)
                if found_sign:
                    values = (value.strip(),)
                    if operator in ("In", "NotIn"):
                        _checked(values[0], _VALUE_PATTERN, "value")
                    break
            else:
                key, operator, values = part, "Exists", ()
        requirements.append(Requirement(_checked(key.strip(), _KEY_PATTERN, "key"), operator, values))
    return tuple(requirements)


def parse_terms(text: str | None) -> tuple[Term, ...] | None:
    """Return alternatives joined by ``|``, or None where there is no text. Raises InputError."""
    return None if not text else tuple(parse_term(part) for part in text.split("|"))


def parse_preferred_terms(text: str | None) -> tuple[tuple[int, Term], ...]:
    """Return ``10: zone=a | 5: disk=ssd`` as (weight, term) pairs. Raises InputError."""
    terms = []
    for part in filter(None, (p.strip() for p in (text or "").split("|"))):
        weight, colon, term = part.partition(":")
        if not colon or not weight.strip().isascii() or not weight.strip().isdigit() or not 1 <= int(weight) <= 100:
            raise InputError(
                f"'{part[:80]}' is not a preferred term", expected="weight: term, with a weight of 1 to 100"
            )
        terms.append((int(weight), parse_term(term)))
    return tuple(terms)


def format_term(term: Term) -> str:
    """Return a term in kubectl's syntax, the inverse of ``parse_term``."""
    forms = {
        "In": "{k} in ({v})",
        "NotIn": "{k} notin ({v})",
        "Exists": "{k}",
        "DoesNotExist": "!{k}",
        "Gt": "{k}>{v}",
        "Lt": "{k}<{v}",
    }
    return ",".join(forms[r.operator].format(k=r.key, v=",".join(r.values)) for r in term)


def integer(text: str) -> int | None:
    """Return a label value as the int64 that Gt and Lt compare, or None where it is not one (base 10, ``007`` is 7)."""
    if _INTEGER.fullmatch(text) is None or len(text) > 63:
        return None
    value = int(text)
    return value if -_INT64 <= value < _INT64 else None


Rows = npt.NDArray[np.int64]


class Labels:
    """Interned label keys and values, and the label columns of the nodes.

    ``columns`` is int32 of shape (keys, nodes): the code of the value, -1 where the node has no such label.
    """

    def __init__(self, nodes: list[dict[str, str]]) -> None:
        keys = sorted({key for labels in nodes for key in labels})
        values = sorted({value for labels in nodes for value in labels.values()})
        self.keys = {key: code for code, key in enumerate(keys)}
        self.values = {value: code for code, value in enumerate(values)}
        self.columns: npt.NDArray[np.int32] = np.full((len(keys), len(nodes)), -1, np.int32)
        for node, labels in enumerate(nodes):
            for key, value in labels.items():
                self.columns[self.keys[key], node] = self.values[value]
        self._sorted: dict[int, tuple[Rows, npt.NDArray[np.int32]]] = {}
        integers = [integer(value) for value in values]
        self._integers = np.array([0 if value is None else value for value in integers], np.int64)
        self._is_integer = np.array([value is not None for value in integers], bool)

    def texts(self, key: str) -> list[str | None]:
        """Return the value of a label on every node; None where it is missing."""
        code = self.keys.get(key)
        if code is None:
            return [None] * self.columns.shape[1]
        values = list(self.values)
        return [values[value] if value >= 0 else None for value in self.columns[code].tolist()]

    def matches(self, term: Term) -> npt.NDArray[np.bool_]:
        """Return which nodes match ``term``: its requirements run one by one over whole columns.

        An empty term matches no node; a Gt or Lt whose value is no integer never matches.
        """
        result = np.full(self.columns.shape[1], bool(term))
        for requirement in term:
            result &= self._matches(requirement, slice(None))
        return result

    def rows(self, term: Term) -> Rows:
        """Return the nodes that match ``term``, ascending; costs by how many have a value that the term names."""
        named = next((requirement for requirement in term if requirement.operator == "In"), None)
        if named is None:
            return np.flatnonzero(self.matches(term))
        rows = self._having(named)
        for requirement in term:
            if requirement is not named:
                rows = rows[self._matches(requirement, rows)]
        return rows

    def _having(self, requirement: Requirement) -> Rows:
        key = self.keys.get(requirement.key)
        if key is None:
            return np.empty(0, np.int64)
        if key not in self._sorted:
            order = np.argsort(self.columns[key], kind="stable")
            self._sorted[key] = (order, self.columns[key][order])
        order, values = self._sorted[key]
        codes = np.array([self.values[v] for v in set(requirement.values) if v in self.values], np.int32)
        bounds = zip(np.searchsorted(values, codes), np.searchsorted(values, codes, "right"), strict=True)
        return np.sort(np.concatenate([np.empty(0, np.int64), *(order[first:last] for first, last in bounds)]))

    def _matches(self, requirement: Requirement, rows: Rows | slice) -> npt.NDArray[np.bool_]:
        key = self.keys.get(requirement.key)
        column = (self.columns[key] if key is not None else np.full(self.columns.shape[1], -1, np.int32))[rows]
        if requirement.operator == "Exists":
            return column >= 0
        if requirement.operator == "DoesNotExist":
            return column < 0
        if requirement.operator in ("In", "NotIn"):
            codes = [self.values[v] for v in requirement.values if v in self.values]
            inside = np.isin(column, codes) & (column >= 0)
            return inside if requirement.operator == "In" else ~inside
        # A bound with a sign is no label value: kube-scheduler cannot parse it, and the term never matches.
        bound = integer(requirement.values[0]) if requirement.values[0].isdigit() else None
        if bound is None or not len(self._integers):
            return np.zeros(len(column), bool)
        present = (column >= 0) & self._is_integer[column]
        number = self._integers[column]
        return present & ((number > bound) if requirement.operator == "Gt" else (number < bound))
