"""Which mode of kube-proxy suits: rules as rows, what each mode's numbers are against them, and the choice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from kscale.network import curve, proxies
from kscale.network.parameters import ASSUMED, PUBLISHED, STRUCTURAL, Parameter, Parameters
from kscale.network.ports import Ports
from kscale.network.proxies import Mode, Platform
from kscale.network.proxies.common.rows import TKE, UPSTREAM
from kscale.network.versions import written

#: kube-proxy's own choice where nothing is configured (cmd/kube-proxy, Linux).
DEFAULT = "iptables"
_ISSUE = "kubernetes/kubernetes issue 139513"
LIMITS = (
    Parameter("advise_first_us", 100, "us", ASSUMED, TKE, "at 5,000 Services, about there, 29 % fewer connections a "
              "second; EKS names 1,000 Services"),
    Parameter("advise_change_s", 1, "s", STRUCTURAL, UPSTREAM, "default of minSyncPeriod: slower syncs fall behind"),
    Parameter("advise_start_s", 60, "s", PUBLISHED, _ISSUE, "what a user wants of the hourly one: changes wait for it"),
    Parameter("advise_cores", 0.5, "1", ASSUMED, "kscale", "a node has other work"),
    Parameter("advise_saving_cores", 0.05, "1", ASSUMED, "kscale", "less is not worth another mode"),
    Parameter("endpoint_changes_per_day", 2, "1", ASSUMED, "kscale", "a pod is replaced once a day, by another one"),
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What is wanted of a mode: where it runs, and an algorithm that it must have; empty for any."""

    platform: Platform = field(default_factory=Platform)
    scheduler: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule of the decision.

    Attributes:
        name: of the rule.
        kind: ``must`` rules a mode out; ``limit`` is what a number should hold; ``choice`` decides among those left.
        says: the rule.
        reason: why there is one.
        refuses: of a must: why a mode is ruled out, or nothing.
        column: of a limit: the number.
        limit: name of the parameter that it rests on.
    """

    name: str
    kind: str
    says: str
    reason: str
    refuses: Callable[[Mode, Asked], str] | None = None
    column: str = ""
    limit: str = ""


def _not_there(mode: Mode, asked: Asked) -> str:
    versions, version = mode.versions, asked.platform.kubernetes
    if versions.removed is not None and version >= versions.removed:
        return f"removed in Kubernetes {written(versions.removed)}"
    if versions.stable is not None and version < versions.stable:
        return f"stable from Kubernetes {written(versions.stable)} on"
    return ""


def _old_kernel(mode: Mode, asked: Asked) -> str:
    least = mode.versions.kernel
    return f"needs a kernel of {written(least)} or later" if least and asked.platform.kernel < least else ""


def _no_scheduler(mode: Mode, asked: Asked) -> str:
    return f"has no {asked.scheduler}" if asked.scheduler and asked.scheduler not in mode.balancing else ""


RULES = (
    Rule("version", "must", "The mode is there, and stable, in this Kubernetes.", "Others end with an error.",
         refuses=_not_there),
    Rule("kernel", "must", "The node's kernel is not too old for it.", "kube-proxy does not start on it.",
         refuses=_old_kernel),
    Rule("scheduler", "must", "It has the algorithm that is asked for.", "Only IPVS has a choice of algorithms.",
         refuses=_no_scheduler),
    Rule("first packet", "limit", "99 of 100 connections begin within the limit.", "Each new connection waits for it.",
         column="first_us_p99", limit="advise_first_us"),
    Rule("change", "limit", "One change is written within the limit.", "Until then pods that are gone get traffic.",
         column="change_s", limit="advise_change_s"),
    Rule("start", "limit", "Everything is written within the limit.", "Until then a new node serves nothing.",
         column="full_s", limit="advise_start_s"),
    Rule("CPU", "limit", "At the rates given it takes no more than the limit.", "It is every node's.",
         column="cores", limit="advise_cores"),
    Rule("end", "choice", "A mode whose end is announced: only where it holds all limits, and no other does.",
         "It would have to be changed again."),
    Rule("default", "choice", "kube-proxy's default stays where it holds all limits, unless another saves more.",
         "A change has its own cost.", limit="advise_saving_cores"),
    Rule("least bad", "choice", "Where none holds all limits: the one whose worst number is the least over.",
         "Something has to run."),
)  # fmt: skip
_LIMITS = tuple(rule for rule in RULES if rule.kind == "limit")


def known() -> Parameters:
    """Return every parameter of the modes, and the limits of the rules."""
    return Parameters([*proxies.parameters(), *LIMITS])


@dataclass(frozen=True)
class Verdict:
    """What the rules say of one mode.

    Attributes:
        mode: the mode.
        variant: its name with the choices that are not the usual ones.
        refused: why it is ruled out; empty where it is not.
        numbers: columns of ``curve.row``, with ``change_s`` and ``full_s``, kube-proxy's own work included; empty where
            there is no such mode, or no such option of it.
        over: how many times its limit each number is, by the rule's name.
        ends: whether its end is announced.
    """

    mode: Mode
    variant: str
    refused: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    over: Mapping[str, float] = field(default_factory=dict)
    ends: bool = False

    @property
    def worst(self) -> float:
        """The number that is the most over its limit, in limits."""
        return max(self.over.values(), default=0.0)

    @property
    def broken(self) -> list[str]:
        """Names of the limits that do not hold."""
        return [name for name, times in self.over.items() if times > 1]

    @property
    def word(self) -> str:
        """The verdict in a few words."""
        return self.refused or (f"over: {', '.join(self.broken)}" if self.broken else "holds")


def options_of(mode: Mode, asked: Asked, given: Mapping[str, str]) -> dict[str, str]:
    """Return the options of a mode: those that are given and that it has, else what its platform says."""
    has = {option.name: option.choices for option in mode.options}
    wanted = {**mode.suiting(asked.platform), **given}
    if asked.scheduler:
        wanted["scheduler"] = asked.scheduler
    return {name: choice for name, choice in wanted.items() if choice in has.get(name, ())}


def verdict(
    mode: Mode, ports: Ports, asked: Asked, given: Mapping[str, str], rates: curve.Rates, numbers: Parameters,
    **rest: Any,
) -> Verdict:  # fmt: skip
    """Return what the rules say of a mode; ``rest`` are further attributes of ``proxies.Case``. Raises InputError."""
    case = proxies.case(mode, ports, options_of(mode, asked, given), numbers, **rest)
    refused = next(filter(None, (rule.refuses(mode, asked) for rule in RULES if rule.refuses is not None)), "")
    row = curve.row(case, rates)
    row["change_s"], row["full_s"] = (row[f"{name}_sync_s"] + row[f"{name}_build_s"] for name in ("change", "full"))
    # No packet goes to a Service where none has an endpoint.
    over = {rule.name: _times(row[rule.column] or 0.0, numbers[rule.limit]) for rule in _LIMITS}
    return Verdict(mode, case.name, refused, row, over, mode.versions.removed is not None)


def _times(value: float, limit: float) -> float:
    return value / limit if limit else (float("inf") if value else 0.0)


def choose(verdicts: Sequence[Verdict], saving: float) -> tuple[Verdict | None, str]:
    """Return the mode that the rules choose, and why; None where all are ruled out.

    ``saving`` is the cores that another mode must save for the default to be left.
    """
    left = [one for one in verdicts if not one.refused]
    if not left:
        return None, "every mode is ruled out"
    holding = [one for one in left if not one.broken]
    staying = [one for one in left if not one.ends]
    pool = [one for one in holding if not one.ends] or holding or staying or left
    best = min(pool, key=lambda one: _key(one, by_worst=not holding))
    usual = next((one for one in pool if one.mode.name == DEFAULT), None)
    saved = usual.numbers["cores"] - best.numbers["cores"] if usual is not None else 0.0
    if len(left) == 1:
        return best, f"no other mode is left; it {'holds all limits' if holding else 'is ' + best.word}"
    if not holding:
        return best, f"no mode holds all limits, and it is the least over them ({best.word})"
    if usual is not None and saved <= saving:
        cheaper = "" if usual is best else f"; {best.mode.name} would save {saved:.2g} cores a node"
        return usual, f"it holds all limits, and is kube-proxy's default{cheaper}"
    if usual is not None:
        return best, f"it holds all limits, and saves {saved:.2g} cores a node against {DEFAULT}"
    instead = next((one for one in left if one.mode.name == DEFAULT), None)
    return best, "it holds all limits" + (f", and {DEFAULT} is {instead.word}" if instead is not None else "")


def _key(one: Verdict, *, by_worst: bool) -> tuple[float, float]:
    cores = float(one.numbers["cores"])
    return (one.worst, cores) if by_worst else (cores, one.worst)


@dataclass(frozen=True)
class Range:
    """Numbers of Services, first and last, for which one mode is chosen, and whether it holds all limits there."""

    mode: str
    first: int
    last: int
    holds: bool = True


#: Sizes that are looked at for each doubling; between two that agree no change is looked for.
_PER_DOUBLING = 4


def ranges(chosen: Callable[[int], tuple[str, bool]], now: int, most: int) -> list[Range]:
    """Return what is chosen from 1 to ``most``: at both sides of every border that is told it is as told.

    ``chosen`` tells the mode for a number of Services, and whether it holds all limits. Sizes are looked at a quarter
    of a doubling apart, and ``now``; between two that differ the border is found by halving.
    """
    ask = cache(chosen)
    doublings = int(np.log2(most)) + 1
    steps = {round(2 ** (step / _PER_DOUBLING)) for step in range(_PER_DOUBLING * doublings)}
    grid = sorted(size for size in steps | {1, now, most} if size <= most)
    borders = []
    for low, high in itertools.pairwise(grid):
        while ask(low) != ask(high):
            low = _border(ask, low, high)
            borders.append(low)
    starts, ends = [1, *borders], [*(border - 1 for border in borders), most]
    found = []
    for first, last in zip(starts, ends, strict=True):
        mode, holds = ask(first)
        found.append(Range(mode, first, last, holds))
    return found


def _border(ask: Callable[[int], tuple[str, bool]], low: int, high: int) -> int:
    """Return a size above ``low``, ``high`` at most, where it is no longer as at ``low`` though one below it is."""
    before = ask(low)
    while high - low > 1:
        middle = (low + high) // 2
        if ask(middle) == before:
            low = middle
        else:
            high = middle
    return high
