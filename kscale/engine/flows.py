"""Traffic: what clients ask of Services, as scenarios state it and the network's observers read it."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass

from kscale.engine.load import Curve, Key

#: Who connects, and to which Service; None: every node does alike.
FlowKey = tuple[Key | None, Key]


@dataclass(frozen=True)
class Flow:
    """New connections from clients to a Service.

    Attributes:
        rate: thousandths of a connection a second, of all clients together.
        duration_us: how long a connection lasts on average, us; 0 is over at once.
        tail: how durations fall off: 0 exponentially, above 1 as a power of so much (Pareto II, Lomax).
    """

    rate: Curve
    duration_us: int = 0
    tail: float = 0.0


class Flows(UserDict[FlowKey, Flow]):
    """The flows that are there now; ``version`` changes with them."""

    version = 0

    def __setitem__(self, key: FlowKey, flow: Flow) -> None:
        self.version += 1
        super().__setitem__(key, flow)

    def __delitem__(self, key: FlowKey) -> None:
        self.version += 1
        super().__delitem__(key)
