"""The rules for nft: as many rules, chains and entries as the model counts."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network import proxies
from kscale.network.measuring.backends import nftables
from kscale.network.measuring.layout import Load
from kscale.network.ports import Ports


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.integers(1, 25))
def test_there_is_as_much_as_the_model_counts(services: int, endpoints: int) -> None:
    case = proxies.case(proxies.found()["nftables"], Ports.uniform(services, endpoints))
    made = case.mode.structure(case)
    (command,) = nftables.NFTABLES.full(Load(services, endpoints))
    text = command.text
    assert text.count("\nadd rule ") == made.rules["kube-proxy"]
    assert text.count("\nadd chain ") == made.chains["kube-proxy"]
    for name in ("cluster-ips", "service-ips", "nodeport-ips"):
        assert text.count(f"add element ip kube-proxy {name} ") == made.elements[name]
    maps = re.findall(r"numgen random mod (\d+) vmap \{ (.*) \}", text)
    assert len(maps) == made.anonymous_maps
    assert sum(entries.count(" : goto ") for _, entries in maps) == made.anonymous_elements
    assert all(int(count) == endpoints for count, _ in maps)


def test_a_change_is_a_service_more() -> None:
    assert nftables.NFTABLES.change is not None
    (command,) = nftables.NFTABLES.change(Load(20, 3), 4)
    assert command.text.count("add rule") == 2 + 2 * 3 and "service-24/" in command.text
    assert "service-23/" not in command.text
