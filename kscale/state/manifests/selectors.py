"""Selectors and terms of manifests become those of ``kscale.state``: checked, merged, in one order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kscale.errors import InputError
from kscale.state.descriptions import PodTerm, Selector, SpreadConstraint
from kscale.state.labels import Requirement, Term
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.names import check_key, check_labels, check_value

_SET = ("In", "NotIn")
_THERE = ("Exists", "DoesNotExist")
_COMPARED = ("Gt", "Lt")
#: int32, as the API has most of its numbers.
INT32 = (1 << 31) - 1
Labels = Mapping[str, str]


def requirement(found: models.SelectorRequirement, field: str, compared: bool = False) -> Requirement:
    """Return a requirement; ``compared`` allows Gt and Lt. Raises InputError."""
    key = check_key(need(found.key, f"{field}.key", "a label key"), f"{field}.key")
    operators = (*_SET, *_THERE, *_COMPARED) if compared else (*_SET, *_THERE)
    operator = one_of(need(found.operator, f"{field}.operator", "an operator"), operators, f"{field}.operator")
    values = found.values or ()
    if operator in _SET and not values:
        raise InputError("is empty", field=f"{field}.values", expected=f"values, for the operator {operator}")
    if operator in _THERE and values:
        raise InputError("is stated", field=f"{field}.values", expected=f"no values, for the operator {operator}")
    if operator in _COMPARED and len(values) != 1:
        raise InputError(f"has {len(values)} values", field=f"{field}.values", expected="one, for Gt and Lt")
    if operator in _SET:
        for value in values:
            check_value(value, f"{field}.values")
        if not compared:
            values = tuple(sorted(set(values)))
    return Requirement(key, operator, values)


def _equals(labels: Labels, operator: str = "In") -> list[Requirement]:
    return [Requirement(key, operator, (value,)) for key, value in labels.items()]


def selector_of(requirements: Iterable[Requirement]) -> Selector:
    """Return a selector with each requirement once, in the order of keys."""
    distinct = set(requirements)
    return Selector(tuple(sorted(distinct, key=lambda r: (r.key, r.operator, r.values))))


def _requirements(selector: models.LabelSelector, field: str) -> list[Requirement]:
    check_labels(selector.match_labels or {}, f"{field}.matchLabels")
    return _equals(selector.match_labels or {}) + [
        requirement(found, f"{field}.matchExpressions[{i}]") for i, found in enumerate(selector.match_expressions or ())
    ]


def label_selector(selector: models.LabelSelector | None, field: str) -> Selector | None:
    """Return a label selector; none selects nothing, an empty one everything. Raises InputError."""
    return None if selector is None else selector_of(_requirements(selector, field))


def equality_selector(labels: Labels | None) -> Selector:
    """Return the selector of a Service or a ReplicationController."""
    return selector_of(_equals(labels or {}))


def _merged(
    selector: models.LabelSelector | None,
    field: str,
    labels: Labels,
    match: Iterable[str] | None,
    mismatch: Iterable[str] | None = None,
) -> Selector | None:
    """Return a selector with matchLabelKeys and mismatchLabelKeys merged in, for a pod with ``labels``.

    A selector that is missing stays so; a key that the pod lacks adds nothing (API server v1.34).
    """
    if selector is None:
        return None
    requirements = _requirements(selector, field)
    for keys, operator in ((match or (), "In"), (mismatch or (), "NotIn")):
        requirements += _equals({key: labels[key] for key in keys if key in labels}, operator)
    return selector_of(requirements)


def node_term(term: models.NodeSelectorTerm, field: str) -> Term:
    """Return a node selector term; one without requirements matches nothing. Raises InputError."""
    requirements = [
        requirement(found, f"{field}.matchExpressions[{i}]", compared=True)
        for i, found in enumerate(term.match_expressions or ())
    ]
    for i, found in enumerate(term.match_fields or ()):
        where = f"{field}.matchFields[{i}]"
        key = one_of(need(found.key, f"{where}.key", "metadata.name"), ("metadata.name",), f"{where}.key")
        operator = one_of(need(found.operator, f"{where}.operator", "an operator"), _SET, f"{where}.operator")
        if len(found.values or ()) != 1:
            raise InputError(f"has {len(found.values or ())} values", field=f"{where}.values", expected="one node name")
        requirements.append(Requirement(key, operator, found.values or (), field=True))
    return tuple(requirements)


def node_terms(selector: models.NodeSelector | None, field: str) -> tuple[Term, ...] | None:
    """Return required node affinity: alternatives, or None where nothing is asked. Raises InputError."""
    if selector is None:
        return None
    where = f"{field}.nodeSelectorTerms"
    return tuple(node_term(term, f"{where}[{i}]") for i, term in enumerate(selector.node_selector_terms or ()))


def preferred_node_terms(terms: Iterable[models.PreferredNodeTerm] | None, field: str) -> tuple[tuple[int, Term], ...]:
    """Return preferred node affinity as (weight, term) pairs. Raises InputError."""
    return tuple(
        (
            _weight(term.weight, f"{field}[{i}].weight"),
            node_term(term.preference or models.NodeSelectorTerm(), f"{field}[{i}].preference"),
        )
        for i, term in enumerate(terms or ())
    )


def _weight(weight: int | None, field: str) -> int:
    if weight is None or not 1 <= weight <= 100:
        raise InputError(f"is {'missing' if weight is None else weight}", field=field, expected="1 to 100")
    return weight


def pod_term(term: models.PodAffinityTerm, field: str, namespace: str, labels: Labels) -> PodTerm:
    """Return a term of pod affinity of a pod in ``namespace`` with ``labels``. Raises InputError."""
    key = check_key(need(term.topology_key, f"{field}.topologyKey", "a node label"), f"{field}.topologyKey")
    selector = _merged(
        term.label_selector, f"{field}.labelSelector", labels, term.match_label_keys, term.mismatch_label_keys
    )
    namespaces = tuple(sorted(set(term.namespaces or ())))
    if not namespaces and term.namespace_selector is None:
        namespaces = (namespace,)
    return PodTerm(key, selector, namespaces, label_selector(term.namespace_selector, f"{field}.namespaceSelector"))


def pod_terms(
    affinity: models.PodAffinity | None, field: str, namespace: str, labels: Labels
) -> tuple[tuple[PodTerm, ...], tuple[tuple[int, PodTerm], ...]]:
    """Return the required and the preferred terms of pod affinity or anti-affinity. Raises InputError."""
    if affinity is None:
        return (), ()
    where = f"{field}.requiredDuringSchedulingIgnoredDuringExecution"
    required = tuple(
        pod_term(term, f"{where}[{i}]", namespace, labels) for i, term in enumerate(affinity.required or ())
    )
    where = f"{field}.preferredDuringSchedulingIgnoredDuringExecution"
    preferred = []
    for i, weighted in enumerate(affinity.preferred or ()):
        weight = _weight(weighted.weight, f"{where}[{i}].weight")
        term = need(weighted.pod_affinity_term, f"{where}[{i}].podAffinityTerm", "a term")
        preferred.append((weight, pod_term(term, f"{where}[{i}].podAffinityTerm", namespace, labels)))
    return required, tuple(preferred)


def spread_constraint(constraint: models.SpreadConstraint, field: str, labels: Labels) -> SpreadConstraint:
    """Return a topology spread constraint of a pod with ``labels``. Raises InputError."""
    policies = ("Honor", "Ignore")
    when = need(constraint.when_unsatisfiable, f"{field}.whenUnsatisfiable", "DoNotSchedule or ScheduleAnyway")
    hard = one_of(when, ("DoNotSchedule", "ScheduleAnyway"), f"{field}.whenUnsatisfiable") == "DoNotSchedule"
    skew, domains = constraint.max_skew, constraint.min_domains
    if skew is None or not 1 <= skew <= INT32:
        raise InputError(f"is {'missing' if skew is None else skew}", field=f"{field}.maxSkew", expected="1 or more")
    if domains is not None and not (1 <= domains <= INT32 and hard):
        raise InputError(f"is {domains}", field=f"{field}.minDomains", expected="1 or more, with DoNotSchedule")
    return SpreadConstraint(
        skew,
        check_key(need(constraint.topology_key, f"{field}.topologyKey", "a node label"), f"{field}.topologyKey"),
        hard,
        _merged(constraint.label_selector, f"{field}.labelSelector", labels, constraint.match_label_keys),
        domains,
        one_of(constraint.node_affinity_policy or "Honor", policies, f"{field}.nodeAffinityPolicy") == "Honor",
        one_of(constraint.node_taints_policy or "Ignore", policies, f"{field}.nodeTaintsPolicy") == "Honor",
    )


def keys_read(selector: models.LabelSelector | None) -> set[str]:
    """Return the label keys that a selector reads."""
    if selector is None:
        return set()
    return set(selector.match_labels or ()) | {found.key or "" for found in selector.match_expressions or ()}


def selects(selector: Selector | None, labels: Labels) -> bool:
    """Tell whether a selector selects something with ``labels``."""
    if selector is None:
        return False
    for found in selector.requirements:
        there = found.key in labels
        if found.operator == "In":
            good = there and labels[found.key] in found.values
        elif found.operator == "NotIn":
            good = not there or labels[found.key] not in found.values
        else:
            good = there == (found.operator == "Exists")
        if not good:
            return False
    return True
