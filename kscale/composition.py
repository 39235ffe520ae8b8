"""Composition: the modules of a run, written of what the engine and the scheduler declare."""

from __future__ import annotations

from functools import cache

from kscale.composer import Composer
from kscale.engine import loop
from kscale.scheduler import cycle, detail
from kscale.scheduler.profile import Profile


@cache
def compose(columns: frozenset[str], profile: Profile, memo: bool, kind: loop.Kind) -> tuple[str, dict[str, list[str]]]:
    """Return the loop's module as text, and the columns that its entries ``run``, ``sample`` and ``explain`` take."""
    composer = Composer(columns)
    loop.define_moves(composer, kind)
    cycle.define(composer, profile, memo=memo, devices=kind.devices, waits=not kind.inflate)
    loop.define(composer, kind)
    composer.define(
        "explain", "template", "score_range(template, 0, len(scan_total), scan_total)\nreturn scan_total", entry=True
    )
    if kind.devices:
        composer.define("measure_all", "", "for node in range(len(scan_total)):\n    measure(node)", entry=True)
    entries = ("run", "sample", "explain", *(("measure_all",) if kind.devices else ()))
    return composer.source(), {name: composer.columns_of(name) for name in entries}


@cache
def compose_detail(columns: frozenset[str], profile: Profile, kind: loop.Kind) -> tuple[str, dict[str, list[str]]]:
    """Return the module of ``detail`` and ``try_evicting`` as text, and the columns that they take."""
    composer = Composer(columns)
    loop.define_moves(composer, kind)
    cycle.define(composer, profile, devices=kind.devices, waits=False)
    detail.define(composer, profile)
    entries = ("detail", "try_evicting") if profile.preempts else ("detail",)
    return composer.source(), {name: composer.columns_of(name) for name in entries}
