"""Profiles: which plug-ins run, with which weights."""

from __future__ import annotations

from dataclasses import dataclass

from kscale.errors import InputError, nearest
from kscale.scheduler import plugins
from kscale.scheduler.plugins import Plugin

#: The name of kube-scheduler's own set of score plug-ins.
DEFAULT = "default"


@dataclass(frozen=True)
class Profile:
    """Filters in the order they run, and score plug-ins with their weights.

    Attributes:
        filters: every filter of the shelf that the cluster has a use for, by rank.
        scores: (plug-in, weight), by rank.
        assign: the plug-in that picks devices; None where no node has any.
    """

    filters: tuple[Plugin, ...]
    scores: tuple[tuple[Plugin, int], ...]
    assign: Plugin | None

    @property
    def usage_scores(self) -> list[tuple[Plugin, int]]:
        """The score plug-ins that read usage."""
        return [(plugin, weight) for plugin, weight in self.scores if plugin.score]

    @property
    def planes(self) -> list[tuple[Plugin, int]]:
        """The score plug-ins that read how nodes are described, normalised over the nodes that fit."""
        return [(plugin, weight) for plugin, weight in self.scores if plugin.plane]

    @property
    def reserving(self) -> list[Plugin]:
        """The plug-ins that keep columns of their own as pods come and go."""
        return [plugin for plugin, _ in self.scores if plugin.reserve]

    @property
    def dear(self) -> bool:
        """Whether a rescan of all nodes is to be avoided."""
        return any(plugin.dear for plugin, _ in self.scores)

    @property
    def draws(self) -> bool:
        """Whether the choice among the best is by chance."""
        return any(plugin.draw for plugin, _ in self.scores)

    @property
    def reason_order(self) -> list[Plugin]:
        """The filters that read usage, in the order of their bits: those with a reason per resource come last.

        So the composed text does not depend on how many resources the input has, and is compiled once for all.
        """
        filters = [plugin for plugin in self.filters if plugin.filter and plugin.reasons]
        return sorted(filters, key=lambda plugin: not plugin.reasons([]) if plugin.reasons else False)

    def reasons(self, resources: list[str]) -> list[str]:
        """Return the texts of the bits of ``scan_reject``."""
        return [text for plugin in self.reason_order if plugin.reasons for text in plugin.reasons(resources)]

    def first_bit(self, plugin: Plugin) -> int:
        """Return the first bit of a filter's reasons."""
        before = self.reason_order[: self.reason_order.index(plugin)]
        return sum(len(p.reasons([])) for p in before if p.reasons)

    def listing(self) -> list[dict[str, object]]:
        """Return the plug-ins as run.json lists them."""
        weights = {plugin.name: weight for plugin, weight in self.scores}
        named = {
            p.name: p for p in [*self.filters, *(p for p, _ in self.scores), *([self.assign] if self.assign else [])]
        }
        rows: list[dict[str, object]] = []
        for plugin in named.values():
            points = [p for p in plugin.points if p != "score" or plugin.name in weights]
            rows.append({"name": plugin.name, "points": points, "weight": weights.get(plugin.name)})
        return rows


def policies() -> dict[str, Plugin]:
    """Return the plug-ins that ``--policy`` takes: those that score."""
    return {name: plugin for name, plugin in plugins.found().items() if "score" in plugin.points}


def profile(policy: str = DEFAULT, *, devices: bool) -> Profile:
    """Return the profile of a policy: the default set, or one score plug-in alone; the filters are the same for all.

    ``devices`` tells whether some node has devices. Raises InputError for an unknown name, or a policy for devices on a
    cluster without.
    """
    shelf = sorted(plugins.found().values(), key=lambda plugin: plugin.rank)
    useful = [plugin for plugin in shelf if devices or not plugin.needs_devices]
    known = policies()
    if policy == DEFAULT:
        scores = [(plugin, plugin.weight) for plugin in useful if plugin.standard]
    elif policy not in known:
        raise InputError(
            f"there is no policy '{policy}'{nearest(policy, [DEFAULT, *known])}",
            expected=f"one of {', '.join([DEFAULT, *sorted(known)])}",
        )
    elif known[policy].needs_devices and not devices:
        raise InputError(f"the policy {policy} is for clusters with GPUs", expected="a node list with GPUs")
    else:
        scores = [(known[policy], 1)]
    choosers = [plugin for plugin, _ in scores if plugin.assign] or [p for p in useful if p.assign and p.filter]
    return Profile(
        filters=tuple(plugin for plugin in useful if plugin.mask or plugin.filter),
        scores=tuple(scores),
        assign=choosers[0] if devices and choosers else None,
    )
