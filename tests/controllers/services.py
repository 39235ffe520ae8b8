"""Services, slices and pods made by hand, for tests of what follows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.engine.requests import CREATE_OBJECTS, CREATE_PODS, Request
from tests.controllers.world import Hand


def one(value: int) -> Any:
    return np.array([value])


def selecting(hand: Hand, *chosen: tuple[int, ...]) -> None:
    """Make selectors: handle by handle, the templates that each selects."""
    hand.world.selections = [np.array(sorted(templates), np.int64) for templates in chosen]


def pods_made(hand: Hand, count: int, template: int = 0, *, running: bool = True, node: int = 0) -> list[int]:
    """Make pods of a template, under an owner whose controller is not there."""
    owner = hand.make("ReplicationController", f"owner-{len(hand.world.names)}")
    ones = np.ones(count, np.int64)
    columns = {"owner": owner * ones, "template": template * ones, "number": -ones, "pin": -ones}
    hand.world.apply(Request(CREATE_PODS, np.zeros(count, np.int64), columns), hand.now)
    pods = hand.pods(owner)
    if running:
        hand.run(*pods, node=node)
    return pods


def slice_made(hand: Hand, service: int, pods: list[int], *, ports: int = 1, address_type: int = 0) -> int:
    """Make a slice that holds pods as ready endpoints."""
    before = set(hand.objects("EndpointSlice"))
    rows = np.array(pods, np.int64)
    ones = np.ones(len(pods), np.int64)
    members = {"pod": rows, "serial": hand.cluster.pod_trace_row[rows], "ready": ones, "serving": ones,
             "terminating": 0 * ones, "zone_hint": -ones, "node_hint": -ones}  # fmt: skip
    columns = {"owner": one(service), "ports": one(ports), "address_type": one(address_type), "members_first": one(0),
               "members_count": one(len(pods))}  # fmt: skip
    hand.world.apply(Request(CREATE_OBJECTS, one(0), columns, "EndpointSlice", members=members), hand.now)
    (made,) = set(hand.objects("EndpointSlice")) - before
    return int(made)


def endpoints(hand: Hand, slice_: int) -> list[dict[str, int]]:
    """Return the endpoints of a slice, in order."""
    cluster = hand.cluster
    rows, _ = hand.world.members.of("endpointslice", cluster.object_row[one(slice_)])
    names = ("pod", "serial", "ready", "serving", "terminating", "zone_hint", "node_hint")
    return [{name: int(cluster.columns[f"endpoint_{name}"][row]) for name in names} for row in rows.tolist()]


def sizes(hand: Hand, service: int) -> list[int]:
    """Return how many endpoints the slices of a service have, the oldest first."""
    return [len(endpoints(hand, slice_)) for slice_ in hand.objects("EndpointSlice", service)]
