"""Traces that the benchmarks make themselves: many templates over many days, and a full cluster where pods wait."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kscale.traces import Trace
from kscale.traces.common import opening, specs, writing

_SECOND, _DAY = 1_000_000, 86_400_000_000
#: Cores and GiB of the machines, each as often as the others.
_SHAPES = ((96, 384), (64, 256), (32, 128), (16, 64))
_BATCH = 500_000


def _shapes(nodes: int) -> str:
    each = [nodes // len(_SHAPES) + (number < nodes % len(_SHAPES)) for number in range(len(_SHAPES))]
    return ";".join(f"{cpu}cpu,{gib}Gi:{count}" for (cpu, gib), count in zip(_SHAPES, each, strict=True) if count)


def _requests(rng: np.random.Generator, count: int, low: int, high: int) -> pl.DataFrame:
    """Return distinct requests of ``low`` to ``high`` milli of cpu, and 1 to 6 GiB for each core."""
    cpu = rng.integers(low // 50, high // 50, count) * 50
    memory = (cpu * rng.uniform(1, 6, count)).astype(np.int64) * 1024 + np.arange(count)
    return pl.DataFrame({"cpu_milli": cpu, "memory_bytes": memory * 1024})


@dataclass(frozen=True)
class Days:
    """Pods of many templates over many days: arrivals follow the day, durations have a heavy tail (median 30 min)."""

    pods: int
    nodes: int
    days: float
    templates: int
    seed: int = 1

    def batches(self) -> list[pl.DataFrame]:
        """Return all pods as frames in the order of arrival."""
        return [self._batch(first) for first in range(0, self.pods, _BATCH)]

    def _batch(self, first: int) -> pl.DataFrame:
        last = min(first + _BATCH, self.pods)
        asked = _requests(np.random.default_rng(self.seed), self.templates, 100, 10_000)
        rng = np.random.default_rng([self.seed, first])
        # Even positions, bent so that afternoons are busier: the order stays.
        days = (np.arange(first, last) + rng.random(last - first)) / self.pods * self.days
        bent = days - 0.08 * np.sin(2 * np.pi * days)
        weights = np.arange(1, self.templates + 1) ** -0.7
        which = rng.choice(self.templates, last - first, p=weights / weights.sum())
        seconds = np.clip(rng.lognormal(np.log(1800), 1.8, last - first), 5, 20 * 86_400)
        return pl.DataFrame(
            {
                "name": pl.select(pl.lit("p") + pl.int_range(first, last).cast(pl.String)).to_series(),
                "arrival_us": (bent * _DAY).astype(np.int64) // 1000 * 1000,
                "duration_us": (seconds * 1000).astype(np.int64) * 1000,
                "cpu_milli": asked["cpu_milli"].to_numpy()[which],
                "memory_bytes": asked["memory_bytes"].to_numpy()[which],
            }
        )

    def read(self) -> tuple[Trace, pl.DataFrame]:
        """Return the trace and its nodes."""
        return specs.build("days", pl.concat(self.batches())), opening.read_nodes(_shapes(self.nodes))

    def files(self, folder: Path) -> tuple[Path, str]:
        """Return what ``kscale replay`` takes; the file is made once and kept in the folder for temporary files."""
        known = Path(tempfile.gettempdir()) / "kscale-benchmarks"
        known.mkdir(exist_ok=True)
        path = known / f"{hashlib.sha256(repr(self).encode()).hexdigest()[:16]}.parquet"
        if not path.exists():
            parts = []
            for number, first in enumerate(range(0, self.pods, _BATCH)):
                parts.append(folder / f"part-{number:05}.parquet")
                self._batch(first).write_parquet(parts[-1])
            partial = known / f".{path.name}.partial"
            pl.scan_parquet(parts).sink_parquet(partial, maintain_order=True)
            partial.replace(path)
            for part in parts:
                part.unlink()
        return path, _shapes(self.nodes)


@dataclass(frozen=True)
class Waiting:
    """A full cluster: ``waiting`` pods fit nowhere, while ``rate`` small ones a second come, run 5 s, and go.

    Every node has one large pod that leaves two cores free; the small ones share these.
    """

    waiting: int
    nodes: int
    rate: int
    seconds: int
    seed: int = 1

    @property
    def churned(self) -> int:
        """How many pods come and go."""
        return self.rate * self.seconds

    @property
    def quiet_us(self) -> int:
        """When all that waits has been tried, and nothing goes yet."""
        return 100 * _SECOND

    @property
    def until_us(self) -> int:
        """When the last small pod has gone."""
        return self.quiet_us + (self.seconds + 6) * _SECOND

    def read(self) -> tuple[Trace, pl.DataFrame]:
        """Return the trace and its nodes."""
        rng, nodes = np.random.default_rng(self.seed), opening.read_nodes(_shapes(self.nodes))
        # The largest first: each of them fits only where it is meant to be.
        filling = nodes.select("cpu_milli", memory_bytes=pl.lit(1 << 30, pl.Int64)).sort("cpu_milli", descending=True)
        filling = filling.with_columns(pl.col("cpu_milli") - 2_000)
        large = _requests(rng, 20, 3_000, 12_000)[np.arange(self.waiting) % 20]
        small = _requests(rng, 20, 100, 600)[np.arange(self.churned) % 20]
        counts = [filling.height, large.height, small.height]
        arrival = self.quiet_us + np.arange(1, self.churned + 1) * _SECOND // self.rate
        frame = pl.concat([filling, large, small]).with_columns(
            name=pl.lit("p") + pl.int_range(pl.len()).cast(pl.String),
            arrival_us=pl.Series(np.concatenate([np.arange(counts[0]), np.full(counts[1], _SECOND), arrival])),
            duration_us=pl.Series([None] * (counts[0] + counts[1]) + [5 * _SECOND] * counts[2], dtype=pl.Int64),
        )
        return specs.build("waiting", frame), nodes

    def files(self, folder: Path) -> tuple[Path, str]:
        """Write the trace into ``folder`` and return what ``kscale replay`` takes."""
        trace, _ = self.read()
        path = folder / "pods.parquet"
        writing.write_trace(trace, path)
        return path, _shapes(self.nodes)
