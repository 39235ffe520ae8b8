"""The shapes of synthetic workloads: nodes, requests, sizes of owners, durations and days, each with its source.

"published" figures are those of the facts page on workload traces; "chosen" ones have no published source and only
fill the gap between published ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Quantiles:
    """A law given by (share, value) knots; between two knots it is a Pareto law, which keeps heavy tails heavy.

    With x = -ln(1 - share), the logarithm of a Pareto law's value is linear in x; so is this law, knot by knot.
    """

    knots: tuple[tuple[float, float], ...]

    def draw(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
        """Return ``count`` values; none is beyond the last knot."""
        shares, values = np.array(self.knots).T
        return np.exp(np.interp(rng.standard_exponential(count), -np.log1p(-shares), np.log(values)))


@dataclass(frozen=True)
class Uniform:
    """All values from ``low`` to ``high`` alike."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
        """Return ``count`` values."""
        return rng.uniform(self.low, self.high, count)


@dataclass(frozen=True)
class Kind:
    """A kind of owner: what its pods ask, how many they are and how long they run.

    Attributes:
        weight: share of owners, relative to the other kinds.
        cpu_milli: requests of cpu that occur.
        mib_per_cpu: requests of memory per 1000 milli that occur.
        sizes: pods per owner.
        seconds: duration.
        priority: of its pods.
        gpu_count, gpu_milli: devices and the share of each.
        node_affinity: required by every eighth spec of the kind.
    """

    weight: float
    cpu_milli: tuple[int, ...]
    mib_per_cpu: tuple[int, ...]
    sizes: Quantiles | None
    seconds: Quantiles | Uniform
    priority: int = 0
    gpu_count: int = 0
    gpu_milli: int = 0
    node_affinity: str | None = None


@dataclass(frozen=True)
class Preset:
    """A workload: ``nodes`` are (shape, count) in proportion, ``peak`` is the busiest hour over the quietest."""

    doc: str
    nodes: tuple[tuple[str, int], ...]
    kinds: tuple[Kind, ...]
    specs: int
    peak: float
    zipf: float = 1.0
    spread: float = 0.25


# Google 2019, cell a: machine shapes (cpu, memory as fractions of the largest machine, count), published. What 1.0 is
# was never published: 128 cpu and 512Gi are chosen.
_CELL_A = (
    (0.592, 0.333, 3346), (1.0, 0.5, 1672), (0.709, 0.333, 1417), (0.387, 0.333, 1104), (0.387, 0.167, 670),
    (1.0, 1.0, 643), (0.709, 0.667, 480), (0.592, 0.167, 364), (0.959, 0.5, 179), (0.959, 1.0, 73), (1.0, 0.25, 52),
)  # fmt: skip
_BORG_NODES = tuple(
    (f"{round(cpu * 128_000)}mcpu,{round(memory * 512)}Gi,platform=p{row}", count)
    for row, (cpu, memory, count) in enumerate(_CELL_A)
)
_BORG_CPU = (100, 250, 500, 1000, 2000, 4000, 8000)
_BORG_MEMORY = (512, 1024, 2048, 4096, 8192)
_BORG_AFFINITY = "platform notin (p3,p4)"
# Published: job resource-hours are a Pareto law with exponent 0.7, most jobs have few tasks, tails of thousands.
# The knots from 0.9 on lie on that law; medians per tier are chosen.
_BORG_SIZES = Quantiles(((0, 1), (0.6, 1), (0.8, 4), (0.9, 15), (0.99, 300), (0.999, 3000), (0.9999, 10_000)))


def _pareto(median: float, tenth: float) -> Quantiles:
    """Return a law with the median and the 0.9 quantile given, and beyond a Pareto tail with exponent 0.7."""
    tail = [(1 - 10.0**-power, tenth * 10 ** ((power - 1) / 0.7)) for power in (1, 2, 3, 4)]
    return Quantiles(((0, median / 20), (0.5, median), *tail))


# Google's tiers by priority, published: 0-99 free, 100-115 best-effort batch, 116-119 mid, from 120 production.
_BORG_KINDS = (
    Kind(0.25, _BORG_CPU[:5], _BORG_MEMORY, _BORG_SIZES, _pareto(120, 1800), 25, node_affinity=_BORG_AFFINITY),
    Kind(0.45, _BORG_CPU[:6], _BORG_MEMORY, _BORG_SIZES, _pareto(300, 3600), 103),
    Kind(0.10, _BORG_CPU, _BORG_MEMORY, _BORG_SIZES, _pareto(600, 7200), 117),
    Kind(0.20, _BORG_CPU, _BORG_MEMORY, _BORG_SIZES, _pareto(7200, 86_400), 200, node_affinity=_BORG_AFFINITY),
)

# Alibaba: the job list derived from the 2017 trace, published: instances per task, task durations, cpu (0.5 core 70 %,
# 1 core 29 %) and memory (0.4 to 1.6 % of a machine); 2018: machines of 96 cores. Longer containers are chosen.
_ALIBABA_SIZES = Quantiles(((0, 1), (0.5, 2), (0.75, 29), (0.9, 158), (0.99, 998), (0.999, 7107), (0.99997, 36_326)))
_ALIBABA_SECONDS = Quantiles(((0, 1), (0.5, 12.5), (0.75, 50), (0.9, 121), (0.99, 365), (0.99997, 3628)))
_ALIBABA_CONTAINERS = Quantiles(((0, 1), (0.5, 6), (0.9, 40), (0.99, 200)))
_ALIBABA_MEMORY = (2200, 2800, 3500, 4400, 6000, 8800)
_ALIBABA_KINDS = (
    Kind(0.70, (500,), tuple(2 * m for m in _ALIBABA_MEMORY), _ALIBABA_SIZES, _ALIBABA_SECONDS),
    Kind(0.29, (1000,), _ALIBABA_MEMORY, _ALIBABA_SIZES, _ALIBABA_SECONDS),
    Kind(0.01, (2000, 4000, 8000), (1024, 2048, 4096), _ALIBABA_CONTAINERS, _pareto(36_000, 400_000), 100),
)

# Alibaba GPU 2023 (openb), published: GPU nodes by model, shares of the kinds of pods, milli of the sharing pods,
# lifetimes. CPU nodes by their most frequent shapes.
_OPENB_NODES = (
    ("96cpu,384Gi,8xG2", 549), ("104cpu,512Gi,2xT4", 387), ("32cpu,256Gi", 129), ("16cpu,120Gi,2xP100", 107),
    ("96cpu,512Gi", 59), ("128cpu,768Gi,8xG3", 39), ("96cpu,384Gi", 30), ("32cpu,128Gi,4xV100M16", 28),
    ("32cpu,128Gi", 23), ("64cpu,512Gi", 22), ("64cpu,256Gi,2xP100", 22), ("96cpu,768Gi,8xV100M32", 21),
    ("104cpu,512Gi", 20), ("8cpu,32Gi,1xV100M16", 19), ("96cpu,384Gi,4xT4", 17), ("48cpu,368Gi,4xV100M32", 9),
    ("64cpu,256Gi,8xV100M16", 7),
)  # fmt: skip
_OPENB_MILLI = {
    810: 1078, 470: 750, 320: 328, 650: 253, 230: 140, 460: 128, 590: 75, 160: 74, 550: 72, 220: 62, 370: 47, 110: 24,
    480: 19, 50: 7, 330: 7,
}  # fmt: skip
_OPENB_SECONDS = Quantiles(
    ((0, 10), (0.1, 80), (0.25, 167), (0.5, 540), (0.75, 1972), (0.9, 6573), (0.95, 16_399), (0.99, 96_510),
     (0.9999, 1.25e7))
)  # fmt: skip
_OPENB_MEMORY = (1800, 3814, 4096, 4608)
_OPENB_KINDS = (
    Kind(1088, (8000, 12_500, 15_400, 16_500, 32_000), _OPENB_MEMORY, None, _OPENB_SECONDS),
    *(
        Kind(count, (3152, 4000, 6000, 8000, 11_908), _OPENB_MEMORY, None, _OPENB_SECONDS, 0, 1, milli)
        for milli, count in _OPENB_MILLI.items()
    ),
    Kind(3911, (3152, 8000, 9810, 11_300, 12_000, 18_708), _OPENB_MEMORY, None, _OPENB_SECONDS, 0, 1, 1000),
    Kind(16, (16_200, 32_200), _OPENB_MEMORY[2:], None, _OPENB_SECONDS, 0, 2, 1000),
    Kind(15, (32_200, 64_200), _OPENB_MEMORY[2:], None, _OPENB_SECONDS, 0, 4, 1000),
    Kind(44, (64_200, 88_000), _OPENB_MEMORY[1:3], None, _OPENB_SECONDS, 0, 8, 1000),
)

# The mean is twelve and a half hours: 10 million pods over 30 days are about 170,000 live ones after some days.
_DAYS_SECONDS = Quantiles(((0, 60), (0.5, 14_400), (0.9, 129_600), (0.99, 604_800), (0.9999, 1.2e6)))

#: The presets by name. Peak over trough, published: openb 4, Alibaba PAI 2.5; Borg 2.5 is chosen.
PRESETS = {
    "borg": Preset("Google Borg 2019: four tiers of priority, few large jobs.", _BORG_NODES, _BORG_KINDS, 120, 2.5),
    "alibaba": Preset(
        "Alibaba 2017/2018: short tasks of many instances, some long containers.",
        (("96cpu,512Gi", 1),), _ALIBABA_KINDS, 30, 2.5,
    ),
    "openb": Preset(
        "Alibaba GPU 2023: pods that stand alone and share GPUs.", _OPENB_NODES, _OPENB_KINDS, 151, 4.0, spread=0.0
    ),
    "uniform": Preset(
        "Everything even: requests, durations and arrivals; for tests.",
        (("64cpu,256Gi", 1),),
        (Kind(1, (250, 500, 1000, 2000, 4000, 8000), (1024, 2048, 4096, 8192), None, Uniform(60, 7200)),),
        24, 1.0, 0.0, 0.0,
    ),
    "days": Preset(
        "Many templates, and about as many pods live at any time: for long replays; all of it is chosen.",
        (("96cpu,384Gi", 1), ("64cpu,256Gi", 1), ("32cpu,128Gi", 1), ("16cpu,64Gi", 1)),
        (Kind(1, tuple(range(50, 4001, 50)), tuple(range(512, 4097, 128)), None, _DAYS_SECONDS),),
        150, 1.7, 0.7, 0.0,
    ),
}  # fmt: skip
