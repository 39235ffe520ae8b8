"""Reads what is Calico's of a dump: policies, tiers, sets of addresses, and labels of service accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from kscale.errors import InputError
from kscale.network.calico import models
from kscale.network.calico.policies import (
    Policy,
    Skipped,
    Tier,
    built_in_tiers,
    net_of,
    policy_of,
    tier_of,
)  # fmt: skip
from kscale.network.policy.addresses import Network
from kscale.network.policy.reading import CALICO_GROUPS
from kscale.state.manifests.faults import Item, full_name, need
from kscale.state.manifests.kinds import group_of
from kscale.state.manifests.models import Meta
from kscale.state.manifests.others import Plain

_POLICY = msgspec.json.Decoder(models.Policy).decode
_SET = msgspec.json.Decoder(models.NetworkSet).decode
_ACCOUNT = msgspec.json.Decoder(Plain).decode
_KINDS = {
    "GlobalNetworkPolicy": _POLICY, "NetworkPolicy": _POLICY, "Tier": msgspec.json.Decoder(models.Tier).decode,
    "GlobalNetworkSet": _SET, "NetworkSet": _SET,
}  # fmt: skip
_NAMESPACED = ("NetworkPolicy", "NetworkSet")
#: Kinds that are read by nobody, and would be about connections.
_LEFT_OUT = (
    "HostEndpoint", "StagedGlobalNetworkPolicy", "StagedNetworkPolicy", "StagedKubernetesNetworkPolicy",
    "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy",
)  # fmt: skip
_OTHER_GROUPS = (*CALICO_GROUPS, "policy.networking.k8s.io")


@dataclass(frozen=True)
class NetworkSet:
    """Addresses with labels, which selectors of rules find; ``namespace`` is empty for a global one."""

    namespace: str
    labels: dict[str, str]
    nets: tuple[Network, ...]


@dataclass
class Calico:
    """What was read.

    Attributes:
        policies: in input order.
        tiers: by name; the built-in ones are always there.
        accounts: labels of service accounts by ``namespace/name``.
        left_out: what is not in the answer, in words.
    """

    policies: list[Policy] = field(default_factory=list)
    tiers: dict[str, Tier] = field(default_factory=built_in_tiers)
    sets: list[NetworkSet] = field(default_factory=list)
    accounts: dict[str, dict[str, str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.policies)


def calico_of(items: Iterable[Item]) -> Calico:
    """Return what of objects is Calico's. Raises InputError that names the object and the field.

    A policy whose tier is not there is left out, as Felix has it.
    """
    calico, ignored, seen = Calico(), Counter[str](), set[tuple[str, str, str]]()
    for item in items:
        group = group_of(item.api_version)
        if item.kind == "ServiceAccount" and not group:
            _account(calico, item)
        elif item.kind in _LEFT_OUT and group in _OTHER_GROUPS:
            ignored[item.kind] += 1
        elif item.kind in _KINDS and group in CALICO_GROUPS:
            _take(calico, item, seen)
    calico.left_out += [f"{many:,} of kind {kind}" for kind, many in sorted(ignored.items())]
    for policy in calico.policies:
        if policy.tier not in calico.tiers:
            calico.left_out.append(f"policy {policy.name}: its tier {policy.tier} is not there")
    calico.policies = [policy for policy in calico.policies if policy.tier in calico.tiers]
    return calico


def _account(calico: Calico, item: Item) -> None:
    meta = item.decode(_ACCOUNT).metadata or Meta()
    calico.accounts[full_name(meta.namespace or "default", meta.name)] = dict(meta.labels or {})


def _take(calico: Calico, item: Item, seen: set[tuple[str, str, str]]) -> None:
    found = item.decode(_KINDS[item.kind])
    meta = getattr(found, "metadata", None) or Meta()
    namespace = (meta.namespace or "default") if item.kind in _NAMESPACED else ""
    try:
        name = need(meta.name, "metadata.name", "a name")
        if (item.kind, namespace, name) in seen:
            raise InputError("is there twice", expected="each object once")
        seen.add((item.kind, namespace, name))
        if isinstance(found, models.Tier):
            calico.tiers[name] = tier_of(found, name)
        elif isinstance(found, models.NetworkSet):
            texts = (found.spec.nets if found.spec else None) or ()
            nets = tuple(net_of(text, f"spec.nets[{place}]") for place, text in enumerate(texts))
            calico.sets.append(NetworkSet(namespace, dict(meta.labels or {}), nets))
        elif isinstance(found, models.Policy):
            _policy(calico, found, namespace, name)
    except InputError as error:
        item.refuse(error, full_name(namespace, meta.name))


def _policy(calico: Calico, found: models.Policy, namespace: str, name: str) -> None:
    skipped = Skipped()
    policy = policy_of(found, namespace, name, skipped)
    spec = found.spec or models.PolicySpec()
    if spec.do_not_track or spec.pre_dnat:
        calico.left_out.append(f"policy {policy.name}: doNotTrack and preDNAT are for host endpoints")
        return
    calico.left_out += [f"policy {policy.name}: the rule with {where}" for where in skipped.fields]
    calico.policies.append(policy)
