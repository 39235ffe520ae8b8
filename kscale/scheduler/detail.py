"""Detail: what every plug-in of the cycle says of every node for one template, by the very kernels of the cycle."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.composer import Composer
from kscale.kernels import kernel, plain
from kscale.scheduler.cycle import points_line
from kscale.scheduler.profile import Profile


@kernel
def clear_rejects(scan_reject: Any, scan_check: Any) -> None:
    """Begin with no rejection."""
    for i in range(len(scan_reject)):
        scan_reject[i] = np.int32(0)
        scan_check[i] = np.int32(0)


@kernel
def keep_rejects(sieve: int, scan_reject: Any, scan_check: Any, detail_reject: Any) -> None:
    """Keep the bits that a filter has set, of either kind."""
    for i in range(len(scan_reject)):
        late = -1 - scan_check[i] if scan_check[i] < 0 else 0
        detail_reject[sieve, i] = np.int32(scan_reject[i] | late)


@kernel
def keep_usage(scorer: int, scan_raw: Any, detail_raw: Any, detail_points: Any, detail_said: Any) -> None:
    """Keep a score that needs no normalisation."""
    detail_said[scorer] = np.uint8(1)
    for i in range(len(scan_raw)):
        detail_raw[scorer, i] = scan_raw[i]
        detail_points[scorer, i] = scan_raw[i]


@kernel
def keep_raw(scorer: int, scan_wide: Any, detail_raw: Any, detail_said: Any) -> None:
    """Keep a raw score."""
    detail_said[scorer] = np.uint8(1)
    for i in range(len(scan_wide)):
        detail_raw[scorer, i] = scan_wide[i]


@kernel
def keep_points(scorer: int, scan_wide: Any, detail_points: Any) -> None:
    """Keep a normalised score."""
    for i in range(len(scan_wide)):
        detail_points[scorer, i] = scan_wide[i]


@kernel
def keep_sums(sums: Any, detail_sums: Any, detail_said: Any) -> None:
    """Keep which nodes every filter passes, and forget what was said before."""
    for i in range(len(sums)):
        detail_sums[i] = sums[i]
    for scorer in range(len(detail_said)):
        detail_said[scorer] = np.uint8(0)


def define(composer: Composer, profile: Profile) -> None:
    """Add the entries ``detail`` (fills the table ``detail``) and, where pods may be evicted, ``try_evicting``.

    ``try_evicting(template, first, last)`` looks for victims on a range of nodes, after ``detail``.
    """
    for function in (clear_rejects, keep_rejects, keep_usage, keep_raw, keep_points, keep_sums):
        composer.use(plain(function).__name__, function)
    composer.define("detail", "template", "\n".join([*_verdicts(profile), *_scores(profile)]), entry=True)
    if profile.preempts:
        composer.define("try_evicting", "template, first, last", _TRY_EVICTING, entry=True)


_TRY_EVICTING = "totals = scan_sums\nnode = preempt(-1, template, totals, first, last)\nreturn node"


def _verdicts(profile: Profile) -> list[str]:
    lines = ["nodes = len(scan_total)", "note_skips(template)"]
    for index, plugin in enumerate(profile.usage_filters):
        lines += ["clear_rejects()", f"filter_{index}(template, 0, nodes, {profile.first_bit(plugin)})"]
        lines.append(f"keep_rejects({profile.filters.index(plugin)})")
    for index, plugin in enumerate(profile.late_filters):
        lines += ["clear_rejects()", f"late_{index}(template, 0, nodes, {profile.first_bit(plugin)}, scan_check)"]
        lines.append(f"keep_rejects({profile.filters.index(plugin)})")
    return lines


def _scores(profile: Profile) -> list[str]:
    lines = ["score_range(template, 0, nodes, scan_total)", "sums = scan_sums", "copy_totals(scan_total, sums)"]
    lines += ["sift(template, sums)", "keep_sums(sums)"]
    for place, _ in profile.usage_scores:
        lines += [f"score_{place}(template, 0, nodes)", f"keep_usage({place})"]
    for place, plugin in profile.summed_scores:
        turn = points_line(profile, place, "0")
        if plugin.raw:
            lines.append(f"if raw_{place}(template, sums):")
        else:
            lines.append(f"take_plane({plugin.plane_column}[template_description[template]])")
            lines.append("if True:")
        lines += [f"    keep_raw({place})", f"    {turn}", f"    keep_points({place})"]
    return lines
