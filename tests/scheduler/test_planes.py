"""Planes: the first filter to reject a node is told, planes that differ are marked, and the message."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from kscale.scheduler import planes, plugins
from kscale.scheduler.profile import profile
from kscale.state.intake import Intake, Sizes, take_in
from kscale.traces import NODES, SPECS

SIZES = Sizes(pod=2, arrival=2, ledger=2, timeline=2, diagnosis=2)
UNSCHEDULABLE = "node(s) were unschedulable"
NAME = "node(s) didn't match the requested node name"
AFFINITY = "node(s) didn't match Pod's node affinity/selector"


def filled(nodes: list[dict[str, Any]], specs: list[dict[str, Any]]) -> tuple[Intake, planes.Verdicts]:
    rows = [
        {"name": f"n{i}", "cpu_milli": 1000, "memory_bytes": 1 << 30, "pods": 9, **row} for i, row in enumerate(nodes)
    ]
    chosen = profile(devices=False)
    intake = take_in(
        pl.DataFrame(rows, schema=NODES), pl.DataFrame(specs, schema=SPECS), len(chosen.reasons([])),
        plugins.columns(), SIZES,
    )  # fmt: skip
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


def test_specs_that_ask_the_same_share_a_row() -> None:
    specs = [{"cpu_milli": 1, "node_selector": "a=b,c=d"}, {"cpu_milli": 2, "node_selector": "c=d,a=b"}, {}]
    intake, verdicts = filled([{}], specs)
    assert intake.cluster.template_description.tolist() == [0, 0, 1]
    assert verdicts.counts == [{AFFINITY: 1}, {}]


@pytest.mark.parametrize(
    ("nodes", "spec", "uneven"),
    [
        ([{}, {}], {}, 0),
        ([{"taints": "a:PreferNoSchedule"}, {}], {}, 1),
        ([{"taints": "a:PreferNoSchedule"}, {"taints": "b:PreferNoSchedule"}], {}, 0),  # one each
        ([{"taints": "a:PreferNoSchedule"}, {}], {"tolerations": "a"}, 0),
        ([{"labels": "z=1"}, {}], {"preferred_node_affinity": "7: z=1"}, 1),
        ([{"labels": "z=1"}, {"labels": "z=1"}], {"preferred_node_affinity": "7: z=1"}, 0),
        ([{"labels": "z=1"}, {"unschedulable": True}], {"preferred_node_affinity": "7: z=1"}, 1),  # fitting or not
    ],
)
def test_descriptions_whose_scores_differ_are_marked(
    nodes: list[dict[str, Any]], spec: dict[str, Any], uneven: int
) -> None:
    intake, _ = filled(nodes, [spec])
    assert intake.cluster.description_uneven.tolist() == [uneven]


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
