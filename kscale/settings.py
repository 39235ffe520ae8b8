"""How to run, and what Kubernetes objects say beyond a trace's frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kscale.scheduler.configuration import SchedulerConfiguration
from kscale.scheduler.profile import DEFAULT
from kscale.state.descriptions import NodeDescriptions, PodTemplate


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes:
        policy: ``default`` or the name of a score plug-in.
        inflate: arrivals only, one a second; nothing ends; what does not fit is refused.
        ends: ``service`` (a pod runs its duration from its start) or ``recorded`` (it ends when the trace says).
        until_us: end of the run; None runs until nothing is left to happen.
        sample_us: time between samples; None takes horizon / 500.
        scheduler_us: virtual time that a scheduling decision takes.
        seed: of every draw.
        check: look at the invariants at every control point.
        memo: keep totals between tries; False scores every node for every try (the twin).
        index: ask the class index first; False leaves every pod to the scan.
        cohorts: move pods that wait by whole classes where that is the same; False moves each by itself (the twin).
        compiled: False runs the same loop as plain Python.
        configuration: the scheduler's profiles; None is kube-scheduler's default.
        every: compile every plug-in, used or not: one module for all inputs.
        detailed: make room for what every plug-in says of every node (``Simulation.detail``).
    """

    policy: str = DEFAULT
    inflate: bool = False
    ends: str = "service"
    until_us: int | None = None
    sample_us: int | None = None
    scheduler_us: int = 0
    seed: int = 0
    check: bool = False
    memo: bool = True
    index: bool = True
    cohorts: bool = True
    compiled: bool = True
    configuration: SchedulerConfiguration | None = None
    detailed: bool = False
    every: bool = False


@dataclass(frozen=True)
class NodeChanges:
    """What happens to nodes in a run.

    Attributes:
        events: columns of ``kscale.traces.NODE_EVENTS``, in the order of time.
        leaving: what becomes of pods whose node leaves: ``requeue`` (another like it is tried, from its start) or
            ``fail`` (it is gone).
    """

    events: pl.DataFrame
    leaving: str = "requeue"


@dataclass(frozen=True)
class Objects:
    """What Kubernetes objects say beyond a trace's frames.

    Attributes:
        nodes: how the nodes are described, by row of the frame.
        templates: the rows of ``Trace.specs``.
        node: int32 per row of ``Trace.pods``, the node it is bound to; -1 is pending.
        begun_us: int64 per row, its start time, for comparing; ``UNKNOWN_START`` where that is when it is bound.
    """

    nodes: NodeDescriptions
    templates: list[PodTemplate]
    node: np.ndarray[Any, Any]
    begun_us: np.ndarray[Any, Any]
