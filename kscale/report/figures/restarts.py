"""Restarts: the owners whose pods' containers were restarted most."""

from __future__ import annotations

from matplotlib.figure import Figure as Drawing

from kscale.report import bars, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.tables import Table


def _rows(summary: Summary) -> list[tuple[str, int]]:
    frame = summary.living.restarts if summary.living else None
    return [] if frame is None else [(_named(space, owner), count) for space, owner, count in frame.iter_rows()]


def _named(namespace: str, owner: str) -> str:
    kind, _, name = owner.partition("/")
    return f"{kind} {namespace}/{name}"


def _finding(summary: Summary) -> str | None:
    rows = _rows(summary)
    if not rows or summary.living is None:
        return None
    name, count = rows[0]
    total, owners = summary.living.restart_count, summary.living.restart_owners
    words = f"Containers were restarted {text.plural(total, 'time')} over {text.plural(owners, 'owner')}"
    return f"{words}; most often those of {text.clean(name, 80)} ({text.percent(100 * count / total)})"


def _reading(summary: Summary) -> str:
    return (
        "One bar per owner of pods, the most restarts first. What controls the pods' owner stands for it: a Deployment "
        "for its ReplicaSets, a CronJob for its Jobs. Pods that were deleted and made anew are no restarts."
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    return bars.draw(_rows(summary), "restarts of containers", wide)


def _table(summary: Summary) -> Table:
    rows = [(name, text.number(count)) for name, count in _rows(summary)]
    owners = summary.living.restart_owners if summary.living else 0
    note = f"{len(rows)} of {text.plural(owners, 'owner')}." if owners > len(rows) else ""
    return Table(("owner of the pods", "restarts"), rows, (1,), note)


FIGURE = Figure("restarts", 9, "Restarts of containers", _finding, _reading, _draw, _table)
