"""Flows of traffic, as scenario files write them: who connects to which Service, how often and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kscale.engine.flows import Flow, FlowKey
from kscale.errors import InputError
from kscale.scenario import models
from kscale.scenario.changing import part, template_path
from kscale.scenario.curves import curve_of
from kscale.scenario.folding import Folding
from kscale.scenario.models import Aimed
from kscale.scenario.targets import Key, Kinds
from kscale.scenario.times import duration
from kscale.state.manifests.names import check_name

SERVICE = "Service"
#: Tails that are told apart from an exponential one, and have a mean.
LEAST_TAIL, MOST_TAIL = 1.2, 5.0
_HOUR_US = 3_600_000_000
#: The longest mean of a connection: kube-proxy keeps an idle one for a day.
_LONGEST_US = 24 * _HOUR_US


def flows_of(given: models.Traffic, kinds: Kinds, folding: Folding, at_us: int) -> dict[FlowKey, Flow]:
    """Return the flows that an action states, by clients and Service; their curves count from ``at_us``.

    Raises InputError where a Service or a workload is not there, or no flow is to be had.
    """
    found: dict[FlowKey, Flow] = {}
    for field, one in _stated(given):
        key = _key(one, given, kinds, folding, field)
        if key in found:
            raise InputError("states a flow twice", field=field, expected="each pair of clients and Service once")
        _check_balanced(folding, key[1], field)
        found[key] = _flow(one, given, field, at_us)
    return found


def _stated(given: models.Traffic) -> Iterator[tuple[str, models.Flow]]:
    """Yield the flows of an action, each with the field where it stands. Raises InputError."""
    if (given.flows is None) == (given.to is None and given.rate is None):
        what = "states no flow" if given.flows is None else "states a flow and a list of them"
        raise InputError(what, field="traffic", expected="to and rate, or flows")
    if given.flows is None:
        if given.to is None or given.rate is None:
            missing = "to" if given.to is None else "rate"
            raise InputError("is missing", field=f"traffic.{missing}", expected="a value")
        yield "traffic", models.Flow(to=given.to, source=given.source, rate=given.rate)
        return
    if given.source is not None:
        raise InputError("is stated beside flows", field="traffic.from", expected="from in each flow")
    if not given.flows:
        raise InputError("is empty", field="traffic.flows", expected="a list of from, to and rate")
    for place, one in enumerate(given.flows):
        yield f"traffic.flows[{place}]", one


def _key(one: models.Flow, given: models.Traffic, kinds: Kinds, folding: Folding, field: str) -> FlowKey:
    """Return who connects to what. Raises InputError."""
    namespace = check_name(one.namespace or given.namespace, f"{field}.namespace", "namespace")
    to = kinds.key(Aimed(target=_named(one.to), namespace=namespace), f"{field}.to")
    service = to if to[0] == SERVICE else _service_of(to, folding, f"{field}.to")
    if one.source is None:
        return None, service
    where = one.from_namespace or given.from_namespace or namespace
    source = kinds.key(Aimed(target=one.source, namespace=where), f"{field}.from")
    template_path(folding.get(source, f"{field}.from").found, f"{field}.from")
    return source, service


def _named(to: str) -> str:
    """Return a target; a name alone is a Service's."""
    return to if "/" in to else f"service/{to}"


def _service_of(workload: Key, folding: Folding, field: str) -> Key:
    """Return the one Service that selects a workload's pods. Raises InputError."""
    found = folding.get(workload, field).found
    labels = part(found, (*template_path(found, field), "metadata", "labels")) or {}
    chosen = []
    for key in folding.all_of(SERVICE, workload[1]):
        selector = part(folding.get(key, field).found, ("spec", "selector"))
        if isinstance(selector, dict) and selector and selector.items() <= labels.items():
            chosen.append(key)
    if len(chosen) != 1:
        names = ", ".join(key[2] for key in chosen)[:200]
        raise InputError(
            f"the pods of '{workload[2]}' are behind {f'several Services: {names}' if chosen else 'no Service'}",
            field=field, expected="a Service, or a workload of one Service",
        )  # fmt: skip
    return chosen[0]


def _check_balanced(folding: Folding, service: Key, field: str) -> None:
    """Check that proxies balance a Service's connections. Raises InputError."""
    columns: dict[str, Any] = folding.get(service, f"{field}.to").columns
    why = "is headless" if columns.get("headless") else ""
    why = "has no selector" if columns.get("selection", -1) < 0 else why
    if why:
        raise InputError(
            f"Service '{service[2]}' {why}: no proxy balances it", field=f"{field}.to",
            expected="a Service with an address and a selector",
        )  # fmt: skip


def _flow(one: models.Flow, given: models.Traffic, field: str, at_us: int) -> Flow:
    rate = curve_of(one.rate, f"{field}.rate", "cpu", at_us)
    lasts = given.duration if one.duration is None else one.duration
    field = f"{field}.duration" if one.duration is not None else "traffic.duration"
    mean, tail = (lasts.mean, lasts.tail) if isinstance(lasts, models.Duration) else (lasts, None)
    field = f"{field}.mean" if isinstance(lasts, models.Duration) else field
    mean_us = duration(mean, field)
    if mean_us > _LONGEST_US:
        raise InputError("is too long", field=field, expected="at most a day on average")
    if tail is not None and not LEAST_TAIL <= tail <= MOST_TAIL:
        raise InputError(
            f"is {tail:g}", field=field.replace(".mean", ".tail"), expected=f"a power, {LEAST_TAIL:g} to {MOST_TAIL:g}"
        )
    return Flow(rate, mean_us, tail or 0.0)
