"""The endpoints that a node uses of a Service, endpoint by endpoint, as kube-proxy goes through them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    node: int
    ready: bool
    draining: bool
    zone_hint: int
    node_hint: int


def mode(endpoints: list[Endpoint], node: int, zone: int) -> str:
    """By what hints the node goes: node, zone or none."""
    ready = [one for one in endpoints if one.ready]
    if not ready:
        return "none"
    if all(one.node_hint >= 0 for one in ready) and any(one.node_hint == node for one in ready):
        return "node"
    if zone >= 0 and all(one.zone_hint >= 0 for one in ready) and any(one.zone_hint == zone for one in ready):
        return "zone"
    return "none"


def cluster(endpoints: list[Endpoint], node: int, zone: int) -> list[Endpoint]:
    """What it uses with the policy Cluster."""
    how = mode(endpoints, node, zone)
    good = {"node": lambda one: one.node_hint == node, "zone": lambda one: one.zone_hint == zone}.get(how)
    found = [one for one in endpoints if one.ready and (good is None or good(one))]
    return found or [one for one in endpoints if one.draining]


def local(endpoints: list[Endpoint], node: int) -> list[Endpoint]:
    """What it uses with the policy Local."""
    here = [one for one in endpoints if one.node == node]
    return [one for one in here if one.ready] or [one for one in here if one.draining]
