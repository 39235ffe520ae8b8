"""Planes: the first filter to reject a node is told, planes that differ are marked, and the message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from kscale.scheduler import planes, plugins
from kscale.scheduler.configuration import ProfileConfiguration, SchedulerConfiguration, default_configuration
from kscale.scheduler.plugins import Bar
from kscale.scheduler.plugins.node_affinity import ADDED_REASON, LEFT_OUT
from kscale.scheduler.profile import profile
from kscale.state.descriptions import PodDescription, PodTemplate
from kscale.state.intake import Intake, Sizes, gather, take_in
from kscale.state.labels import Requirement
from kscale.traces import NODES, SPECS
from tests.scheduler.states import profile_of

SIZES = Sizes(pod=2, arrival=2, ledger=2, timeline=2, diagnosis=2)
UNSCHEDULABLE = "node(s) were unschedulable"
NAME = "node(s) didn't match the requested node name"
AFFINITY = "node(s) didn't match Pod's node affinity/selector"


def filled(
    nodes: list[dict[str, Any]],
    specs: list[dict[str, Any]],
    templates: list[PodTemplate] | None = None,
    configuration: SchedulerConfiguration | None = None,
) -> tuple[Intake, planes.Verdicts]:
    rows = [
        {"name": f"n{i}", "cpu_milli": 1000, "memory_bytes": 1 << 30, "pods": 9, **row} for i, row in enumerate(nodes)
    ]
    frames = pl.DataFrame(rows, schema=NODES), pl.DataFrame(specs, schema=SPECS)
    configuration = configuration or default_configuration()
    building = gather(*frames, None, templates, {each.name: each for each in configuration.profiles})
    chosen = profile(configuration, building, devices=False, preempts=False)
    intake = take_in(*frames, len(chosen.reasons([])), plugins.columns(), SIZES, building)
    return intake, planes.fill(intake, chosen)


def test_the_first_filter_to_reject_a_node_is_told() -> None:
    nodes = [
        {"unschedulable": True, "taints": "a:NoSchedule"},  # wrong in every way: the first filter is told
        {"taints": "a=b:NoSchedule,c:NoExecute", "labels": "zone=x"},  # the name comes before the taint
        {"name": "wanted", "taints": "a=b:NoSchedule"},  # the taint comes before the affinity
        {"name": "wanted2"},
    ]
    specs = [
        {"node_name": "wanted", "node_selector": "zone=y"},
        {"node_selector": "zone=y"},
        {"tolerations": "*"},
    ]
    intake, verdicts = filled(nodes, specs)
    taint = "node(s) had untolerated taint {a: b}"
    told = [[verdicts.reasons[code - 1] if code else "" for code in row] for row in intake.cluster.description_verdict]
    assert told == [[UNSCHEDULABLE, NAME, taint, NAME], [UNSCHEDULABLE, taint, taint, AFFINITY], ["", "", "", ""]]
    assert verdicts.counts == [{UNSCHEDULABLE: 1, NAME: 2, taint: 1}, {UNSCHEDULABLE: 1, taint: 2, AFFINITY: 1}, {}]


def named(*names: str) -> tuple[Requirement, ...]:
    return (Requirement("metadata.name", "In", names, field=True),)


def test_nodes_that_the_pods_own_terms_leave_out_come_before_every_filter() -> None:
    nodes: list[dict[str, Any]] = [{"unschedulable": True}, {"taints": "a:NoSchedule"}, {}]
    templates = [
        PodTemplate(PodDescription(terms=(named("n1", "n9"),))),
        PodTemplate(PodDescription(terms=(named("n1"), (Requirement("zone", "Exists"),)))),  # the second names none
    ]
    intake, verdicts = filled(nodes, [{}, {}], templates)
    assert verdicts.reasons[0] == LEFT_OUT
    assert intake.cluster.description_verdict[0].tolist()[::2] == [1, 1]
    assert intake.cluster.description_left_out.tolist() == [2, 0]
    taint = "node(s) had untolerated taint {a: }"
    assert verdicts.counts == [{LEFT_OUT: 2, taint: 1}, {UNSCHEDULABLE: 1, taint: 1, AFFINITY: 1}]


def test_a_pod_that_is_barred_is_turned_away_by_every_node() -> None:
    templates = [PodTemplate(PodDescription(terms=((*named("n0"), *named("n1")),))), PodTemplate()]
    intake, verdicts = filled([{}, {}], [{}, {}], templates)
    conflict = "pod affinity terms conflict"
    assert verdicts.bars == {0: ("NodeAffinity", Bar(conflict))}
    assert verdicts.counts == [{conflict: 2}, {}]
    assert intake.cluster.description_verdict[1].tolist() == [0, 0]


def test_each_profile_has_its_own_masks_and_added_terms() -> None:
    default = ProfileConfiguration()
    lax = replace(
        default, name="lax", points={**default.points, "filter": ("NodeResourcesFit",)}, added_terms=(named("n0"),)
    )
    strict = replace(default, name="strict", added_terms=(named("n0"),))
    nodes: list[dict[str, Any]] = [{"taints": "a:NoSchedule"}, {}]
    templates = [PodTemplate(PodDescription(profile=name)) for name in ("default-scheduler", "lax", "strict", "nobody")]
    intake, verdicts = filled(nodes, [{}] * 4, templates, SchedulerConfiguration((default, lax, strict)))
    taint = "node(s) had untolerated taint {a: }"
    assert verdicts.counts[:3] == [{taint: 1}, {}, {taint: 1, ADDED_REASON: 1}]
    assert intake.cluster.description_verdict[1].tolist() == [0, 0]


def test_specs_that_ask_the_same_share_a_row() -> None:
    specs = [{"cpu_milli": 1, "node_selector": "a=b,c=d"}, {"cpu_milli": 2, "node_selector": "c=d,a=b"}, {}]
    intake, verdicts = filled([{}], specs)
    assert intake.cluster.template_description.tolist() == [0, 0, 1]
    assert verdicts.counts == [{AFFINITY: 1}, {}]


@pytest.mark.parametrize(
    ("nodes", "spec", "uneven"),
    [
        ([{}, {}], {}, ""),
        ([{"taints": "a:PreferNoSchedule"}, {}], {}, "TaintToleration"),
        ([{"taints": "a:PreferNoSchedule"}, {"taints": "b:PreferNoSchedule"}], {}, ""),  # one each
        ([{"taints": "a:PreferNoSchedule"}, {}], {"tolerations": "a"}, ""),
        ([{"labels": "z=1"}, {}], {"preferred_node_affinity": "7: z=1"}, "NodeAffinity"),
        ([{"labels": "z=1"}, {"labels": "z=1"}], {"preferred_node_affinity": "7: z=1"}, ""),
        (
            [{"labels": "z=1"}, {"unschedulable": True}],
            {"preferred_node_affinity": "7: z=1"},
            "NodeAffinity",
        ),  # fitting or not
    ],
)
def test_descriptions_whose_scores_differ_are_marked(
    nodes: list[dict[str, Any]], spec: dict[str, Any], uneven: str
) -> None:
    intake, _ = filled(nodes, [spec])
    (bits,) = intake.cluster.description_uneven.tolist()
    scores = profile_of(devices=False).scores
    assert "".join(plugin.name for place, (plugin, _) in enumerate(scores) if bits >> place & 1) == uneven


def test_planes_hold_raw_scores() -> None:
    nodes = [{"labels": "z=1", "taints": "a:PreferNoSchedule,b:PreferNoSchedule"}, {"taints": "b:PreferNoSchedule"}]
    intake, _ = filled(nodes, [{"preferred_node_affinity": "7: z=1 | 5: z | 9: !q", "tolerations": "b"}])
    assert intake.cluster.description_intolerable.tolist() == [[1, 0]]
    assert intake.cluster.columns[plugins.found()["NodeAffinity"].plane_column].tolist() == [[7 + 5 + 9, 9]]


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"Insufficient cpu": 3}, "0/12 nodes are available: 3 Insufficient cpu."),
        # Sorted as texts, counts included: "1 ..." < "10 ..." < "2 ...".
        (
            {"Too many pods": 2, "Insufficient memory": 1, "Insufficient cpu": 10},
            "0/12 nodes are available: 1 Insufficient memory, 10 Insufficient cpu, 2 Too many pods.",
        ),
        ({"Too many pods": 4, "Insufficient cpu": 4}, "0/12 nodes are available: 4 Insufficient cpu, 4 Too many pods."),
        ({"Insufficient cpu": 0, "Too many pods": 1}, "0/12 nodes are available: 1 Too many pods."),
        ({}, "0/12 nodes are available."),
    ],
)  # fmt: skip
def test_the_message(counts: dict[str, int], text: str) -> None:
    assert planes.message(counts, 12) == text
