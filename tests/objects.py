"""Runs over what only Kubernetes objects say: templates with labels and ports, pods that are bound already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.pods import UNKNOWN_START
from kscale.simulation import Objects, Settings, Simulation
from kscale.state.descriptions import PodTemplate
from kscale.state.intake import Sizes, gather
from kscale.traces import NODES, PODS, SPECS, Trace

DEFAULTS = Settings()
_COLUMNS = {"cpu": "cpu_milli", "memory": "memory_bytes"}


def simulation_of(
    nodes: Sequence[dict[str, Any]],
    templates: list[PodTemplate],
    pods: Sequence[dict[str, Any]],
    settings: Settings = DEFAULTS,
    sizes: Sizes | None = None,
) -> Simulation:
    """Return a run of pods: ``spec`` (row of templates), ``arrival_us``, ``duration_us``, ``node`` (row), ``begun_us``.

    ``nodes`` are rows as in a node list, ten pods each where nothing is stated.
    """
    frame = pl.DataFrame([{"pods": 10, "name": f"n{row}", **node} for row, node in enumerate(nodes)], schema=NODES)
    specs = pl.DataFrame(
        [{_COLUMNS[name]: amount for name, amount in template.requests} for template in templates], schema=SPECS
    )
    rows = [{"name": f"p{row}", "namespace": "default", "arrival_us": 0, **pod} for row, pod in enumerate(pods)]
    described = gather(frame, specs).nodes
    objects = Objects(
        described, templates,
        np.array([pod.get("node", -1) for pod in pods], np.int32),
        np.array([pod.get("begun_us", UNKNOWN_START) for pod in pods], np.int64),
    )  # fmt: skip
    known = [{name: value for name, value in row.items() if name in PODS} for row in rows]
    trace = Trace("objects", pl.DataFrame(known, schema=PODS), specs)
    return Simulation(trace, frame, settings, sizes=sizes, objects=objects)
