"""The userspace mode (until 1.25): connections are redirected to kube-proxy itself, which copies their bytes."""

from __future__ import annotations

import numpy as np

from kscale.network.parameters import ASSUMED, MEASURED, Parameter
from kscale.network.proxies import (
    HIT,
    NODE_PORT,
    OTHER,
    Case,
    Change,
    Memory,
    Mode,
    Option,
    Path,
    Programming,
    Step,
    Structure,
    Versions,
)  # fmt: skip
from kscale.network.proxies.common import memory, steps
from kscale.network.proxies.common.paths import FORWARD
from kscale.network.proxies.common.rows import BENCH

#: The lists that are redirected from: what pods send, and what the node itself sends.
_LISTS = ("KUBE-PORTALS-CONTAINER", "KUBE-PORTALS-HOST")
_NODE_LISTS = ("KUBE-NODEPORT-CONTAINER", "KUBE-NODEPORT-HOST")
_SOURCE = "Kubernetes 1.25, pkg/proxy/userspace"
_OPTIONS = (
    Option("cache", ("typical", "warm", "cold"), "typical", "what a rule costs, as in the iptables mode"),
)  # fmt: skip
_PARAMETERS = (
    Parameter(
        "userspace_relay_us", 100, "us", MEASURED, BENCH, "connect and first request, by a stand-in for kube-proxy"
    ),
    Parameter("userspace_established_us", 34.5, "us", MEASURED, BENCH, "one way; 69 there and back"),
    Parameter("userspace_insert_s", 4.1e-6, "s", MEASURED, BENCH, "one iptables -A, for each rule that is there"),
    Parameter("userspace_rule_bytes", 450, "bytes", ASSUMED, "as a rule of the iptables mode"),
    Parameter("userspace_client_factor", 3, "1", ASSUMED, "as in the iptables mode, over a table that is there"),
    Parameter("userspace_min_sync_s", 1, "s", ASSUMED, _SOURCE, "as in the iptables mode"),
)


def _redirected(case: Case) -> tuple[int, int]:
    """Return rules in each list of addresses, and in each list of node ports: endpoints or not, all are there."""
    ports = case.ports
    return int((ports.has_cluster_ip + ports.external_addresses).sum()), int(ports.open_node_port.sum())


def _structure(case: Case) -> Structure:
    addresses, node_ports = _redirected(case)
    lists = dict.fromkeys(_LISTS, addresses) | dict.fromkeys(_NODE_LISTS, node_ports)
    return Structure(
        rules={"nat": sum(lists.values())}, chains={"nat": len(lists)},
        lists={f"nat {name}": count for name, count in lists.items()},
        # kube-proxy listens once for each port, and once more where it is open on the node.
        listeners=int(case.ports.has_cluster_ip.sum()) + node_ports,
    )  # fmt: skip


def _first(case: Case, packet: str) -> Path | None:
    weights, _ = steps.connections(case, packet)
    if not len(weights):
        return None
    numbers, (addresses, node_ports) = case.parameters, _redirected(case)
    rule = numbers[f"iptables_legacy_{case.options['cache']}_rule_us"]
    found, relay_us = [*steps.begin(numbers)], numbers["userspace_relay_us"]
    if packet in (OTHER, NODE_PORT):
        found.append(Step.fixed(f"{_LISTS[0]}, to the end", "rules", addresses, rule))
    else:
        found.append(Step(f"{_LISTS[0]}, to the service", "rules", 1, max(addresses, 1), rule))
    if packet == NODE_PORT:
        each = numbers["iptables_node_port_rule_us"]
        found.append(Step(f"{_NODE_LISTS[0]}, to the port", "rules", 1, max(node_ports, 1), each))
    if packet != OTHER:
        found += [
            Step.fixed("kube-proxy accepts, picks an endpoint, connects, copies", "connections", 1, relay_us),
            # kube-proxy's own connection is to an address that is no Service's.
            Step.fixed(f"{_LISTS[1]}, to the end", "rules", addresses, rule),
        ]  # fmt: skip
    found.append(Step.fixed("the other rules", "passages", 1, numbers["iptables_fixed_us"], hook=FORWARD))
    return Path(np.ones(1), tuple(found))


def _later(case: Case, packet: str = HIT) -> Path:
    numbers = case.parameters
    relay = Step.fixed("kube-proxy copies", "packets", 1, numbers["userspace_established_us"])
    return steps.established(case, packet, numbers["iptables_established_us"], "conntrack, rewriting", relay)


def _programming(case: Case, change: Change) -> Programming:
    insert, build = case.parameters["userspace_insert_s"], case.parameters["build_rule_s"]
    addresses, node_ports = _redirected(case)
    rules = 2 * (addresses + node_ports)
    # Rules go in one by one, each past those that are there; every period it looks for each, which costs as much.
    start, later = insert * rules**2 / 2, 2 * change.services * insert * rules
    return Programming(start, later, build * rules, 2 * build * change.services, start)


def _memory(case: Case) -> Memory:
    numbers, rules = case.parameters, sum(_structure(case).rules.values())
    kernel = numbers["userspace_rule_bytes"] * rules
    return memory.of(case, kernel, numbers["userspace_client_factor"] * kernel)


USERSPACE = Mode(
    "userspace", "kube-proxy accepts every connection, opens another one, and copies what comes",
    options=_OPTIONS, parameters=_PARAMETERS, structure=_structure, first=_first, later=_later,
    programming=_programming, memory=_memory, balancing=("round-robin",), onward="",
    versions=Versions((1, 0), "Kubernetes 1.26, CHANGELOG", removed=(1, 26)),
    min_sync="userspace_min_sync_s", resync="sync_period_s",
)  # fmt: skip
