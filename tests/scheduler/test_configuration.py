"""The scheduler's configuration: plug-ins by point as kube-scheduler v1.34.1 was seen to run them, and what is refused.

``RECORDED`` holds every configuration of the recordings with the plug-ins that the real scheduler ran under it.
"""

from __future__ import annotations

import copy
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError, MachineError
from kscale.scheduler import configuration as module
from kscale.scheduler import plugins
from kscale.scheduler.configuration import (
    DefaultConstraint,
    ProfileConfiguration,
    SchedulerConfiguration,
    ScoringStrategy,
    default_configuration,
    parse_configuration,
    read_configuration,
)
from kscale.scheduler.plugins import Plugin
from kscale.state.labels import Requirement

HEAD: dict[str, Any] = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
_FROM_PORTS = "NodePorts NodeResourcesFit VolumeRestrictions NodeVolumeLimits VolumeBinding VolumeZone"
DEFAULT: dict[str, Any] = {
    "preEnqueue": "SchedulingGates DynamicResources DefaultPreemption",
    "preFilter": f"NodeAffinity {_FROM_PORTS} PodTopologySpread InterPodAffinity DynamicResources",
    "filter": "NodeUnschedulable NodeName TaintToleration NodeAffinity "
    f"{_FROM_PORTS} PodTopologySpread InterPodAffinity DynamicResources",
    "postFilter": "DynamicResources DefaultPreemption",
    "preScore": "TaintToleration NodeAffinity NodeResourcesFit VolumeBinding PodTopologySpread InterPodAffinity "
    "NodeResourcesBalancedAllocation",
    "score": "TaintToleration=3 NodeAffinity=2 NodeResourcesFit=1 VolumeBinding=1 PodTopologySpread=2 "
    "InterPodAffinity=2 NodeResourcesBalancedAllocation=1 ImageLocality=1",
}
_WITHOUT_FIT = (
    "TaintToleration=3 NodeAffinity=2 VolumeBinding=1 PodTopologySpread=2 InterPodAffinity=2 "
    "NodeResourcesBalancedAllocation=1 ImageLocality=1"
)
_PAIR = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]
_GPU = "nvidia.com/gpu"


def enabled(**weights: int | None) -> list[dict[str, Any]]:
    return [{"name": name} if weight is None else {"name": name, "weight": weight} for name, weight in weights.items()]


def disabled(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def at(point: str, **lists: Any) -> dict[str, Any]:
    return {"schedulerName": "default-scheduler", "plugins": {point: lists}}


def args(name: str, **stated: Any) -> dict[str, Any]:
    return {"schedulerName": "default-scheduler", "pluginConfig": [{"name": name, "args": stated}]}


def fit(kind: str, resources: list[dict[str, Any]], shape: list[tuple[int, int]] | None = None) -> dict[str, Any]:
    strategy: dict[str, Any] = {"type": kind, "resources": resources}
    if shape is not None:
        points = [{"utilization": utilization, "score": score} for utilization, score in shape]
        strategy["requestedToCapacityRatio"] = {"shape": points}
    return args("NodeResourcesFit", scoringStrategy=strategy)


def resources(**weights: int) -> list[dict[str, Any]]:
    return [{"name": {"gpu": _GPU}.get(name, name), "weight": weight} for name, weight in weights.items()]


_AFFINITY = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
    },
    "preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 30, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}
    ],
}
_AFFINE = args("NodeAffinity", addedAffinity=_AFFINITY)
_AFFINE["pluginConfig"] += args("InterPodAffinity", hardPodAffinityWeight=50)["pluginConfig"]
_BINPACK = at("score", disabled=disabled("NodeResourcesFit"), enabled=enabled(NodeResourcesFit=10)) | {
    "schedulerName": "binpack",
    "pluginConfig": fit("MostAllocated", _PAIR)["pluginConfig"],
}
_BARE = {
    "schedulerName": "bare",
    "plugins": {
        "score": {"disabled": disabled("*"), "enabled": enabled(NodeResourcesFit=1)},
        "preScore": {"disabled": disabled("*"), "enabled": enabled(NodeResourcesFit=None)},
        "postFilter": {"disabled": disabled("*")},
    },
}
_IGNORING = fit("MostAllocated", [*resources(cpu=2, memory=1), {"name": "ephemeral-storage", "weight": 1}])
_IGNORING["pluginConfig"][0]["args"] |= {
    "ignoredResources": ["example.com/foo"], "ignoredResourceGroups": ["nvidia.com"],
}  # fmt: skip
_LISTED = [
    {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"},
    {"maxSkew": 3, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"},
]
_REWEIGHTED = {"NodeResourcesFit": 5, "NodeAffinity": 7, "TaintToleration": 1, "NodeResourcesBalancedAllocation": 3}
#: (a recording with it, its profiles, per profile the points that differ from the default).
RECORDED: list[tuple[str, list[dict[str, Any]], dict[str, dict[str, str]]]] = [
    (
        "image_locality/11",
        [at("score", disabled=disabled("ImageLocality"), enabled=enabled(ImageLocality=10))],
        {"default-scheduler": {"score": DEFAULT["score"].replace("ImageLocality=1", "ImageLocality=10")}},
    ),
    ("interpod_affinity/10", [args("InterPodAffinity", hardPodAffinityWeight=0)], {}),
    ("interpod_affinity/11", [args("InterPodAffinity", ignorePreferredTermsOfExistingPods=True)], {}),
    ("interpod_affinity/16", [args("InterPodAffinity", hardPodAffinityWeight=100)], {}),
    ("interpod_affinity/4", [args("InterPodAffinity", hardPodAffinityWeight=37)], {}),
    ("mixed/11", [fit("MostAllocated", _PAIR)], {}),
    (
        "mixed/15",
        [at("score", disabled=disabled(*_REWEIGHTED), enabled=enabled(**_REWEIGHTED))],
        {
            "default-scheduler": {
                "score": "VolumeBinding=1 PodTopologySpread=2 InterPodAffinity=2 ImageLocality=1 NodeResourcesFit=5 "
                "NodeAffinity=7 TaintToleration=1 NodeResourcesBalancedAllocation=3"
            }
        },
    ),
    ("mixed/19", [args("NodeResourcesBalancedAllocation", resources=resources(cpu=1, memory=1, gpu=1))], {}),
    ("mixed/23", [fit("LeastAllocated", resources(cpu=3, memory=1, gpu=5))], {}),
    (
        "mixed/27",
        [at("score", disabled=disabled("NodeResourcesBalancedAllocation", "ImageLocality"))],
        {"default-scheduler": {"score": DEFAULT["score"].partition(" NodeResourcesBalanced")[0]}},
    ),
    (
        "mixed/3",
        [fit("RequestedToCapacityRatio", resources(gpu=3, cpu=1), [(0, 10), (30, 7), (71, 3), (100, 0)])],
        {},
    ),
    ("mixed/31", [_AFFINE], {}),
    ("mixed/35", [fit("RequestedToCapacityRatio", _PAIR, [(0, 0), (100, 10)])], {}),
    ("mixed/39", [at("score", disabled=disabled("*"))], {"default-scheduler": {"score": ""}}),
    ("mixed/43", [_IGNORING], {}),
    (
        "mixed/7",
        [at("multiPoint", disabled=disabled("TaintToleration", "NodeUnschedulable"))],
        {
            "default-scheduler": {
                "filter": DEFAULT["filter"].replace("NodeUnschedulable ", "").replace("TaintToleration ", ""),
                "preScore": DEFAULT["preScore"].removeprefix("TaintToleration "),
                "score": DEFAULT["score"].removeprefix("TaintToleration=3 "),
            }
        },
    ),
    (
        "strategies/11",
        [{"schedulerName": "default-scheduler"}, _BINPACK, _BARE],
        {
            "default-scheduler": {},
            "binpack": {"score": f"{_WITHOUT_FIT} NodeResourcesFit=10"},
            "bare": {"postFilter": "", "preScore": "NodeResourcesFit", "score": "NodeResourcesFit=1"},
        },
    ),
    ("topology_spread/11", [args("PodTopologySpread", defaultingType="List", defaultConstraints=[])], {}),
    ("topology_spread/15", [args("PodTopologySpread", defaultingType="List", defaultConstraints=_LISTED)], {}),
]


def whole(*profiles: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return HEAD | ({"profiles": list(profiles)} if profiles else {}) | fields


def parsed(*profiles: dict[str, Any], **fields: Any) -> SchedulerConfiguration:
    return parse_configuration(json.dumps(whole(*profiles, **fields)))


def profile(stated: dict[str, Any]) -> ProfileConfiguration:
    return parsed(stated).profiles[0]


def refused(*profiles: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(InputError) as raised:
        parse_configuration(json.dumps(whole(*profiles, **fields)), "sched.json")
    text = str(raised.value)
    assert text.startswith("sched.json")
    assert "expected" in text.lower()
    assert "\n" not in text
    return text


def listed(found: ProfileConfiguration) -> dict[str, str]:
    points = {point: " ".join(names) for point, names in found.points.items() if point in DEFAULT}
    assert found.points["score"] == tuple(name for name, _ in found.weights)
    return points | {"score": " ".join(f"{name}={weight}" for name, weight in found.weights)}


@pytest.mark.parametrize("form", ["json", "yaml", "args with kind"])
@pytest.mark.parametrize(("profiles", "differences"), [r[1:] for r in RECORDED], ids=[r[0] for r in RECORDED])
def test_the_plugins_are_those_that_the_real_scheduler_ran(
    profiles: list[dict[str, Any]], differences: dict[str, dict[str, str]], form: str
) -> None:
    stated = whole(*copy.deepcopy(profiles))
    if form == "args with kind":
        for each in stated["profiles"]:
            for config in each.get("pluginConfig", []):
                config["args"] |= {"apiVersion": HEAD["apiVersion"], "kind": f"{config['name']}Args"}
    found = parse_configuration(yaml.safe_dump(stated) if form == "yaml" else json.dumps(stated))
    want = {each["schedulerName"]: DEFAULT | differences.get(each["schedulerName"], {}) for each in profiles}
    assert {each.name: listed(each) for each in found.profiles} == want
    assert found.notes == ()


def test_the_default() -> None:
    found = default_configuration()
    (only,) = found.profiles
    assert listed(only) == DEFAULT
    assert {p: only.points[p] for p in ("queueSort", "reserve", "permit", "preBind", "bind", "postBind")} == {
        "queueSort": ("PrioritySort",),
        "reserve": ("VolumeBinding", "DynamicResources"),
        "permit": (),
        "preBind": ("VolumeBinding", "DynamicResources"),
        "bind": ("DefaultBinder",),
        "postBind": (),
    }
    assert only.default_constraints == (
        DefaultConstraint(3, "kubernetes.io/hostname", False),
        DefaultConstraint(5, "topology.kubernetes.io/zone", False),
    )
    assert only.system_defaults
    assert only.percentage_of_nodes_to_score is None
    assert (only.min_candidate_nodes_percentage, only.min_candidate_nodes_absolute) == (10, 100)
    assert (found.initial_backoff_us, found.max_backoff_us) == (1_000_000, 10_000_000)
    empty = [parsed(), parsed(profiles=[]), parsed({}), parsed({"plugins": None, "pluginConfig": None}), parsed(None)]
    assert empty == [found] * 5
    assert hash(only) == hash(empty[0].profiles[0])


def test_no_arguments_are_the_defaults() -> None:
    names = ["DefaultPreemption", "InterPodAffinity", "NodeResourcesFit", "VolumeBinding", "PodTopologySpread"]
    names += ["NodeAffinity", "NodeResourcesBalancedAllocation", "DynamicResources", "OutOfTreePlugin"]
    for stated in ([{"name": name} for name in names], [{"name": name, "args": {}} for name in names]):
        assert parsed({"pluginConfig": stated}) == default_configuration()


def test_arguments_of_the_recordings() -> None:
    found = {name: profile(profiles[-1]) for name, profiles, _ in RECORDED}
    assert [found[f"interpod_affinity/{n}"].hard_pod_affinity_weight for n in (10, 11, 16, 4)] == [0, 1, 100, 37]
    assert found["interpod_affinity/11"].ignore_preferred_terms_of_existing_pods
    assert found["mixed/11"].strategy == ScoringStrategy("MostAllocated")
    assert found["mixed/19"].balanced_resources == (("cpu", 1), ("memory", 1), (_GPU, 1))
    assert found["mixed/23"].strategy.resources == (("cpu", 3), ("memory", 1), (_GPU, 5))
    shape = ((0, 10), (30, 7), (71, 3), (100, 0))
    assert found["mixed/3"].strategy == ScoringStrategy("RequestedToCapacityRatio", ((_GPU, 3), ("cpu", 1)), shape)
    assert found["mixed/31"].added_terms == ((Requirement("disk", "Exists"),),)
    assert found["mixed/31"].added_preferred == ((30, (Requirement("disk", "In", ("ssd",)),)),)
    assert found["mixed/31"].hard_pod_affinity_weight == 50
    assert found["mixed/43"].ignored_resources == ("example.com/foo",)
    assert found["mixed/43"].ignored_groups == ("nvidia.com",)
    none, some = found["topology_spread/11"], found["topology_spread/15"]
    assert (none.system_defaults, none.default_constraints) == (False, ())
    zone, rack = DefaultConstraint(1, "topology.kubernetes.io/zone", False), DefaultConstraint(3, "rack", True)
    assert (some.system_defaults, some.default_constraints) == (False, (zone, rack))


# The order of plug-ins


def test_enabled_without_disabled_runs_first_with_its_own_weight() -> None:
    found = profile(at("score", enabled=enabled(ImageLocality=10, InterPodAffinity=None)))
    assert found.weights[:3] == (("ImageLocality", 10), ("InterPodAffinity", 1), ("TaintToleration", 3))
    assert len(found.weights) == 8


def test_a_point_that_disables_all_runs_only_what_it_enables() -> None:
    found = profile(at("filter", disabled=disabled("*"), enabled=enabled(NodePorts=None, NodeName=None)))
    assert found.points["filter"] == ("NodePorts", "NodeName")
    assert found.points["preFilter"] == tuple(DEFAULT["preFilter"].split())


def test_multi_point_keeps_the_place_of_a_default_and_takes_its_weight() -> None:
    found = profile(at("multiPoint", enabled=enabled(TaintToleration=None, ImageLocality=0, NodeAffinity=9)))
    assert listed(found)["score"] == DEFAULT["score"].replace("=3", "=1").replace("NodeAffinity=2", "NodeAffinity=9")


def test_multi_point_disabled_and_enabled_moves_a_plugin_to_the_end() -> None:
    found = profile(at("multiPoint", disabled=disabled("NodeName"), enabled=enabled(NodeName=None)))
    assert found.points["filter"][-1] == "NodeName"
    assert found.points["filter"].count("NodeName") == 1


def test_multi_point_that_disables_all_starts_from_nothing() -> None:
    stated = enabled(PrioritySort=None, DefaultBinder=None, NodeResourcesFit=4, NodeAffinity=None)
    found = profile(at("multiPoint", disabled=disabled("*"), enabled=stated))
    assert found.points["filter"] == ("NodeResourcesFit", "NodeAffinity")
    assert found.weights == (("NodeResourcesFit", 4), ("NodeAffinity", 1))
    assert found.points["postFilter"] == ()


def test_a_point_wins_over_multi_point() -> None:
    stated = at("multiPoint", enabled=enabled(NodeResourcesFit=4, NodeAffinity=5))
    stated["plugins"]["score"] = {"enabled": enabled(NodeResourcesFit=7), "disabled": disabled("NodeAffinity")}
    found = profile(stated)
    assert found.weights[0] == ("NodeResourcesFit", 7)
    assert "NodeAffinity" not in dict(found.weights)
    assert "NodeAffinity" in found.points["filter"]


def test_plugins_of_the_shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Plugin("Own", mask=lambda nodes, pod: None, plane=lambda nodes, pod: None)  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(plugins, "found", lambda found=plugins.found: found() | {"Own": own})
    everywhere = profile(at("multiPoint", enabled=enabled(Own=3)))
    assert everywhere.points["filter"][-1] == "Own"
    assert everywhere.weights[-1] == ("Own", 3)
    here = profile(at("score", enabled=enabled(Own=2)))
    assert here.weights[-1] == ("Own", 2)
    assert "Own" not in here.points["filter"]
    assert "'Own' has nothing to do at preScore; expected it at filter, score" in refused(
        at("preScore", enabled=enabled(Own=None))
    )


def test_policies_are_plugins_too() -> None:
    assert profile(at("score", disabled=disabled("*"), enabled=enabled(FGD=2))).weights == (("FGD", 2),)
    assert "is a strategy of NodeResourcesFit; expected scoringStrategy.type MostAllocated" in refused(
        at("score", enabled=enabled(MostAllocated=1))
    )


# Profiles and what is global


def test_percentages() -> None:
    found = parsed({"schedulerName": "a"}, {"schedulerName": "b", "percentageOfNodesToScore": 0})
    assert [each.percentage_of_nodes_to_score for each in found.profiles] == [None, 0]
    found = parsed(
        {"schedulerName": "a"}, {"schedulerName": "b", "percentageOfNodesToScore": 30}, percentageOfNodesToScore=70
    )
    assert [each.percentage_of_nodes_to_score for each in found.profiles] == [70, 30]


def test_back_off() -> None:
    found = parsed(podInitialBackoffSeconds=3, podMaxBackoffSeconds=3)
    assert (found.initial_backoff_us, found.max_backoff_us) == (3_000_000, 3_000_000)
    assert "field 'podInitialBackoffSeconds': is 0; expected 1" in refused(podInitialBackoffSeconds=0)
    assert "field 'podMaxBackoffSeconds': is 10; expected 11" in refused(podInitialBackoffSeconds=11)
    assert "'podMaxBackoffSeconds'" in refused(podMaxBackoffSeconds=1 << 62)


def test_profiles_by_name() -> None:
    assert [p.name for p in parsed({"schedulerName": "b"}, {"schedulerName": "a"}).profiles] == ["b", "a"]
    assert "field 'profiles[1].schedulerName': 'a' is there twice" in refused(
        {"schedulerName": "a"}, {"schedulerName": "a"}
    )
    assert "field 'profiles[1].schedulerName': is missing" in refused({"schedulerName": "a"}, {})
    assert "field 'profiles[0].schedulerName': is missing" in refused({"schedulerName": ""})


def test_one_queue_sort_for_all_profiles() -> None:
    sorts = {"plugins": {"queueSort": {"enabled": enabled(PrioritySort=None), "disabled": disabled("*")}}}
    same = parsed({"schedulerName": "a", **sorts}, {"schedulerName": "b", **sorts})
    assert [each.points["queueSort"] for each in same.profiles] == [("PrioritySort",)] * 2
    assert "field 'profiles[1].plugins.queueSort': differs" in refused(
        {"schedulerName": "a", **sorts}, {"schedulerName": "b"}
    )
    assert "field 'profiles[0].plugins.queueSort': has 0 plug-ins" in refused(at("queueSort", disabled=disabled("*")))
    assert "field 'profiles[0].plugins.bind': has no plug-in" in refused(at("bind", disabled=disabled("*")))


# Notes


def test_what_has_no_effect_is_noted() -> None:
    found = parsed(
        {
            "plugins": {
                "score": {"disabled": disabled("Nonsense")},
                "preEnqueue": {"disabled": disabled("SchedulingGates")},
                "preScore": {"disabled": disabled("NodeAffinity")},
                "filter": {"disabled": disabled("NodePorts")},
            },
            "pluginConfig": [
                {"name": "Coscheduling", "args": {"permitWaitingTimeSeconds": 10}},
                {"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 10}},
                {"name": "DynamicResources", "args": {"filterTimeout": "2s"}},
                {
                    "name": "PodTopologySpread",
                    "args": {"defaultingType": "List", "defaultConstraints": [_LISTED[1] | {"minDomains": 2}]},
                },
            ],
        },
        extenders=[{"urlPrefix": "http://127.0.0.1:8888/", "filterVerb": "filter", "enableHTTPS": False}],
        leaderElection={"leaderElect": False},
        clientConnection={"kubeconfig": "/etc/kubernetes/scheduler.conf", "qps": 50},
        parallelism=16,
        enableProfiling=False,
    )
    told = "\n".join(found.notes)
    for text in (
        "extenders: none is called (1 stated)",
        "there is no plug-in Nonsense to disable",
        "scheduling gates hold pods back",
        "preScore and score are one here, and score decides: NodeAffinity",
        "preFilter and filter are one here, and filter decides: NodePorts",
        "the arguments of Coscheduling are not read",
        "bindTimeoutSeconds: binding takes no time here",
        "filterTimeout: filtering takes no time here",
        "of a default constraint, only maxSkew, topologyKey and whenUnsatisfiable count",
    ):
        assert text in told
    assert len(found.notes) == 9


def test_a_plugin_of_kube_scheduler_that_kscale_lacks_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = {name: plugin for name, plugin in plugins.found().items() if name != "ImageLocality"}
    monkeypatch.setattr(plugins, "found", lambda: shelf)
    assert parsed({}).notes == ()
    found = parsed(at("score", enabled=enabled(ImageLocality=2)))
    assert found.notes == ("profiles[0].plugins.score.enabled[0]: kscale has no ImageLocality",)


# What is refused


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        (at("score", enabled=enabled(NodeResourceFit=1)), "no plug-in 'NodeResourceFit'; did you mean 'NodeResourcesF"),
        (at("score", enabled=enabled(NodeName=1)), "'NodeName' has nothing to do at score; expected it at filter"),
        (at("filter", enabled=enabled(EBSLimits=None)), "'EBSLimits' is no longer there; expected NodeVolumeLimits"),
        (at("multiPoint", enabled=enabled(GCEPDLimits=None)), "'GCEPDLimits' is no longer there"),
        (at("filter", enabled=disabled("*")), "there is no plug-in '*'"),
        (at("filter", enabled=disabled("NodeName", "NodeName")), "enabled[1].name': 'NodeName' is there twice"),
        (at("multiPoint", enabled=disabled("NodeName", "NodeName")), "enabled[1].name': 'NodeName' is there twice"),
        (at("score", enabled=enabled(ImageLocality=-1)), "enabled[0].weight': is -1; expected 0 to 2147483647"),
        (at("score", enabled=[{}]), "enabled[0].name': is missing"),
        (at("score", enabled={}), "profiles[0].plugins.score.enabled': is not a list"),
        (at("score", enabled=["FGD"]), "profiles[0].plugins.score.enabled[0]': is not a mapping"),
        (at("score", able=[]), "profiles[0].plugins.score.able': is no field"),
        (at("scores"), "profiles[0].plugins.scores': is no field of kubescheduler.config.k8s.io/v1; did you mean 'sco"),
        ({"schedulerName": 7}, "profiles[0].schedulerName': is a whole number; expected text"),
        ({"scheduler": "a"}, "profiles[0].scheduler': is no field"),
        ({"percentageOfNodesToScore": 101}, "profiles[0].percentageOfNodesToScore': is 101; expected 0 to 100"),
        ({"pluginConfig": disabled("EBSLimits")}, "pluginConfig[0].name': 'EBSLimits' is no longer there"),
        ({"pluginConfig": disabled("A", "A")}, "pluginConfig[1].name': 'A' is there twice"),
    ],
)  # fmt: skip
def test_refused_in_a_profile(stated: dict[str, Any], text: str) -> None:
    assert text in refused(stated)


def _expression(**stated: Any) -> dict[str, Any]:
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [stated]}]}}


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        (fit("LeastAlocated", _PAIR), "scoringStrategy.type': 'LeastAlocated' is not known; did you mean 'LeastAlloc"),
        (args("NodeResourcesFit", scoringStrategy={}), "scoringStrategy.type': is missing"),
        (fit("MostAllocated", resources(cpu=101)), "resources[0].weight': is 101; expected 1 to 100"),
        (fit("MostAllocated", resources(cpu=-1)), "resources[0].weight': is -1"),
        (fit("MostAllocated", [{"Name": "cpu"}]), "resources[0].Name': is no field"),
        (fit("MostAllocated", [{"weight": 1}]), "resources[0].name': is missing"),
        (fit("MostAllocated", _PAIR, [(0, 0)]), "requestedToCapacityRatio': is stated; expected none"),
        (fit("RequestedToCapacityRatio", _PAIR), "requestedToCapacityRatio': is missing"),
        (fit("RequestedToCapacityRatio", _PAIR, []), "shape': is empty"),
        (fit("RequestedToCapacityRatio", _PAIR, [(50, 0), (50, 1)]), "shape[1].utilization': is 50, after 50"),
        (fit("RequestedToCapacityRatio", _PAIR, [(0, 0), (101, 1)]), "shape[1].utilization': is 101"),
        (fit("RequestedToCapacityRatio", _PAIR, [(0, 11)]), "shape[0].score': is 11; expected 0 to 10"),
        (args("NodeResourcesFit", ignoredResources=["a b"]), "ignoredResources[0]': 'a b' is not a label key"),
        (args("NodeResourcesFit", ignoredResourceGroups=["a.b/c"]), "ignoredResourceGroups[0]': 'a.b/c' has a '/'"),
        (args("NodeResourcesFit", kind="NodeAffinityArgs"), "args.kind': is 'NodeAffinityArgs'; expected NodeResource"),
        (args("NodeResourcesFit", apiVersion="kubescheduler.config.k8s.io/v1beta3"), "args.apiVersion': is 'kubesched"),
        (args("NodeResourcesFit", foo=1), "pluginConfig[0].args.foo': is no field"),
        (args("NodeResourcesBalancedAllocation", resources=resources(cpu=2)), "resources[0].weight': is 2; expected 1"),
        (args("NodeResourcesBalancedAllocation", resources=disabled("a", "a")), "resources[1].name': 'a' is there"),
        (args("InterPodAffinity", hardPodAffinityWeight=101), "hardPodAffinityWeight': is 101; expected 0 to 100"),
        (args("InterPodAffinity", hardPodAffinityWeight="1"), "hardPodAffinityWeight': is text; expected a whole"),
        (args("PodTopologySpread", defaultConstraints=_LISTED), "defaultingType': is System; expected List"),
        (args("PodTopologySpread", defaultingType="Lists"), "defaultingType': 'Lists' is not known"),
        (
            args("PodTopologySpread", defaultingType="List", defaultConstraints=[_LISTED[0], _LISTED[0]]),
            "defaultConstraints[1]': is there twice",
        ),
        (
            args("PodTopologySpread", defaultingType="List", defaultConstraints=[_LISTED[0] | {"labelSelector": {}}]),
            "defaultConstraints[0].labelSelector': is stated; expected none",
        ),
        (
            args("PodTopologySpread", defaultingType="List", defaultConstraints=[_LISTED[0] | {"maxSkew": 0}]),
            "defaultConstraints[0].maxSkew': is 0",
        ),
        (args("DefaultPreemption", minCandidateNodesPercentage=101), "minCandidateNodesPercentage': is 101"),
        (args("DefaultPreemption", minCandidateNodesAbsolute=-1), "minCandidateNodesAbsolute': is -1"),
        (
            args("DefaultPreemption", minCandidateNodesAbsolute=0, minCandidateNodesPercentage=0),
            "minCandidateNodesAbsolute': is 0; expected 1 or more",
        ),
        (args("VolumeBinding", bindTimeoutSeconds=-1), "bindTimeoutSeconds': is -1"),
        (args("VolumeBinding", shape=[]), "shape': needs StorageCapacityScoring"),
        (args("DynamicResources", filterTimeout="-1s"), "filterTimeout': '-1s' is not a duration"),
        (
            args("NodeAffinity", addedAffinity=_expression(key="a", operator="Gt", values=["b"])),
            "nodeSelectorTerms[0].matchExpressions[0].values': 'b' is not a number",
        ),
        (
            args("NodeAffinity", addedAffinity=_expression(key="a", operator="In", value="b")),
            "matchExpressions[0].value': is no field",
        ),
        (args("NodeAffinity", addedAffinity=_expression(key="a", operator="Is")), "operator': 'Is' is not known"),
        (args("NodeAffinity", addedAffinity={"required": {}}), "addedAffinity.required': is no field"),
    ],
)  # fmt: skip
def test_refused_in_arguments(stated: dict[str, Any], text: str) -> None:
    assert text in refused(stated)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"apiVersion": "kubescheduler.config.k8s.io/v1beta3"}, "'apiVersion': is 'kubescheduler.config.k8s.io/v1beta3'; expected kubescheduler.config.k8s.io/v1"),  # noqa: E501
        ({"apiVersion": None}, "field 'apiVersion': is missing"),
        ({"apiVersion": [[]]}, "field 'apiVersion': is not text"),
        ({"kind": "Policy"}, "field 'kind': is 'Policy'; expected KubeSchedulerConfiguration"),
        ({"featureGates": {}}, "field 'featureGates': is no field"),
        ({"percentageOfNodesToScore": -1}, "field 'percentageOfNodesToScore': is -1; expected 0 to 100"),
        ({"parallelism": 0}, "field 'parallelism': is 0; expected 1"),
        ({"profiles": {}}, "field 'profiles': is not a list"),
        ({"extenders": [{"url": ""}]}, "field 'extenders[0].url': is no field"),
        ({"leaderElection": {"elect": True}}, "field 'leaderElection.elect': is no field"),
    ],
)  # fmt: skip
def test_refused_in_the_whole(fields: dict[str, Any], text: str) -> None:
    assert text in refused(**fields)


BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has 0 documents"),
        ("# nothing", "has 0 documents"),
        (f"{yaml.safe_dump(HEAD)}---\n{yaml.safe_dump(HEAD)}", "has 2 documents; expected one"),
        ("- a", "is not a mapping; expected a KubeSchedulerConfiguration"),
        ("a: [", "cannot be read as YAML"),
        ("{" + '"a":{' * 100_000, "is nested too deeply"),
        ("a: " + "[" * 300, "is nested more than 200 levels deep"),
        (BOMB, "has aliases that stand for far too much"),
        ('{"kind": "a", "kind": "b"}', "has the key 'kind' twice"),
        ("kind: a\nkind: b", "has the key 'kind' twice"),
        ('{"kind": NaN}', "cannot be read as JSON"),
        ('{"kind": "\\ud800"}', "cannot be read as JSON"),
        ('{"kind": "a"} {}', "cannot be read as JSON"),
        ("a: \ud800", "is not UTF-8 text"),
        ("a: !!python/object:os.system x", "has the unknown tag"),
        ("#" * (module.MOST_BYTES + 1), "is larger than 1,048,576 bytes"),
    ],
    ids=range(16),
)
def test_refused_as_text(text: str, told: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_configuration(text, "s.yaml")
    assert str(raised.value).startswith("s.yaml")
    assert told in str(raised.value)


def test_without_a_file_the_kind_names_it() -> None:
    with pytest.raises(InputError, match=r"^KubeSchedulerConfiguration, field 'kind': is missing"):
        parse_configuration("{}")


# Small rules


def test_resources() -> None:
    stated = [{"name": "cpu"}, {"name": "memory", "weight": 0}, {"name": "cpu", "weight": 4}]
    assert profile(fit("MostAllocated", stated)).strategy.resources == (("cpu", 5), ("memory", 1))
    assert profile(fit("MostAllocated", [])).strategy.resources == (("cpu", 1), ("memory", 1))
    assert profile(args("NodeResourcesFit", scoringStrategy=None)).strategy == ScoringStrategy()


def test_added_affinity() -> None:
    none = profile(args("NodeAffinity", addedAffinity=None))
    assert (none.added_terms, none.added_preferred) == (None, ())
    empty = {"nodeSelectorTerms": []}
    nothing = profile(args("NodeAffinity", addedAffinity={"requiredDuringSchedulingIgnoredDuringExecution": empty}))
    assert nothing.added_terms == ()
    fields = [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]
    weighted = [{"weight": 0, "preference": {"matchFields": fields}}, {"weight": 3, "preference": {}}]
    found = profile(
        args(
            "NodeAffinity",
            addedAffinity={
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": fields}, {}]},
                "preferredDuringSchedulingIgnoredDuringExecution": weighted,
            },
        )
    )
    assert found.added_terms == ((Requirement("metadata.name", "In", ("n1",), field=True),), ())
    assert found.added_preferred == ()


def test_preemption() -> None:
    found = profile(args("DefaultPreemption", minCandidateNodesPercentage=0, minCandidateNodesAbsolute=7))
    assert (found.min_candidate_nodes_percentage, found.min_candidate_nodes_absolute) == (0, 7)


# Files


def test_a_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("\ufeff---\n# by hand\n" + yaml.safe_dump(whole(_BINPACK)))
    assert read_configuration(path) == parsed(_BINPACK)
    path.write_text(" \n" + json.dumps(whole(_BINPACK), indent=2))
    assert read_configuration(str(path)) == parsed(_BINPACK)


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.yaml"
    for place in (path, path / "inside", tmp_path, "a\0b", "a" * 5000):
        with pytest.raises(InputError):
            read_configuration(place)
    path.write_bytes(b"kind: \xff")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_configuration(path)
    path.write_bytes("kind: ä".encode("utf-16"))
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_configuration(path)
    path.write_bytes("#€".encode() * (module.MOST_BYTES // 4 + 1))
    with pytest.raises(InputError, match="is larger than 1,048,576 bytes"):
        read_configuration(path)

    def forbid(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(MachineError, match="Permission denied"):
        read_configuration(path)
    assert stat.S_ISREG(path.stat().st_mode)


# Whatever the file says


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8),
    st.sampled_from(["*", "FGD", "NodePorts", "System", "List", "In", "cpu", 0, 1, 100, 101, {}, []]),
)  # fmt: skip
_PROFILES = [profiles for _, profiles, _ in RECORDED]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, item in inner for found in _paths(item, (*path, key))]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_configuration_is_read_or_refused(data: st.DataObject) -> None:
    stated = copy.deepcopy(whole(*data.draw(st.sampled_from(_PROFILES)), podMaxBackoffSeconds=20))
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(_paths(stated)))
        place: Any = stated
        for step in way:
            place = place[step]
        what = data.draw(st.sampled_from(["drop", "put", "rename", "double"]))
        if what == "drop":
            del place[last]
        elif what == "put":
            place[last] = data.draw(_SCALARS)
        elif isinstance(place, list):
            place.append(copy.deepcopy(place[last]))
        else:
            place[data.draw(st.text(max_size=8))] = place[last] if what == "double" else place.pop(last)
    text = data.draw(st.sampled_from([json.dumps, yaml.safe_dump]))(stated)
    _read_or_refuse(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.integers(0, 400), st.integers(0, 30), st.sampled_from([json.dumps, yaml.safe_dump]))
def test_a_damaged_text_is_read_or_refused(text: str, start: int, length: int, dump: Any) -> None:
    whole_text = dump(whole(_BINPACK))
    _read_or_refuse(text)
    _read_or_refuse(whole_text[:start] + text + whole_text[start + length :])


def _read_or_refuse(text: str) -> None:
    try:
        found = parse_configuration(text, "f")
    except InputError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("f")
        assert error.expected
    else:
        assert len({each.name for each in found.profiles}) == len(found.profiles) >= 1
        assert all(weight >= 1 for each in found.profiles for _, weight in each.weights)
