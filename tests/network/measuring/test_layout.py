"""Addresses and names: each its own, within the networks that lead nowhere else; targets from all over the list."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network.measuring import layout
from kscale.network.measuring.layout import Load

SERVICES = ipaddress.ip_network("10.96.0.0/12")


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 300), st.integers(1, 12))
def test_every_service_and_pod_has_its_own_address_and_chains(services: int, endpoints: int) -> None:
    load = Load(services, endpoints)
    known = list(load)
    pods = [pod for service in known for pod in service.endpoints]
    assert len({service.ip for service in known}) == len(known) == services
    assert len(set(pods)) == services * endpoints and layout.ALONE not in pods
    assert all(ipaddress.ip_address(service.ip) in SERVICES for service in known)
    assert all(ipaddress.ip_address(pod) in ipaddress.ip_network(layout.PODS) for pod in pods)
    for names in ([s.chain(e) for s in known for e in ("", *s.endpoints)],
                  [s.nft_chain(e) for s in known for e in ("", *s.endpoints)]):  # fmt: skip
        assert len(set(names)) == len(names)
        # iptables takes 28 characters, nftables 127.
        assert max(map(len, names)) <= (28 if names[0].startswith("KUBE") else 127)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 5000), st.sampled_from(["tcp", "udp"]))
def test_targets_are_of_the_protocol_and_reach_both_ends(services: int, protocol: str) -> None:
    targets = Load(services, 1).targets(protocol)
    assert targets[0] == (0, None)
    places = [place for place, _ in targets[1:]]
    assert places == sorted(set(places)) and places[0] <= 2 and services - 1 <= places[-1] <= services
    for place, service in targets[1:]:
        assert service is not None and service.number == place - 1 and service.protocol == protocol


def test_one_service_has_no_second_protocol() -> None:
    with pytest.raises(ValueError, match="udp"):
        Load(1, 1).targets("udp")
