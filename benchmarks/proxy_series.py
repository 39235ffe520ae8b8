"""A series of figures and what the model of kube-proxy's modes says instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kscale.network import proxies
from kscale.network.ports import Ports
from kscale.network.proxies import Case


@dataclass(frozen=True)
class Series:
    """Figures that are known, and predicted ones.

    Attributes:
        name: what was looked at.
        source: by whom.
        unit: of the figures.
        known: the figures.
        predicted: the model's.
        most: the largest relative error that is allowed.
        median: the largest median of them.
        note: what is to be said of it; that it is a misfit, and why.
    """

    name: str
    source: str
    unit: str
    known: Sequence[float]
    predicted: Sequence[float]
    most: float
    median: float = float("inf")
    note: str = ""

    @property
    def errors(self) -> np.ndarray:
        """Relative errors, without sign."""
        known = np.asarray(self.known, np.float64)
        return np.abs(np.asarray(self.predicted, np.float64) - known) / known

    @property
    def held(self) -> bool:
        """Whether the errors are within what is allowed."""
        return bool(self.errors.max() <= self.most and np.median(self.errors) <= self.median)

    def row(self) -> list[str]:
        """Return the cells of a table; of few figures, the known ones and the model's."""
        count = str(len(self.known))
        if len(self.known) <= 2:
            known, said = (", ".join(map(_number, part)) for part in (self.known, self.predicted))
            count = f"{known} {self.unit}; model {said}"
        note = f" ({self.note})" if self.note else ""
        return [f"{self.name}{note}", self.source, count, f"{np.median(self.errors):.1%}", f"{self.errors.max():.1%}"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


HEADS = ("what", "source", "points, or the figures", "median error", "largest")


def case(mode: str, services: int, endpoints: int = 1, connections: int = 0, cpus: int = 2, **options: str) -> Case:
    """Return a mode with so many Services, all alike."""
    return proxies.case(
        proxies.found()[mode], Ports.uniform(services, endpoints), options, connections=connections, cpus=cpus
    )


def mean_us(of: Case, packet: str = proxies.HIT) -> float:
    """Return the mean time of a first packet."""
    path = of.mode.first(of, packet)
    assert path is not None
    return path.mean_us
