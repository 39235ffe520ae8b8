"""Small clusters: three namespaces of three pods, as Kubernetes' own tests of NetworkPolicy have them."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec
import numpy as np

from kscale.network.policy.bits import unpacked
from kscale.network.policy.ends import Outside, ends_of
from kscale.network.policy.reach import Reach
from kscale.network.policy.reading import Cluster, cluster_of
from kscale.network.policy.rules import Question, rules_of
from kscale.state.manifests.faults import Item

Object = dict[str, Any]
BLOCK = ipaddress.ip_network("10.244.0.0/16")
PROTOCOLS = ("TCP", "UDP", "SCTP")


def pod(
    namespace: str, name: str, labels: dict[str, str] | None = None, ips: list[str] | None = None,
    ports: list[Object] | None = None, node: str = "", **spec: Any,
) -> Object:  # fmt: skip
    status = {"phase": "Running"} | ({"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]} if ips else {})
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "ports": ports or []}], **spec}, "status": status,
    }  # fmt: skip


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def policy(namespace: str, name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": {}, **spec},
    }  # fmt: skip


def served() -> list[Object]:
    """The ports of a pod of Kubernetes' tests: 80 and 81 of every protocol, by name."""
    return [
        {"name": f"serve-{number}-{protocol.lower()}", "containerPort": number, "protocol": protocol}
        for number in (80, 81) for protocol in PROTOCOLS
    ]  # fmt: skip


def three() -> list[Object]:
    """Namespaces x, y, z, labelled ``ns``, with pods a, b, c, labelled ``pod``."""
    found = [namespace(ns, ns=ns) for ns in "xyz"]
    for i, ns in enumerate("xyz"):
        found += [
            pod(ns, p, {"pod": p}, [f"10.1.{i}.{j + 1}", f"fd01::{i}:{j + 1}"], served()) for j, p in enumerate("abc")
        ]
    return found


def items(objects: list[Object]) -> list[Item]:
    return [
        Item("objects", number, one["kind"], one["apiVersion"], msgspec.json.encode(one))
        for number, one in enumerate(objects, 1)
    ]


def read(objects: list[Object]) -> Cluster:
    return cluster_of(items(objects), BLOCK)


def reach(
    objects: list[Object], protocol: str = "TCP", port: int | str = 80, outside: tuple[Outside, ...] = (),
    version: int = 4,
) -> Reach:  # fmt: skip
    cluster = read(objects)
    ends = ends_of(cluster.pods, cluster.namespaces, cluster.policies, outside, version)
    return Reach(rules_of(cluster.policies, ends), ends, Question(protocol, port))


def flags(found: Reach) -> np.ndarray[Any, Any]:
    """The matrix as flags, sources by destinations."""
    return unpacked(found.matrix(), len(found.ends))


def outside(text: str, node: str = "") -> Outside:
    return Outside(ipaddress.ip_address(text), node)
