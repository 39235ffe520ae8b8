"""What page, Markdown and terminal say alike: the key figures, the run's own speed, the trust box."""

from __future__ import annotations

import json
from dataclasses import dataclass

from kscale.report import text
from kscale.report.reading import GPU, Resource
from kscale.report.summary import Summary
from kscale.report.tables import Table
from kscale.report.verdict import FAILS, FITS, WAITS

NOTES = 60
#: Most rows of a table that stands alone.
LISTED = 40
#: Stages of run.timing that are told apart, in the order of the run.
_STAGES = {
    "read": "read the input",
    "prepare": "prepare the run",
    "compile": "compile (once per machine)",
    "simulate": "simulate",
    "record": "write the tables",
}


@dataclass(frozen=True)
class Tile:
    """One key figure: its name, its value, a line below it, and the series of its spark line (or none)."""

    name: str
    value: str
    more: str
    series: tuple[float, ...] = ()


def mood(summary: Summary) -> str:
    """Return ``good``, ``bad`` or nothing, for the colour of the verdict; words say it as well."""
    return {FITS: "good", WAITS: "good", FAILS: "bad"}.get(summary.verdict.kind, "")


def mark(summary: Summary) -> str:
    """Return the sign of the verdict."""
    return {FITS: "✓", WAITS: "✓", FAILS: "✗"}.get(summary.verdict.kind, "–")


def speed_words(summary: Summary) -> str:
    """Return the scheduler speed that the waiting times stand on, in few words."""
    return f"scheduler {text.number(float(summary.run.scheduler_us_per_pod))} us/pod"


def tiles(summary: Summary) -> list[Tile]:
    """Return the key figures, at most eight, and at most four more of a run with controllers."""
    left = summary.unplaced
    asked = f"of {text.plural(summary.arrived, 'pod')} that arrived"
    out = [Tile("Pods placed", text.number(summary.placed), asked, _series(summary, "running_pods"))]
    share = text.percent(100 * left.pods / summary.arrived) if summary.arrived else "no pod arrived"
    larger = f", {text.number(left.oversized)} larger than any node" if left.oversized else ""
    out.append(Tile("Never placed", text.number(left.pods), f"{share}{larger}"))
    out += _waits(summary)
    shown = [r for r in summary.resources if r.key != "pods"]
    out += [_fullness(summary, r) for r in shown[: 7 - len(out)]]
    if GPU in [r.key for r in shown] and summary.headline.get("fragmented_gpu_percent") is not None and len(out) < 7:
        of_idle = text.percent(summary.headline["fragmented_idle_gpu_percent"])
        out.append(
            Tile(
                "GPU fragmented at the end",
                text.percent(summary.headline["fragmented_gpu_percent"]),
                f"{of_idle} of what is idle",
            )
        )
    pools = summary.pools
    when = "hold no pod" if summary.inflate else "of node time idle"
    out.append(
        Tile(
            "Nodes used",
            text.number(pools.nodes_used),
            f"of {text.number(pools.nodes)}; {text.percent(pools.idle_percent)} {when}",
        )
    )
    return out[:8] + _living(summary)


def _living(summary: Summary) -> list[Tile]:
    """Return the key figures of a run with controllers."""
    lived, out = summary.living, []
    if lived is None:
        return []
    rolled, started = lived.rollouts, lived.startup
    if rolled.finished or rolled.unfinished:
        broken = f"; bounds broken in {text.number(rolled.broken)}" if rolled.broken else ""
        more = f"{text.number(rolled.unfinished)} did not; longest {text.duration(rolled.longest_us)}{broken}"
        out.append(Tile("Rollouts finished", text.number(rolled.finished), more))
    if started is not None:
        step = text.clean(started.steps["step"][started.largest], 40)
        more = f"on average, p99 about {text.duration(started.p99_us)}; most in: {step}"
        out.append(Tile("Start-up of a pod", text.duration(started.mean_us), more))
    if lived.restart_count:
        out.append(
            Tile("Restarts", text.number(lived.restart_count), f"of {text.plural(lived.restart_owners, 'owner')}")
        )
    if lived.refused:
        out.append(Tile("Evictions refused", text.number(lived.refused), "by disruption budgets"))
    return out


def _waits(summary: Summary) -> list[Tile]:
    overall = summary.waits.overall if summary.waits else None
    if overall is None:
        refused = summary.supply.refused_at
        if refused is None:
            return []
        gpu = summary.supply.axis.kind == "gpu"
        value = text.percent(round(refused, 1)) if gpu else text.plural(round(refused), "pod")
        return [Tile("First refusal at", value, "of all GPUs asked for" if gpu else "arrived")]
    q = overall.quantiles
    return [
        Tile("Wait, half of the pods", text.duration(q[0.5]), f"or less (p50) · {speed_words(summary)}"),
        Tile(
            "Wait, 1 pod in 100",
            text.duration(q[0.99]),
            f"or longer (p99), at most {text.duration(q[1.0])} · {speed_words(summary)}",
            _series(summary, "waiting_pods") if summary.waits and summary.waits.peak else (),
        ),
    ]


def _fullness(summary: Summary, resource: Resource) -> Tile:
    peak = summary.supply.peaks[resource.key]
    series = _series(summary, f"used:{resource.key}")
    more = f"of {text.amount(peak.allocatable, resource.key)}; mean {text.percent(peak.mean)}"
    return Tile(f"{text.capital(resource.label)} at its peak", text.percent(peak.percent), more, series)


def _series(summary: Summary, column: str) -> tuple[float, ...]:
    values = summary.supply.frame[column].to_list()
    step = max(1, len(values) // 64)
    return tuple(float(v or 0) for v in values[::step]) if len(values) > 4 and any(values) else ()


def checks(summary: Summary) -> Table:
    """Return the table of checks: limit, value, margin, whether it was held."""
    rows = [("✓ held" if c.good else "✗ not held", c.what, c.value, c.limit, c.margin) for c in summary.checks]
    return Table(("", "check", "value", "limit", "margin"), rows, (2, 3, 4))


def sections(summary: Summary) -> list[tuple[str, str, Table]]:
    """Return the tables that stand alone: name, heading, table."""
    found = [
        ("actions", "What the scenario did", _actions(summary)),
        ("controllers", "Controllers at work", _controllers(summary)),
        ("namespaces", "Who asked for most", _namespaces(summary)),
    ]
    return [(name, heading, table) for name, heading, table in found if table is not None]


def _actions(summary: Summary) -> Table | None:
    """Return the actions of the scenario; None where there were none."""
    frame = summary.living.actions if summary.living else None
    if frame is None or frame.is_empty():
        return None
    rows = [
        (text.number(action), text.duration(time_us), words)
        for time_us, action, words in frame.head(LISTED).select("time_us", "action", "words").iter_rows()
    ]
    note = f"{LISTED} of {text.number(frame.height)}; all are in actions.parquet." if frame.height > LISTED else ""
    return Table(("action", "time", "what was done"), rows, (0, 1), note)


def _controllers(summary: Summary) -> Table | None:
    """Return the controllers' calls of the API server; None where there were no controllers."""
    frame = summary.living.controllers if summary.living else None
    if frame is None or frame.is_empty():
        return None
    rows = [
        (name, text.number(calls), text.number(errors))
        for name, calls, errors in frame.head(LISTED).select("name", "calls", "errors").iter_rows()
    ]
    note = "An error is a pass of an object that failed and was tried again."
    if frame.height > LISTED:
        note = f"{LISTED} of {text.number(frame.height)} controllers. {note}"
    return Table(("controller", "calls of the API server", "errors"), rows, (1, 2), note)


def _namespaces(summary: Summary) -> Table | None:
    """Return who asked for most; None when all pods are of one namespace."""
    frame, count = summary.pools.namespaces, summary.pools.namespace_count
    if count < 2:
        return None
    shown = [r for r in summary.resources if f"hours:{r.key}" in frame.columns]
    hours = "" if summary.inflate else "-hours"
    units = {"cpu": f"core{hours or 's'}", GPU: f"GPU{hours or 's'}"}
    rows = []
    for row in frame.iter_rows(named=True):
        held = (_held(row[f"hours:{r.key}"], r.key) for r in shown)
        rows.append((row["namespace"], text.number(row["pods"]), text.number(row["placed"]), *held))
    columns = ("namespace", "pods", "placed", *(units.get(r.key, f"{r.label}{hours}") for r in shown))
    note = f"The {len(rows)} of {text.number(count)} namespaces that asked for most." if count > len(rows) else ""
    return Table(columns, rows, tuple(range(1, len(columns))), note)


def _held(amount: float, resource: str) -> str:
    if resource in ("cpu", GPU):
        return text.number(float(f"{amount / 1000:.4g}"))
    return text.amount(amount, resource)


def speed(summary: Summary) -> tuple[str, list[tuple[str, float]]]:
    """Return the finding on the run's own speed, and (stage, wall seconds)."""
    timing = summary.run.timing
    stages = [(_STAGES.get(name, name), timing[name]) for name in _STAGES if name in timing]
    stages += [(name, s) for name, s in timing.items() if name not in (*_STAGES, "pods_per_second", "reference")]
    rate = timing.get("pods_per_second")
    simulated = timing.get("simulate")
    words = f"{text.number(round(rate))} pods simulated per second of wall time" if rate else "The run's own speed"
    if simulated:
        words += f"; {text.plural(summary.arrived, 'pod')} in {text.duration(simulated * 1e6)}"
    return words, stages


def facts(summary: Summary) -> list[tuple[str, str]]:
    """Return the rows of the trust box: name and value."""
    run = summary.run
    points, violations = (run.invariants.get(name, 0) for name in ("control_points", "violations"))
    invariants = (
        f"checked {text.number(points)} times, {text.number(violations)} violated"
        if run.invariants
        else "not checked in this run (--check checks them)"
    )
    plugins = ", ".join(
        f"{p.get('name', '?')} ({_points(p.get('points'))}{_weight(p.get('weight'))})" for p in run.plugins[:40]
    )
    return [
        ("kscale version", f"{run.kscale_version}, run folder schema {run.schema_version}"),
        ("seed", str(run.seed)),
        ("fingerprint of the result", run.fingerprint),
        ("invariants", invariants),
        ("virtual time", "arrivals only (--inflate)" if summary.inflate else text.duration(run.horizon_us)),
        ("scheduler speed", f"{text.number(float(run.scheduler_us_per_pod))} us of virtual time per pod"),
        ("scheduler plug-ins", plugins or "none"),
        ("counts", ", ".join(f"{name} {text.number(count)}" for name, count in run.counts.items())),
    ]


def _points(points: object) -> str:
    return "+".join(str(p) for p in points) if isinstance(points, (list, tuple)) else str(points or "–")


def _weight(weight: object) -> str:
    return "" if weight is None else f", weight {weight}"


def inputs(summary: Summary) -> Table:
    """Return what was read, with digests."""
    rows = [(i.role, i.path, text.number(i.bytes), i.sha256) for i in summary.run.inputs[:30]]
    cut = f"30 of {len(summary.run.inputs)} inputs; all are in run.json." if len(summary.run.inputs) > 30 else ""
    return Table(("input", "file", "bytes", "SHA-256"), rows, (2,), cut)


def dropped(summary: Summary) -> Table | None:
    """Return the rows of the input that were left out under --lenient, by reason."""
    if not summary.run.dropped:
        return None
    most = sorted(summary.run.dropped.items(), key=lambda item: (-item[1], item[0]))
    note = f"30 of {len(most)} reasons; all are in run.json." if len(most) > 30 else ""
    return Table(("why rows were left out", "rows"), [(why, text.number(n)) for why, n in most[:30]], (1,), note)


def notes(summary: Summary) -> list[str]:
    """Return what was mapped, dropped, assumed or is not modelled."""
    found = summary.run.notes[:NOTES]
    more = len(summary.run.notes) - len(found)
    return [*found, f"{more} more notes are in run.json."] if more > 0 else list(found)


def configuration(summary: Summary) -> Table:
    """Return every option of the run."""
    rows = [(name, json.dumps(value, ensure_ascii=False)) for name, value in sorted(summary.run.configuration.items())]
    return Table(("option", "value"), rows[:80])
