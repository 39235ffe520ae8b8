"""Profiles: the default set and its weights, the order of filters, and policies that cannot be."""

from __future__ import annotations

import pytest

from kscale.errors import InputError
from kscale.scheduler import profile as profiles
from kscale.scheduler.profile import policies, profile

FILTERS = ["NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodeResourcesFit"]


@pytest.mark.parametrize("devices", [False, True])
def test_the_default_weights(devices: bool) -> None:
    scores = {plugin.name: weight for plugin, weight in profile(devices=devices).scores}
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
    assert [(plugin.name, weight) for plugin, weight in found.scores] == [(policy, 1)]
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
