"""Budgets: limits of headline numbers, read from YAML and held against a run."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from kscale.engine.runfolder import Run
from kscale.errors import InputError, nearest, one_line
from kscale.report import metrics
from kscale.report import text as texts
from kscale.report.verdict import Check

#: Most bytes of a budget file.
_LARGEST = 1 << 20
_EXPECTED = "a map such as 'unplaced_pods: {max: 0}'"
_SIDES = ("max", "min")
Numbers = Mapping[str, float | int | None]


@dataclass(frozen=True)
class Held:
    """One limit, what the run showed, and what is left to the limit (negative when broken)."""

    metric: str
    side: str
    limit: float
    value: float | None
    unit: str

    @property
    def margin(self) -> float | None:
        """What is left to the limit; None where the run has no such number."""
        if self.value is None:
            return None
        return self.limit - self.value if self.side == "max" else self.value - self.limit

    @property
    def good(self) -> bool:
        """Whether it was held; a number that the run does not have proves nothing, so it is broken."""
        return self.margin is not None and self.margin >= 0


def read(file: Path, known: Numbers | None = None) -> dict[str, dict[str, float]]:
    """Return the limits of a budget file by metric; ``known`` are the numbers of the run, None before it is made.

    Raises InputError for anything but a map of known metrics to ``max`` and ``min``.
    """
    if not file.is_file():
        raise InputError("is not a file", file=file, expected="a budget in YAML")
    if file.stat().st_size > _LARGEST:
        raise InputError("is larger than 1 MiB", file=file, expected=_EXPECTED)
    try:
        found = _parsed(file)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"is no YAML: {one_line(str(error), 200)}", file=file, expected=_EXPECTED) from error
    if not isinstance(found, dict) or not found:
        raise InputError("is no map of metrics", file=file, expected=_EXPECTED)
    return {name: _limits(file, name, limits, known) for name, limits in found.items()}


def _parsed(file: Path) -> object:
    """Return what the file holds; an alias and a name that is given twice are refused."""
    text = file.read_text(encoding="utf-8")
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        # Budgets need no aliases, and aliases can make a short text very large.
        if isinstance(event, yaml.AliasEvent):
            raise InputError("holds an alias", file=file, expected=_EXPECTED)
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    if isinstance(root, yaml.MappingNode):
        _refuse_twice(file, root, None)
        for name, limits in root.value:
            if isinstance(limits, yaml.MappingNode):
                _refuse_twice(file, limits, str(name.value))
    return yaml.load(text, Loader=yaml.CSafeLoader)


def _refuse_twice(file: Path, node: yaml.MappingNode, metric: str | None) -> None:
    """Refuse a name that a map gives twice: YAML readers would keep the last one silently."""
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            what = f"'{key.value}' is given twice, again in line {key.start_mark.line + 1}"
            raise InputError(what, file=file, field=metric, expected="each once")
        seen.add(str(key.value))


def _limits(file: Path, name: object, limits: object, known: Numbers | None) -> dict[str, float]:
    if not isinstance(name, str):
        raise InputError("a metric's name is no text", file=file)
    # Which resources a run has is not known before it is made.
    if name not in (known or {}) and (metrics.find(name) is None or (known is not None and _of_resource(name))):
        names = {*(known or {}), *(metric.name for metric in metrics.METRICS if "*" not in metric.name)}
        raise InputError(f"unknown metric '{name}'{nearest(str(name), sorted(names))}", file=file)
    if not isinstance(limits, dict) or not limits:
        raise InputError("is no limit", file=file, field=name, expected="{max: number}, {min: number} or both")
    for side, limit in limits.items():
        if side not in _SIDES:
            raise InputError(f"unknown limit '{side}'{nearest(str(side), _SIDES)}", file=file, field=name)
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not _finite(limit):
            raise InputError(f"{side} is no number", file=file, field=name, expected="a finite number")
    if len(limits) == 2 and limits["min"] > limits["max"]:
        raise InputError(f"min {limits['min']} is above max {limits['max']}", file=file, field=name)
    return {side: float(limits[side]) for side in _SIDES if side in limits}


def _of_resource(name: str) -> bool:
    found = metrics.find(name)
    return found is not None and "*" in found.name


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def hold(limits: dict[str, dict[str, float]], numbers: Numbers) -> list[Held]:
    """Return every limit against the numbers, broken ones first."""
    out = []
    for name, sides in limits.items():
        metric, value = metrics.find(name), numbers.get(name)
        for side, limit in sides.items():
            out.append(Held(name, side, limit, None if value is None else float(value), metric.unit if metric else ""))
    return sorted(out, key=lambda held: held.good)


def checks(held: list[Held]) -> list[Check]:
    """Return the limits as checks of the report."""
    out = []
    for one in held:
        value = "not in this run" if one.value is None else _amount(one.value, one.unit)
        sign = "≤" if one.side == "max" else "≥"
        out.append(
            Check(f"Budget: {one.metric}", f"{sign} {_amount(one.limit, one.unit)}", value, _signed(one), one.good)
        )
    return out


def sentence(held: list[Held]) -> str:
    """Return in one sentence whether a budget was held."""
    broken = [one.metric for one in held if not one.good]
    if not broken:
        return f"The budget is held: {texts.plural(len(held), 'limit')}."
    named = texts.listed([*broken[:3], *([f"{len(broken) - 3} more"] if len(broken) > 3 else [])])
    return f"The budget is broken: {len(broken)} of {texts.plural(len(held), 'limit')} ({named})."


def _amount(value: float, unit: str) -> str:
    """Return a number close enough to tell it from a limit nearby, with its unit."""
    words = f"{value:.6g}" if 0 < abs(value) < 1 else f"{value:,.3f}".rstrip("0").rstrip(".")
    one = abs(value) == 1 and unit in ("pods", "nodes", "rollouts", "restarts", "evictions", "calls", "errors")
    return f"{words} {unit.removesuffix('s') if one else unit}".strip()


def _signed(one: Held) -> str:
    if one.margin is None:
        return "–"
    return ("+" if one.margin > 0 else "−" if one.margin < 0 else "") + _amount(
        abs(one.margin), "points" if one.unit == "%" else one.unit
    )


def time_ratio(run: Run) -> float | None:
    """Return the seconds of simulating over those of the reference kernel; None where one was not measured."""
    simulated, reference = run.timing.get("simulate"), run.timing.get("reference")
    return simulated / reference if simulated and reference else None


def time_ratio_against(run: Run, against: Run) -> float | None:
    """Return seconds of simulating per arrived pod, over those of ``against``; None where one has no time or pods."""
    each = [one.timing.get("simulate", 0) / (one.counts.get("arrived") or math.inf) for one in (run, against)]
    return each[0] / each[1] if all(each) else None


def initial(numbers: Numbers) -> str:
    """Return a budget that the run holds with a margin of 10 %, to be edited by a person."""
    lines = [
        "# A budget: kscale check RUN --budget FILE exits with 1 when a limit is broken.",
        "# Edit or delete lines.",
    ]
    for name, value in numbers.items():
        metric = metrics.find(name)
        # Speed depends on the machine, and its ratios on what else runs there: by more than a margin of 10 %.
        if value is None or metric is None or not metric.better or name.startswith("run_"):
            continue
        side, factor = ("max", 1.1) if metric.better == "lower" else ("min", 0.9)
        limit = value * factor
        if metric.unit == "%":
            limit = min(limit, 100.0)
        # Rounded to the harmless side.
        scaled = limit * 1000
        rounded = (math.ceil(scaled) if side == "max" else math.floor(scaled)) / 1000
        lines += [f"# {metric.about} ({metric.unit}); the run had {value:.6g}", f"{name}: {{{side}: {rounded:g}}}"]
        if float(f"{rounded:g}") != rounded:
            lines[-1] = f"{name}: {{{side}: {rounded!r}}}"
    return "\n".join(lines) + "\n"


def junit(held: list[Held]) -> str:
    """Return the limits as JUnit XML, one test case each."""
    broken = sum(not one.good for one in held)
    suite = ET.Element("testsuite", name="kscale check", tests=str(len(held)), failures=str(broken))
    for one in held:
        case = ET.SubElement(suite, "testcase", classname="kscale.budget", name=f"{one.metric} {one.side}")
        if not one.good:
            ET.SubElement(case, "failure", message=f"limit {one.limit:g}, value {one.value}, margin {one.margin}")
    ET.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"
