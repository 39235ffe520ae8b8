"""The end summary for a terminal: at most 25 lines of 80 columns, the verdict last, then the next command to try.

The lines are plain text. They hold names from the input, cleaned of control characters; print them without markup
(``rich.text.Text`` or ``markup=False``), since ``[...]`` in a name would be read as a mark.
"""

from __future__ import annotations

import shlex
import textwrap
import unicodedata
from pathlib import Path

from kscale.report import living, parts, text
from kscale.report.summary import Summary
from kscale.report.verdict import FAILS, NOTHING

COLUMNS, LINES = 80, 25


def lines(summary: Summary, folder: Path | None = None) -> list[str]:
    """Return the end summary; ``folder`` is where the run folder stands, for the paths and the next command.

    Only the paths and the next command may be longer than a line, so that they can be copied.
    """
    end = [*_verdict(summary), *_next(summary, folder)]
    body = [*_numbers(summary), *_reasons(summary), *_failed_checks(summary)]
    room = LINES - 1 - sum(max(1, -(-_cells(line) // COLUMNS)) for line in end)
    if len(body) > room:
        body = [*body[: max(room - 1, 0)], "  …"]
    return [*body, "", *end]


def _cells(line: str) -> int:
    """Return how many columns of a terminal a line takes; letters of East Asia and emoji take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def _row(*columns: str) -> str:
    """Return columns of text side by side, cleaned and cut to the width of the terminal."""
    line = "  " + "  ".join(columns)
    while _cells(line) > COLUMNS:
        line = line[:-2].rstrip() + "…"
    return line


def _numbers(summary: Summary) -> list[str]:
    pods = f"{text.number(summary.placed)} of {text.number(summary.arrived)} placed"
    pools = summary.pools
    idle = text.percent(pools.idle_percent)
    rows = [
        ("pods", pods),
        ("nodes", f"{text.number(pools.nodes_used)} of {text.number(pools.nodes)} used, {idle} idle"),
    ]
    gone = summary.run.counts.get("lost", 0)
    if gone:
        rows.append(("lost", f"{text.plural(gone, 'pod')} when a node left"))
    for resource in summary.resources[:6]:
        peak = summary.supply.peaks.get(resource.key)
        if peak is not None:
            of = text.amount(peak.allocatable, resource.key)
            name = text.clean(resource.label, 18)
            rows.append((name, f"peak {text.percent(peak.percent)}, mean {text.percent(peak.mean)} of {of}"))
    if summary.headline.get("fragmented_gpu_percent") is not None:
        lost = text.percent(summary.headline["fragmented_gpu_percent"])
        of_idle = text.percent(summary.headline["fragmented_idle_gpu_percent"])
        rows.append(("fragmented GPU", f"{lost} at the end, {of_idle} of what is idle"))
    overall = summary.waits.overall if summary.waits else None
    if overall is not None:
        q = overall.quantiles
        waits = f"{text.duration(q[0.5])} / {text.duration(q[0.99])} / {text.duration(q[1.0])}"
        rows.append(("wait p50/p99/longest", f"{waits} ({parts.speed_words(summary)})"))
    rows += living.lines(summary.living) if summary.living else []
    rate = summary.headline["run_pods_per_second"]
    if rate:
        rows.append(("this run", f"{text.number(round(rate))} pods/s"))
    wide = max(len(name) for name, _ in rows)
    return [_row(f"{name:<{wide}}", text.clean(value, 200)) for name, value in rows]


def _reasons(summary: Summary) -> list[str]:
    left = summary.unplaced
    if not left.pods:
        return []
    shown = [_row(f"{text.number(pods):>9}", text.clean(reason, 200)) for reason, pods in left.reasons[:3]]
    more = len(left.reasons) - len(shown)
    return ["never placed, by reason:", *shown, *([f"  and {text.plural(more, 'more reason')}"] if more > 0 else [])]


def _failed_checks(summary: Summary) -> list[str]:
    broken = [c for c in summary.checks if not c.good and not c.what.startswith("Pods")]
    return [_row("✗", text.clean(f"{c.value} (limit {c.limit}) {c.what}", 200)) for c in broken]


def _verdict(summary: Summary) -> list[str]:
    head = f"{parts.mark(summary)} {text.clean(summary.verdict.headline, 400)}"
    rest = textwrap.wrap(text.clean(summary.verdict.sentence, 600), COLUMNS, max_lines=5, placeholder=" …")
    return [*textwrap.wrap(head, COLUMNS, max_lines=2, placeholder=" …"), *rest]


def _next(summary: Summary, folder: Path | None) -> list[str]:
    out = []
    if folder is not None:
        out.append(text.clean(f"report: {folder / 'report.html'}", 400))
    command = next_command(summary)
    return [*out, text.clean(f"next: {command}", 1000)] if command else out


def next_command(summary: Summary) -> str | None:
    """Return the run's own command with another load: more where it fits, less where it does not; None if unknown.

    Pods that controllers make are no load that could be changed: without a trace there is nothing to tell.
    """
    if summary.verdict.kind == NOTHING or not summary.placed or summary.run.configuration.get("trace", "") is None:
        return None
    load = _load(summary)
    try:
        words = shlex.split(summary.run.command)
    except ValueError:
        return None
    if len(words) < 2 or words[1] != "replay":
        return None
    words = _with_option(words, "--load", f"{load:g}")
    out = _option(words, "--out")
    return shlex.join(_with_option(words, "--out", f"{out}-load-{load:g}" if out else f"run-load-{load:g}"))


def _load(summary: Summary) -> float:
    now = summary.run.configuration.get("load")
    before = float(now) if isinstance(now, (int, float)) and now > 0 else 1.0
    if summary.verdict.kind == FAILS:
        share = summary.placed / summary.arrived
        return max(0.05, round(before * min(share, 0.95), 2))
    binding = summary.verdict.binding
    peak = summary.supply.peaks[binding.key].percent if binding else 0.0
    grown = 100 / peak if peak > 0 else 2.0
    return round(before * min(max(grown, 1.1), 2.0), 1)


def _option(words: list[str], name: str) -> str | None:
    for k, word in enumerate(words):
        if word == name and k + 1 < len(words):
            return words[k + 1]
        if word.startswith(f"{name}="):
            return word.split("=", 1)[1]
    return None


def _with_option(words: list[str], name: str, value: str) -> list[str]:
    out, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == name:
            skip = True
        elif not word.startswith(f"{name}="):
            out.append(word)
    return [*out, name, value]
