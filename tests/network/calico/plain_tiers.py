"""Calico's tiers written once more, one connection at a time, over Calico's own dicts: the twin of the columns."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from tests.network.policy.plain import Plain, selects

Object = dict[str, Any]
Says = Callable[[dict[str, str]], bool]
BUILT_IN = {
    "kube-admin": (1000, "Pass"), "default": (1_000_000, "Deny"), "kube-baseline": (10_000_000, "Pass"),
}  # fmt: skip


class PlainTiers(Plain):
    """``says`` tells what each selector that is used says of labels."""

    def __init__(self, objects: list[Object], says: dict[str, Says], version: int = 4) -> None:
        super().__init__([one for one in objects if "projectcalico" not in one["apiVersion"]], version)
        self.says = {"": lambda _: True, "all()": lambda _: True, **says}
        calico = [one for one in objects if "projectcalico" in one["apiVersion"]]
        self.calico = [one for one in calico if one["kind"].endswith("Policy")]
        self.sets = [one for one in calico if one["kind"].endswith("Set")]
        self.accounts = {
            (one["metadata"]["namespace"], one["metadata"]["name"]): one["metadata"]["labels"]
            for one in objects if one["kind"] == "ServiceAccount"
        }  # fmt: skip
        self.tiers = dict(BUILT_IN)
        for one in calico:
            if one["kind"] == "Tier":
                spec = one.get("spec", {})
                self.tiers[one["metadata"]["name"]] = (
                    spec.get("order", float("inf")), spec.get("defaultAction", "Deny")
                )  # fmt: skip

    def labels(self, end: Object) -> tuple[dict[str, str], str | None, dict[str, str]]:
        """Labels, namespace and labels of the service account of a pod or a set."""
        meta = end["metadata"]
        space = meta.get("namespace")
        if end["kind"] != "Pod":
            own = {"projectcalico.org/namespace": space} if space else {}
            return {**meta.get("labels", {}), **own}, space, {}
        name = end["spec"].get("serviceAccountName", "default")
        own = {"projectcalico.org/namespace": space, "projectcalico.org/serviceaccount": name}
        return {**meta["labels"], **own}, space, self.accounts.get((space, name), {})

    def found(self, entity: Object, policy_space: str | None, end: Object) -> bool:
        """Whether the positive selectors of an entity find a pod or a set."""
        labels, space, account_labels = self.labels(end)
        accounts = entity.get("serviceAccounts", {})
        if not self.says[entity.get("selector", "")](labels):
            return False
        if accounts.get("names") and labels.get("projectcalico.org/serviceaccount") not in accounts["names"]:
            return False
        if accounts.get("selector") and not self.says[accounts["selector"]](account_labels):
            return False
        if entity.get("namespaceSelector"):
            return self.in_spaces(entity["namespaceSelector"], space)
        return policy_space is None or space == policy_space

    def in_spaces(self, text: str, space: str | None) -> bool:
        if text == "all()":
            return space is not None
        if text == "global()":
            return space is None
        return self.says[text](self.namespaces.get(space, {}) if space else {})

    def among(self, end: Object | str, test: Callable[[Object], bool]) -> bool:
        """Whether an end is a pod that passes a test, or has an address of a set that does."""
        if isinstance(end, dict) and not end["spec"].get("hostNetwork") and test(end):
            return True
        address = self.address(end)
        return any(
            address in ipaddress.ip_network(net)
            for one in self.sets
            if test(one)
            for net in one["spec"].get("nets", [])
        )

    def entity(self, entity: Object, policy_space: str | None, end: Object | str) -> bool:
        address = self.address(end)
        if address is None:
            return False
        accounts = entity.get("serviceAccounts", {})
        narrowed = entity.get("selector") or accounts or entity.get("namespaceSelector")
        if narrowed or (policy_space and entity.get("notSelector")):
            if not self.among(end, lambda one: self.found(entity, policy_space, one)):
                return False
        if entity.get("notSelector") and self.among(
            end, lambda one: self.says[entity["notSelector"]](self.labels(one)[0])
        ):
            return False
        if entity.get("nets") and not any(address in ipaddress.ip_network(net) for net in entity["nets"]):
            return False
        return not any(address in ipaddress.ip_network(net) for net in entity.get("notNets", []))

    def ports(self, listed: list[Any], end: Object | str, protocol: str, port: int) -> bool:
        for one in listed:
            if isinstance(one, int):
                one = str(one)
            first, _, last = one.partition(":")
            if first.isdigit():
                if int(first) <= port <= int(last or first):
                    return True
            elif isinstance(end, dict) and self.number(end, protocol, one) == port:
                return True
        return False

    def rule(self, rule: Object, space: str | None, ends: tuple[Any, Any], protocol: str, port: int) -> bool:
        if rule.get("protocol", protocol) != protocol or rule.get("notProtocol") == protocol:
            return False
        source, destination = rule.get("source", {}), rule.get("destination", {})
        if destination.get("ports") and not self.ports(destination["ports"], ends[1], protocol, port):
            return False
        if destination.get("notPorts") and self.ports(destination["notPorts"], ends[1], protocol, port):
            return False
        return self.entity(source, space, ends[0]) and self.entity(destination, space, ends[1])

    def ordered(self, tier: str) -> list[tuple[float, str, Object]]:
        """The policies of a tier in order, Kubernetes' among those of ``default``."""
        found = []
        for one in self.calico:
            meta, spec = one["metadata"], one["spec"]
            if spec.get("tier", "default") == tier:
                name = f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else meta["name"]
                found.append((spec.get("order", float("inf")), name, one))
        if tier == "default":
            for one in self.policies:
                meta = one["metadata"]
                found.append((1000, f"{meta['namespace']}/knp.default.{meta['name']}", one))
        return sorted(found, key=lambda one: one[:2])

    def about(self, one: Object, own: Object, direction: str) -> bool:
        """Whether a policy of Calico's selects a pod in a direction."""
        spec, space = one["spec"], one["metadata"].get("namespace")
        stated = [kind for kind in ("Ingress", "Egress") if spec.get(kind.lower())]
        if direction not in (spec.get("types") or stated or ["Ingress"]):
            return False
        labels, own_space, account_labels = self.labels(own)
        if space is not None and space != own_space:
            return False
        if space is None and spec.get("namespaceSelector") and not self.in_spaces(spec["namespaceSelector"], own_space):
            return False
        if spec.get("serviceAccountSelector") and not self.says[spec["serviceAccountSelector"]](account_labels):
            return False
        return self.says[spec.get("selector", "")](labels)

    def passes(
        self, direction: str, subject: Object | str, other: Object | str, target: Object | str, protocol: str,
        number: int,
    ) -> bool:  # fmt: skip
        own, port = subject, number
        ends = (other, own) if direction == "Ingress" else (own, other)
        if not isinstance(own, dict) or own["spec"].get("hostNetwork"):
            return True
        for tier, (_, default) in sorted(self.tiers.items(), key=lambda one: (one[1][0], one[0])):
            action, selected = None, False
            for _, _, one in self.ordered(tier):
                if "projectcalico" in one["apiVersion"]:
                    if not self.about(one, own, direction):
                        continue
                    selected = True
                    space = one["metadata"].get("namespace")
                    for rule in one["spec"].get(direction.lower(), []):
                        if rule["action"] != "Log" and self.rule(rule, space, ends, protocol, port):
                            action = rule["action"]
                            break
                else:
                    isolates, allows = self.of_kubernetes(one, ends, direction, protocol, port)
                    selected |= isolates
                    action = "Allow" if isolates and allows else None
                if action:
                    break
            if action in ("Allow", "Deny"):
                return action == "Allow"
            if action is None and selected and default == "Deny":
                return False
        return True

    def of_kubernetes(
        self, one: Object, ends: tuple[Any, Any], direction: str, protocol: str, port: int
    ) -> tuple[bool, bool]:
        """Whether a NetworkPolicy isolates, and whether it lets pass."""
        own, other = ends[::-1] if direction == "Ingress" else ends
        alone = Plain([])
        alone.version, alone.namespaces, alone.policies = self.version, self.namespaces, [one]
        spec = one["spec"]
        types = spec.get("policyTypes") or ["Ingress"] + ["Egress"] * bool(spec.get("egress"))
        own_labels = own["metadata"].get("labels", {})
        if one["metadata"]["namespace"] != own["metadata"]["namespace"] or direction not in types:
            return False, False
        if not selects(spec.get("podSelector", {}), own_labels):
            return False, False
        return True, alone.passes(direction, own, other, ends[1], protocol, port)
