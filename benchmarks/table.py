"""The tables that the benchmarks print, in Markdown so that they can be pasted as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.row import HIGHER, UNITS, Workload

_COLUMNS = (
    "workload", "seconds", "CPU seconds", "pods/s", "ns per node and pod", "peak MB", "limit", "share of it",
    "upstream's gate, pods/s", "times it",
)  # fmt: skip


def number(value: float | None) -> str:
    """Return a number with three digits that count, or a dash."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def share(name: str, value: float, limit: float) -> float:
    """Return how much of a limit a figure takes: above 1 it is missed."""
    return limit / value if name in HIGHER else value / limit


def figures_table(rows: Iterable[tuple[Workload, dict[str, float]]]) -> list[str]:
    """Return the lines of the table of figures; ``missed`` marks a limit that was not held."""
    table = []
    for row, figures in rows:
        first = [row.name, *(number(figures.get(name)) for name in ("seconds", "cpu_seconds"))]
        rate = figures.get("pods_per_second", figures.get("rows_per_second"))
        first += [number(rate), number(figures.get("ns_per_node_and_pod")), number(figures.get("peak_mb"))]
        held = [(name, limit, share(name, figures[name], limit)) for name, limit in row.limits.items()]
        limits = ", ".join(f"{'≥' if n in HIGHER else '≤'} {number(limit)} {UNITS[n]}" for n, limit, _ in held)
        shares = ", ".join(f"{part:.0%}{' missed' if part > 1 else ''}" for _, _, part in held)
        beside = [number(row.gate), f"{rate / row.gate:,.0f}" if row.gate and rate else "–"]
        table.append([*first, limits or "–", shares or "–", *beside])
    return markdown(_COLUMNS, table)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, columns of one width, numbers to the right."""
    widths = [
        max(len(header[c]), *(len(row[c]) for row in rows)) if rows else len(header[c]) for c in range(len(header))
    ]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(header, widths, strict=True)) + " |"]
    lines.append("|" + "|".join("-" * (w + 1) + (":" if c else "-") for c, w in enumerate(widths)) + "|")
    for row in rows:
        cells = [cell.rjust(w) if c else cell.ljust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
