"""What kube-proxy does to a packet: which Service leads to an endpoint, and its steps in every mode."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.errors import InputError
from kscale.network import proxies
from kscale.network.dump import Dump
from kscale.network.proxies.common.paths import FORWARD, HOOKS, INPUT, PREROUTING, TRANSLATED
from kscale.network.translation import Endpoint, Translation, translated
from tests.network.policy.making import pod
from tests.network.test_dump import read, service, slice_of

WEB = {"app": "web"}
PODS = [
    pod("default", f"web-{n}", WEB, [f"10.0.0.{n}"], [{"name": "http", "containerPort": 8080}], node="a")
    for n in range(4)
]
DUMP = read(
    *PODS,
    service("web", {"port": 80, "targetPort": "http"}, selector=WEB, type="NodePort"),
    service("sticky", {"port": 80, "targetPort": 8080}, selector=WEB, sessionAffinity="ClientIP"),
    service("plain", {"port": 80}, selector=WEB),
    service("sliced", {"port": 443, "name": "s"}),
    slice_of("sliced", ("10.0.0.1", "a"), ("10.0.0.9", "b"), ports=("s",)),
    service("quiet"),
)
ONE = Endpoint("default/web-1", ("10.0.0.1",), 8080, "TCP", {"http": 8080})


def of(mode: str = "iptables", dump: Dump = DUMP, endpoint: Endpoint = ONE, **more) -> Translation:
    return translated(proxies.found()[mode], more.pop("options", {}), dump, endpoint, **more)


def at(port: int, protocol: str = "TCP", address: str = "10.0.0.1", name: str = "default/web-1") -> Endpoint:
    return Endpoint(name, (address,), port, protocol, {"http": 8080})


def test_which_service_leads_there() -> None:
    assert [str(one) for one in DUMP.listed] == [
        "default/web:80/TCP", "default/sticky:80/TCP", "default/plain:80/TCP", "default/sliced:443/TCP",
        "default/quiet:80/TCP",
    ]  # fmt: skip
    leading = {
        where: [one.service.removeprefix("default/") for one in DUMP.listed if endpoint.behind(one)]
        for where, endpoint in {
            "pod": ONE, "by number": at(80), "another": at(81), "udp": at(8080, "UDP"),
            "elsewhere": at(80, address="10.0.0.9", name="10.0.0.9"),
        }.items()
    }  # fmt: skip
    assert leading == {
        "pod": ["web", "sticky"], "by number": ["plain", "sliced"], "another": [], "udp": [], "elsewhere": ["sliced"]
    }  # fmt: skip
    assert of().service == "default/web:80/TCP" and of().packet == "hit"
    assert of(service="default/sticky").packet == "affinity-new", "its clients stick"
    assert of(packet="affinity-stuck").service == "default/sticky:80/TCP", "the first that has it"
    assert (of(endpoint=at(81)).packet, of(endpoint=at(81)).service) == ("other", "")


@pytest.mark.parametrize("mode", sorted(proxies.found()))
@pytest.mark.parametrize("packet", proxies.PACKETS)
def test_steps_are_those_of_the_mode_in_the_order_of_netfilter(mode: str, packet: str) -> None:
    found = of(mode, packet=packet)
    hooks = [HOOKS.index(where) for where, _ in found.steps]
    assert hooks == sorted(hooks) and found.steps
    row = next((row for row, one in enumerate(DUMP.listed) if str(one) == found.service), None)
    weights = None if row is None else np.eye(len(DUMP.listed))[row]
    path = proxies.found()[mode].first(proxies.case(proxies.found()[mode], DUMP.ports, weights=weights), packet)
    assert path is not None
    assert (found.mean_us, found.proxy_us) == (path.mean_us, path.proxy_us)
    told = {what.rpartition(":")[0] for _, what in found.steps}
    spoken = ("the node, from device to device", "conntrack, a new entry", "masquerading")
    assert told == {step.name for step in path.steps} - set(spoken)


def test_where_steps_are() -> None:
    assert [where for where, _ in of().steps] == [PREROUTING, PREROUTING, TRANSLATED, FORWARD]
    assert of().steps[0][1] == "KUBE-SERVICES, to the service: 2.5 rules, 0.05 us", "any place among four"
    assert {where for where, _ in of("ipvs").steps} == {PREROUTING, INPUT}
    assert [of(mode).onward for mode in ("iptables", "ipvs", "nftables", "userspace")] == [
        FORWARD, "filter OUTPUT", FORWARD, ""
    ]  # fmt: skip
    assert of("ipvs", packet="other").onward == of("userspace", packet="other").onward == FORWARD
    assert of(options={"backend": "nft"}).mode == "iptables nft"


def test_who_is_masqueraded() -> None:
    local = read(
        *PODS,
        service(
            "web", {"port": 80, "targetPort": "http"}, selector=WEB, type="NodePort", externalTrafficPolicy="Local"
        ),
    )
    assert of(packet="node-port").masqueraded and not of(packet="node-port", dump=local).masqueraded
    assert of(outside=True).masqueraded and not of().masqueraded
    assert not of(packet="other", outside=True).masqueraded


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"packet": "hti"}, "field '--packet': there is no 'hti'; did you mean 'hit'?"),
        (
            {"packet": "hit", "endpoint": at(81)},
            "is hit, and no Service leads to default/web-1 on 81/TCP; expected other",
        ),
        ({"packet": "node-port", "endpoint": at(80)}, "is node-port, and no Service with that leads to default/web-1"),
        ({"packet": "other", "service": "default/web"}, "field '--packet': is other, to no Service's address"),
        ({"service": "default/wbe"}, "field '--service': there is no 'default/wbe'; did you mean 'default/web'?"),
        ({"service": "default/plain"}, "does not lead to default/web-1 on 8080/TCP; expected one of default/sticky, d"),
        ({"service": "default/web", "endpoint": at(81)}, "expected none: no Service does"),
        ({"options": {"speed": "high"}}, "the mode iptables has no option 'speed'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(more: dict[str, object], line: str) -> None:
    with pytest.raises(InputError) as caught:
        of(**more)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_local_policy_without_an_endpoint_on_the_node() -> None:
    local = read(
        *[pod("default", f"web-{n}", WEB, [f"10.0.0.{n}"], node="a") for n in (2, 3)],
        *[pod("default", "one", {"app": "one"}, ["10.0.0.1"], node="b")],
        service("web", selector=WEB), service("one", selector={"app": "one"}, internalTrafficPolicy="Local"),
    )  # fmt: skip
    with pytest.raises(InputError, match="is hit, and a has no endpoint of default/one:80/TCP"):
        of(dump=local, endpoint=at(80, name="default/one"), packet="hit")
