"""Arguments of plug-ins in a KubeSchedulerConfiguration, with the defaults and the limits of kube-scheduler v1.34.1.

Faults name the field; the reader of the whole file adds which file it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from kscale.errors import InputError, nearest
from kscale.state.labels import Term, integer
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of, told
from kscale.state.manifests.names import check_key
from kscale.state.manifests.selectors import INT32, node_term, spread_constraint

API_VERSION = "kubescheduler.config.k8s.io/v1"
STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
#: Resources that are scored where none are stated, with their weights.
DEFAULT_RESOURCES = (("cpu", 1), ("memory", 1))
#: The highest weight of a resource, and the highest score of a point of a shape.
_MOST_WEIGHT, _MOST_SCORE = 100, 10
_DURATION = re.compile(r"0|(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


@dataclass(frozen=True)
class ScoringStrategy:
    """How NodeResourcesFit scores.

    Attributes:
        type: one of ``STRATEGIES``.
        resources: (name, weight) pairs.
        shape: (utilization, score) points of RequestedToCapacityRatio, scores of 0 to 10 as stated.
    """

    type: str = "LeastAllocated"
    resources: tuple[tuple[str, int], ...] = DEFAULT_RESOURCES
    shape: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class DefaultConstraint:
    """A spread constraint for pods that state none; ``hard`` is DoNotSchedule."""

    max_skew: int
    topology_key: str
    hard: bool


DEFAULT_STRATEGY = ScoringStrategy()
#: The constraints of defaultingType System.
SYSTEM_CONSTRAINTS = (
    DefaultConstraint(3, "kubernetes.io/hostname", False),
    DefaultConstraint(5, "topology.kubernetes.io/zone", False),
)


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What all parts of the file share: camelCase names; a missing field and null are alike."""


def fields(*names: str) -> type[msgspec.Struct]:
    """Return a part with these fields, which take any value."""
    return msgspec.defstruct("Fields", [(name, Any, None) for name in names])


class _Args(Part, frozen=True):
    api_version: str | None = None
    kind: str | None = None


class _Fit(_Args, frozen=True):
    ignored_resources: tuple[str, ...] | None = None
    ignored_resource_groups: tuple[str, ...] | None = None
    scoring_strategy: Any = None


class _Strategy(Part, frozen=True):
    type: str | None = None
    resources: Any = None
    requested_to_capacity_ratio: Any = None


class _Resource(Part, frozen=True):
    name: str | None = None
    weight: int | None = None


class _Ratio(Part, frozen=True):
    shape: Any = None


class _Point(Part, frozen=True):
    utilization: int | None = None
    score: int | None = None


class _Balanced(_Args, frozen=True):
    resources: Any = None


class _Added(_Args, frozen=True):
    added_affinity: Any = None


class _NodeAffinity(Part, frozen=True):
    required: Any = msgspec.field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")
    preferred: Any = msgspec.field(default=None, name="preferredDuringSchedulingIgnoredDuringExecution")


class _NodeSelector(Part, frozen=True):
    node_selector_terms: Any = None


class _Preferred(Part, frozen=True):
    weight: int | None = None
    preference: Any = None


class _Term(Part, frozen=True):
    match_expressions: Any = None
    match_fields: Any = None


class _PodAffinity(_Args, frozen=True):
    hard_pod_affinity_weight: int | None = None
    ignore_preferred_terms_of_existing_pods: bool | None = None


class _Spread(_Args, frozen=True):
    default_constraints: Any = None
    defaulting_type: str | None = None


class _Preemption(_Args, frozen=True):
    min_candidate_nodes_percentage: int | None = None
    min_candidate_nodes_absolute: int | None = None


class _Binding(_Args, frozen=True):
    bind_timeout_seconds: int | None = None
    shape: Any = None


class _Dynamic(_Args, frozen=True):
    filter_timeout: str | None = None


def take(kind: type[_Struct], value: Any, path: str) -> _Struct:
    """Return a mapping as ``kind``; null is an empty one. Raises InputError for a field that ``kind`` has not."""
    if value is None:
        return kind()
    if not isinstance(value, dict):
        raise InputError("is not a mapping", field=path or None, expected="a mapping")
    known = kind.__struct_encode_fields__
    for key in value:
        if key not in known:
            raise InputError(
                f"is no field of {API_VERSION}{nearest(key[:80], known)}",
                field=_join(path, key[:80]),
                expected=f"one of {', '.join(known)}",
            )
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        fault = told(error)
        raise InputError(fault.problem, field=_join(path, fault.field or ""), expected=fault.expected) from None


def _join(path: str, step: str) -> str:
    return path + step if not path or not step or step.startswith("[") else f"{path}.{step}"


def each(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the items of a list, each with its path; null is an empty list. Raises InputError."""
    if not isinstance(value, list | None):
        raise InputError("is not a list", field=path, expected="a list")
    yield from ((f"{path}[{index}]", item) for index, item in enumerate(value or ()))


def within(value: int, low: int, high: int, path: str) -> int:
    """Return a number that lies within its limits. Raises InputError."""
    if not low <= value <= high:
        most = f" to {high}" if high > low else ""
        raise InputError(f"is {value}", field=path, expected=f"{low}{most}")
    return value


def _resources(value: Any, path: str, most: int) -> tuple[tuple[str, int], ...]:
    """Return (name, weight) pairs; a weight of 0 is 1. A name stated twice counts with the sum of its weights."""
    found: dict[str, int] = {}
    for where, item in each(value, path):
        resource = take(_Resource, item, where)
        name = need(resource.name, f"{where}.name", "a resource")
        weight = within(resource.weight or 1, 1, most, f"{where}.weight")
        if name in found and most == 1:
            raise InputError(f"'{name[:80]}' is there twice", field=f"{where}.name", expected="each resource once")
        found[name] = found.get(name, 0) + weight
    return tuple(found.items()) or DEFAULT_RESOURCES


def _shape(value: Any, path: str) -> tuple[tuple[int, int], ...]:
    points: list[tuple[int, int]] = []
    for where, item in each(value, path):
        point = take(_Point, item, where)
        utilization = within(point.utilization or 0, 0, 100, f"{where}.utilization")
        if points and utilization <= points[-1][0]:
            raise InputError(
                f"is {utilization}, after {points[-1][0]}",
                field=f"{where}.utilization",
                expected="points in the order of utilization",
            )
        points.append((utilization, within(point.score or 0, 0, _MOST_SCORE, f"{where}.score")))
    if not points:
        raise InputError("is empty", field=path, expected="at least one point of utilization and score")
    return tuple(points)


def _strategy(value: Any, path: str) -> ScoringStrategy:
    if value is None:
        return DEFAULT_STRATEGY
    found = take(_Strategy, value, path)
    kind = one_of(need(found.type, f"{path}.type", f"one of {', '.join(STRATEGIES)}"), STRATEGIES, f"{path}.type")
    resources = _resources(found.resources, f"{path}.resources", _MOST_WEIGHT)
    where = f"{path}.requestedToCapacityRatio"
    if kind != STRATEGIES[2]:
        if found.requested_to_capacity_ratio is not None:
            raise InputError("is stated", field=where, expected=f"none, with the type {kind}")
        return ScoringStrategy(kind, resources)
    ratio = take(_Ratio, need(found.requested_to_capacity_ratio, where, f"a shape, with the type {kind}"), where)
    return ScoringStrategy(kind, resources, _shape(ratio.shape, f"{where}.shape"))


def _fit(args: _Fit, path: str, notes: list[str]) -> dict[str, Any]:
    for index, name in enumerate(args.ignored_resources or ()):
        check_key(name, f"{path}.ignoredResources[{index}]")
    for index, group in enumerate(args.ignored_resource_groups or ()):
        where = f"{path}.ignoredResourceGroups[{index}]"
        if "/" in group:
            raise InputError(f"'{group[:80]}' has a '/'", field=where, expected="what stands before the '/'")
        check_key(group, where)
    return {
        "ignored_resources": args.ignored_resources or (),
        "ignored_groups": args.ignored_resource_groups or (),
        "strategy": _strategy(args.scoring_strategy, f"{path}.scoringStrategy"),
    }


def _balanced(args: _Balanced, path: str, notes: list[str]) -> dict[str, Any]:
    return {"balanced_resources": _resources(args.resources, f"{path}.resources", 1)}


def _term(value: Any, path: str) -> Term:
    """Return a term of node affinity; unlike in a pod, a Gt or Lt must have a number (nodeaffinity of v1.34.1)."""
    found = take(_Term, value, path)
    parts = [
        tuple(take(models.SelectorRequirement, item, where) for where, item in each(items, f"{path}.{name}"))
        for name, items in (("matchExpressions", found.match_expressions), ("matchFields", found.match_fields))
    ]
    term = node_term(models.NodeSelectorTerm(match_expressions=parts[0], match_fields=parts[1]), path)
    for index, requirement in enumerate(term):
        value = requirement.values[0] if requirement.operator in ("Gt", "Lt") else "0"
        if not value.isdigit() or integer(value) is None:
            raise InputError(
                f"'{value[:80]}' is not a number",
                field=f"{path}.matchExpressions[{index}].values",
                expected="a whole number, for Gt and Lt",
            )
    return term


def _node_affinity(args: _Added, path: str, notes: list[str]) -> dict[str, Any]:
    found = take(_NodeAffinity, args.added_affinity, f"{path}.addedAffinity")
    names = _NodeAffinity.__struct_encode_fields__
    terms: tuple[Term, ...] | None = None
    if found.required is not None:
        where = f"{path}.addedAffinity.{names[0]}"
        stated = take(_NodeSelector, found.required, where).node_selector_terms
        terms = tuple(_term(item, place) for place, item in each(stated, f"{where}.nodeSelectorTerms"))
    preferred = []
    for where, item in each(found.preferred, f"{path}.addedAffinity.{names[1]}"):
        one = take(_Preferred, item, where)
        weight = within(one.weight or 0, 0, INT32, f"{where}.weight")
        term = _term(one.preference, f"{where}.preference")
        if weight and term:  # others count for nothing
            preferred.append((weight, term))
    return {"added_terms": terms, "added_preferred": tuple(preferred)}


def _pod_affinity(args: _PodAffinity, path: str, notes: list[str]) -> dict[str, Any]:
    weight = 1 if args.hard_pod_affinity_weight is None else args.hard_pod_affinity_weight
    return {
        "hard_pod_affinity_weight": within(weight, 0, 100, f"{path}.hardPodAffinityWeight"),
        "ignore_preferred_terms_of_existing_pods": bool(args.ignore_preferred_terms_of_existing_pods),
    }


def _spread(args: _Spread, path: str, notes: list[str]) -> dict[str, Any]:
    defaulting = one_of(args.defaulting_type or "System", ("System", "List"), f"{path}.defaultingType")
    if defaulting == "System":
        if args.default_constraints:
            raise InputError("is System", field=f"{path}.defaultingType", expected="List, with constraints stated")
        return {"system_defaults": True, "default_constraints": SYSTEM_CONSTRAINTS}
    constraints: list[DefaultConstraint] = []
    seen: set[tuple[str, bool]] = set()
    for where, item in each(args.default_constraints, f"{path}.defaultConstraints"):
        stated = take(models.SpreadConstraint, item, where)
        if stated.label_selector is not None:
            raise InputError("is stated", field=f"{where}.labelSelector", expected="none: it comes from each pod")
        found = spread_constraint(stated, where, {})
        if (found.topology_key, found.hard) in seen:
            raise InputError("is there twice", field=where, expected="a key once for each whenUnsatisfiable")
        seen.add((found.topology_key, found.hard))
        constraints.append(DefaultConstraint(found.max_skew, found.topology_key, found.hard))
        if found.min_domains or not found.honor_affinity or found.honor_taints or stated.match_label_keys:
            notes.append(f"{where}: of a default constraint, only maxSkew, topologyKey and whenUnsatisfiable count")
    return {"system_defaults": False, "default_constraints": tuple(constraints)}


def _preemption(args: _Preemption, path: str, notes: list[str]) -> dict[str, Any]:
    where = f"{path}.minCandidateNodes"
    share, least = args.min_candidate_nodes_percentage, args.min_candidate_nodes_absolute
    share = within(10 if share is None else share, 0, 100, f"{where}Percentage")
    least = within(100 if least is None else least, 0, INT32, f"{where}Absolute")
    if not share and not least:
        raise InputError("is 0", field=f"{where}Absolute", expected="1 or more, with minCandidateNodesPercentage 0")
    return {"min_candidate_nodes_percentage": share, "min_candidate_nodes_absolute": least}


def _volume_binding(args: _Binding, path: str, notes: list[str]) -> dict[str, Any]:
    if args.bind_timeout_seconds is not None:
        within(args.bind_timeout_seconds, 0, (1 << 63) - 1, f"{path}.bindTimeoutSeconds")
        notes.append(f"{path}.bindTimeoutSeconds: binding takes no time here")
    if args.shape is not None:
        raise InputError("needs StorageCapacityScoring", field=f"{path}.shape", expected="none: this gate is off")
    return {}


def _dynamic_resources(args: _Dynamic, path: str, notes: list[str]) -> dict[str, Any]:
    timeout = args.filter_timeout
    if timeout is not None:
        if _DURATION.fullmatch(timeout) is None:
            raise InputError(f"'{timeout[:80]}' is not a duration", field=f"{path}.filterTimeout", expected="as in 10s")
        notes.append(f"{path}.filterTimeout: filtering takes no time here")
    return {}


_READERS: dict[str, tuple[type[_Args], Callable[[Any, str, list[str]], dict[str, Any]]]] = {
    "DefaultPreemption": (_Preemption, _preemption),
    "DynamicResources": (_Dynamic, _dynamic_resources),
    "InterPodAffinity": (_PodAffinity, _pod_affinity),
    "NodeAffinity": (_Added, _node_affinity),
    "NodeResourcesBalancedAllocation": (_Balanced, _balanced),
    "NodeResourcesFit": (_Fit, _fit),
    "PodTopologySpread": (_Spread, _spread),
    "VolumeBinding": (_Binding, _volume_binding),
}


def read_arguments(name: str, value: Any, path: str, notes: list[str]) -> dict[str, Any]:
    """Return the fields of a ProfileConfiguration that the arguments of plug-in ``name`` set.

    What has no effect is added to ``notes``. Raises InputError.
    """
    if name not in _READERS:
        if value:
            notes.append(f"{path}: the arguments of {name[:80]} are not read")
        return {}
    kind, read = _READERS[name]
    args = take(kind, value, path)
    for stated, right, field in ((args.api_version, API_VERSION, "apiVersion"), (args.kind, f"{name}Args", "kind")):
        if stated not in (None, "", right):
            raise InputError(f"is '{stated[:80]}'", field=f"{path}.{field}", expected=right)
    return read(args, path, notes)
