"""A run: the tables filled, the loop composed of what the rooms declare, driven from control point to control point."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from kscale import kernels, living
from kscale.composition import compose, compose_detail, compose_explain, compose_lanes
from kscale.engine import loop
from kscale.engine.arrivals import Arrivals
from kscale.engine.clock import NEVER
from kscale.engine.growing import GrowingPods, ReturningPods, Told
from kscale.engine.invariants import violations
from kscale.engine.ledger import Fields, Ledger, PodTable, Supply
from kscale.engine.recording import NodeTimeline, Presence
from kscale.engine.scratch import Scratch, stretches
from kscale.entries import Entries
from kscale.errors import GateError, InputError
from kscale.living import Cast, Living
from kscale.messages import Messages
from kscale.scheduler import arguments, cohorts, kinds, planes, plugins
from kscale.scheduler.configuration import default_configuration
from kscale.scheduler.fragmentation import TypicalPod, typical_pods
from kscale.scheduler.profile import Profile, profile
from kscale.settings import NodeChanges, Objects, Settings
from kscale.state.building import Building
from kscale.state.intake import Intake, Sizes, gather, grow_pods, model_mask, take_in
from kscale.traces import Trace
from kscale.turnover import Turnover, without_cordons

#: A call of the loop is to last about this long (seconds); it returns after at most twice that.
_CALL_SECONDS = 0.05
_SAMPLES = 500
#: Where pods are placed in the order given, a sample takes longer than placing ten pods.
_FEW_SAMPLES = 50
#: Lines of waiting pods that there is room for at first.
_LINES = 256
#: Pods of a template that controllers make pods of, where it is asked how common it is.
_MANY = 1000
#: Pods of a template of a single ordinal.
_FEW = 2


class Simulation:
    """A run over a trace and nodes (a frame with the columns of ``kscale.traces.NODES``).

    ``typical`` is the trace as it was read, before any change of load or order: the typical pods come from it.
    ``objects`` say what the frames cannot. ``scratch`` keeps pods that are done. ``changes`` is what happens to nodes;
    not beside ``objects``, a ``cast``, or ``inflate``. Raises InputError for input that no run can start from.
    """

    def __init__(
        self,
        trace: Trace,
        nodes: pl.DataFrame,
        settings: Settings,
        typical: Trace | None = None,
        sizes: Sizes | None = None,
        objects: Objects | None = None,
        scratch: Scratch | None = None,
        cast: Cast | None = None,
        changes: NodeChanges | None = None,
    ) -> None:
        if nodes.height == 0:
            raise InputError("there are no nodes", expected="a node list of at least one node")
        self.trace, self.settings, self.objects, self.cast = trace, settings, objects, cast
        listed, nodes = nodes, nodes if changes is None else without_cordons(nodes)
        self.configuration = settings.configuration or default_configuration()
        self.devices = int(nodes["gpu_count"].fill_null(0).sum()) if "gpu_count" in nodes.columns else 0
        asked = int(trace.specs["gpu_count"].fill_null(0).sum()) if "gpu_count" in trace.specs.columns else 0
        self.with_devices = self.devices + asked > 0
        self.building: Building = gather(
            nodes, trace.specs, objects.nodes if objects else None, objects.templates if objects else None,
            {configuration.name: configuration for configuration in self.configuration.profiles},
        )  # fmt: skip
        self.building.changes = changes is not None
        self._pods: Told = trace.rows
        self.building.pods_of = self._expected_pods()
        self._arrivals = Arrivals(
            self._pods, inflate=settings.inflate, recorded=settings.ends == "recorded",
            bound=(objects.node, objects.begun_us) if objects else None,
        )  # fmt: skip
        self.profile: Profile = self._plan()
        planes.share(self.building, self.profile)
        weighted = typical_of(typical or trace) if self.with_devices else []
        levels = sorted({kind.gpu_milli for kind, _ in weighted if kind.gpu_count})
        reasons = len(self.profile.reasons([]))
        self.intake: Intake = take_in(
            nodes, trace.specs, reasons, [*plugins.columns(), *(living.columns() if cast else ())],
            self._sizes(sizes), self.building,
            {
                "typical": len(weighted), "level": len(levels), "detailed": nodes.height * settings.detailed,
                **arguments.dimensions(self.profile), **(living.SIZES if cast else {}),
            },
        )  # fmt: skip
        self.cluster = self.intake.cluster
        self.entries = Entries(self.cluster, lambda: self.settings.compiled)
        arguments.fill(self.intake, self.building, self.profile)
        self.verdicts = planes.fill(self.intake, self.profile)
        if not (settings.every or settings.detailed):
            self.profile = replace(self.profile, flat=not self.cluster.description_uneven.any())
        self.messages = Messages(self.intake, self.building, self.profile, self.verdicts)
        self._fill_typical(weighted, levels)
        self._fill_settings()
        self.turnover = None if changes is None else Turnover(
            changes, listed, self.intake, self.building, self.profile, self.entries.call
        )  # fmt: skip
        self.indexed = settings.index and settings.memo and (settings.every or kinds.serves(self.profile, self.cluster))
        if self.indexed:
            bounds = sizes or Sizes()
            kinds.lay_out(self.intake, self.profile, self._pending(), bounds.lane_bytes, bounds.plot_bytes)
        self._by_class = settings.cohorts and self._waits_by_class()
        if self._by_class:
            self.cluster.resize("line", _LINES)
            self.cluster.cluster_next_flush_us[0] = NEVER
        self.horizon_us = self._arrivals.last_us() if settings.until_us is None else settings.until_us
        told = self.messages.tell if self.turnover is None else self.turnover.tell_and_keep
        self.ledger = Ledger(self._pods.height, told, scratch)
        self.living: Living | None = None
        if cast is not None:
            self._bring_to_life(cast)
        self.control_points = 0
        self.ended_us = 0

    def _expected_pods(self) -> np.ndarray[Any, Any]:
        """Return how many pods of each template are to be expected: of those that controllers make, many."""
        counts = np.bincount(self._pods.spec, minlength=len(self.building.templates))
        if self.cast is not None:
            counts[np.unique(self.cast.wanted)] += _MANY
            # One pod lives while the next waits, at most.
            counts[[row for one in self.cast.ordinals for row in one.rows.values()]] += _FEW
        return counts

    def _bring_to_life(self, cast: Cast) -> None:
        """Take in the objects that live, once the tables are there."""
        cluster, pods = self.cluster, GrowingPods(self._pods)
        self._pods = pods
        cluster.resize("life", cluster.sizes["pod"])
        cluster.resize("due", max(2 * cluster.sizes["pod"], 1 << 12))
        self.living = Living(
            cast, cluster, self.building, pods, self.entries.call, lambda: self.ledger.drain(cluster), self.horizon_us,
            lambda: self.settings.compiled,
        )  # fmt: skip
        self._arrivals.owned = self.living.owned()

    def _plan(self) -> Profile:
        """Let the plug-ins plan; return those that the input has a use for."""
        templates = self.building.templates
        differ = len({template.priority for template in templates}) > 1
        wanted = any("DefaultPreemption" in p.points["postFilter"] for p in self.configuration.profiles)
        every = self.settings.every
        preempts = every or (differ and wanted and (not self.settings.inflate or self.objects is not None))
        for plugin in plugins.found().values():
            if plugin.plan is not None and (every or plugin.used is None or plugin.used(self.building)):
                plugin.plan(self.building)
        if preempts:
            arguments.plan_budgets(self.building)
        return profile(
            self.configuration, self.building, self.settings.policy, devices=self.with_devices, preempts=preempts,
            every=every,
        )  # fmt: skip

    def _sizes(self, sizes: Sizes | None) -> Sizes:
        """Make room for the pods that are likely to live at once, and for events of all that a preemption may evict."""
        pods = self._pods.height
        sizes = sizes or replace(Sizes(), pod=max(min(self._arrivals.living(), pods), Sizes.pod))
        if not self.profile.preempts:
            return sizes
        return replace(sizes, ledger=max(sizes.ledger, 2 * pods + 2), event=max(sizes.event, pods + 1))

    @property
    def kind(self) -> loop.Kind:
        """What the run needs of the loop."""
        return loop.Kind(
            self.settings.inflate,
            self.with_devices,
            self.profile.preempts,
            self.objects is not None,
            self._by_class,
            self.living is not None,
            self.turnover is not None,
        )

    def _waits_by_class(self) -> bool:
        """Whether pods of a template, last tried in one go, go on alike: nobody is evicted, hinted at or put first."""
        cluster, profile = self.cluster, self.profile
        queued = cluster.template_held == 0
        made = self.cast.workloads.made if self.cast else []
        return (
            not any(one.kind == "DaemonSet" for one in made)
            and not self.settings.inflate
            and self.turnover is None
            and cluster.cluster_scheduler_us[0] == 0
            and not (profile.preempts or profile.samples or profile.draws)
            and not any(plugin.hint or plugin.late for plugin in profile.filters)
            and not cluster.template_breaks.any()
            and len(np.unique(cluster.template_priority[queued])) <= 1
        )

    def _fill_typical(self, kinds: list[tuple[TypicalPod, float]], levels: list[int]) -> None:
        cluster = self.cluster
        cluster.level_milli[:] = levels
        for row, (kind, weight) in enumerate(kinds):
            cluster.typical_cpu_milli[row] = kind.cpu_milli
            cluster.typical_device_count[row] = kind.gpu_count
            cluster.typical_level[row] = levels.index(kind.gpu_milli) if kind.gpu_count else -1
            cluster.typical_device_models[row] = (
                model_mask(self.intake.models, kind.gpu_models) if kind.gpu_count else 0
            )
            cluster.typical_weight[row] = weight

    def _pending(self) -> np.ndarray[Any, Any]:
        """Return how many pods of each template are not bound before the run."""
        specs = self._pods.spec
        return np.bincount(specs if self.objects is None else specs[self.objects.node < 0],
                           minlength=self.cluster.sizes["template"])  # fmt: skip

    def _fill_settings(self) -> None:
        cluster, settings = self.cluster, self.settings
        cluster.cluster_seed[0] = np.uint64(settings.seed & (2**64 - 1))
        cluster.cluster_initial_backoff_us[0] = self.configuration.initial_backoff_us
        cluster.cluster_max_backoff_us[0] = self.configuration.max_backoff_us
        cluster.cluster_scheduler_us[0] = 0 if settings.inflate else settings.scheduler_us

    def is_compiled(self) -> bool:
        """Return whether the loop was compiled by an earlier run."""
        names = self.cluster.kinds()
        return kernels.cached(compose(names, self.profile, self.settings.memo, self.indexed, self.kind)[0])

    def compile(self) -> None:
        """Compose and load the loop; the first call of a new kind of run compiles it (seconds), later ones load it."""
        names = self.cluster.kinds()
        text, entries = compose(names, self.profile, self.settings.memo, self.indexed, self.kind)
        with kernels.compiling():
            self.entries.load(text, dict(entries))
            # A first call with nothing to do compiles every entry.
            self.entries.call("run", -1, 1)
            rows = self.cluster.timeline_rows.copy()
            self.entries.call("sample", 0)
            self.cluster.timeline_rows[:] = rows
            if self.with_devices:
                self.entries.call("measure_all")
        if self.living is not None:
            self.living.network.compile()
            self.living.traffic.compile()

    def open_lanes(self) -> None:
        """Give each ask that the class index serves a lane for good, before its first pod comes.

        In a run an ask has to come again soon to be worth one; here the index is to decide on all that it can.
        """
        if self.indexed:
            self._load_more("offer_lane", compose_lanes)
            for lane, template in enumerate(kinds.make_lanes_last(self.cluster)):
                self.entries.call("offer_lane", template, lane)

    def detail(self, template: int) -> None:
        """Fill the table ``detail`` for a template, as things stand; the settings must be ``detailed``."""
        self._load_detail()
        self.entries.call("detail", template)

    def try_evicting(self, template: int, first: int, last: int) -> int:
        """Return the best of a range of nodes for preemption, after ``detail``; -1 where none can be cleared.

        ``cluster_preemption`` and ``scan_chosen`` tell more.
        """
        self._load_detail()
        return int(self.entries.call("try_evicting", template, first, last)) if self.profile.preempts else -1

    def _load_detail(self) -> None:
        self._load_more("detail", compose_detail)

    def _load_more(self, entry: str, how: Callable[..., tuple[str, dict[str, list[str]]]]) -> None:
        if entry not in self.entries:
            self.entries.load(*how(self.cluster.kinds(), self.profile, self.kind))

    def run(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Run to the end. ``progress`` is told the virtual time and the pods that have arrived, at control points.

        Raises GateError when ``check`` finds a violated invariant.
        """
        until = NEVER - 1 if self.settings.until_us is None else self.settings.until_us
        self.start()
        self.advance(until, progress)
        self.finish(until)
        self._control(progress)

    def start(self) -> None:
        """Make ready for the first instant."""
        self._samples = self._sample_times()
        self.node_timeline = NodeTimeline(self.intake, self.with_devices)
        self._fed, self._budget, self._next_sample = 0, 1 << 16, next(self._samples)
        if self.turnover is not None:
            self._pods = pods = ReturningPods(self._pods)
            self.turnover.begin(self.verdicts, pods, lambda: self.ledger.drain(self.cluster))
        self._feed()

    def advance(self, until: int, progress: Callable[[int, int], None] | None = None) -> None:
        """Run up to and with the instant ``until``."""
        cluster = self.cluster
        while True:
            target = min(self._next_sample, until)
            cluster.cluster_work[0] = 0
            began = time.perf_counter()
            code = self.entries.call("run", target, self._budget)
            took = time.perf_counter() - began
            if code == loop.BUDGET:
                factor = min(max(_CALL_SECONDS / max(took, 1e-6), 0.5), 2.0)
                self._budget = int(min(max(self._budget * factor, 1 << 10), 1 << 28))
            if code == loop.ARRIVALS:
                self._feed()
            elif code == loop.ROWS:
                grow_pods(cluster)
            elif code == loop.LINES:
                cluster.resize("line", 2 * cluster.sizes["line"])
            elif code == loop.LANES:
                kinds.grow_lanes(cluster)
            elif code == loop.CONTROL and self.living is not None:
                self.living.look()
            elif code == loop.CHANGE and self.turnover is not None:
                self.turnover.happen()
            elif code == loop.DUES and self.living is not None:
                self.living.make_room()
            elif code == loop.DONE or (code == loop.REACHED and target == until):
                break
            elif code == loop.REACHED:
                self._sample(self._next_sample)
                self._next_sample = next(self._samples)
            if code != loop.REACHED or cluster.ledger_rows[0] * 2 > cluster.sizes["ledger"]:
                self.ledger.drain(cluster)
            self._control(progress)

    def finish(self, until: int) -> None:
        """End the run at ``until``."""
        cluster, settings = self.cluster, self.settings
        self.ended_us = int(cluster.cluster_now_us[0]) if settings.until_us is None else until
        self._sample(self.ended_us, last=True)
        if self.living is not None:
            self.living.finish(self.ended_us)
        cohorts.settle(cluster)
        self.ledger.close(cluster)
        self.ledger.pods = self._pods.height

    def supply(self) -> Supply:
        """Return what all nodes offered over the run."""
        if self.turnover is not None:
            return self.turnover.supply()
        total = self.cluster.resource_allocatable[None]
        return Supply(np.zeros(1, np.int64), total, np.array([self.devices], np.int64))

    def presence(self) -> Presence | None:
        """Return when nodes were there; None where all were throughout."""
        return None if self.turnover is None else self.turnover.presence(self.ended_us)

    def _control(self, progress: Callable[[int, int], None] | None) -> None:
        self.control_points += 1
        if self.settings.check:
            found = violations(self.cluster)
            if self.living is not None:
                found += self.living.bounds.violations()
            if found:
                raise GateError(f"an invariant does not hold at {int(self.cluster.cluster_now_us[0])} us: {found[0]}")
        if progress is not None:
            progress(int(self.cluster.cluster_now_us[0]), int(self.cluster.cluster_arrived_pods[0]))

    def _sample_times(self) -> Any:
        step = self.settings.sample_us or max(self.horizon_us // _SAMPLES, 1)
        if self.settings.inflate:
            samples = _SAMPLES if self.objects is None else _FEW_SAMPLES
            step = max(-(-self._arrivals.count // samples), 1) * 1_000_000
        self.sample_us = step
        at = 0
        while True:
            yield at
            at += step

    def _sample(self, now_us: int, *, last: bool = False) -> None:
        # With ``inflate`` the loop writes a row after each arrival: there are none where nothing arrives.
        if not self.settings.inflate or (last and not self._arrivals.count):
            if self.cluster.timeline_rows[0] >= self.cluster.sizes["timeline"]:
                self.ledger.drain(self.cluster)
            self.entries.call("sample", now_us)
        # At the start every node is empty; without that sample a 500th of the horizon gives 500.
        if now_us > 0 or last:
            self.node_timeline.sample(self.cluster, now_us)

    def _feed(self) -> None:
        """Hand the loop the next batch of arrivals."""
        cluster, size = self.cluster, self.cluster.sizes["arrival"]
        first, last = self._fed, min(self._fed + size, self._arrivals.count)
        for name, values in self._arrivals.portion(first, last).items():
            cluster.columns[f"arrival_{name}"][: last - first] = values
        cluster.cluster_arrivals[0], cluster.cluster_arrivals_cursor[0] = last - first, 0
        cluster.cluster_more_arrivals[0] = last < self._arrivals.count
        self._fed = last

    def tell(self, counts: dict[int, int], description: int) -> str:
        """Return kube-scheduler's message for a diagnosis: counts by reason of usage, and of the description."""
        return (self.turnover or self.messages).tell(counts, description)

    def stretches(self) -> Iterator[tuple[Fields, np.ndarray[Any, Any], pl.DataFrame]]:
        """Yield, stretch by stretch of the trace, the ledger's fields, each pod's template, and the table ``pods``.

        The arrivals are those that were replayed (one a second with ``inflate``).
        """
        pods, preemptors, times = self._pods, self.ledger.preemptors(), self._arrivals.replayed()
        table = PodTable(self.intake.nodes.names, self.ledger.reasons, preemptors, pods.called(preemptors))
        for first, last in stretches(pods.height):
            known, fields = pods.known(first, last), self.ledger.rows(first, last)
            if times is not None:
                known = known.with_columns(arrival_us=pl.Series(times[first:last]))
            yield fields, pods.spec[first:last], table.frame(known, fields)

    def pods(self) -> pl.DataFrame:
        """Return the whole table ``pods``."""
        return pl.concat([frame for _, _, frame in self.stretches()]).with_columns(pl.col("node").cast(pl.String))

    def explain(self, template: int) -> np.ndarray[Any, Any]:
        """Return per node the template's total now, or -1 and below where it does not fit (see the table ``memo``)."""
        self._load_more("explain", compose_explain)
        self.entries.call("explain", template)
        return self.cluster.scan_total.copy()


def typical_of(trace: Trace) -> list[tuple[TypicalPod, float]]:
    """Return the typical pods of a trace, weights adding up to 1."""
    specs, counts = trace.specs, np.bincount(trace.rows.spec, minlength=trace.specs.height)
    columns = [
        specs[name].fill_null(0).to_list() if name in specs.columns else [0] * specs.height
        for name in ("cpu_milli", "gpu_milli", "gpu_count")
    ]
    models = specs["gpu_models"].fill_null("").to_list() if "gpu_models" in specs.columns else [""] * specs.height
    kinds = [TypicalPod(*row) for row in zip(*columns, models, strict=True)]
    return typical_pods(kinds, counts.tolist())
