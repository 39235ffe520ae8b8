"""InterPodAffinity: pods that want, or want not, to share a domain with pods that a term selects.

Required terms reject, preferred ones score; both count pods that are there already, and both are symmetric: required
anti-affinity, preferred terms and required affinity of pods that are there weigh on the pod that comes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kscale.kernels import kernel
from kscale.scheduler.counting import counted
from kscale.scheduler.plugins import Plugin
from kscale.state.building import Building, Mask
from kscale.state.descriptions import PodTemplate, PodTerm, Selector
from kscale.state.schema import Column, NewTable, bounds

#: Weight of required affinity of pods that are there where no profile takes the pod (its score is never asked).
_HARD_WEIGHT = 1

COLUMNS = {
    "together": NewTable(
        "An entry of a template's list of required affinity terms.",
        (Column("counter", "int64", "Pods that match all of the template's terms."),),
    ),
    "apart": NewTable(
        "An entry of a template's list of what it must not share a domain with.",
        (
            Column("counter", "int64", "Pods that an own term selects, or pods with a term that selects the template."),
            Column("existing", "int64", "1 when the term is of the pods that are there."),
        ),
    ),
    "preference": NewTable(
        "An entry of a template's list of preferred terms, own ones and those of pods that are there.",
        (
            Column("counter", "int64", "Pods that an own term selects, or pods with a term that selects the template."),
            Column("weight", "int64", "What each of them adds."),
        ),
    ),
    "template": (
        *bounds("together"),
        Column("together_itself", "uint8", "1 when it matches all of its own required affinity terms."),
        Column("together_peers", "int64", "Templates whose pods may help its affinity when they come.", default=-1),
        Column("apart_peers", "int64", "Templates whose pods may help its anti-affinity when they go.", default=-1),
        *bounds("apart"),
        *bounds("preference"),
    ),
}


class Resolved(NamedTuple):
    """A term with its namespaces looked up; None is all of them."""

    topology_key: str
    selector: Selector | None
    namespaces: tuple[str, ...] | None


class _Carried(NamedTuple):
    """A term of pods that are there: what it does to pods that it selects, and the templates that carry it."""

    term: Resolved
    kind: str
    templates: dict[int, int]


def resolve(building: Building, term: PodTerm) -> Resolved:
    """Look up the namespaces of a term: those it names, and those whose labels its namespaceSelector selects."""
    names = set(term.namespaces)
    selector = term.namespace_selector
    if selector is not None:
        if not selector.requirements:
            return Resolved(term.topology_key, term.selector, None)
        names |= building.namespaces(selector)
    return Resolved(term.topology_key, term.selector, tuple(sorted(names)))


def _selected(building: Building, term: Resolved) -> Mask:
    return building.selected(term.selector, term.namespaces)


def _plan(building: Building) -> None:
    carried: dict[tuple[Resolved, str], _Carried] = {}

    def carry(term: Resolved, kind: str, index: int, weight: int) -> None:
        entry = carried.setdefault((term, kind), _Carried(term, kind, {}))
        entry.templates[index] = entry.templates.get(index, 0) + weight

    for index, template in enumerate(building.templates):
        for pod_term in template.affinity:
            carry(resolve(building, pod_term), "affinity", index, 1)
        for pod_term in template.anti_affinity:
            carry(resolve(building, pod_term), "anti", index, 1)
        for sign, terms in ((1, template.preferred_affinity), (-1, template.preferred_anti_affinity)):
            for weight, pod_term in terms:
                carry(resolve(building, pod_term), "preferred", index, sign * weight)
        _plan_own(building, index, template)
        _plan_hints(building, index, template)
    building.bars("apart")
    weights = _hard_weights(building)
    for entry in carried.values():
        _plan_carried(building, entry, weights)


def _plan_hints(building: Building, index: int, template: PodTemplate) -> None:
    """Note whose coming and going wakes a pod, as v1.34.1 has it.

    A pod that comes must match all required terms, one that goes all own anti-affinity terms; the hints see no labels
    of namespaces. The anti-affinity of a pod that goes wakes nobody (changed upstream after this version).
    """
    if template.affinity:
        concerned = np.zeros(len(building.templates), bool)
        for term in template.affinity:
            concerned |= _selected(building, resolve(building, term))
        building.mark("together_peers", index, building.peers(concerned & _all_blind(building, template.affinity)))
    if template.anti_affinity:
        building.mark("apart_peers", index, building.peers(_all_blind(building, template.anti_affinity)))


def _all_blind(building: Building, terms: tuple[PodTerm, ...]) -> Mask:
    """Return the templates that all terms select, where namespaces have no labels."""
    result = np.ones(len(building.templates), bool)
    for term in terms:
        selector = term.namespace_selector
        everywhere = selector is not None and all(
            r.operator in ("NotIn", "DoesNotExist") for r in selector.requirements
        )
        result &= building.selected(term.selector, None if everywhere else term.namespaces)
    return result


def _hard_weights(building: Building) -> list[tuple[int, bool]]:
    """Return, per template, what required affinity of pods that are there weighs, and whether their terms count."""
    result = []
    for template in building.templates:
        configuration = building.configuration(template)
        hard = _HARD_WEIGHT if configuration is None else configuration.hard_pod_affinity_weight
        ignores = configuration is not None and configuration.ignore_preferred_terms_of_existing_pods
        result.append((hard, not ignores or bool(template.preferred_affinity or template.preferred_anti_affinity)))
    return result


def _plan_own(building: Building, index: int, template: PodTemplate) -> None:
    if template.affinity:
        terms = [resolve(building, term) for term in template.affinity]
        matched = np.ones(len(building.templates), bool)
        for term in terms:
            matched &= _selected(building, term)
        building.mark("together_itself", index, int(matched[index]))
        for term in terms:
            building.append("together", index, counter=building.counter(building.topology(term.topology_key), matched))
    for pod_term in template.anti_affinity:
        term = resolve(building, pod_term)
        counter = building.counter(building.topology(term.topology_key), _selected(building, term))
        building.append("apart", index, counter=counter, existing=0)
    for sign, preferred in ((1, template.preferred_affinity), (-1, template.preferred_anti_affinity)):
        for weight, pod_term in preferred:
            term = resolve(building, pod_term)
            counter = building.counter(building.topology(term.topology_key), _selected(building, term))
            building.append("preference", index, counter=counter, weight=sign * weight)


def _plan_carried(building: Building, entry: _Carried, weights: list[tuple[int, bool]]) -> None:
    selected = np.flatnonzero(_selected(building, entry.term)).tolist()
    topology = building.topology(entry.term.topology_key)
    for weight in sorted(set(entry.templates.values())):
        carriers = np.zeros(len(building.templates), bool)
        carriers[[index for index, own in entry.templates.items() if own == weight]] = True
        counter = building.counter(topology, carriers)
        for index in selected:
            hard, counts = weights[index]
            if entry.kind == "anti":
                building.append("apart", index, counter=counter, existing=1)
            elif counts and entry.kind == "preferred":
                building.append("preference", index, counter=counter, weight=weight)
            elif counts and hard > 0 and entry.kind == "affinity":
                building.append("preference", index, counter=counter, weight=weight * hard)


@kernel
def unwelcome(
    template: int, first: int, last: int, reason: int, sums: Any,
    template_together_first: Any, template_together_last: Any, template_together_itself: Any, together_counter: Any,
    template_apart_first: Any, template_apart_last: Any, apart_counter: Any, apart_existing: Any,
    counter_topology: Any, counter_first: Any, counter_total: Any, topology_domain: Any, segment_place: Any,
    tally_count: Any,
) -> None:  # fmt: skip
    """Reject by required affinity (bit 0), own anti-affinity (bit 1), anti-affinity of pods that are there (bit 2).

    The first pod of a group that wants company is let in where the keys are, if it matches its own terms.
    """
    first_entry, last_entry = template_together_first[template], template_together_last[template]
    if first_entry < last_entry:
        total = 0
        for entry in range(first_entry, last_entry):
            total += counter_total[together_counter[entry]]
        alone = total == 0 and template_together_itself[template] != 0
        for entry in range(first_entry, last_entry):
            counter = together_counter[entry]
            domain_of, start = topology_domain[counter_topology[counter]], counter_first[counter]
            for node in range(first, last):
                if sums[node] >= 0 and (
                    domain_of[node] < 0
                    or (not alone and counted(start, domain_of[node], segment_place, tally_count) <= 0)
                ):
                    sums[node] = np.int32(-1 - (1 << reason))
    for existing in range(2):
        for entry in range(template_apart_first[template], template_apart_last[template]):
            counter = apart_counter[entry]
            if apart_existing[entry] != existing or counter_total[counter] <= 0:
                continue
            domain_of, start = topology_domain[counter_topology[counter]], counter_first[counter]
            for node in range(first, last):
                if (
                    sums[node] >= 0
                    and domain_of[node] >= 0
                    and counted(start, domain_of[node], segment_place, tally_count) > 0
                ):
                    sums[node] = np.int32(-1 - (1 << (reason + 1 + existing)))


@kernel
def has_no_company(
    template: int, template_together_first: Any, template_together_last: Any, template_apart_first: Any,
    template_apart_last: Any, apart_counter: Any, apart_existing: Any, counter_total: Any,
) -> Any:  # fmt: skip
    """Tell whether nothing is to be filtered: no own required terms, and no anti-affinity of pods that are there."""
    if template_together_first[template] < template_together_last[template]:
        return np.uint8(0)
    for entry in range(template_apart_first[template], template_apart_last[template]):
        if apart_existing[entry] == 0 or counter_total[apart_counter[entry]] > 0:
            return np.uint8(0)
    return np.uint8(1)


@kernel
def company(
    template: int, sums: Any,
    template_preference_first: Any, template_preference_last: Any, preference_counter: Any, preference_weight: Any,
    counter_topology: Any, counter_first: Any, counter_total: Any, topology_domain: Any, segment_place: Any,
    tally_count: Any, scan_wide: Any,
) -> bool:  # fmt: skip
    """Sum, per feasible node, the weights of the terms by the pods that share its domains."""
    any_there = False
    for entry in range(template_preference_first[template], template_preference_last[template]):
        any_there = any_there or counter_total[preference_counter[entry]] > 0
    if not any_there:
        return False
    for node in range(len(sums)):
        scan_wide[node] = 0
    for entry in range(template_preference_first[template], template_preference_last[template]):
        counter, weight = preference_counter[entry], preference_weight[entry]
        if counter_total[counter] > 0:
            domain_of, start = topology_domain[counter_topology[counter]], counter_first[counter]
            for node in range(len(sums)):
                if domain_of[node] >= 0:
                    scan_wide[node] += weight * counted(start, domain_of[node], segment_place, tally_count)
    return True


@kernel
def company_points(template: int, weight: int, sums: Any, scan_wide: Any) -> None:
    """Spread raw scores over 0 to 100 between the lowest and the highest, in doubles, truncated; and add them."""
    lowest, highest = np.int64(9223372036854775807), np.int64(-9223372036854775807)
    for node in range(len(sums)):
        if sums[node] >= 0:
            lowest, highest = min(lowest, scan_wide[node]), max(highest, scan_wide[node])
    span = float(highest - lowest) if highest > lowest else 1.0
    for node in range(len(sums)):
        if sums[node] >= 0:
            points = np.int64(100.0 * (float(scan_wide[node] - lowest) / span))
            scan_wide[node] = points
            sums[node] += np.int32(weight * points)


@kernel
def may_welcome(
    template: int, other: int, added: int, template_together_peers: Any, template_apart_peers: Any, peers_member: Any
) -> bool:
    """Tell whether a pod that came is one that the pod wants to be with, or one that went stood in its way."""
    peers = template_together_peers[template] if added != 0 else template_apart_peers[template]
    return peers >= 0 and peers_member[peers, other] != 0


def _used(building: Building) -> bool:
    return any(
        template.affinity or template.anti_affinity or template.preferred_affinity or template.preferred_anti_affinity
        for template in building.templates
    )


def _reasons(resources: list[str]) -> list[str]:
    return [
        "node(s) didn't match pod affinity rules",
        "node(s) didn't match pod anti-affinity rules",
        "node(s) didn't satisfy existing pods anti-affinity rules",
    ]


INTER_POD = Plugin(
    "InterPodAffinity", rank=130, late=unwelcome, skips=has_no_company, reasons=_reasons, unresolvable=(0,),
    raw=company, points=company_points, normalise="own", hint=may_welcome, plan=_plan,
    lists=("together", "apart", "preference"), barring="apart", by_domain=True, used=_used, weight=2, standard=True,
)  # fmt: skip
