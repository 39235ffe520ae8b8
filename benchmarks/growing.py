"""Jobs that run a row at several sizes: what counts is how much more a pod or an event costs at the largest."""

from __future__ import annotations

import time

from benchmarks.making import Made, made
from benchmarks.measuring import Job, Sample, advanced, happened, peak_mb, placed, simulation
from benchmarks.objects import Objects
from benchmarks.row import Expected
from benchmarks.traces import Waiting


class Growth(Job):
    """The run at several sizes, in turn; what counts is how much the cost of a pod differs from its mean."""

    def once(self) -> None:
        self.costs: dict[int, list[float]] = getattr(self, "costs", {})
        self.ends: dict[str, int] = {}
        for source in self.row.sizes:
            assert isinstance(source, Made)
            made(source)
            began = time.process_time()
            run = simulation(self.row, source)
            run.run()
            self.costs.setdefault(source.pods, []).append(time.process_time() - began)
            self.ends[f"succeeded_{source.pods}"] = int(run.cluster.cluster_ended_pods[0])
        taken = sum(costs[-1] for costs in self.costs.values())
        self.samples.append(Sample(taken, taken, peak_mb=peak_mb()))

    def finish(self) -> None:
        self.found = Expected(self.ends)

    def figures(self) -> dict[str, float]:
        each = {pods: min(costs) / pods for pods, costs in self.costs.items()}
        mean = sum(each.values()) / len(each)
        spread = max(abs(cost - mean) for cost in each.values()) / mean
        return super().figures() | {"growth_percent": 100 * spread} | {f"us_at_{n}": c * 1e6 for n, c in each.items()}


class Nodes(Job):
    """Objects placed on clusters of several sizes, in turn; what counts is a pod's cost at the last over the first."""

    def once(self) -> None:
        self.costs: dict[int, list[float]] = getattr(self, "costs", {})
        for source in self.row.sizes:
            assert isinstance(source, Objects)
            run = placed(source)
            self.costs.setdefault(source.nodes, []).append(advanced(run) / source.pods)
            self.run = run
        taken = sum(costs[-1] for costs in self.costs.values())
        self.samples.append(Sample(taken, taken, peak_mb=peak_mb()))

    def finish(self) -> None:
        self.found = happened(self.run)

    def figures(self) -> dict[str, float]:
        each = {nodes: min(costs) for nodes, costs in self.costs.items()}
        return super().figures() | {"ratio": each[max(each)] / each[min(each)]} | _microseconds(each)


class Waits(Job):
    """Pods come and go while others wait; what counts is how much more an event costs where most wait."""

    def once(self) -> None:
        self.costs: dict[int, list[float]] = getattr(self, "costs", {})
        for source in self.row.sizes:
            assert isinstance(source, Waiting)
            run = simulation(self.row, source)
            run.start()
            run.advance(source.quiet_us)
            began = time.perf_counter()
            run.advance(source.until_us)
            self.costs.setdefault(source.waiting, []).append((time.perf_counter() - began) / (2 * source.churned))
            run.finish(source.until_us)
            self.run = run
        taken = sum(costs[-1] for costs in self.costs.values())
        self.samples.append(Sample(taken, taken, peak_mb=peak_mb()))

    def finish(self) -> None:
        self.found = happened(self.run)

    def figures(self) -> dict[str, float]:
        each = {waiting: min(costs) for waiting, costs in self.costs.items()}
        grown = each[max(each)] / each[min(each)] - 1
        return super().figures() | {"growth_percent": 100 * grown} | _microseconds(each)


def _microseconds(each: dict[int, float]) -> dict[str, float]:
    return {f"us_at_{size}": seconds * 1e6 for size, seconds in each.items()}
