"""Composition: the modules of a run, written of what the engine and the scheduler declare."""

from __future__ import annotations

from functools import cache

from kscale.composer import Composer
from kscale.engine import loop
from kscale.node import kubelet
from kscale.scheduler import cycle, detail
from kscale.scheduler.profile import Profile

#: Every column's name, dtype, number of dimensions and stride; see ``kscale.state.tables.Cluster.kinds``.
Columns = frozenset[tuple[str, str, int, int]]


def _composer(columns: Columns) -> Composer:
    kinds = {name: (dtype, dimensions, stride) for name, dtype, dimensions, stride in columns}
    return Composer(kinds, kinds)


@cache
def compose(
    columns: Columns, profile: Profile, memo: bool, index: bool, kind: loop.Kind
) -> tuple[str, dict[str, list[str]]]:
    """Return the loop's module as text, and the columns that its entries, ``run`` and ``sample``, take."""
    composer = _composer(columns)
    loop.define_moves(composer, kind)
    cycle.define(
        composer, profile, memo=memo, index=index, devices=kind.devices, waits=not kind.inflate, by_class=kind.cohorts,
        graceful=kind.living,
    )  # fmt: skip
    if kind.living:
        kubelet.define(composer)
    loop.define(composer, kind)
    if kind.devices:
        composer.define("measure_all", "", "for node in range(len(scan_total)):\n    measure(node)", entry=True)
    entries = ("run", "sample", *(("measure_all",) if kind.devices else ()), *(("carry_out",) if kind.living else ()))
    entries += ("lose", "break_try", "wake") if kind.changes else ()
    return composer.source(), {name: composer.columns_of(name) for name in entries}


@cache
def compose_detail(columns: Columns, profile: Profile, kind: loop.Kind) -> tuple[str, dict[str, list[str]]]:
    """Return the module of ``detail`` and ``try_evicting`` as text, and the columns that they take."""
    composer = _composer(columns)
    loop.define_moves(composer, kind)
    cycle.define(composer, profile, devices=kind.devices, waits=False)
    detail.define(composer, profile)
    entries = ("detail", "try_evicting") if profile.preempts else ("detail",)
    return composer.source(), {name: composer.columns_of(name) for name in entries}


@cache
def compose_lanes(columns: Columns, profile: Profile, kind: loop.Kind) -> tuple[str, dict[str, list[str]]]:
    """Return the module of ``offer_lane`` as text, and the columns that it takes: a template's ask gets a lane."""
    composer = _composer(columns)
    loop.define_moves(composer, kind)
    cycle.define(composer, profile, index=True, devices=kind.devices, waits=False)
    scored = "score_range(template, 0, len(scan_total), scan_total)"
    text = f"cluster_lane_to_open[0] = lane\n{scored}\ngive_lane(template, scan_total)"
    composer.define("offer_lane", "template, lane", text, entry=True)
    return composer.source(), {"offer_lane": composer.columns_of("offer_lane")}


@cache
def compose_explain(columns: Columns, profile: Profile, kind: loop.Kind) -> tuple[str, dict[str, list[str]]]:
    """Return the module of ``explain`` as text, and the columns that it takes: totals of a template by usage."""
    composer = _composer(columns)
    loop.define_moves(composer, kind)
    cycle.define(composer, profile, devices=kind.devices, waits=False)
    composer.define("explain", "template", "score_range(template, 0, len(scan_total), scan_total)", entry=True)
    return composer.source(), {"explain": composer.columns_of("explain")}
