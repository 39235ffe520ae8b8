"""Virtual servers, entries and addresses: as many as the model counts. No kernel with IPVS was at hand to load them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network import proxies
from kscale.network.measuring.backends import ipvs
from kscale.network.measuring.layout import Load
from kscale.network.ports import Ports


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.integers(1, 25))
def test_there_is_as_much_as_the_model_counts(services: int, endpoints: int) -> None:
    case = proxies.case(proxies.found()["ipvs"], Ports.uniform(services, endpoints))
    made, load = case.mode.structure(case), Load(services, endpoints)
    texts = {command.words[0]: command.text for command in ipvs.IPVS.full(load)}
    assert texts["ipvsadm"].count("-A ") == made.virtual_servers
    assert texts["ipvsadm"].count("-a ") == made.real_servers
    assert texts["ipset"].count("add KUBE-CLUSTER-IP ") == made.elements["KUBE-CLUSTER-IP"]
    assert texts["ip"].count("addr add ") == made.addresses


def test_a_change_is_a_service_more() -> None:
    assert ipvs.IPVS.change is not None
    load = Load(5, 2)
    texts = [" ".join((*command.words, command.text)) for command in ipvs.IPVS.change(load, 1)]
    assert all(load.service(6).ip in text for text in texts) and texts[2].count("-a ") == 2
