"""Kinds: how the class index lays out nodes, and which templates it serves; worked out once the planes are there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.scheduler import barriers
from kscale.scheduler.lanes import CHUNK, FAN
from kscale.scheduler.plots import MOST_PATCHES, PLACES
from kscale.scheduler.profile import Profile
from kscale.state.intake import Intake
from kscale.state.tables import Cluster

#: Kinds stay below a share of the nodes: their last blocks are filled up, and each search looks at every kind.
_MOST_KINDS, _NODES_PER_KIND = 16, 64
#: Totals by usage are kept as int16.
_HIGHEST = (1 << 15) - 1
#: More lanes cost more at each event than scanning would.
_MOST_LANES = 8192
_MOST_PLOTS = 256

Array = npt.NDArray[Any]


def serves(profile: Profile, cluster: Cluster) -> bool:
    """Tell whether the index can choose as the scan does for some profile, with these amounts."""
    return any(_serves_row(profile, cluster, row) for row in range(len(profile.configurations)))


def _serves_row(profile: Profile, cluster: Cluster, row: int) -> bool:
    """Tell it for one profile: all nodes are looked at, its plug-ins have their second form or say who is concerned.

    Totals by usage have to fit an int16, and amounts to divide exactly as doubles.
    """
    configuration = profile.configurations[row]
    if configuration.percentage_of_nodes_to_score not in (None, 100) or bool(cluster.resource_wide.any()):
        return False
    scores = [plugin for plugin, weights in profile.scores if weights[row]]
    filters = [plugin for plugin in profile.filters if Profile.enabled(plugin, configuration)]
    highest = 100 * sum(weights[row] for plugin, weights in profile.scores if plugin.score)
    return (
        highest <= _HIGHEST
        and not any(plugin.draw or plugin.dear for plugin in scores)
        and all(plugin.lanes is not None and plugin.lanes.score is not None for plugin in scores if plugin.score)
        and all(
            plugin.concerns or plugin.needs_devices or (plugin.lanes is not None and plugin.lanes.filter is not None)
            for plugin in filters
            if plugin.filter
        )
        and all(plugin.by_domain or plugin.lists for plugin in [*filters, *scores] if plugin.late or plugin.raw)
    )


def lay_out(intake: Intake, profile: Profile, pods: Array, memory: int, plot_memory: int) -> None:
    """Fill the tables of the class index. ``pods`` is how many pods of each template are to be placed.

    ``memory`` bounds the lanes, ``plot_memory`` the plots (bytes). Templates that the index does not serve keep
    ``template_ask`` -1.
    """
    cluster = intake.cluster
    served = _served(profile, cluster) & (pods > 0)
    kinds = _Kinds(cluster.sizes["node"])
    served &= _refine_by_topologies(cluster, profile, kinds, served)
    served &= _refine_by_descriptions(cluster, profile, kinds, served, pods)
    kept_off = barriers.choose(cluster, profile, served, pods)
    _fill_grouped(cluster, profile, kept_off)
    _fill_asks(cluster, served, kept_off)
    _fill_kinds(cluster, kinds.codes)
    _fill_groups(cluster, plot_memory)
    barriers.fill(cluster, kept_off)
    spots, asks = cluster.sizes["spot"], cluster.sizes["ask"]
    most = min(asks, memory // (2 * spots + spots // 4 + 8 * cluster.sizes["kind"]), _MOST_LANES)
    cluster.cluster_lanes_limit[0] = -(-max(most, 1) // CHUNK) * CHUNK
    cluster.resize("lane", CHUNK)
    cluster.resource_asked[:] = (cluster.template_fit_request > 0).any(axis=0)
    cluster.resource_scored[:] = (cluster.resource_scored_weight > 0).any(axis=0)


def grow_lanes(cluster: Cluster) -> None:
    """Make room for twice as many lanes, within the limit."""
    cluster.resize("lane", min(2 * cluster.sizes["lane"], int(cluster.cluster_lanes_limit[0])))
    cluster.cluster_lanes_wanted[0] = 0


def make_lanes_last(cluster: Cluster) -> list[int]:
    """Make room for a lane for each ask, within the limit, and let none be taken back; return a template of each."""
    asks, rows = np.unique(cluster.template_ask, return_index=True)
    rows = rows[asks >= 0][: int(cluster.cluster_lanes_limit[0])]
    while cluster.sizes["lane"] < len(rows):
        grow_lanes(cluster)
    cluster.cluster_lanes_swept_at[0] = np.iinfo(np.int64).max // 2
    return [int(row) for row in rows]


def _rows(cluster: Cluster, table: str) -> Array:
    """Return which templates have rows in a list."""
    first, last = cluster.columns[f"template_{table}_first"], cluster.columns[f"template_{table}_last"]
    return np.asarray(first < last)


def _served(profile: Profile, cluster: Cluster) -> Array:
    rows = np.array([_serves_row(profile, cluster, row) for row in range(len(profile.configurations))])
    served = np.asarray((cluster.template_held == 0) & rows[cluster.template_profile])
    if profile.assign is not None:
        served &= cluster.template_device_count == 0
    plugins = dict.fromkeys([*profile.filters, *(plugin for plugin, _ in profile.scores)])
    for plugin in plugins:
        for table in (*plugin.concerns, *(() if plugin.by_domain else plugin.lists)):
            served &= ~_rows(cluster, table)
        if plugin.ungrouped is not None:
            served &= ~plugin.ungrouped(cluster)
    return served


class _Kinds:
    """Nodes split into kinds, finer and finer; ``codes`` is the kind of each node."""

    def __init__(self, nodes: int) -> None:
        self.codes = np.zeros(nodes, np.int64)
        self.first = np.zeros(1, np.int64)
        self.most = max(_MOST_KINDS, nodes // _NODES_PER_KIND)

    def refine(self, values: Array) -> bool:
        """Split kinds whose nodes differ in ``values``; leave them and return False where they would be too many."""
        if bool((values == values[self.first][self.codes]).all()):
            return True
        _, by_value = np.unique(values, return_inverse=True)
        _, first, codes = np.unique(
            self.codes * (int(by_value.max()) + 1) + by_value, return_index=True, return_inverse=True
        )
        if len(first) > self.most:
            return False
        order = np.argsort(first)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        self.codes, self.first = rank[codes], first[order]
        return True


def _refine_by_topologies(cluster: Cluster, profile: Profile, kinds: _Kinds, served: Array) -> Array:
    """Split by the domains that plug-ins look at; return the templates that can be served so."""
    result = np.ones(len(served), bool)
    looked_at: dict[int, Array] = {}
    plugins = dict.fromkeys([*profile.filters, *(plugin for plugin, _ in profile.scores)])
    for table in [table for plugin in plugins if plugin.by_domain for table in plugin.lists]:
        lengths = cluster.columns[f"template_{table}_last"] - cluster.columns[f"template_{table}_first"]
        owner = np.repeat(np.arange(len(lengths)), lengths)
        columns = [cluster.counter_topology[cluster.columns[f"{table}_counter"]]]
        if f"{table}_topology" in cluster.columns:
            columns.append(cluster.columns[f"{table}_topology"])
        for topologies in columns:
            for topology in np.unique(topologies[served[owner]]).tolist():
                users = looked_at.setdefault(topology, np.zeros(len(served), bool))
                users[owner[topologies == topology]] = True
    for topology, users in sorted(looked_at.items()):
        domain = cluster.topology_domain[topology]
        if not kinds.refine(domain >= 0 if cluster.topology_single[topology] else domain):
            result &= ~users
    return result


def _refine_by_descriptions(cluster: Cluster, profile: Profile, kinds: _Kinds, served: Array, pods: Array) -> Array:
    """Split by what descriptions say of nodes, those of most pods first; return the templates that can be served."""
    asked = np.bincount(cluster.template_description[served], pods[served], cluster.sizes["description"])
    planes = [plugin.plane_column for plugin, _ in profile.scores if plugin.plane]
    good = np.ones(len(asked), bool)
    for row in np.argsort(-asked, kind="stable")[: np.count_nonzero(asked)].tolist():
        good[row] = kinds.refine(cluster.description_verdict[row] == 0) and all(
            kinds.refine(cluster.columns[column][row]) for column in planes
        )
    return np.asarray(good[cluster.template_description])


def _fill_grouped(cluster: Cluster, profile: Profile, kept_off: list[tuple[int, ...]]) -> None:
    """Note which templates are searched by groups: those that look at domains otherwise than by their barriers."""
    cluster.template_grouped[:] = cluster.template_domains
    barred = np.array([len(barriers) > 0 for barriers in kept_off], bool)
    plugins = dict.fromkeys([*profile.filters, *(plugin for plugin, _ in profile.scores)])
    other = np.zeros(len(barred), bool)
    for plugin in plugins:
        for table in plugin.lists:
            if table != plugin.barring:
                other |= _rows(cluster, table)
                continue
            single = cluster.counter_single[cluster.columns[f"{table}_counter"]] != 0
            first, last = cluster.columns[f"template_{table}_first"], cluster.columns[f"template_{table}_last"]
            wide = np.concatenate([[0], np.cumsum(~single)])
            other |= wide[last] > wide[first]
    cluster.template_grouped[barred & ~other] = 0


def _fill_asks(cluster: Cluster, served: Array, kept_off: list[tuple[int, ...]]) -> None:
    """Fill the asks; templates with different barriers have different ones."""
    rows = np.flatnonzero(served)
    codes: dict[tuple[int, ...], int] = {}
    barrier_code = np.array([codes.setdefault(barriers, len(codes)) for barriers in kept_off], np.int64)
    if len(rows):
        columns = (cluster.template_fit_request, cluster.template_scored_request, cluster.template_request)
        key = np.concatenate(
            [*(column[rows] for column in columns), cluster.template_description[rows, None],
             cluster.template_profile[rows, None], barrier_code[rows, None]], axis=1,
        )  # fmt: skip
        distinct, asks = np.unique(key, axis=0, return_inverse=True)
        cluster.resize("ask", len(distinct))
        cluster.template_ask[rows] = asks.reshape(-1)


def _fill_kinds(cluster: Cluster, codes: Array) -> None:
    count = np.bincount(codes)
    banks = -(-count // (FAN * FAN))
    halls = -(-banks // FAN)
    last_bank, last_hall = np.cumsum(banks), np.cumsum(halls)
    for dimension, size in (
        ("kind", len(count)), ("hall", last_hall[-1]), ("bank", last_bank[-1]), ("block", FAN * last_bank[-1]),
        ("spot", FAN * FAN * last_bank[-1]),
    ):  # fmt: skip
        cluster.resize(dimension, int(size))
    cluster.kind_first_hall[:], cluster.kind_last_hall[:] = last_hall - halls, last_hall
    of_kind = np.repeat(np.arange(len(count)), halls)
    within = np.arange(last_hall[-1]) - (last_hall - halls)[of_kind]
    cluster.hall_first_bank[:] = (last_bank - banks)[of_kind] + FAN * within
    cluster.hall_last_bank[:] = np.minimum(cluster.hall_first_bank + FAN, last_bank[of_kind])
    cluster.bank_hall[:] = np.repeat(np.arange(last_hall[-1]), cluster.hall_last_bank - cluster.hall_first_bank)
    order = np.argsort(codes, kind="stable")
    first = np.cumsum(count) - count
    spots = FAN * FAN * (last_bank - banks)[codes[order]] + np.arange(len(codes)) - first[codes[order]]
    cluster.kind_node[:] = order[first]
    cluster.node_kind[:] = codes
    cluster.node_spot[order] = spots
    cluster.spot_node[spots] = order


def _fill_groups(cluster: Cluster, memory: int) -> None:
    """Fill the domains of whole kinds, and make room for groups and plots."""
    domain = cluster.topology_domain[:, cluster.kind_node]
    single = (cluster.topology_single != 0)[:, None] & (domain >= 0)
    cluster.kind_domain[:] = np.where(single, cluster.topology_domains[:, None], domain)
    cluster.resize("group", max(cluster.sizes["kind"] + int(cluster.cluster_alone[0]), MOST_PATCHES))
    hosted = cluster.template_hosted_last - cluster.template_hosted_first
    counters = int(hosted[cluster.template_ask >= 0].max(initial=0))
    if counters:
        cluster.resize("own", counters)
        cluster.resize("patch", MOST_PATCHES)
        cluster.resize("slot_of_patch", PLACES)
        each = 4 * cluster.sizes["spot"] + 2 * MOST_PATCHES * cluster.sizes["bank"] + 4 * MOST_PATCHES * counters
        cluster.resize("plot", int(min(max(memory // each, 1), _MOST_PLOTS, cluster.sizes["template"])))
