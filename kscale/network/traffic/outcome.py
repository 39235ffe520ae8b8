"""What becomes of a Service's traffic, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Step(NamedTuple):
    """A step of time of one Service.

    Attributes:
        time_us: when it began.
        connections: new ones, refused ones included.
        refused: those for which a node's rules had no endpoint.
        terminating, not_ready, gone: those that rules sent to an endpoint that was so.
        cut: those that were open when their endpoint ended.
        open: those that are open at the end of the step.
        even: endpoints that served all through the step, and were in all rules.
        shared, most, squares: connections that came to these: all, to one the most, and the sum of squares.
    """

    time_us: int
    connections: int
    refused: int
    terminating: int
    not_ready: int
    gone: int
    cut: int
    open: int
    even: int
    shared: int
    most: int
    squares: float


class Share(NamedTuple):
    """What came to an endpoint (its pod's ``serial``) while it was listed; ``last_us`` is None where it still is."""

    serial: int
    first_us: int
    last_us: int | None
    connections: int
    terminating: int
    not_ready: int
    gone: int
    cut: int


class Stale(NamedTuple):
    """An endpoint that some client's rules had yet when it should get nothing more.

    Attributes:
        serial: its pod's.
        why: its state when that began (``endpoints.REASONS``, from 1).
        since_us, until_us: from when to when; None where some node's rules have it to the end.
        nodes: nodes with clients that had it yet.
        terminating, not_ready, gone: connections that went to it, by what it was.
        cut: connections that were open when it ended.
    """

    serial: int
    why: int
    since_us: int
    until_us: int | None
    nodes: int
    terminating: int
    not_ready: int
    gone: int
    cut: int


@dataclass
class Outcome:
    """All rows of a Service so far."""

    steps: list[Step] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    stale: list[Stale] = field(default_factory=list)
