"""Arguments: the columns that a configuration's profiles fill, and what the templates of each profile need of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.scheduler.preemption import STRETCH
from kscale.scheduler.profile import Profile
from kscale.state.building import Building
from kscale.state.descriptions import PodTemplate
from kscale.state.intake import Intake
from kscale.state.quantities import BASE_RESOURCES

#: kube-scheduler multiplies a shape's scores by this: 10 points there are 100 of a node.
_SHAPE_FACTOR = 10
#: Zone and region of a node, by whose values the search order takes turns.
_ZONE, _REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
_FIT = "NodeResourcesFit"
#: Memory for the costs of clearing nodes.
_CLEARING_BYTES = 64 << 20
#: Why a pod is held outside the queue.
GATED, NO_PROFILE = 1, 2


def dimensions(profile: Profile) -> dict[str, int]:
    """Return the lengths of the dimensions that the profiles decide."""
    return {
        "profile": len(profile.configurations), "scorer": max(len(profile.scores), 1),
        "sieve": max(len(profile.filters), 1),
        "point": max([len(c.strategy.shape) for c in profile.configurations] + [1]),
    }  # fmt: skip


def plan_budgets(building: Building) -> None:
    """List, for each template, the disruption budgets that cover its pods; an empty selector covers none."""
    budgets = building.nodes.surroundings.budgets
    building.size("budget", len(budgets))
    for row, budget in enumerate(budgets):
        if budget.selector is None or not budget.selector.requirements:
            continue
        for index in building.selected_rows(budget.selector, (budget.namespace,)).tolist():
            if building.templates[index].labels:
                building.append("budget_of", index, budget=row)


def fill(intake: Intake, building: Building, profile: Profile) -> None:
    """Fill the columns of the profiles, of the templates by profile, of the budgets, and those of the plug-ins."""
    cluster = intake.cluster
    for row, configuration in enumerate(profile.configurations):
        _fill_profile(intake, profile, row)
        cluster.profile_preempts[row] = profile.preempts and "DefaultPreemption" in configuration.points["postFilter"]
        stated = configuration.percentage_of_nodes_to_score
        cluster.profile_percentage[row] = 100 if stated is None else stated
    rows = {configuration.name: row for row, configuration in enumerate(profile.configurations)}
    for index, template in enumerate(building.templates):
        _fill_template(intake, building, index, template, rows)
    if cluster.sizes["budget"]:
        cluster.budget_allowed[:] = [budget.allowed for budget in building.nodes.surroundings.budgets]
    plugins = dict.fromkeys([*profile.filters, *(plugin for plugin, _ in profile.scores)])
    for plugin in plugins:
        if plugin.fill is not None:
            plugin.fill(building, cluster)
        if plugin.raw is not None and not plugin.lists:
            cluster.template_domains[:] = 1
        for table in plugin.lists:
            bounds = cluster.columns[f"template_{table}_first"], cluster.columns[f"template_{table}_last"]
            cluster.template_domains[bounds[0] < bounds[1]] = 1
    if profile.samples:
        cluster.node_search[:] = search_order(building)
        cluster.cluster_nodes[0] = len(building.nodes)
    if profile.preempts:
        _fill_preemption(intake, profile)


def _fill_preemption(intake: Intake, profile: Profile) -> None:
    """Note for whom only amounts decide, and make room for the costs of clearing nodes."""
    cluster = intake.cluster
    usage = profile.usage_filters
    amounts = np.asarray(cluster.template_domains == 0)
    if profile.assign is not None:
        amounts &= cluster.template_device_count == 0
    for plugin in usage:
        for table in plugin.concerns:
            amounts &= cluster.columns[f"template_{table}_first"] == cluster.columns[f"template_{table}_last"]
    known = all(plugin.name == _FIT or plugin.concerns or plugin.needs_devices for plugin in usage)
    cluster.template_by_amounts[:] = amounts & known
    cluster.resize("stretch", -(-cluster.sizes["node"] // STRETCH))
    # A search that ends early leaves nodes out, others each time.
    if all(c.percentage_of_nodes_to_score in (None, 100) for c in profile.configurations):
        rows = _CLEARING_BYTES // (32 * max(cluster.sizes["node"], 1))
        cluster.resize("clearing", 1 + min(rows, cluster.sizes["template"]))


def _fill_profile(intake: Intake, profile: Profile, row: int) -> None:
    cluster, configuration = intake.cluster, profile.configurations[row]
    for place, (_, weights) in enumerate(profile.scores):
        cluster.profile_weight[row, place] = weights[row]
    for place, plugin in enumerate(profile.filters):
        cluster.profile_filter[row, place] = Profile.enabled(plugin, configuration)
    places = {name: place for place, name in enumerate(intake.resources)}
    for name, weight in configuration.strategy.resources:
        if name in places:
            cluster.resource_scored_weight[row, places[name]] = weight
    for name, _ in configuration.balanced_resources:
        if name in places:
            cluster.resource_balanced[row, places[name]] = 1
    shape = configuration.strategy.shape
    cluster.profile_points[row] = len(shape)
    for point, (utilization, score) in enumerate(shape):
        cluster.profile_utilization[row, point] = utilization
        cluster.profile_score[row, point] = _SHAPE_FACTOR * score


def _fill_template(intake: Intake, building: Building, index: int, template: PodTemplate, rows: dict[str, int]) -> None:
    cluster = intake.cluster
    row = rows.get(template.description.profile)
    cluster.template_profile[index] = row or 0
    cluster.template_held[index] = NO_PROFILE if row is None else GATED if template.gates else 0
    configuration = building.configuration(template)
    if configuration is None:
        return
    if "NodeResourcesFit" not in configuration.points["filter"]:
        cluster.template_fit_request[index] = 0
    for place, name in enumerate(intake.resources):
        group = name.partition("/")[0]
        ignored = name in configuration.ignored_resources or group in configuration.ignored_groups
        if name not in BASE_RESOURCES and ignored:
            cluster.template_fit_request[index, place] = 0
    if template.nonzero is None:
        return
    amounts = dict(template.requests)
    for place, name in enumerate(intake.resources):
        if name in ("cpu", "memory"):
            which = int(name == "memory")
            cluster.template_nonzero_request[index, place] = template.nonzero[which]
            cluster.template_scored_request[index, place] = (template.scored or template.nonzero)[which]
        elif name != "pods":
            cluster.template_nonzero_request[index, place] = amounts.get(name, 0)
            cluster.template_scored_request[index, place] = amounts.get(name, 0)


def search_order(building: Building, there: np.ndarray[Any, Any] | None = None) -> list[int]:
    """Return the nodes in kube-scheduler's search order: zone after zone in turn, one node of each.

    With ``there`` (bool by node), the nodes that are not there come last.
    """
    labels = building.nodes.labels
    zones: dict[tuple[int, int], list[int]] = {}
    columns = [
        labels.columns[labels.keys[key]] if key in labels.keys else np.full(len(building.nodes), -1)
        for key in (_REGION, _ZONE)
    ]
    nodes = range(len(building.nodes)) if there is None else np.flatnonzero(there).tolist()
    for node in nodes:
        zones.setdefault((int(columns[0][node]), int(columns[1][node])), []).append(node)
    order: list[int] = []
    for turn in range(max((len(nodes) for nodes in zones.values()), default=0)):
        order += [nodes[turn] for nodes in zones.values() if turn < len(nodes)]
    return order if there is None else order + np.flatnonzero(~there).tolist()
