"""Disruption budgets: the evictions that they refused."""

from __future__ import annotations

from matplotlib.figure import Figure as Drawing

from kscale.report import bars, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.tables import Table


def _rows(summary: Summary) -> list[tuple[str, int]]:
    frame = summary.living.budgets if summary.living else None
    return [] if frame is None else [(f"{space}/{name}", count) for space, name, count in frame.iter_rows()]


def _finding(summary: Summary) -> str | None:
    rows = _rows(summary)
    if not rows or summary.living is None:
        return None
    name, count = rows[0]
    total = summary.living.refused or 0
    words = f"Disruption budgets refused {text.plural(total, 'eviction')}"
    return f"{words}, {text.percent(100 * count / total)} of them {text.clean(name, 80)}"


def _reading(summary: Summary) -> str:
    return (
        "One bar per PodDisruptionBudget, the one that refused most evictions first. A refused eviction is tried "
        "again, so one pod may be refused often; a drain that waits for a budget shows up here."
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    return bars.draw(_rows(summary), "evictions refused", wide)


def _table(summary: Summary) -> Table:
    rows = [(name, text.number(count)) for name, count in _rows(summary)]
    note = f"Refused in all: {text.number(summary.living.refused if summary.living else None)}."
    return Table(("disruption budget", "evictions refused"), rows, (1,), note)


FIGURE = Figure("disruptions", 9, "Evictions that budgets refused", _finding, _reading, _draw, _table)
