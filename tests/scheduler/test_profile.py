"""Profiles: the default set and its weights, the order of filters, and policies that cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kscale.errors import InputError
from kscale.scheduler import profile as profiles
from kscale.scheduler.configuration import ProfileConfiguration, SchedulerConfiguration
from kscale.scheduler.pluginargs import ScoringStrategy
from kscale.scheduler.profile import policies
from kscale.state.descriptions import PodTemplate, PodTerm, Selector, SpreadConstraint
from tests.scheduler.states import profile_of as profile

FILTERS = ["NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodeResourcesFit"]


@pytest.mark.parametrize("devices", [False, True])
def test_the_default_weights(devices: bool) -> None:
    scores = {plugin.name: weight for plugin, (weight,) in profile(devices=devices).scores}
    assert scores == {
        "TaintToleration": 3,
        "NodeAffinity": 2,
        "NodeResourcesFit": 1,
        "NodeResourcesBalancedAllocation": 1,
    }


def test_filters_run_by_rank() -> None:
    assert [plugin.name for plugin in profile(devices=False).filters] == FILTERS
    assert [plugin.name for plugin in profile(devices=True).filters] == [*FILTERS, "GpuShare"]
    ranks = [plugin.rank for plugin in profile(devices=True).filters]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("policy", sorted(policies()))
def test_a_policy_scores_alone_behind_the_same_filters(policy: str) -> None:
    found = profile(policy, devices=True)
    assert [(plugin.name, weight) for plugin, weight in found.scores] == [(policy, (1,))]
    assert [plugin.name for plugin in found.filters] == [*FILTERS, "GpuShare"]
    assert found.assign is not None


def test_every_cluster_with_gpus_has_a_plugin_that_picks_them() -> None:
    assert profile(devices=False).assign is None
    default, fgd = profile(devices=True).assign, profile("FGD", devices=True).assign
    assert default is not None
    assert fgd is not None
    assert (default.name, fgd.name) == ("GpuShare", "FGD")


def test_what_policies_bring_along() -> None:
    found = {policy: profile(policy, devices=True) for policy in ["default", *policies()]}
    assert [policy for policy, each in found.items() if each.draws] == ["Random"]
    assert [policy for policy, each in found.items() if each.dear] == ["FGD", "GpuClustering", "GpuPacking"]
    assert [policy for policy, each in found.items() if each.reserving] == ["GpuClustering"]


def test_an_unknown_policy_is_told_with_the_nearest_name() -> None:
    with pytest.raises(InputError) as raised:
        profile("LeastAlocated", devices=True)
    text = str(raised.value)
    assert "there is no policy 'LeastAlocated'; did you mean 'LeastAllocated'?" in text
    assert f"one of default, {', '.join(sorted(policies()))}" in text


def test_the_default_is_among_the_names_to_mean() -> None:
    with pytest.raises(InputError, match="did you mean 'default'"):
        profile("defualt", devices=False)


@pytest.mark.parametrize("policy", ["FGD", "GpuPacking", "GpuClustering"])
def test_a_policy_for_gpus_needs_gpus(policy: str) -> None:
    with pytest.raises(InputError, match=f"the policy {policy} is for clusters with GPUs; expected a node list"):
        profile(policy, devices=False)


def test_reasons_per_resource_take_the_last_bits() -> None:
    found = profile(devices=True)
    resources = ["cpu", "memory", "example.com/fpga"]
    texts = found.reasons(resources)
    assert texts[-3:] == ["Insufficient cpu", "Insufficient memory", "Insufficient example.com/fpga"]
    firsts = {plugin.name: found.first_bit(plugin) for plugin in found.reason_order}
    assert firsts == {"GpuShare": 0, "NodeResourcesFit": len(texts) - len(resources)}
    assert profile(devices=False).first_bit(found.reason_order[-1]) == 0


def test_the_listing_gives_points_and_weights() -> None:
    rows = {row["name"]: row for row in profile(devices=False).listing()}
    assert set(rows) == {*FILTERS, "NodeResourcesBalancedAllocation"}
    assert rows["TaintToleration"] == {"name": "TaintToleration", "points": ["filter", "score"], "weight": 3}
    assert rows["NodeName"] == {"name": "NodeName", "points": ["filter"], "weight": None}
    assert rows["NodeResourcesFit"] == {"name": "NodeResourcesFit", "points": ["filter", "score"], "weight": 1}
    # The same plug-in without its score, where another policy scores.
    alone = {row["name"]: row for row in profile("LeastAllocated", devices=False).listing()}
    assert alone["TaintToleration"] == {"name": "TaintToleration", "points": ["filter"], "weight": None}


def test_no_policy_is_called_as_the_default_set() -> None:
    assert profiles.DEFAULT not in policies()


# Configurations


def configured(*profiles: ProfileConfiguration) -> SchedulerConfiguration:
    return SchedulerConfiguration(profiles)


def without(point: str, *names: str, **fields: Any) -> ProfileConfiguration:
    """The default profile less some plug-ins at a point."""
    default = ProfileConfiguration()
    points = {**default.points, point: tuple(n for n in default.points[point] if n not in names)}
    return replace(default, points=points, **fields)


def test_what_the_input_has_no_use_for_is_left_out() -> None:
    term = PodTerm("zone", Selector(()), ("default",))
    used = {
        "NodePorts": PodTemplate(ports=(("TCP", "0.0.0.0", 80),)),
        "InterPodAffinity": PodTemplate(anti_affinity=(term,)),
        "PodTopologySpread": PodTemplate(spread=(SpreadConstraint(1, "zone", True, Selector(())),)),
    }
    for name, template in used.items():
        found = profile(devices=False, templates=[template])
        assert {plugin.name for plugin in found.filters} == {*FILTERS, name}
    found = profile(devices=False, templates=list(used.values()))
    # All three filters look at other pods on the node or elsewhere: they run by rank, the reasons per resource last.
    assert [plugin.name for plugin in found.usage_filters] == ["NodePorts", "NodeResourcesFit"]
    assert [plugin.name for plugin in found.late_filters] == ["PodTopologySpread", "InterPodAffinity"]
    assert [plugin.name for plugin in found.reason_order][-1] == "NodeResourcesFit"
    assert [plugin.name for plugin in found.reserving] == ["NodePorts"]
    assert found.counts
    assert not profile(devices=False).counts


def test_bits_of_reasons_are_the_plugins_own() -> None:
    template = PodTemplate(ports=(("TCP", "0.0.0.0", 80),), spread=(SpreadConstraint(1, "zone", True, Selector(())),))
    found = profile(devices=True, templates=[template])
    texts = found.reasons(["cpu", "memory"])
    taken = [found.bits(plugin) for plugin in found.reason_order]
    assert sum(taken) == (1 << 30) - 1  # each bit once, those of the last plug-in up to the description's
    for plugin, bits in zip(found.reason_order, taken, strict=True):
        assert plugin.reasons is not None
        own = plugin.reasons(["cpu", "memory"])
        first = found.first_bit(plugin)
        assert texts[first : first + len(own)] == own
        assert all(bits >> first + index & 1 for index in range(len(own)))
    hopeless = {texts[bit] for bit in range(len(texts)) if found.unresolvable_bits >> bit & 1}
    assert hopeless == {
        "node(s) had no allowed GPU model",
        "node(s) didn't match pod topology spread constraints (missing required label)",
    }


def test_weights_and_filters_of_several_profiles() -> None:
    other = without("filter", "TaintToleration", name="other", weights=(("NodeAffinity", 5), ("NodeResourcesFit", 1)))
    found = profile(devices=False, configuration=configured(ProfileConfiguration(), other))
    assert {plugin.name: weights for plugin, weights in found.scores} == {
        "TaintToleration": (3, 0),
        "NodeAffinity": (2, 5),
        "NodeResourcesFit": (1, 1),
        "NodeResourcesBalancedAllocation": (1, 0),
    }
    places = {plugin.name: place for place, (plugin, _) in enumerate(found.scores)}
    assert found.weight(places["NodeResourcesFit"]) == "1"
    assert (
        found.weight(places["NodeAffinity"]) == f"profile_weight[template_profile[template], {places['NodeAffinity']}]"
    )
    filters = {plugin.name: place for place, plugin in enumerate(found.filters)}
    assert list(filters) == FILTERS
    guards = {plugin.name: found.guard(plugin) for plugin in found.filters}
    place = filters["TaintToleration"]
    assert guards.pop("TaintToleration") == f"if profile_filter[template_profile[template], {place}] != 0:"
    assert set(guards.values()) == {""}


def test_a_filter_that_no_profile_has_does_not_run() -> None:
    found = profile(devices=True, configuration=configured(without("filter", "NodeResourcesFit", "NodeName")))
    # The filter of devices is kscale's own and no profile's.
    assert [plugin.name for plugin in found.filters] == [
        "NodeUnschedulable", "TaintToleration", "NodeAffinity", "GpuShare",
    ]  # fmt: skip
    assert found.reasons(["cpu"]) == profile(devices=True).reasons([])


@pytest.mark.parametrize(
    ("strategy", "scores"),
    [
        ("LeastAllocated", "NodeResourcesFit"),
        ("MostAllocated", "MostAllocated"),
        ("RequestedToCapacityRatio", "RequestedToCapacityRatio"),
    ],
)
def test_fit_scores_by_the_strategy(strategy: str, scores: str) -> None:
    shape = ((0, 0), (100, 10))
    configuration = configured(replace(ProfileConfiguration(), strategy=ScoringStrategy(strategy, shape=shape)))
    found = dict(profile(devices=False, configuration=configuration).scores)
    assert {plugin.name: weight for plugin, weight in found.items() if plugin.variant} == {scores: (1,)}


def test_a_search_is_short_where_some_profile_says_so() -> None:
    for percentage, short in ((None, False), (100, False), (99, True), (0, True)):
        sampling = replace(ProfileConfiguration(), name="b", percentage_of_nodes_to_score=percentage)
        assert profile(devices=False, configuration=configured(ProfileConfiguration(), sampling)).samples is short


def test_one_text_serves_all_numbers_of_resources_and_equal_profiles_are_one() -> None:
    one, two = profile(devices=True), profile(devices=True)
    assert one == two
    assert hash(one) == hash(two)
    assert one != profile(devices=True, preempts=True)
