"""Intake: frames of nodes and specs, as the trace readers give them, become rows of the cluster's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from kscale.errors import InputError
from kscale.state.building import Building
from kscale.state.descriptions import NodeDescriptions, PodDescription, PodTemplate
from kscale.state.labels import (
    Labels,
    Taint,
    parse_labels,
    parse_preferred_terms,
    parse_taints,
    parse_terms,
    parse_tolerations,
)
from kscale.state.quantities import BASE_RESOURCES
from kscale.state.schema import Addition, NewTable
from kscale.state.tables import Cluster

#: What scoring counts for a container that states no request (kube-scheduler v1.34.1: 100m cpu, 200Mi memory).
NONZERO_DEFAULTS = {"cpu": 100, "memory": 200 * 1024 * 1024}
_COLUMN_OF = {
    "cpu": "cpu_milli",
    "memory": "memory_bytes",
    "ephemeral-storage": "ephemeral_storage_bytes",
    "pods": "pods",
}
#: Reasons are bits of an int32, of which descriptions take one; each resource takes one.
MOST_REASONS = 30
MOST_DEVICES = 64
MOST_MODELS = 64
#: Lengths of dimensions where the caller says nothing: one profile, no typical pods.
_SMALL = {
    "profile": 1,
    "scorer": 1,
    "sieve": 1,
    "point": 1,
    "typical": 0,
    "level": 0,
    "criteria": 3,
    "detailed": 0,
    "slots": 2,
    "clearing": 1,
    "stretch": 1,
    "kind": 1,
    "barrier": 0,
    "barring": 0,
    "guarded": 0,
    "spot": 1,
    "block": 1,
    "bank": 1,
    "hall": 1,
    "ask": 1,
    "lane": 16,
    "group": 1,
    "plot": 1,
    "patch": 1,
    "slot_of_patch": 1,
    "own": 1,
    "line": 1,
    "life": 0,
    "object": 0,
    "due": 0,
    "request": 0,
}
#: From here on doubles do not divide exactly (kscale.scheduler.plugins.resources).
WIDE = 1 << 46
#: From here on they do not add exactly.
VERY_WIDE = 1 << 52


@dataclass(frozen=True)
class Sizes:
    """Lengths of the dimensions that the input does not decide."""

    pod: int = 4096
    arrival: int = 1 << 18
    ledger: int = 1 << 16
    timeline: int = 1 << 12
    diagnosis: int = 1 << 12
    memo_bytes: int = 256 << 20
    lane_bytes: int = 512 << 20
    plot_bytes: int = 256 << 20
    event: int = 1 << 10
    alone: int = 64


@dataclass
class Intake:
    """The cluster, and the words that its codes stand for.

    Attributes:
        cluster: tables filled with nodes and templates.
        resources: resource names by row.
        models: device models by code.
        nodes: how the nodes are described.
        descriptions: what templates ask of that, by row of ``description``.
    """

    cluster: Cluster
    resources: list[str]
    models: list[str]
    nodes: NodeDescriptions
    descriptions: list[PodDescription] = field(default_factory=list)


def gather(
    nodes: pl.DataFrame,
    specs: pl.DataFrame,
    described: NodeDescriptions | None = None,
    templates: list[PodTemplate] | None = None,
    configurations: Mapping[str, object] | None = None,
) -> Building:
    """Return what plug-ins plan on: nodes and templates as they are described, and the names of the resources.

    ``described`` and ``templates`` say what the frames cannot; without them they are read from the frames (columns of
    ``kscale.traces.NODES`` and ``SPECS``). ``configurations`` are the profiles by name. Raises InputError.
    """
    nodes_described = replace(described or describe_nodes(nodes), configurations=dict(configurations or {}))
    if templates is None:
        templates = [describe_template(row) for row in specs.iter_rows(named=True)]
    return Building(nodes_described, templates or [PodTemplate()], resource_names(nodes, specs))


def take_in(
    nodes: pl.DataFrame,
    specs: pl.DataFrame,
    reasons: int,
    columns: Iterable[Addition] = (),
    sizes: Sizes = Sizes(),
    building: Building | None = None,
    dimensions: Mapping[str, int] | None = None,
) -> Intake:
    """Return the cluster of ``nodes`` and ``specs`` (columns of ``kscale.traces.NODES`` and ``SPECS``).

    ``reasons`` is the number of reasons of usage beyond one per resource; ``columns`` are those that plug-ins add;
    ``building`` is what they planned; ``dimensions`` the lengths of what only the scheduler knows. Raises InputError.
    """
    building = building or gather(nodes, specs)
    resources, described = building.resources, building.nodes
    if len(resources) + reasons > MOST_REASONS:
        raise InputError(f"there are {len(resources)} resources", expected=f"at most {MOST_REASONS - reasons}")
    told = [building.shared.get(template.description, template.description) for template in building.templates]
    descriptions = list(dict.fromkeys(told))
    models = sorted(set(_column(nodes, "gpu_model", "").to_list()) - {""})
    devices = int(_column(nodes, "gpu_count").max() or 0)  # type: ignore[arg-type]
    asked = int(_column(specs, "gpu_count").max() or 0)  # type: ignore[arg-type]
    if devices > MOST_DEVICES or len(models) > MOST_MODELS:
        raise InputError(f"there are {devices} GPUs on a node, of {len(models)} models", expected="at most 64 of each")
    template_count, node_count = len(building.templates), nodes.height
    slots = int(max(1, min(template_count, sizes.memo_bytes // (4 * max(node_count, 1)))))
    columns = list(columns)
    tables = [name for addition in columns for name, table in addition.items() if isinstance(table, NewTable)]
    cluster = Cluster(
        {
            **_SMALL, **building.lay_out([*tables, "budget", "budget_of", "trial"]),
            "resource": len(resources), "node": node_count, "template": template_count, "pod": sizes.pod,
            "description": max(len(descriptions), 1), "device": max(devices, 1), "key": len(described.labels.keys),
            "tag": max(asked, devices) + 1, "queues": 6, "rest": 5, "arrival": sizes.arrival, "ledger": sizes.ledger,
            "timeline": sizes.timeline, "diagnosis": sizes.diagnosis, "reason": len(resources) + reasons, "memo": slots,
            "log": 1 << max(2 * max(node_count, 1) - 1, 1).bit_length(), "event": sizes.event, **(dimensions or {}),
        },
        columns,
    )  # fmt: skip
    cluster.cluster_alone[0] = sizes.alone
    intake = Intake(cluster, resources, models, described, descriptions)
    _fill_nodes(intake, nodes)
    index = {description: row for row, description in enumerate(descriptions)}
    _fill_templates(intake, specs, building.templates, [index[description] for description in told])
    building.fill(cluster)
    _fill_rest(intake)
    return intake


def resource_names(nodes: pl.DataFrame, specs: pl.DataFrame) -> list[str]:
    """Return the resources: the base ones, then the extended ones of both frames in the order of their names."""
    extended = sorted(
        {c.removeprefix("resource.") for f in (nodes, specs) for c in f.columns if c.startswith("resource.")}
    )
    return [*BASE_RESOURCES, *extended]


def describe_pod(row: Mapping[str, object]) -> PodDescription:
    """Return what a row of specs asks of a node's description. Raises InputError."""

    def text(name: str) -> str:
        value = row.get(name)
        return value if isinstance(value, str) else ""

    return PodDescription(
        node_selector=tuple(sorted(parse_labels(text("node_selector")).items())),
        terms=parse_terms(text("node_affinity")),
        preferred=parse_preferred_terms(text("preferred_node_affinity")),
        tolerations=parse_tolerations(text("tolerations")),
        node_name=text("node_name"),
    )


def describe_template(row: Mapping[str, object]) -> PodTemplate:
    """Return a row of specs as a template, its requests left to the frame. Raises InputError."""
    priority = row.get("priority")
    return PodTemplate(describe_pod(row), priority=priority if isinstance(priority, int) else 0)


def model_mask(models: list[str], text: str | None) -> int:
    """Return the bit set of the models that ``A|B`` allows; 0 where there is no text.

    Raises InputError when none of them is a model of some node.
    """
    names = [name for name in (text or "").split("|") if name]
    mask = sum(1 << models.index(name) for name in dict.fromkeys(names) if name in models)
    if names and not mask:
        raise InputError(
            f"unknown GPU model '{text}'",
            field="gpu_models",
            expected=f"one of {', '.join(models) or 'no model: no node has GPUs'}",
        )
    return mask


def _column(frame: pl.DataFrame, name: str, default: object = 0) -> pl.Series:
    if name in frame.columns:
        return frame[name].fill_null(default)
    return pl.Series(name, [default] * frame.height, dtype=pl.String if isinstance(default, str) else None)


def _amounts(frame: pl.DataFrame, resource: str) -> pl.Series:
    name = _COLUMN_OF.get(resource, f"resource.{resource}")
    if name in frame.columns:
        return frame[name].cast(pl.Int64)
    return pl.Series(name, [None] * frame.height, dtype=pl.Int64)


def describe_nodes(nodes: pl.DataFrame) -> NodeDescriptions:
    """Return how the nodes of a frame are described. Raises InputError."""
    names = nodes["name"].to_list()
    labels = [
        {"kubernetes.io/hostname": name, **({"gpu-model": model} if model else {}), **parse_labels(text)}
        for name, model, text in zip(
            names, _column(nodes, "gpu_model", "").to_list(), _column(nodes, "labels", "").to_list(), strict=True
        )
    ]
    taints = [parse_taints(text) for text in _column(nodes, "taints", "").to_list()]
    sets: dict[tuple[Taint, ...], int] = {}
    codes = [sets.setdefault(each, len(sets)) for each in taints]
    unschedulable = _column(nodes, "unschedulable", False).cast(pl.Boolean).to_numpy()
    return NodeDescriptions(
        tuple(names), Labels(labels), tuple(sets) or ((),), np.array(codes, np.int32), np.asarray(unschedulable, bool)
    )


def _fill_nodes(intake: Intake, nodes: pl.DataFrame) -> None:
    cluster = intake.cluster
    for row, resource in enumerate(intake.resources):
        cluster.node_allocatable[row] = _amounts(nodes, resource).fill_null(0).to_numpy()
    cluster.resource_allocatable[:] = cluster.node_allocatable.sum(axis=1)
    cluster.node_unschedulable[:] = intake.nodes.unschedulable
    cluster.node_label[:] = intake.nodes.labels.columns
    cluster.node_taint_set[:] = intake.nodes.taint_set
    counts = _column(nodes, "gpu_count").to_numpy()
    cluster.node_device_count[:] = counts
    codes = {model: code for code, model in enumerate(intake.models)}
    cluster.node_device_model[:] = [codes.get(model, -1) for model in _column(nodes, "gpu_model", "").to_list()]
    present = np.arange(cluster.sizes["device"])[None, :] < counts[:, None]
    cluster.node_device_free[present] = 1000
    cluster.node_device_free_total[:] = 1000 * counts
    cluster.node_idle_since_us[:] = 0


def derive(cluster: Cluster, offered: npt.NDArray[np.int64] | None = None) -> None:
    """Work out the columns that stand for others in another form, from the int64 ones.

    ``offered`` (resource, any) is what nodes will have allocatable later.
    """
    for name in ("allocatable", "requested", "nonzero_requested"):
        cluster.columns[f"node_{name}_double"][:] = cluster.columns[f"node_{name}"]
    cluster.node_left[:] = cluster.node_allocatable - cluster.node_requested
    allocatable = cluster.node_allocatable
    if offered is not None:
        allocatable = np.concatenate([allocatable, offered], axis=1)
    most = allocatable.max(axis=1, initial=0)
    # What is a multiple of 2^k has k zero bits less to carry: mebibytes stay exact far beyond 2^46 bytes.
    requested = cluster.node_requested | cluster.node_nonzero_requested
    of_pods = cluster.template_request | cluster.template_nonzero_request | cluster.template_scored_request
    bits = np.bitwise_or.reduce(allocatable, axis=1) | np.bitwise_or.reduce(requested, axis=1)
    bits |= np.bitwise_or.reduce(of_pods, axis=0)
    most = most // np.maximum(bits & -bits, 1)
    cluster.resource_wide[:] = (most >= WIDE).astype(np.uint8) + (most >= VERY_WIDE)
    cluster.resource_everywhere[:] = allocatable.min(axis=1, initial=1) > 0


def _fill_templates(intake: Intake, specs: pl.DataFrame, templates: list[PodTemplate], descriptions: list[int]) -> None:
    cluster, count = intake.cluster, specs.height
    for column, resource in enumerate(intake.resources):
        stated = _amounts(specs, resource)
        if resource == "pods":
            stated = pl.Series([1] * count, dtype=pl.Int64)
        cluster.template_request[:count, column] = stated.fill_null(0).to_numpy()
        cluster.template_nonzero_request[:count, column] = stated.fill_null(
            NONZERO_DEFAULTS.get(resource, 0)
        ).to_numpy()
    cluster.template_fit_request[:] = cluster.template_request
    cluster.template_scored_request[:] = cluster.template_nonzero_request
    cluster.template_priority[:] = [template.priority for template in templates]
    cluster.template_preempts[:] = [template.preempts for template in templates]
    cluster.template_description[:] = descriptions
    cluster.template_device_count[:count] = _column(specs, "gpu_count").to_numpy()
    cluster.template_device_milli[:count] = _column(specs, "gpu_milli").to_numpy()
    for row, (models, wanted) in enumerate(
        zip(_column(specs, "gpu_models", "").to_list(), cluster.template_device_count[:count].tolist(), strict=True)
    ):
        cluster.template_device_models[row] = model_mask(intake.models, models) if wanted else 0


def _fill_rest(intake: Intake) -> None:
    cluster = intake.cluster
    derive(cluster)
    free = cluster.sizes["pod"]
    cluster.queue_free[:] = np.arange(free - 1, -1, -1)
    cluster.queue_size[3] = free


def grow_pods(cluster: Cluster, factor: int = 2) -> None:
    """Make room for more live pods."""
    old = cluster.sizes["pod"]
    cluster.resize("pod", old * factor)
    if cluster.sizes["life"]:
        cluster.resize("life", old * factor)
    new_rows: npt.NDArray[np.int64] = np.arange(old * factor - 1, old - 1, -1)
    free = int(cluster.queue_size[3])
    cluster.queue_free[free : free + len(new_rows)] = new_rows
    cluster.queue_size[3] = free + len(new_rows)
