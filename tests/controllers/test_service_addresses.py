"""Addresses and node ports of Services: out of which band, what is refused, what is given back; and a plain twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.common.addresses import Band, Ranges
from kscale.controllers.common.allocating import lowest_free
from kscale.controllers.service_addresses import REFUSALS
from kscale.errors import InputError
from tests.controllers.services import one
from tests.controllers.world import Hand
from tests.living.stage import play, simulation, value
from tests.twin import service_addresses as twin

TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
FIRST, PORT = 1000, 300


def ip(text: str) -> int:
    number = 0
    for part in text.split("."):
        number = number * 256 + int(part)
    return number


def world(addresses: int = 30, ports: int = 20, first: int = FIRST) -> Hand:
    hand = Hand("service-addresses")
    hand.cluster.cluster_service_first[0], hand.cluster.cluster_service_addresses[0] = first, addresses
    hand.cluster.cluster_node_port_first[0], hand.cluster.cluster_node_ports[0] = PORT, ports
    return hand


def made(hand: Hand, name: str, *ports: int, type: int = 0, asked: tuple[int, ...] = (), **columns: Any) -> int:
    """Make a Service with ports, called by their places; ``asked`` are node ports that it states."""
    numbers = list(ports) or [80]
    given_ = {"port_number": numbers, "port_name": list(range(len(numbers))),
              "port_asked": [*asked, *[0] * (len(numbers) - len(asked))]}  # fmt: skip
    return hand.make("Service", name, type=type, **given_, **columns)


def node_ports(hand: Hand, service: int) -> list[int]:
    return hand.cluster.service_port_node[hand.cluster.object_row[service]].tolist()


def refusal(hand: Hand, service: int) -> str:
    return REFUSALS[hand.read(service, "refusal")]


@pytest.mark.parametrize(
    ("text", "first", "size", "static"),
    [
        # The examples of Kubernetes' documentation of both bands.
        ("10.96.0.0/24", "10.96.0.1", 254, 16), ("10.96.0.0/20", "10.96.0.1", 4094, 256),
        ("10.96.0.0/16", "10.96.0.1", 65534, 256), ("10.96.0.0/12", "10.96.0.1", 1048574, 256),
        ("10.0.0.0/28", "10.0.0.1", 14, 0),
    ],
)  # fmt: skip
def test_the_band_of_addresses_that_are_given_out_last(text: str, first: str, size: int, static: int) -> None:
    assert Ranges(text).address_band() == Band(ip(first), size, static)


@pytest.mark.parametrize(("text", "static"), [("30000-32767", 86), ("30000-30015", 0), ("30000-30100", 16),
                                              ("20000-30000", 128)])  # fmt: skip
def test_the_band_of_node_ports(text: str, static: int) -> None:
    band = Ranges(ports=text).port_band()
    assert (band.first, band.static) == (int(text[:5]), static)
    assert band.first + band.size - 1 == int(text[6:])


def test_the_columns_hold_the_default_ranges() -> None:
    cluster = Hand("service-addresses").cluster
    address, port = Ranges().address_band(), Ranges().port_band()
    assert (cluster.cluster_service_first[0], cluster.cluster_service_addresses[0]) == (address.first, address.size)
    assert (cluster.cluster_node_port_first[0], cluster.cluster_node_ports[0]) == (port.first, port.size)


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        (Ranges("10.96.0.0/33"), "field '--service-cluster-ip-range': '10.96.0.0/33' is no range; expected an IPv4"),
        (Ranges("10.96.0.1/12"), "field '--service-cluster-ip-range': '10.96.0.1/12' is no range"),
        (Ranges("fd00::/108"), "field '--service-cluster-ip-range': 'fd00::/108' is IPv6"),
        (Ranges("10.96.0.0/30"), "field '--service-cluster-ip-range': '10.96.0.0/30' has 4; expected 8 addresses or"),
        (Ranges(ports="30000"), "field '--service-node-port-range': '30000' is no range; expected ports from 1"),
        (Ranges(ports="30000-20000"), "field '--service-node-port-range': '30000-20000' is no range"),
        (Ranges(ports="60000-70000"), "field '--service-node-port-range': '60000-70000' is no range"),
    ],
)  # fmt: skip
def test_a_range_that_is_none_is_told_in_one_line(ranges: Ranges, told: str) -> None:
    with pytest.raises(InputError) as caught:
        ranges.address_band()
        ranges.port_band()
    assert told in str(caught.value)


def test_addresses_come_from_the_upper_band_first() -> None:
    hand = world(addresses=18)  # of 20 addresses the first 16 are given out last, the very first to nobody
    services = [made(hand, f"s{place}") for place in range(18)]
    hand.settle()
    given_ = [hand.read(service, "cluster_ip") - FIRST for service in services]
    assert given_ == [16, 17, *range(1, 16), -1 - FIRST]
    assert [refusal(hand, service) for service in services[-2:]] == ["", "range is full"]
    assert hand.read(services[-1], "refusals") == 1


def test_an_address_comes_back_and_goes_to_who_was_refused() -> None:
    hand = world(addresses=14)
    services = [made(hand, f"s{place}") for place in range(14)]
    hand.settle()
    assert refusal(hand, services[-1]) == "range is full"
    request_delete(hand, services[4])
    hand.settle()
    assert (hand.read(services[-1], "cluster_ip"), refusal(hand, services[-1])) == (FIRST + 5, "")


def request_delete(hand: Hand, service: int) -> None:
    from kscale.engine.requests import Requests

    requests = Requests()
    requests.delete_objects(one(0), one(service), hand.cluster.object_uid[one(service)])
    hand.world.apply(requests.asked[0], hand.now)


def test_who_states_an_address_has_it_before_others() -> None:
    hand = world(addresses=14)
    drawn, stated = made(hand, "drawn"), made(hand, "stated", asked_ip=FIRST + 1)
    also = made(hand, "also", asked_ip=FIRST + 1)
    own = made(hand, "own", asked_ip=FIRST)
    server = hand.make("Service", "kubernetes", port_number=[443], asked_ip=FIRST)
    hand.settle()
    assert [hand.read(service, "cluster_ip") - FIRST for service in (drawn, stated, server)] == [2, 1, 0]
    for service in (also, own):
        assert (hand.read(service, "cluster_ip"), refusal(hand, service)) == (-1, "provided IP is already allocated")


def test_who_needs_no_address_gets_none_and_gives_it_back() -> None:
    hand = world()
    headless, named, third = made(hand, "a", headless=1), made(hand, "b", type=3), made(hand, "c", families=2)
    service = made(hand, "d", type=1)
    hand.settle()
    assert [hand.read(one_, "cluster_ip") for one_ in (headless, named, third)] == [-1, -1, -1]
    assert hand.read(service, "cluster_ip") == FIRST + 16 and node_ports(hand, service) == [PORT + 16]
    hand.write(service, type=0)
    hand.settle()
    assert hand.read(service, "cluster_ip") == FIRST + 16 and node_ports(hand, service) == [0]
    hand.write(service, type=3)
    hand.settle()
    assert hand.read(service, "cluster_ip") == -1


def test_ports_of_one_number_share_a_node_port() -> None:
    hand = world()
    service = made(hand, "dns", 53, 53, 80, type=1)
    stated = made(hand, "stated", 53, 53, type=1, asked=(0, PORT + 3))
    both = made(hand, "both", 53, 53, type=1, asked=(PORT + 5, PORT + 5))
    hand.settle()
    assert node_ports(hand, service) == [PORT + 16, PORT + 16, PORT + 17]
    assert node_ports(hand, stated)[:2] == [PORT + 3, PORT + 3]
    assert node_ports(hand, both)[:2] == [PORT + 5, PORT + 5]


def test_a_load_balancer_may_do_without_node_ports_and_has_one_for_health_checks() -> None:
    hand = world()
    whole = made(hand, "whole", type=2, external_policy=1)
    none = made(hand, "none", type=2, allocates=0)
    stated = made(hand, "stated", 80, 81, type=2, allocates=0, asked=(PORT + 1,), external_policy=1,
                  asked_health_port=PORT + 2)  # fmt: skip
    hand.settle()
    assert (node_ports(hand, whole)[:1], hand.read(whole, "health_port")) == ([PORT + 16], PORT + 17)
    assert (node_ports(hand, none), hand.read(none, "health_port")) == ([0, 0], 0)
    assert (node_ports(hand, stated), hand.read(stated, "health_port")) == ([PORT + 1, 0], PORT + 2)
    hand.write(whole, external_policy=0)
    hand.settle()
    assert hand.read(whole, "health_port") == 0


def test_a_node_port_stays_with_the_name_of_its_port() -> None:
    hand = world()
    service = made(hand, "web", 80, 443, type=1)
    hand.settle()
    assert node_ports(hand, service) == [PORT + 16, PORT + 17]
    hand.write(service, port_number=[8443, 90], port_name=[1, 7])
    hand.settle()
    assert node_ports(hand, service) == [PORT + 17, PORT + 16]


def test_who_is_refused_a_port_gets_no_address_either() -> None:
    hand = world()
    first = made(hand, "first", type=1, asked=(PORT + 1,))
    second = made(hand, "second", type=1, asked=(PORT + 1,))
    hand.settle()
    assert node_ports(hand, first) == [PORT + 1]
    assert (node_ports(hand, second), hand.read(second, "cluster_ip")) == ([0], -1)
    assert refusal(hand, second) == "provided port is already allocated"
    request_delete(hand, first)
    hand.settle()
    assert (node_ports(hand, second), refusal(hand, second)) == ([PORT + 1], "")


def test_a_range_of_any_size_costs_by_what_is_taken() -> None:
    band = Band(0, 1 << 50, 256)
    assert lowest_free(band, np.array([256, 258, 3, 1 << 49]), 3).tolist() == [257, 259, 260]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(-3, 45), max_size=50), st.integers(0, 40), st.integers(1, 40).flatmap(
        lambda size: st.tuples(st.just(size), st.integers(0, size))
    ),
)  # fmt: skip
def test_the_lowest_that_are_free_are_drawn_one_after_the_other(
    taken: list[int], count: int, range_: tuple[int, int]
) -> None:
    size, static = range_
    drawn, used, plain = [], set(taken), twin.Range(2, size, static)
    for _ in range(count):
        number = plain.draw(used)
        if number is not None:
            drawn.append(number)
            used.add(number)
    assert lowest_free(Band(2, size, static), np.array(taken, np.int64), count).tolist() == drawn


@st.composite
def services(draw: st.DrawFn) -> twin.Service:
    type_ = draw(st.sampled_from(["ClusterIP", "NodePort", "NodePort", "LoadBalancer", "ExternalName"]))
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
    reached = type_ in ("NodePort", "LoadBalancer")
    asked = st.sampled_from([0, 0, PORT, PORT + 1, PORT + 18]) if reached else st.just(0)
    ports = [twin.Port(draw(st.integers(1, 3)), name, draw(asked)) for name in names]
    ip_ = st.sampled_from([-1, -1, -1, FIRST, FIRST + 1, FIRST + 17])
    return twin.Service(
        type=type_, headless=type_ == "ClusterIP" and draw(st.booleans()), allocates=draw(st.booleans()),
        local=draw(st.booleans()), asked_ip=draw(ip_), ports=ports,
        asked_health=draw(st.sampled_from([0, 0, PORT, PORT + 2])) if type_ == "LoadBalancer" else 0,
    )  # fmt: skip


def columns_of(service: twin.Service) -> dict[str, Any]:
    ports = service.ports
    return {
        "type": TYPES.index(service.type), "headless": int(service.headless), "allocates": int(service.allocates),
        "external_policy": int(service.local), "asked_ip": service.asked_ip, "asked_health_port": service.asked_health,
        "port_number": [port.number for port in ports] + [0] * (3 - len(ports)),
        "port_name": [ord(port.name) for port in ports] + [-1] * (3 - len(ports)),
        "port_asked": [port.asked for port in ports] + [0] * (3 - len(ports)),
    }  # fmt: skip


def same(hand: Hand, object_: int, service: twin.Service) -> None:
    ports = [service.had.get(port.name, 0) for port in service.ports]
    assert node_ports(hand, object_) == ports + [0] * (3 - len(ports))
    assert (hand.read(object_, "cluster_ip"), hand.read(object_, "health_port"), refusal(hand, object_)) == (
        service.ip, service.health, service.refusal,
    )  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["new", "new", "write", "delete"]), st.lists(services(), min_size=1,
                max_size=6), st.integers(0, 20)), max_size=6), st.booleans())  # fmt: skip
def test_services_have_what_their_plain_twins_have(
    events: list[tuple[str, list[twin.Service], int]], wide: bool
) -> None:
    hand = world(addresses=40 if wide else 17, ports=30 if wide else 19)
    addresses = twin.Range(FIRST, 40 if wide else 17, 16)
    ports = twin.Range(PORT, 30 if wide else 19, 16)
    there: dict[int, twin.Service] = {}
    for what, drawn, which in events:
        if what == "new":
            for service in drawn:
                there[hand.make("Service", f"s{len(hand.world.names)}", **columns_of(service))] = service
            looked = drawn
        elif there:
            object_ = list(there)[which % len(there)]
            if what == "delete":
                request_delete(hand, object_)
                del there[object_]
                looked = []
            else:
                new = replace(
                    drawn[0], ip=there[object_].ip, health=there[object_].health, had=there[object_].had,
                    refusal=there[object_].refusal,
                )  # fmt: skip
                there[object_] = new
                hand.write(object_, **columns_of(new))
                looked = [new]
        else:
            continue
        uids = sorted(there, key=lambda found: int(hand.cluster.object_uid[found]))
        while True:
            before = [(s.ip, s.health, dict(s.had), s.refusal) for s in there.values()]
            at_work = [there[o] for o in uids if any(there[o] is s for s in looked) or there[o].refusal]
            twin.give(at_work, [s for s in there.values() if not any(s is o for o in at_work)], addresses, ports)
            after = [(s.ip, s.health, s.had, s.refusal) for s in there.values()]
            looked = [s for s, old, new in zip(there.values(), before, after, strict=True) if old != new]
            if not looked:
                break
        hand.settle()
        for object_, service in there.items():
            same(hand, object_, service)
    held = [s.ip for s in there.values() if s.ip >= 0]
    assert len(set(held)) == len(held)


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"port": 80}], **spec}}  # fmt: skip


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        ([service("a", clusterIP="10.112.0.1")],
         "(Service default/a), field 'spec.clusterIP': 10.112.0.1 is not in the range 10.96.0.0/12; expected an "
         "address in it, or another --service-cluster-ip-range"),
        ([service("a", clusterIP="10.96.0.1")], "(Service default/a), field 'spec.clusterIP': 10.96.0.1 is the API"),
        ([service("a", clusterIP="10.96.0.9"), service("b", clusterIP="10.96.0.9")],
         "(Service default/b), field 'spec.clusterIP': 10.96.0.9 is that of default/a; expected one of its own"),
        ([service("a", type="NodePort", ports=[{"port": 80, "nodePort": 80}])],
         "field 'spec.ports[0].nodePort': 80 is not in the range 30000-32767; expected a port in it, or another"),
        ([service(name, type="NodePort", ports=[{"port": 80, "nodePort": 30080}]) for name in "ab"],
         "(Service default/b), field 'spec.ports[0].nodePort': 30080 is that of default/a"),
        ([service("a", type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=30080,
                  ports=[{"port": 80, "nodePort": 30080}])],
         "field 'spec.healthCheckNodePort': 30080 is a node port too; expected one of its own"),
    ],
)  # fmt: skip
def test_what_services_state_is_theirs_and_in_its_range(objects: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(InputError) as caught:
        simulation(objects)
    assert told in str(caught.value)


def test_a_scenario_states_nothing_that_is_out_of_range() -> None:
    with pytest.raises(InputError, match=r"10\.0\.0\.1 is not in the range 10\.96\.0\.0/12"):
        simulation([service("a")], [{"at": 1, "apply": service("b", clusterIP="10.0.0.1")}])
    with pytest.raises(InputError, match="cannot be changed in a Service"):
        simulation(
            [service("a", clusterIP="10.96.0.9")], [{"at": 1, "apply": service("a", clusterIP="10.96.0.10")}]
        )  # fmt: skip


def test_a_whole_run_gives_and_takes_back() -> None:
    objects = [
        service("kubernetes", clusterIP="10.96.0.1"), service("web"), service("edge", type="NodePort"),
        service("static", clusterIP="10.96.1.1"),
    ]  # fmt: skip
    actions = [{"at": 60, "delete": "Service/edge"}, {"at": 120, "apply": service("next", type="NodePort")}]
    made_ = play(objects, actions, minutes=3)
    world_ = made_.living.world  # type: ignore[union-attr]
    found = {name: value(world_, "Service", name, "cluster_ip") for name in ("kubernetes", "web", "static", "next")}
    assert found == {"kubernetes": ip("10.96.0.1"), "web": ip("10.96.1.2"), "static": ip("10.96.1.1"),
                     "next": ip("10.96.1.3")}  # fmt: skip
    row = world_.cluster.object_row[world_.find("Service", "default", "next")]
    assert world_.cluster.service_port_node[row].tolist() == [30086]


def test_a_run_gives_out_of_the_ranges_that_it_is_told() -> None:
    ranges = Ranges("172.20.0.0/24", "31000-31100")
    objects = [service("kubernetes", clusterIP="172.20.0.1"), service("edge", type="NodePort")]
    made_ = play(objects, minutes=1, ranges=ranges)
    world_ = made_.living.world  # type: ignore[union-attr]
    assert value(world_, "Service", "edge", "cluster_ip") == ip("172.20.0.17")
    assert world_.cluster.service_port_node[:2].tolist() == [[0], [31016]]


def test_the_table_of_objects_says_why_a_service_has_no_address() -> None:
    objects = [service(name, type="NodePort") for name in ("first", "second")]
    made_ = play(objects, minutes=1, ranges=Ranges(ports="31000-31000"))
    told = made_.living.tables()["objects"].filter(kind="Service")  # type: ignore[union-attr]
    assert dict(zip(told["name"], told["refusal"], strict=True)) == {"first": None, "second": "range is full"}
    assert told["refused"].to_list() == [None, None]
