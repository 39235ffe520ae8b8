"""What a packet passes: policies come after kube-proxy's translation and before masquerading."""

from __future__ import annotations

from kscale.network.policy.packet import packet_path
from tests.network.policy.making import outside, pod, reach

CONNTRACK = "a packet of a known connection, a reply too, keeps its translation and passes"
OBJECTS = [
    pod("x", "a", {}, ["10.1.0.1"], node="n1"), pod("x", "b", {}, ["10.1.0.2"], node="n1"),
    pod("x", "c", {}, ["10.1.0.3"], node="n2"), pod("x", "host", {}, ["192.0.2.1"], node="n1", hostNetwork=True),
]  # fmt: skip
ENDS = reach(OBJECTS, outside=(outside("198.51.100.1"),)).ends
A, B, C, HOST, AWAY = range(5)
PROXY = (
    ("nat PREROUTING", "KUBE-SERVICES finds 10.96.0.1:80"), ("nat PREROUTING", "DNAT to 10.1.0.3:8080"),
    ("filter FORWARD", "KUBE-FORWARD"),
)  # fmt: skip


def test_a_service_on_another_node() -> None:
    assert packet_path(ENDS, A, C, "8080/TCP", PROXY, masqueraded=True) == (
        "x/a sends, on node n1",
        f"conntrack, PREROUTING: {CONNTRACK}",
        "kube-proxy, nat PREROUTING: KUBE-SERVICES finds 10.96.0.1:80",
        "kube-proxy, nat PREROUTING: DNAT to 10.1.0.3:8080",
        "routing: to x/c, port 8080/TCP, on node n2",
        "policies, filter FORWARD: egress of x/a, to x/c, port 8080/TCP",
        "kube-proxy, filter FORWARD: KUBE-FORWARD",
        "kube-proxy, nat POSTROUTING: masqueraded, it goes on with its node's address",
        "the network between them",
        "policies, filter FORWARD: ingress of x/c, from a node's address, port 8080/TCP",
        "x/c receives",
    )


def test_on_one_node_both_policies_are_asked_before_masquerading() -> None:
    steps = packet_path(ENDS, A, B, "80/TCP", masqueraded=True)
    assert [step.partition(":")[0] for step in steps[3:]] == [
        "policies, filter FORWARD", "policies, filter FORWARD", "kube-proxy, nat POSTROUTING", "x/b receives"
    ]  # fmt: skip
    assert "from x/a" in steps[4]


def test_where_it_is_dropped_it_ends() -> None:
    assert packet_path(ENDS, A, C, "80/TCP", dropped="Egress")[-2:] == (
        "policies, filter FORWARD: egress of x/a, to x/c, port 80/TCP", "dropped"
    )  # fmt: skip
    for target in (B, C):
        steps = packet_path(ENDS, A, target, "80/TCP", dropped="Ingress")
        assert steps[-1] == "dropped" and "ingress of" in steps[-2]


def test_a_process_of_a_node_and_an_address_outside() -> None:
    steps = packet_path(ENDS, HOST, C, "80/TCP", PROXY)
    assert steps[1] == f"conntrack, OUTPUT: {CONNTRACK}" and steps[2].startswith("kube-proxy, nat OUTPUT: ")
    assert not any("egress of" in step for step in steps)
    steps = packet_path(ENDS, AWAY, C, "80/TCP", PROXY)
    assert steps[:2] == ("198.51.100.1 sends", "the network between them")
    assert steps[3].startswith("kube-proxy, nat PREROUTING: ")
    assert not any("egress of" in step for step in steps) and any("ingress of x/c" in step for step in steps)
    assert not any("ingress of" in step for step in packet_path(ENDS, A, AWAY, "443/TCP"))
    assert not any("ingress of" in step for step in packet_path(ENDS, C, HOST, "10250/TCP"))
    assert packet_path(ENDS, A, A, "80/TCP")[-1] == "x/a receives: no policy is asked of a pod and itself"
    assert packet_path(ENDS, HOST, A, "80/TCP")[-1] == "x/a receives: no policy is asked of a pod and its node"
    assert packet_path(ENDS, A, HOST, "80/TCP")[-1] == "x/host receives: no policy is asked of a pod and its node"


def test_what_comes_from_outside_is_masqueraded_behind_the_policies_of_the_endpoint_s_node() -> None:
    steps = packet_path(ENDS, AWAY, C, "80/TCP", PROXY, masqueraded=True)
    assert [step.partition(": ")[0] for step in steps[5:]] == [
        "routing", "policies, filter FORWARD", "kube-proxy, filter FORWARD", "kube-proxy, nat POSTROUTING",
        "x/c receives",
    ]  # fmt: skip
    assert "ingress of x/c, from 198.51.100.1" in steps[6]
    assert packet_path(ENDS, AWAY, C, "80/TCP", PROXY, "Ingress", masqueraded=True)[-1] == "dropped"
    assert packet_path(ENDS, AWAY, HOST, "80/TCP", PROXY)[-1] == "x/host receives"


def test_what_ipvs_sends_on_meets_policies_in_output() -> None:
    steps = packet_path(ENDS, A, C, "80/TCP", [("INPUT", "IPVS")], onward="filter OUTPUT")
    assert steps[2] == "kube-proxy, INPUT: IPVS" and steps[4].startswith("policies, filter OUTPUT: egress of x/a")
    assert steps[6].startswith("policies, filter FORWARD: ingress of x/c"), "its node forwards it"
    near = packet_path(ENDS, A, B, "80/TCP", [("INPUT", "IPVS")], onward="filter OUTPUT")
    assert [step.partition(": ")[0] for step in near[4:6]] == ["policies, filter OUTPUT"] * 2
    assert packet_path(ENDS, HOST, C, "80/TCP", [("INPUT", "IPVS")])[2] == "kube-proxy, OUTPUT: IPVS"
