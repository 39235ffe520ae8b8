"""The fragmentation measure: free device share that the typical pods of a workload could not use.

Weng et al., "Beware of Fragmentation" (USENIX ATC'23), sections 3 and 4. The terms are added up per category, in the
order of the typical pods, and the categories in a fixed order: truncated scores depend on the last bit of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel

#: Typical pods are the most frequent kinds that reach this share of all pods.
TYPICAL_SHARE = 0.95


@dataclass(frozen=True)
class TypicalPod:
    """A kind of pod: memory is left out of account."""

    cpu_milli: int
    gpu_milli: int
    gpu_count: int
    gpu_models: str


def typical_pods(kinds: Sequence[TypicalPod], counts: Sequence[int]) -> list[tuple[TypicalPod, float]]:
    """Return the shortest list of the most frequent kinds that covers 95 % of the pods, with weights that add up to 1.

    Kinds are sorted by count, then by (cpu, share, devices, models), all descending.
    """
    merged: dict[TypicalPod, int] = {}
    for kind, count in zip(kinds, counts, strict=True):
        merged[kind] = merged.get(kind, 0) + int(count)
    order = sorted(
        merged.items(),
        key=lambda item: (item[1], item[0].cpu_milli, item[0].gpu_milli, item[0].gpu_count, item[0].gpu_models),
        reverse=True,
    )
    total, covered, chosen = sum(merged.values()), 0, []
    for kind, count in order:
        if covered >= TYPICAL_SHARE * total:
            break
        chosen.append((kind, count))
        covered += count
    # Shares of all pods first, then of the typical ones, as the original rounds.
    return [(kind, (count / total) / (covered / total)) for kind, count in chosen]


@inlined
def fill_levels(
    node: int, node_device_count: Any, node_device_free: Any, level_milli: Any, level_below: Any, level_fitting: Any
) -> None:
    """Work out what the node's devices offer below and above each level."""
    for level in range(len(level_milli)):
        below, fitting, milli = 0, 0, level_milli[level]
        for device in range(node_device_count[node]):
            free = node_device_free[node, device]
            if free < milli:
                below += free
            else:
                fitting += 1
        level_below[level] = below
        level_fitting[level] = fitting


@inlined
def fragmented(
    cpu_free: int, total: int, model: int, old: int, new: int, changed: int, typical_cpu_milli: Any,
    typical_device_count: Any, typical_device_models: Any, typical_level: Any, typical_weight: Any, level_milli: Any,
    level_below: Any, level_fitting: Any,
) -> float:  # fmt: skip
    """Return the fragmented share of a node with ``cpu_free`` and ``total`` milli of devices free, in milli.

    The levels are those of its devices before ``changed`` of them went from ``old`` to ``new`` milli free.
    """
    lacks_both, lacks_gpu, lacks_cpu, cpu_only, cpu_only_short, no_model = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for typical in range(len(typical_weight)):
        weight, level = typical_weight[typical], typical_level[typical]
        has_cpu = cpu_free >= typical_cpu_milli[typical]
        if level < 0:
            if has_cpu:
                cpu_only += weight * float(total)
            else:
                cpu_only_short += weight * float(total)
            continue
        models = typical_device_models[typical]
        if models != np.uint64(0) and (model < 0 or (models >> np.uint64(model)) & np.uint64(1) == np.uint64(0)):
            no_model += weight * float(total)
            continue
        milli = level_milli[level]
        fitting = level_fitting[level] + changed * (int(new >= milli) - int(old >= milli))
        if fitting >= typical_device_count[typical]:
            if has_cpu:
                below = level_below[level] + changed * ((new if new < milli else 0) - (old if old < milli else 0))
                lacks_gpu += weight * float(below)
            else:
                lacks_cpu += weight * float(total)
        elif has_cpu:
            lacks_gpu += weight * float(total)
        else:
            lacks_both += weight * float(total)
    return lacks_both + lacks_gpu + lacks_cpu + cpu_only + cpu_only_short + no_model


@kernel
def measure_node(
    node: int, node_allocatable: Any, node_requested: Any, node_device_count: Any, node_device_free: Any,
    node_device_free_total: Any, node_device_model: Any, node_fragmented_gpu_milli: Any, typical_cpu_milli: Any,
    typical_device_count: Any, typical_device_models: Any, typical_level: Any, typical_weight: Any, level_milli: Any,
    level_below: Any, level_fitting: Any,
) -> None:  # fmt: skip
    """Bring the node's fragmented share up to date."""
    total = node_device_free_total[node]
    if node_device_count[node] == 0:
        return
    fill_levels(node, node_device_count, node_device_free, level_milli, level_below, level_fitting)
    node_fragmented_gpu_milli[node] = fragmented(
        node_allocatable[0, node] - node_requested[0, node], total, node_device_model[node], 0, 0, 0,
        typical_cpu_milli, typical_device_count, typical_device_models, typical_level, typical_weight,
        level_milli, level_below, level_fitting,
    )  # fmt: skip
