"""Profiles: which plug-ins run for whom, with which weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from kscale.errors import InputError, nearest
from kscale.scheduler import plugins
from kscale.scheduler.configuration import ProfileConfiguration, SchedulerConfiguration
from kscale.scheduler.plugins import Plugin
from kscale.state.building import Building

#: The name of kube-scheduler's own set of score plug-ins.
DEFAULT = "default"
_FIT = "NodeResourcesFit"
#: Bits of a verdict on usage; the next one is for descriptions.
_BITS = 30


@dataclass(frozen=True)
class Profile:
    """The plug-ins that some profile runs and the input has a use for; for each, in which profiles and how heavily.

    Attributes:
        configurations: the profiles, in order; ``template_profile`` is an index into them.
        filters: by rank.
        scores: (plug-in, its weight in each profile; 0 is switched off), by rank.
        assign: the plug-in that picks devices; None where no node has any.
        preempts: whether pods may be evicted for others.
        counts: whether pods are counted by domains, and ``trials``: some in trials of preemption only.
        every: whether every plug-in stands in the composed text, for any profile: one module for all inputs.
        flat: whether every plane is the same on all nodes for each description, so that none changes a choice. (One by
            one they would make a module of their own for each set of planes that matter.)
    """

    configurations: tuple[ProfileConfiguration, ...]
    filters: tuple[Plugin, ...]
    scores: tuple[tuple[Plugin, tuple[int, ...]], ...]
    assign: Plugin | None
    preempts: bool = False
    counts: bool = False
    trials: bool = False
    every: bool = False
    flat: bool = False

    @cached_property
    def usage_scores(self) -> list[tuple[int, Plugin]]:
        """The score plug-ins that read the node's usage, with their places in ``scores``."""
        return [(place, plugin) for place, (plugin, _) in enumerate(self.scores) if plugin.score]

    @cached_property
    def summed_scores(self) -> list[tuple[int, Plugin]]:
        """The score plug-ins that are added for every try, over the nodes that fit, with their places."""
        return [
            (place, plugin)
            for place, (plugin, _) in enumerate(self.scores)
            if plugin.raw or (plugin.plane and not self.flat)
        ]

    @property
    def usage_filters(self) -> list[Plugin]:
        """The filters that read the node's usage, in the order they run."""
        return [plugin for plugin in self.filters if plugin.filter]

    @property
    def late_filters(self) -> list[Plugin]:
        """The filters that look at domains, in the order they run."""
        return [plugin for plugin in self.filters if plugin.late]

    @property
    def reserving(self) -> list[Plugin]:
        """The plug-ins that keep columns of their own as pods come and go."""
        return [p for p in dict.fromkeys([*self.filters, *(p for p, _ in self.scores)]) if p.reserve]

    @property
    def samples(self) -> bool:
        """Whether some profile does not look at all nodes."""
        return self.every or any(c.percentage_of_nodes_to_score not in (None, 100) for c in self.configurations)

    @property
    def dear(self) -> bool:
        """Whether a rescan of all nodes is to be avoided."""
        return any(plugin.dear for plugin, _ in self.scores)

    @property
    def draws(self) -> bool:
        """Whether the choice among the best is by chance."""
        return any(plugin.draw for plugin, _ in self.scores)

    def weight(self, place: int) -> str:
        """Return the weight of a score plug-in as text for the composed cycle."""
        weights = set(self.scores[place][1])
        return (
            str(*weights)
            if len(weights) == 1 and not self.every
            else f"profile_weight[template_profile[template], {place}]"
        )

    def guard(self, plugin: Plugin) -> str:
        """Return the condition under which a filter runs, as text; empty where it always does."""
        enabled = {self.enabled(plugin, configuration) for configuration in self.configurations}
        place = self.filters.index(plugin)
        return (
            ""
            if enabled == {True} and not self.every
            else f"if profile_filter[template_profile[template], {place}] != 0:"
        )

    @staticmethod
    def enabled(plugin: Plugin, configuration: ProfileConfiguration) -> bool:
        """Tell whether a profile filters with the plug-in; those for devices and innate ones are always on."""
        return plugin.needs_devices or plugin.innate or plugin.name in configuration.points["filter"]

    @cached_property
    def reason_order(self) -> list[Plugin]:
        """The filters that have bits, in the order of these: those with a reason per resource come last.

        So the composed text does not depend on how many resources the input has, and is compiled once for all.
        """
        filters = [plugin for plugin in self.filters if (plugin.filter or plugin.late) and plugin.reasons]
        return sorted(filters, key=lambda plugin: not plugin.reasons([]) if plugin.reasons else False)

    def reasons(self, resources: list[str]) -> list[str]:
        """Return the texts of the bits."""
        return [text for plugin in self.reason_order if plugin.reasons for text in plugin.reasons(resources)]

    def first_bit(self, plugin: Plugin) -> int:
        """Return the first bit of a filter's reasons."""
        before = self.reason_order[: self.reason_order.index(plugin)]
        return sum(len(p.reasons([])) for p in before if p.reasons)

    def bits(self, plugin: Plugin) -> int:
        """Return all bits of a filter's reasons."""
        assert plugin.reasons is not None
        first, count = self.first_bit(plugin), len(plugin.reasons([]))
        return ((1 << count) - 1 if count else (1 << _BITS - first) - 1) << first

    @property
    def unresolvable_bits(self) -> int:
        """The bits of the reasons that no preemption helps."""
        return sum(1 << self.first_bit(p) + index for p in self.reason_order for index in p.unresolvable)

    def listing(self) -> list[dict[str, object]]:
        """Return the plug-ins as run.json lists them, with their weights in the first profile."""
        weights: dict[str, int] = {}
        for plugin, each in self.scores:
            weights[plugin.name] = max(weights.get(plugin.name, 0), each[0])
        named = {
            p.name: p for p in [*self.filters, *(p for p, _ in self.scores), *([self.assign] if self.assign else [])]
        }
        rows: list[dict[str, object]] = []
        for plugin in named.values():
            points = [p for p in plugin.fills if p != "score" or plugin.name in weights]
            rows.append({"name": plugin.name, "points": points, "weight": weights.get(plugin.name)})
        return rows


def policies() -> dict[str, Plugin]:
    """Return the plug-ins that ``--policy`` takes: those that score by usage or description alone."""
    return {name: plugin for name, plugin in plugins.found().items() if "score" in plugin.fills}


def profile(
    configuration: SchedulerConfiguration, building: Building, policy: str = DEFAULT, *, devices: bool, preempts: bool,
    every: bool = False,
) -> Profile:  # fmt: skip
    """Return the plug-ins of a configuration, less those that the input has no use for.

    With a ``policy`` other than the default, that plug-in alone scores. ``devices`` tells whether some node has
    devices, ``preempts`` whether preemption can do anything, ``every`` that none is left out. Raises InputError for an
    unknown name, or a policy for devices on a cluster without.
    """
    shelf = sorted(plugins.found().values(), key=lambda plugin: plugin.rank)
    useful = [
        plugin for plugin in shelf
        if (devices or not plugin.needs_devices)
        and ((every and not plugin.innate) or plugin.used is None or plugin.used(building))
    ]  # fmt: skip
    profiles = configuration.profiles
    scores = _policy_scores(policy, devices, profiles) or _scores(useful, profiles, every)
    filters = [
        plugin for plugin in useful
        if (plugin.mask or plugin.filter or plugin.late)
        and ((every and plugin.standard_filter) or any(Profile.enabled(plugin, p) for p in profiles))
    ]  # fmt: skip
    choosers = [plugin for plugin, _ in scores if plugin.assign] or [p for p in useful if p.assign and p.filter]
    return Profile(
        configurations=profiles, filters=tuple(filters), scores=tuple(scores),
        assign=choosers[0] if devices and choosers else None, preempts=preempts, counts=every or building.counts(),
        trials=preempts and (every or building.has("trial")), every=every,
    )  # fmt: skip


def _policy_scores(
    policy: str, devices: bool, profiles: tuple[ProfileConfiguration, ...]
) -> list[tuple[Plugin, tuple[int, ...]]]:
    known = policies()
    if policy == DEFAULT:
        return []
    if policy not in known:
        raise InputError(
            f"there is no policy '{policy}'{nearest(policy, [DEFAULT, *known])}",
            expected=f"one of {', '.join([DEFAULT, *sorted(known)])}",
        )
    if known[policy].needs_devices and not devices:
        raise InputError(f"the policy {policy} is for clusters with GPUs", expected="a node list with GPUs")
    return [(known[policy], (1,) * len(profiles))]


def _scores(
    useful: list[Plugin], profiles: tuple[ProfileConfiguration, ...], every: bool
) -> list[tuple[Plugin, tuple[int, ...]]]:
    """Return the score plug-ins; NodeResourcesFit stands as the variants that the profiles' strategies ask for."""
    result = []
    for plugin in useful:
        weights = []
        for configuration in profiles:
            stated = dict(configuration.weights)
            weight = stated.get(plugin.name, 0)
            if plugin.variant:
                right = plugin.variant == configuration.strategy.type
                first = plugin.name == _FIT or plugin.variant != "LeastAllocated"
                weight = stated.get(_FIT, 0) if right and first else 0
            weights.append(weight)
        alone = plugin.variant == "LeastAllocated" and plugin.name != _FIT
        wanted = any(weights) or (every and (plugin.variant or plugin.standard) and not alone)
        if wanted and (plugin.plane or plugin.score or plugin.raw or plugin.draw):
            result.append((plugin, tuple(weights)))
    return result
