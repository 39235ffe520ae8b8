"""Runs a workload's row and says what it cost and what happened.

``benchmarks.jobs.job(row)`` gives a ``Job``: ``once`` runs it; ``samples`` are the costs of each run, ``found`` is what
happened in the last. Processor seconds are told beside wall seconds, since on a busy machine only they repeat.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks import network
from benchmarks.making import Source, made
from benchmarks.objects import Objects, inventory
from benchmarks.row import Expected, Workload
from kscale.engine import ledger
from kscale.engine.clock import NEVER
from kscale.placing import simulation_of
from kscale.simulation import Settings, Simulation
from kscale.traces.common import opening

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Sample:
    """One run: seconds from decoded input to the last event, and without the set-up (``loop_seconds``)."""

    seconds: float
    cpu_seconds: float
    loop_seconds: float = 0.0
    peak_mb: float = 0.0


@dataclass
class Job:
    """A row ready to run."""

    row: Workload
    samples: list[Sample] = field(default_factory=list)
    found: Expected = field(default_factory=lambda: Expected({}))

    def once(self) -> None:
        """Run it and note what it cost."""
        raise NotImplementedError

    def finish(self) -> None:
        """Say what happened in the last run."""

    def figures(self) -> dict[str, float]:
        """Return the figures: the least of the runs, the most for memory."""
        return {
            "seconds": min(sample.seconds for sample in self.samples),
            "cpu_seconds": min(sample.cpu_seconds for sample in self.samples),
            "peak_mb": max(sample.peak_mb for sample in self.samples),
        }


def reset_peak() -> None:
    """Begin to measure this process's peak memory anew (Linux; elsewhere the peak is that since its start)."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")


def peak_mb() -> float:
    """Return this process's peak memory since ``reset_peak``, in 10^6 bytes; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        if told := re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text()):
            return int(told[1]) * 1024 / 1e6
    return 0.0


def simulation(row: Workload, source: Source) -> Simulation:
    """Return a run of the row that is ready to start: tables filled, loop compiled."""
    trace, nodes = made(source)
    how = Settings(policy=row.policy, inflate=row.inflate, memo=row.memo, sample_us=row.sample_us)
    result = Simulation(trace, nodes, how)
    result.compile()
    return result


def placed(source: Objects) -> Simulation:
    """Return a run over Kubernetes objects, in the order given, that is ready to start."""
    result = simulation_of(inventory(source), Settings(), given=True)
    result.compile()
    return result


def happened(run: Simulation) -> Expected:
    """Return the counts and the fingerprint of a run that is over."""
    pods = run.pods()
    status = dict(pods["status"].value_counts().iter_rows())
    counts = {word: int(status[word]) for word in sorted(status)}
    counts["attempts"] = int(run.cluster.cluster_attempts[0])
    return Expected(counts, ledger.fingerprint(pods))


def advanced(run: Simulation) -> float:
    """Run a simulation; return the seconds from the first arrival to the last event, recording on."""
    run.start()
    began = time.perf_counter()
    run.advance(NEVER - 1)
    took = time.perf_counter() - began
    run.finish(NEVER - 1)
    return took


class Run(Job):
    """The simulation in this process."""

    def prepare(self) -> None:
        """Make the input; it is kept for the runs that follow."""
        assert self.row.source is not None
        made(self.row.source)

    def ready(self) -> Simulation:
        """Return a run that is ready to start."""
        assert self.row.source is not None
        return simulation(self.row, self.row.source)

    def once(self) -> None:
        self.prepare()
        reset_peak()
        began, cpu_began = time.perf_counter(), time.process_time()
        self.run = self.ready()
        loop = self.loop_seconds()
        took = time.perf_counter() - began
        self.samples.append(Sample(took, time.process_time() - cpu_began, loop, peak_mb()))

    def loop_seconds(self) -> float:
        """Run what is ready, and return the seconds of what the rates are about."""
        return advanced(self.run)

    def finish(self) -> None:
        self.found = happened(self.run)

    def figures(self) -> dict[str, float]:
        loop = min(sample.loop_seconds for sample in self.samples)
        attempts, nodes = self.found.counts["attempts"], self.run.cluster.sizes["node"]
        pods = self.run.trace.pods.height
        rates = {"pods_per_second": pods / loop, "ns_per_node_and_pod": loop * 1e9 / (attempts * nodes)}
        return super().figures() | rates


class Command(Job):
    """``kscale replay`` with its report, in a process of its own."""

    def once(self) -> None:
        assert self.row.source is not None
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            pods, nodes = self.row.source.files(folder)
            out = folder / "run"
            extra = ["--inflate"] if self.row.inflate else []
            environment = {"KSCALE_CACHE": str(folder / "cache")} if self.row.cold else {}
            arguments = ["replay", str(pods), "--nodes", nodes, "--out", str(out), "--policy", self.row.policy, *extra]
            self.samples.append(command([*arguments, "--quiet"], environment))
            self.told = msgspec.json.decode((out / "run.json").read_bytes())

    def finish(self) -> None:
        words = ("running", "succeeded", "failed", "waiting", "refused")
        counts = {word: self.told["counts"][word] for word in words if self.told["counts"][word]}
        counts["attempts"] = self.told["counts"]["attempts"]
        self.found = Expected(dict(sorted(counts.items())), self.told["fingerprint"])

    def figures(self) -> dict[str, float]:
        told = self.told["timing"].items()
        stages = {f"stage_{name}": value for name, value in told if name not in ("pods_per_second", "reference")}
        return super().figures() | {"pods_per_second": self.told["timing"]["pods_per_second"]} | stages


class Help(Job):
    """``kscale --help``."""

    def once(self) -> None:
        self.samples.append(command(["--help"], {}))


# The peak of a child counts the process it was forked from, so a small process starts the command and tells its cost.
_STARTER = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
cost = [seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6]
print(json.dumps({"code": done.returncode, "errors": done.stderr.decode()[-500:], "cost": cost}))
"""


def command(arguments: list[str], environment: dict[str, str]) -> Sample:
    """Run a ``kscale`` command and return its cost. Raises RuntimeError when it fails."""
    starter = [sys.executable, "-S", "-c", _STARTER, sys.executable, "-m", "kscale", *arguments]
    told = subprocess.run(starter, stdout=subprocess.PIPE, env=os.environ | environment, check=True)
    done = msgspec.json.decode(told.stdout)
    if done["code"] != 0:
        raise RuntimeError(f"kscale {' '.join(arguments)}: exit code {done['code']}: {done['errors']}")
    seconds, cpu_seconds, peak = done["cost"]
    return Sample(seconds, cpu_seconds, peak_mb=peak)


class Read(Job):
    """A reader: from the file to the frames of a trace."""

    def once(self) -> None:
        assert self.row.source is not None
        with _files(self.row.source) as pods:
            reset_peak()
            began, cpu_began = time.perf_counter(), time.process_time()
            self.trace = opening.open_trace(pods)
            took = time.perf_counter() - began
            self.samples.append(Sample(took, time.process_time() - cpu_began, peak_mb=peak_mb()))

    def finish(self) -> None:
        pods = self.trace.pods
        sums = {name: int(pods[name].sum() or 0) for name in ("arrival_us", "duration_us")}
        self.found = Expected({"pods": pods.height, "specs": self.trace.specs.height, **sums})

    def figures(self) -> dict[str, float]:
        known = super().figures()
        return known | {"rows_per_second": self.found.counts["pods"] / known["seconds"]}


class Programming(Job):
    """The programming of nodes, on one thread."""

    def once(self) -> None:
        assert self.row.network is not None
        self.ready = network.Run(self.row.network)
        reset_peak()
        began, cpu_began = time.perf_counter(), time.process_time()
        self.ready.run()
        took = time.perf_counter() - began
        self.samples.append(Sample(took, time.process_time() - cpu_began, peak_mb=peak_mb()))

    def finish(self) -> None:
        self.found = Expected(*self.ready.happened())


@contextlib.contextmanager
def _files(source: Source) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield source.files(Path(name))[0]


class Place(Run):
    """Pending pods of Kubernetes objects, each once, in the order given; decoded before."""

    def prepare(self) -> None:
        assert self.row.objects is not None
        inventory(self.row.objects)

    def ready(self) -> Simulation:
        assert self.row.objects is not None
        return placed(self.row.objects)

    def loop_seconds(self) -> float:
        # Pods that are bound before take their nodes in the first instant, the pending ones come later.
        self.run.start()
        self.run.advance(0)
        began = time.perf_counter()
        self.run.advance(NEVER - 1)
        self.run.finish(NEVER - 1)
        return time.perf_counter() - began

    def figures(self) -> dict[str, float]:
        loop = min(sample.loop_seconds for sample in self.samples)
        # Pods that are bound before, or gated, are not what is measured.
        return super().figures() | {"pods_per_second": self.found.counts["attempts"] / loop}


# Reads a dump and tells its cost, the memory beyond the interpreter with the package loaded included.
_READER = """
import json, resource, sys, time
from kscale.state.manifests import take_inventory
began = time.perf_counter()
found = take_inventory([sys.argv[1]])
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
counts = {"pods": len(found.pods), "pending": len(found.pending), "nodes": len(found.nodes)}
print(json.dumps({"counts": counts, "cost": [seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6]}))
"""


class Dump(Job):
    """A dump of Kubernetes objects is read, in a process of its own."""

    def once(self) -> None:
        assert self.row.objects is not None
        with tempfile.TemporaryDirectory() as name:
            file = Path(name) / "dump.json"
            sizes = ["--pods", str(self.row.objects.pods), "--nodes", str(self.row.objects.nodes)]
            subprocess.run(
                [sys.executable, "-m", "benchmarks.dump", *sizes, str(file)], check=True, capture_output=True
            )
            told = subprocess.run([sys.executable, "-c", _READER, str(file)], stdout=subprocess.PIPE, check=True)
        done = msgspec.json.decode(told.stdout)
        seconds, cpu_seconds, peak = done["cost"]
        self.samples.append(Sample(seconds, cpu_seconds, peak_mb=peak))
        self.found = Expected(done["counts"])
