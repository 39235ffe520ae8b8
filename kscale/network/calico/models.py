"""Calico's objects of projectcalico.org/v3 as typed structs; every field may be missing or null."""

from __future__ import annotations

from typing import Any

import msgspec

from kscale.state.manifests.models import Meta, Part


class ServiceAccounts(Part, frozen=True):
    """v3 ServiceAccountMatch."""

    names: tuple[str, ...] | None = None
    selector: str | None = None


class Entity(Part, frozen=True):
    """v3 EntityRule."""

    nets: tuple[str, ...] | None = None
    not_nets: tuple[str, ...] | None = None
    selector: str | None = None
    not_selector: str | None = None
    namespace_selector: str | None = None
    ports: tuple[int | str, ...] | None = None
    not_ports: tuple[int | str, ...] | None = None
    service_accounts: ServiceAccounts | None = None
    services: Any = None


class Rule(Part, frozen=True):
    """v3 Rule."""

    action: str | None = None
    ip_version: int | None = msgspec.field(default=None, name="ipVersion")
    protocol: int | str | None = None
    not_protocol: int | str | None = None
    source: Entity | None = None
    destination: Entity | None = None
    http: Any = None


class PolicySpec(Part, frozen=True):
    """v3 GlobalNetworkPolicySpec and NetworkPolicySpec."""

    tier: str | None = None
    order: float | None = None
    selector: str | None = None
    namespace_selector: str | None = None
    service_account_selector: str | None = None
    types: tuple[str, ...] | None = None
    ingress: tuple[Rule, ...] | None = None
    egress: tuple[Rule, ...] | None = None
    do_not_track: bool | None = None
    pre_dnat: bool | None = msgspec.field(default=None, name="preDNAT")


class Policy(Part, frozen=True):
    """v3 GlobalNetworkPolicy and NetworkPolicy."""

    metadata: Meta | None = None
    spec: PolicySpec | None = None


class TierSpec(Part, frozen=True):
    """v3 TierSpec."""

    order: float | None = None
    default_action: str | None = None


class Tier(Part, frozen=True):
    """v3 Tier."""

    metadata: Meta | None = None
    spec: TierSpec | None = None


class NetworkSetSpec(Part, frozen=True):
    """v3 GlobalNetworkSetSpec and NetworkSetSpec."""

    nets: tuple[str, ...] | None = None


class NetworkSet(Part, frozen=True):
    """v3 GlobalNetworkSet and NetworkSet."""

    metadata: Meta | None = None
    spec: NetworkSetSpec | None = None
