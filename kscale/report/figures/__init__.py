"""The figures of the report: a folder that is its own registry.

A figure is one module here that declares a ``Figure``. To add one, add a file. Only ``draw`` may need matplotlib,
and only ``all_figures`` imports the modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kscale import shelf
from kscale.report.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from kscale.report.summary import Summary


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: of its file and of its place on the page.
        order: where it stands on the page.
        question: the heading of its section, what it answers.
        finding: its title: what this run shows, in one sentence (untrusted names inside); None when the run has no
            data for it, and then it is left out.
        reading: one or two sentences that tell a newcomer how to read it.
        draw: the drawing, in the wide form (True) or for a narrow screen.
        table: its data.
    """

    name: str
    order: int
    question: str
    finding: Callable[[Summary], str | None]
    reading: Callable[[Summary], str]
    draw: Callable[[Summary, bool], Drawing]
    table: Callable[[Summary], Table]


def all_figures() -> list[Figure]:
    """Return every figure in the order of the page."""
    return sorted(shelf.declared(__name__, Figure).values(), key=lambda figure: (figure.order, figure.name))
