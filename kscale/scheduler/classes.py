"""The class index: a pod's node in time that does not grow with the number of nodes, exactly as the full scan has it.

``find_node`` answers for templates whose ask has a lane (kscale.scheduler.lanes); it returns -1 for all others, and
where no node fits: the scan decides then, and says why. ``give_lane`` gives an ask that comes often a lane, with the
totals of a scan. Nodes that have changed are brought up to date before a search, from the change log.
"""

from __future__ import annotations

from kscale.composer import Composer
from kscale.kernels import plain
from kscale.scheduler import barriers, groups, lanes, plots, totals
from kscale.scheduler.plugins import Plugin
from kscale.scheduler.profile import Profile

#: What kernels for nodes read in place of columns of nodes, when they are asked about groups.
_STAND_INS = {
    "topology_domain": "group_domain", "scan_share": "group_share", "scan_wide": "group_wide",
    "scan_double": "group_double", "scan_place": "group_place",
}  # fmt: skip


def define(composer: Composer, profile: Profile, *, nominates: bool) -> None:
    """Add ``find_node`` and ``give_lane``; ``nominates`` tells whether nodes may be cleared for pods that wait."""
    for function in (
        lanes.lane_of, lanes.open_lane, lanes.start_lanes, lanes.put_lanes, lanes.add_lanes, lanes.settle_lanes,
        lanes.best_of_lane,
    ):  # fmt: skip
        composer.use(plain(function).__name__, function)
    _define_row(composer, profile)
    text = _FIND_NODE.replace("NOMINATED", "cluster_nominated[0] == 0 and " * nominates)
    conditions = _conditions(profile)
    if conditions:
        _define_groups(composer, profile)
        search = _SEARCH.replace("GATHER", _GATHER_OR_PLOT if profile.counts else _GATHER)
        search = search.replace("BEST", _BEST if profile.counts else "node = best_group(lane, groups)")
        text = text.replace("SEARCH", search.replace("CONDITIONS", " or ".join(conditions)))
    composer.define("find_node", "template", text.replace("SEARCH", "\n        node = best_of_lane(lane)"))
    opening = "\n".join(f"    open_{index}(template, lane)" for index in range(len(_laned(profile))))
    if _bars(profile):
        opening = f"    open_barriers(template, lane)\n{opening}"
    composer.define("give_lane", "template, totals", _GIVE_LANE.replace("OPEN_LANE", opening))


def _laned(profile: Profile) -> list[Plugin]:
    plugins = dict.fromkeys([*profile.usage_filters, *(plugin for _, plugin in profile.usage_scores)])
    return [plugin for plugin in plugins if plugin.lanes is not None]


def _bars(profile: Profile) -> bool:
    return any(plugin.barring for plugin in profile.late_filters)


def _define_row(composer: Composer, profile: Profile) -> None:
    laned = _laned(profile)
    lines = ["start_lanes(node, lanes)"]
    if _bars(profile):
        composer.use("bar_lanes", barriers.bar_lanes)
        composer.use("open_barriers", barriers.open_barriers)
        lines.append("bar_lanes(node, lanes)")
    for index, plugin in enumerate(laned):
        assert plugin.lanes is not None
        composer.use(f"open_{index}", plugin.lanes.open)
        if plugin.lanes.filter is not None and plugin in profile.usage_filters:
            composer.use(f"filter_lanes_{index}", plugin.lanes.filter)
            lines.append(f"filter_lanes_{index}(node, lanes)")
    # Without such scores the totals of lanes stay 0.
    verb = "put_lanes"
    for place, plugin in profile.usage_scores:
        if plugin.lanes is not None:
            composer.use(f"score_lanes_{place}", plugin.lanes.score)
            lines += [f"score_lanes_{place}(node, lanes)", f"{verb}({place}, lanes)"]
            verb = "add_lanes"
    lines.append("settle_lanes(node, lanes)")
    body = "\n".join(f"        {line}" for line in lines)
    if profile.counts:
        for function in (
            plots.plot_of, plots.free_plot, plots.lay_plot, plots.settle_plots, plots.gather_patches, plots.best_patch,
        ):  # fmt: skip
            composer.use(plain(function).__name__, function)
        body += _SETTLE_PLOTS
    text = _CATCH_UP.replace("CHUNK", str(lanes.CHUNK)).replace("FEW", str(lanes.FEW)).replace("ROW", body)
    composer.define("catch_up", "", text)


def _conditions(profile: Profile) -> list[str]:
    """Return when a template is searched by groups, as text."""
    conditions = []
    if profile.late_filters or any(plugin.raw for _, plugin in profile.summed_scores):
        conditions.append("template_grouped[template] != 0")
    if any(plugin.plane for _, plugin in profile.summed_scores):
        conditions.append("description_uneven[template_description[template]] != 0")
    return conditions


def _define_groups(composer: Composer, profile: Profile) -> None:
    """Add ``weigh_groups``: the plug-ins that look at domains or are normalised, asked about groups."""
    for function in (groups.gather_groups, groups.take_group_plane, groups.best_group):
        composer.use(plain(function).__name__, function)
    composer.use("normalise_groups", totals.normalise, _STAND_INS)
    composer.use("add_group_points", totals.add_points, _STAND_INS)
    lines = []
    for index, plugin in enumerate(profile.late_filters):
        if not plugin.by_domain:
            continue
        composer.use(f"group_late_{index}", plugin.late, _STAND_INS)
        conditions = [profile.guard(plugin).removeprefix("if ").removesuffix(":")]
        if plugin.skips is not None:
            conditions.append(f"scan_skip[{profile.filters.index(plugin)}] == 0")
        condition = " and ".join(part for part in conditions if part)
        lines += [f"if {condition}:"] if condition else []
        call = f"group_late_{index}(template, 0, groups, {profile.first_bit(plugin)}, sums)"
        lines.append(f"{'    ' if condition else ''}{call}")
    for place, plugin in profile.summed_scores:
        lines += _summed_lines(composer, profile, place, plugin)
    composer.define("weigh_groups", "template, groups, sums", "\n".join(lines) or "pass")


def _summed_lines(composer: Composer, profile: Profile, place: int, plugin: Plugin) -> list[str]:
    weight = profile.weight(place)
    if plugin.points:
        composer.use(f"group_points_{place}", plugin.points, _STAND_INS)
        points = f"group_points_{place}(template, {weight}, sums)"
    elif plugin.normalise == "none":
        points = f"add_group_points({weight}, sums)"
    else:
        points = f"normalise_groups({plugin.normalise == 'reversed'}, {weight}, sums)"
    if plugin.raw:
        if not plugin.by_domain:
            return []
        composer.use(f"group_raw_{place}", plugin.raw, _STAND_INS)
        guard = "" if weight.isdigit() else f"{weight} != 0 and "
        return [f"if {guard}group_raw_{place}(template, sums):", f"    {points}"]
    return [
        f"if description_uneven[template_description[template]] & {1 << place} != 0:",
        f"    take_group_plane({plugin.plane_column}[template_description[template]], groups)",
        f"    {points}",
    ]


# Each node that has changed since the last search is worked out once, however often it has changed.
_CATCH_UP = """
lanes, head = cluster_lanes[0], cluster_log_head[0]
if lanes > FEW:
    lanes = (lanes + CHUNK - 1) // CHUNK * CHUNK
first = cluster_lanes_cursor[0]
cluster_lanes_cursor[0] = head
behind = min(head - first, len(node_spot)) if lanes > 0 else 0
every = head - first > behind
for place in range(behind):
    node = natural(place if every else memo_log[(first + place) & (len(memo_log) - 1)])
    if every or node_changed_at[node] == first + place:
ROW
        cluster_work[0] += 1 + (lanes >> 3)
"""

_SETTLE_PLOTS = """
        if cluster_plots[0] > 0:
            settle_plots(node, first)
            cluster_work[0] += cluster_plots[0] >> 1
"""

# A template without a lane is left to the scan, whose totals open the lane that it is to have.
_FIND_NODE = """
node = -1
cluster_lane_to_open[0], cluster_nowhere[0] = -1, 0
if NOMINATEDtemplate_ask[template] >= 0:
    catch_up()
    lane = lane_of(natural(template_ask[template]))
    if lane < -1:
        cluster_lane_to_open[0] = -2 - lane
    elif lane >= 0:SEARCH
        cluster_nowhere[0] = node < 0 and template_domains[template] == 0
        cluster_found[0] += node >= 0
return node
"""

_GIVE_LANE = """
lane = cluster_lane_to_open[0]
if lane >= 0:
    cluster_lane_to_open[0] = -1
OPEN_LANE
    open_lane(template, lane, totals)
"""

_SEARCH = """
        if CONDITIONS:
GATHER
            if groups >= 0:
                note_skips(template)
                sums = group_sums[:groups]
                weigh_groups(template, groups, sums)
                cluster_work[0] += groups >> 3
                BEST
        else:
            node = best_of_lane(lane)"""

_GATHER = "            groups = gather_groups(template, lane)"
# Where a template has a plot, its own pods are on more nodes than a search would let stand by themselves.
_GATHER_OR_PLOT = """
            plot, groups = plot_of(template), -1
            if plot < 0:
                groups = gather_groups(template, lane)
                if groups < 0:
                    plot = free_plot(template)
                    if plot >= 0:
                        cluster_work[0] += len(node_spot) >> 1
                        if not lay_plot(plot, template, lane):
                            plot = -1
            if plot >= 0:
                groups = gather_patches(plot)
"""

_BEST = """if plot >= 0:
                    node = best_patch(plot, groups)
                else:
                    node = best_group(lane, groups)"""
