"""Scheduler plug-ins: each module here declares one or more ``Plugin``.

To add one, add a module (or an entry point of the group ``kscale.scheduler.plugins``) that declares a ``Plugin``,
and its test. A plug-in says which forms of contribution it gives:

* ``mask`` and ``plane`` depend on how nodes are described; they run once per kind of pod, over all nodes at once;
* ``filter`` and ``score`` depend on what is used; they are kernels that loop over a range of nodes themselves;
* ``assign`` picks devices on the chosen node, ``reserve`` keeps the plug-in's own columns when a pod comes or goes.

A kernel's parameters are its own arguments, then columns by full name. Columns of its own a leaf declares as
``COLUMNS = {"table": (Column(...), ...)}``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale import shelf
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.schema import Column

#: A mask gives, per node, the index of the reason that rejects it, or -1, and the reasons.
Mask = Callable[[NodeDescriptions, PodDescription], tuple[npt.NDArray[np.int64], list[str]]]
#: A plane gives a raw score per node.
Plane = Callable[[NodeDescriptions, PodDescription], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Plugin:
    """One plug-in, by its name in kube-scheduler's configuration.

    Attributes:
        name: its name.
        rank: its place in the order of filters; the first to reject a node is the one that is told.
        mask: which nodes it rejects by their description.
        plane: a raw score by description, and ``plane_column``, where it is kept.
        reversed: whether normalisation gives the most points to the least raw score.
        filter: kernel ``(template, first, last, reason, columns…)`` that sets bits from ``reason`` in ``scan_reject``.
        reasons: the texts of these bits, from the names of the resources.
        score: kernel ``(template, first, last, columns…)`` that fills ``scan_raw``; nodes with a ``scan_reject`` do not
            count.
        dear: whether a score costs more than a few nanoseconds per node, so that a rescan is worth avoiding.
        draw: choose at random among the best instead of the first.
        assign: kernel ``(template, node, draw, columns…)`` that returns the bit set of the devices to take.
        reserve: kernel ``(template, node, sign, columns…)``, called with 1 when a pod comes and -1 when it goes.
        weight: its weight in the total.
        standard: whether the default profile scores with it.
        needs_devices: whether it is for clusters with devices only.
    """

    name: str
    rank: int = 0
    mask: Mask | None = None
    plane: Plane | None = None
    plane_column: str = ""
    reversed: bool = False
    filter: Callable[..., Any] | None = None
    reasons: Callable[[list[str]], list[str]] | None = None
    score: Callable[..., Any] | None = None
    dear: bool = False
    draw: bool = False
    assign: Callable[..., Any] | None = None
    reserve: Callable[..., Any] | None = None
    weight: int = 1
    standard: bool = False
    needs_devices: bool = False

    @property
    def points(self) -> list[str]:
        """The extension points that it fills, in kube-scheduler's words."""
        filled = {
            "filter": self.mask or self.filter,
            "score": self.plane or self.score or self.draw,
            "reserve": self.assign or self.reserve,
        }
        return [point for point, function in filled.items() if function]


def found() -> dict[str, Plugin]:
    """Return every plug-in of the shelf by name."""
    return shelf.declared(__name__, Plugin)


def columns() -> list[dict[str, tuple[Column, ...]]]:
    """Return the columns that the leaves of this shelf add to the schema."""
    return [module.COLUMNS for module in shelf.modules(__name__) if hasattr(module, "COLUMNS")]
