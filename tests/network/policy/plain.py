"""NetworkPolicy written once more, one pair at a time, over Kubernetes' own dicts: the twin of the columns."""

from __future__ import annotations

import ipaddress
from typing import Any

Object = dict[str, Any]


def selects(selector: Object, labels: dict[str, str]) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for one in selector.get("matchExpressions") or []:
        value = labels.get(one["key"])
        if one["operator"] == "In" and value not in one["values"]:
            return False
        if one["operator"] == "NotIn" and value in one["values"]:
            return False
        if one["operator"] == "Exists" and value is None:
            return False
        if one["operator"] == "DoesNotExist" and value is not None:
            return False
    return True


class Plain:
    """A cluster of dicts. An end is a Pod, or the text of an address."""

    def __init__(self, objects: list[Object], version: int = 4) -> None:
        self.pods = [one for one in objects if one["kind"] == "Pod"]
        self.policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
        self.version = version
        self.namespaces: dict[str, dict[str, str]] = {}
        for one in objects:
            if one["kind"] == "Namespace":
                name = one["metadata"]["name"]
                self.namespaces[name] = {**one["metadata"].get("labels", {}), "kubernetes.io/metadata.name": name}

    def address(self, end: Object | str) -> Any:
        texts = [end] if isinstance(end, str) else [one["ip"] for one in end["status"].get("podIPs", [])]
        found = [ipaddress.ip_address(text) for text in texts]
        return next((one for one in found if one.version == self.version), None)

    def number(self, end: Object | str, protocol: str, port: int | str) -> int | None:
        if isinstance(port, int):
            return port
        for container in end["spec"]["containers"] if isinstance(end, dict) else []:
            for one in container.get("ports", []):
                if one.get("name") == port and one.get("protocol", "TCP") == protocol:
                    return int(one["containerPort"])
        return None

    def peer(self, peer: Object, namespace: str, end: Object | str) -> bool:
        if "ipBlock" in peer:
            address = self.address(end)
            blocks = [ipaddress.ip_network(t) for t in (peer["ipBlock"]["cidr"], *peer["ipBlock"].get("except", []))]
            return address in blocks[0] and not any(address in block for block in blocks[1:])
        if isinstance(end, str) or end["spec"].get("hostNetwork"):
            return False
        own = end["metadata"]["namespace"]
        if "namespaceSelector" in peer:
            if not selects(peer["namespaceSelector"], self.namespaces[own]):
                return False
        elif own != namespace:
            return False
        return selects(peer.get("podSelector", {}), end["metadata"].get("labels", {}))

    def port(self, ports: list[Object], protocol: str, number: int, end: Object | str) -> bool:
        for one in ports:
            if one.get("protocol", "TCP") != protocol:
                continue
            stated = one.get("port")
            if stated is None:
                return True
            if isinstance(stated, str):
                if self.number(end, protocol, stated) == number:
                    return True
            elif stated <= number <= one.get("endPort", stated):
                return True
        return not ports

    def passes(
        self, direction: str, subject: Object | str, other: Object | str, target: Object | str, protocol: str,
        number: int,
    ) -> bool:  # fmt: skip
        if isinstance(subject, str) or subject["spec"].get("hostNetwork"):
            return True
        isolated = False
        for policy in self.policies:
            spec, namespace = policy["spec"], policy["metadata"]["namespace"]
            if namespace != subject["metadata"]["namespace"]:
                continue
            if not selects(spec.get("podSelector", {}), subject["metadata"].get("labels", {})):
                continue
            types = spec.get("policyTypes") or ["Ingress"] + ["Egress"] * bool(spec.get("egress"))
            if direction not in types:
                continue
            isolated = True
            for rule in spec.get(direction.lower()) or []:
                peers = rule.get("from" if direction == "Ingress" else "to") or []
                if peers and not any(self.peer(peer, namespace, other) for peer in peers):
                    continue
                if self.port(rule.get("ports") or [], protocol, number, target):
                    return True
        return not isolated

    def reaches(self, source: Object | str, target: Object | str, protocol: str, port: int | str) -> bool:
        number = self.number(target, protocol, port)
        if number is None or self.address(source) is None or self.address(target) is None:
            return False
        if source is target:
            return True
        for one, other in ((source, target), (target, source)):
            if isinstance(one, dict) and isinstance(other, dict) and one["spec"].get("hostNetwork"):
                if one["spec"].get("nodeName") and one["spec"]["nodeName"] == other["spec"].get("nodeName"):
                    return True
        return self.passes("Egress", source, target, target, protocol, number) and self.passes(
            "Ingress", target, source, target, protocol, number
        )
