"""What became of each template: how many were placed, why the next one would not fit, and what comes nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from kscale.engine.ledger import column_name
from kscale.scheduler.arguments import GATED, NO_PROFILE
from kscale.simulation import Simulation
from kscale.state.quantities import format_quantity

#: Templates with unplaced pods that are explained, those with the most first: an explanation scores every node.
MOST_EXPLAINED = 200


def described_templates(
    simulation: Simulation,
    specs: pl.DataFrame,
    asked: np.ndarray[Any, Any],
    placed: np.ndarray[Any, Any],
    kept: list[int],
) -> pl.DataFrame:
    """Return the table ``templates`` for the resources of the rows ``kept``.

    ``specs`` are those of the trace; ``asked`` says how many pods of each arrived, ``placed`` how many were bound.
    """
    cluster, count = simulation.cluster, specs.height
    unplaced = asked - placed
    reason: list[str | None] = [None] * count
    nearest: list[str | None] = [None] * count
    lacks: list[str | None] = [None] * count
    for template in np.argsort(-unplaced, kind="stable")[:MOST_EXPLAINED]:
        if unplaced[template] == 0:
            break
        if cluster.template_held[template] in (GATED, NO_PROFILE):
            reason[template] = simulation.messages.held_message(int(template))
            continue
        totals = simulation.explain(int(template))
        if (totals >= 0).any():
            continue
        reason[template] = simulation.tell(
            _counts(totals, cluster.sizes["reason"]), int(cluster.template_description[template])
        )
        nearest[template], lacks[template] = nearest_fit(simulation, int(template), totals)
    frame: dict[str, Any] = {
        "template": np.arange(count, dtype=np.int32),
        "spec": pl.Series([spec_text(simulation, row, kept) for row in range(count)], dtype=pl.String),
    }
    for row in kept:
        name = simulation.intake.resources[row]
        key = {"cpu": "cpu_milli", "memory": "memory_bytes"}.get(name, f"resource.{name}")
        stated = specs[key] if key in specs.columns else None
        amounts = pl.Series(cluster.template_request[:count, row])
        frame[f"request_{column_name(name)}"] = amounts if stated is None else pl.select(
            pl.when(stated.is_not_null()).then(amounts)
        ).to_series()  # fmt: skip
    frame |= {
        "gpu_count": cluster.template_device_count[:count],
        "gpu_milli": cluster.template_device_milli[:count],
        "pods": asked, "placed": placed, "unplaced": unplaced,
        "reason": pl.Series(reason, dtype=pl.String),
        "nearest_node": pl.Series(nearest, dtype=pl.String),
        "nearest_lacks": pl.Series(lacks, dtype=pl.String),
    }  # fmt: skip
    return pl.DataFrame(frame)


def _counts(totals: np.ndarray[Any, Any], reasons: int) -> dict[int, int]:
    bits = -1 - totals[totals < -1]
    return {reason: int(((bits >> reason) & 1).sum()) for reason in range(reasons)}


def spec_text(simulation: Simulation, template: int, kept: list[int]) -> str:
    """Return a template in words: ``4 cpu, 16Gi memory, 460 milli of a GPU (T4)``."""
    cluster, intake = simulation.cluster, simulation.intake
    parts = []
    for row in kept:
        name, amount = intake.resources[row], int(cluster.template_request[template, row])
        if amount and name != "pods":
            parts.append(f"{format_quantity(amount, name)} {name}")
    devices, milli = int(cluster.template_device_count[template]), int(cluster.template_device_milli[template])
    if devices:
        mask = int(cluster.template_device_models[template])
        models = [model for code, model in enumerate(intake.models) if mask >> code & 1]
        what = f"{milli} milli of a GPU" if milli < 1000 else f"{devices} GPU{'s' if devices > 1 else ''}"
        parts.append(what + (f" ({' or '.join(models)})" if models else ""))
    return ", ".join(parts) or "nothing"


def nearest_fit(simulation: Simulation, template: int, totals: np.ndarray[Any, Any]) -> tuple[str | None, str | None]:
    """Return the node that lacks least for the template, relative to what it has, and what it lacks.

    Nodes that its description rejects are not looked at, nor those that are cordoned or not there; (None, None) when
    none is left.
    """
    cluster, intake = simulation.cluster, simulation.intake
    allowed = (totals < -1) & (cluster.node_shut == 0)
    if not allowed.any():
        return None, None
    request = cluster.template_request[template]
    missing = np.maximum(request[:, None] - (cluster.node_allocatable - cluster.node_requested), 0)
    missing[request == 0] = 0
    relative = (missing / np.maximum(cluster.node_allocatable, 1)).sum(axis=0)
    count, milli = int(cluster.template_device_count[template]), int(cluster.template_device_milli[template])
    fitting = (cluster.node_device_free >= max(milli, 1)).sum(axis=1)
    short = np.maximum(count - fitting, 0)
    relative = relative + short / np.maximum(cluster.node_device_count, 0.5)
    mask = int(cluster.template_device_models[template])
    right = np.ones(len(allowed), dtype=bool)
    if count and mask:
        models = cluster.node_device_model
        right = (models >= 0) & ((mask >> np.maximum(models, 0).astype(object)) & 1).astype(bool)
        allowed &= right if (allowed & right).any() else True
    node = int(np.argmin(np.where(allowed, relative, np.inf)))
    parts = [
        f"{format_quantity(int(missing[row, node]), name)} {name}"
        for row, name in enumerate(intake.resources) if missing[row, node] > 0
    ]  # fmt: skip
    if not right[node]:
        parts.append(f"{count} GPUs of an allowed model" if count > 1 else "a GPU of an allowed model")
    elif short[node]:
        share = "a GPU" if milli == 1000 else f"{milli} milli of a GPU"
        parts.append(f"{int(short[node])} more with {share} free" if count > 1 else f"{share} free on one device")
    return intake.nodes.names[node], ", ".join(parts)
