"""Intake: frames of nodes and specs become rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from kscale.errors import InputError
from kscale.scheduler import plugins
from kscale.state.descriptions import NodeDescriptions, PodDescription, PodTemplate
from kscale.state.intake import (
    MOST_REASONS,
    VERY_WIDE,
    WIDE,
    Intake,
    Sizes,
    describe_pod,
    describe_template,
    gather,
    model_mask,
    resource_names,
    take_in,
)
from kscale.state.labels import Labels, Requirement, Taint, Toleration
from kscale.state.quantities import BASE_RESOURCES
from kscale.traces import NODES, SPECS

SMALL = Sizes(pod=4, arrival=4, ledger=4, timeline=4, diagnosis=4)
MIB = 1 << 20


def frame(rows: list[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    extended = {key: pl.Int64 for row in rows for key in row if key.startswith("resource.")}
    return pl.DataFrame(rows, schema={**schema, **extended})


def intake(nodes: list[dict[str, Any]], specs: list[dict[str, Any]], sizes: Sizes = SMALL) -> Intake:
    return take_in(frame(nodes, NODES), frame(specs, SPECS), 3, plugins.columns(), sizes)


def test_resources_are_the_base_ones_then_the_extended_by_name() -> None:
    nodes = frame([{"name": "n", "resource.example.com/b": 1, "resource.example.com/z": 1}], NODES)
    specs = frame([{"resource.example.com/a": 1, "resource.example.com/z": 1}], SPECS)
    assert resource_names(nodes, specs) == [
        "cpu", "memory", "ephemeral-storage", "pods", "example.com/a", "example.com/b", "example.com/z",
    ]  # fmt: skip


@pytest.mark.parametrize(("reasons", "most"), [(0, 30), (3, 27), (20, 10)])
def test_reasons_leave_room_for_so_many_resources(reasons: int, most: int) -> None:
    def with_extended(count: int) -> Intake:
        nodes = frame([{"name": "n"} | {f"resource.example.com/r{i}": 1 for i in range(count)}], NODES)
        return take_in(nodes, frame([{}], SPECS), reasons, plugins.columns(), SMALL)

    taken = with_extended(most - len(BASE_RESOURCES))
    assert (len(taken.resources), taken.cluster.sizes["reason"]) == (most, MOST_REASONS)
    with pytest.raises(InputError, match=f"there are {most + 1} resources; expected at most {most}"):
        with_extended(most + 1 - len(BASE_RESOURCES))


def test_nodes() -> None:
    taken = intake(
        [
            {"name": "a", "cpu_milli": 4000, "memory_bytes": 8, "pods": 5, "resource.example.com/x": 2},
            {"name": "b", "cpu_milli": 1000, "memory_bytes": WIDE, "ephemeral_storage_bytes": 7, "pods": 6,
             "unschedulable": True, "labels": "zone=z", "taints": "t=u:NoExecute"},
            {"name": "c", "memory_bytes": WIDE - 1, "gpu_count": 2, "gpu_model": "T4", "taints": "t=u:NoExecute"},
        ],
        [{}],
    )  # fmt: skip
    cluster = taken.cluster
    assert taken.resources[4:] == ["example.com/x"]
    assert cluster.node_allocatable.tolist() == [
        [4000, 1000, 0], [8, WIDE, WIDE - 1], [0, 7, 0], [5, 6, 0], [2, 0, 0],
    ]  # fmt: skip
    assert cluster.resource_allocatable.tolist() == [5000, 8 + 2 * WIDE - 1, 7, 11, 2]
    assert cluster.resource_wide.tolist() == [0, 1, 0, 0, 0]
    assert cluster.resource_everywhere.tolist() == [0, 1, 0, 0, 0]
    assert cluster.node_allocatable_double[1].tolist() == [8.0, 2.0**46, 2.0**46 - 1]
    assert cluster.node_unschedulable.tolist() == [0, 1, 0]
    assert taken.nodes.taint_sets == ((), (Taint("t", "u", "NoExecute"),))
    assert cluster.node_taint_set.tolist() == [0, 1, 1]
    assert taken.nodes.names == ("a", "b", "c")
    assert cluster.node_device_count.tolist() == [0, 0, 2]
    assert cluster.node_device_free.tolist() == [[-1, -1], [-1, -1], [1000, 1000]]
    assert cluster.node_device_free_total.tolist() == [0, 0, 2000]
    assert taken.models == ["T4"]
    assert cluster.node_device_model.tolist() == [-1, -1, 0]
    assert cluster.node_idle_since_us.tolist() == [0, 0, 0]


def test_doubles_do_not_divide_exactly_from_2_to_the_46_nor_add_from_2_to_the_52() -> None:
    assert (WIDE, VERY_WIDE) == (2**46, 2**52)
    # A multiple of 2^20 has 20 zero bits less to carry: 2^57 + 2^20 counts as 2^37 + 1.
    cases = (
        (WIDE - 1, 0),
        (WIDE + 1, 1),
        (VERY_WIDE - 1, 1),
        (VERY_WIDE + 1, 2),
        (VERY_WIDE, 0),
        ((1 << 57) + (1 << 20), 0),
    )
    for memory, wide in cases:
        taken = intake([{"name": "a", "memory_bytes": memory}, {"name": "b"}], [{}])
        assert taken.cluster.resource_wide.tolist() == [0, wide, 0, 0]


def test_nodes_carry_their_hostname_and_the_model_of_their_devices_as_labels() -> None:
    taken = intake(
        [{"name": "a", "gpu_count": 1, "gpu_model": "T4"}, {"name": "b", "labels": "kubernetes.io/hostname=other"}],
        [{}],
    )
    matches = taken.nodes.labels.matches
    assert matches((Requirement("kubernetes.io/hostname", "In", ("a",)),)).tolist() == [True, False]
    assert matches((Requirement("kubernetes.io/hostname", "In", ("other",)),)).tolist() == [False, True]
    assert matches((Requirement("gpu-model", "In", ("T4",)),)).tolist() == [True, False]


def test_requests_and_their_scoring_defaults() -> None:
    cluster = intake(
        [{"name": "n"}],
        [
            {},  # nothing stated: 100 milli and 200 MiB in the scoring book
            {"cpu_milli": 0, "memory_bytes": 0},  # a stated 0 is 0
            {"cpu_milli": 250, "ephemeral_storage_bytes": 9, "priority": -7, "resource.example.com/x": 3},
        ],
    ).cluster
    assert cluster.template_request.tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 1, 0], [250, 0, 9, 1, 3]]
    assert cluster.template_nonzero_request.tolist() == [
        [100, 200 * MIB, 0, 1, 0], [0, 0, 0, 1, 0], [250, 200 * MIB, 9, 1, 3],
    ]  # fmt: skip
    # The filter asks for what is requested; the scores count for the pod itself what they count for those that run.
    assert np.array_equal(cluster.template_fit_request, cluster.template_request)
    assert np.array_equal(cluster.template_scored_request, cluster.template_nonzero_request)
    assert cluster.template_preempts.tolist() == [1, 1, 1]
    assert cluster.template_priority.tolist() == [0, 0, -7]


def test_specs_that_ask_the_same_of_a_description_share_a_row() -> None:
    taken = intake(
        [{"name": "n"}],
        [
            {"cpu_milli": 1, "node_selector": "a=b,c=d"},
            {"cpu_milli": 2, "node_selector": "c=d,a=b"},
            {"node_affinity": "a=b"},
            {},
        ],
    )
    assert taken.cluster.template_description.tolist() == [0, 0, 1, 2]
    assert len(taken.descriptions) == taken.cluster.sizes["description"] == 3


def test_a_row_of_specs_as_a_description() -> None:
    described = describe_pod(
        {
            "node_selector": "b=c,a=x",
            "node_affinity": "z | y",
            "preferred_node_affinity": "3: q",
            "tolerations": "*",
            "node_name": "n",
        }
    )
    assert described.node_selector == (("a", "x"), ("b", "c"))
    assert described.terms == ((Requirement("z", "Exists"),), (Requirement("y", "Exists"),))
    assert described.preferred == ((3, (Requirement("q", "Exists"),)),)
    assert described.tolerations == (Toleration("", "Exists"),)
    assert described.node_name == "n"
    nothing = describe_pod({"node_affinity": None, "node_name": None})
    assert (nothing.terms, nothing.node_name, nothing.tolerations) == (None, "", ())


def test_a_row_of_specs_as_a_template() -> None:
    template = describe_template({"node_name": "n", "priority": 7})
    assert template == PodTemplate(PodDescription(node_name="n"), priority=7)
    assert describe_template({"priority": None}).priority == 0


def test_what_objects_say_goes_before_the_frames() -> None:
    nodes = NodeDescriptions(
        ("n",), Labels([{"zone": "z"}]), ((Taint("a", "", "NoSchedule"),),), np.zeros(1, np.int32), np.ones(1, bool)
    )
    templates = [PodTemplate(PodDescription(node_name="x"), priority=3, preempts=False), PodTemplate()]
    frames = frame([{"name": "n", "cpu_milli": 5, "labels": "zone=q"}], NODES), frame([{}, {"priority": 9}], SPECS)
    building = gather(*frames, nodes, templates, {"default-scheduler": "its arguments"})
    assert building.configuration(templates[1]) == "its arguments"
    taken = take_in(*frames, 0, plugins.columns(), SMALL, building, {"profile": 4})
    cluster = taken.cluster
    assert taken.nodes.labels.matches((Requirement("zone", "In", ("z",)),)).tolist() == [True]
    assert cluster.node_allocatable[0].tolist() == [5]
    assert cluster.node_unschedulable.tolist() == [1]
    assert taken.nodes.taint_sets == nodes.taint_sets
    assert taken.descriptions == [templates[0].description, PodDescription()]
    assert cluster.template_priority.tolist() == [3, 0]
    assert cluster.template_preempts.tolist() == [0, 1]
    assert cluster.profile_preempts.shape == (4,)


def test_models_are_bits() -> None:
    models = ["A10", "T4", "V100"]
    assert model_mask(models, None) == model_mask(models, "") == 0
    assert model_mask(models, "T4") == 0b010
    assert model_mask(models, "V100|A10|V100") == 0b101
    assert model_mask(models, "T4|P100") == 0b010  # what is not there cannot be chosen
    with pytest.raises(InputError, match=r"unknown GPU model 'P100'; expected one of A10, T4, V100"):
        model_mask(models, "P100")
    with pytest.raises(InputError, match="no node has GPUs"):
        model_mask([], "P100")


def test_devices_of_specs() -> None:
    cluster = intake(
        [{"name": "n", "gpu_count": 1, "gpu_model": "T4"}],
        [
            {"gpu_count": 2, "gpu_milli": 1000, "gpu_models": "T4"},
            {"gpu_count": 0, "gpu_milli": 0, "gpu_models": "P100"},  # wants none: its models do not matter
        ],
    ).cluster
    assert cluster.template_device_count.tolist() == [2, 0]
    assert cluster.template_device_milli.tolist() == [1000, 0]
    assert cluster.template_device_models.tolist() == [1, 0]
    assert cluster.sizes["device"] == 1
    assert cluster.sizes["tag"] == 3  # tags 0 (a share), 1 and 2


@pytest.mark.parametrize("devices", [64, 65])
def test_a_node_has_at_most_64_devices(devices: int) -> None:
    nodes = [{"name": "n", "gpu_count": devices, "gpu_model": "T4"}]
    if devices == 64:
        assert intake(nodes, [{}]).cluster.node_device_free_total.tolist() == [64_000]
        return
    with pytest.raises(InputError, match="65 GPUs on a node, of 1 models; expected at most 64 of each"):
        intake(nodes, [{}])


def test_there_are_at_most_64_models() -> None:
    nodes = [{"name": f"n{i}", "gpu_count": 1, "gpu_model": f"M{i}"} for i in range(65)]
    assert len(intake(nodes[:64], [{}]).models) == 64
    with pytest.raises(InputError, match="of 65 models"):
        intake(nodes, [{}])


def test_bad_words_are_told() -> None:
    for row in ({"labels": "x"}, {"taints": "x"}):
        with pytest.raises(InputError, match="'x' is not a"):
            intake([{"name": "n", **row}], [{}])
    for row in ({"node_selector": "x"}, {"tolerations": "x:y"}, {"preferred_node_affinity": "x"}):
        with pytest.raises(InputError, match="is not a"):
            intake([{"name": "n"}], [row])


def test_memo_slots_are_bounded_by_bytes() -> None:
    nodes = [{"name": f"n{i}"} for i in range(10)]
    specs: list[dict[str, Any]] = [{"cpu_milli": i} for i in range(7)]
    # A slot of ten nodes takes 40 bytes.
    for memory, slots in ((1 << 20, 7), (120, 3), (119, 2), (0, 1)):
        taken = intake(nodes, specs, Sizes(pod=4, arrival=4, ledger=4, timeline=4, diagnosis=4, memo_bytes=memory))
        assert taken.cluster.memo_total.shape == (slots, 10)


def test_the_change_log_is_a_power_of_two_and_holds_twice_the_nodes() -> None:
    for count, length in ((1, 2), (2, 4), (3, 8), (4, 8), (5, 16)):
        log = intake([{"name": f"n{i}"} for i in range(count)], [{}]).cluster.memo_log
        assert len(log) == length >= 2 * count


def test_no_specs_and_free_rows() -> None:
    cluster = intake([{"name": "n"}], []).cluster
    assert cluster.sizes["template"] == 1
    assert cluster.queue_size.tolist() == [0, 0, 0, 4, 0, 0]
    assert cluster.queue_free.tolist() == [3, 2, 1, 0]  # row 0 is taken first
