"""``kscale netpol``: every form of the output, and wrong input."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Cli
from tests.network.policy.making import Object, namespace, pod, policy, three

A: Object = {"matchLabels": {"pod": "a"}}
B: Object = {"matchLabels": {"pod": "b"}}
FROM_B = policy("x", "from-b", podSelector=A, ingress=[{"from": [{"podSelector": B}], "ports": [{"port": 80}]}])
SERVICE: Object = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "x"},
    "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"]},
}  # fmt: skip


def write(folder: Path, objects: list[Object], name: str = "dump.json") -> None:
    (folder / name).write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    write(tmp_path, [*three(), FROM_B, SERVICE])
    return tmp_path


def reach(cli: Cli, *words: object) -> Any:
    done = cli("netpol", "reach", "-f", "dump.json", "-q", "-o", "json", *words)
    assert done.code == 0 and done.err == "", done.err
    assert yaml.safe_load(cli("netpol", "reach", "-f", "dump.json", "-q", *words, "-o", "yaml").out) == json.loads(
        done.out
    )
    return json.loads(done.out)


def test_one_pair_tells_all(cli: Cli, dump: Path) -> None:
    found = reach(cli, "--from", "x/b", "--to", "x/a", "--port", "81")
    assert found == {
        "from": "x/b", "to": "x/a", "port": "81/TCP", "family": "IPv4", "reaches": False,
        "why": "ingress of x/a: isolated by x/from-b, no rule allows x/b on 81/TCP; nearest is x/from-b ingress[0], "
        "which allows it on 80/TCP",
        "egress": {"passes": True, "isolated_by": [], "allowed_by": [], "nearest": None},
        "ingress": {
            "passes": False, "isolated_by": ["x/from-b"], "allowed_by": [],
            "nearest": "x/from-b ingress[0], which allows it on 80/TCP",
        },
        "packet": found["packet"],
    }  # fmt: skip
    assert found["packet"][0] == "x/b sends" and found["packet"][-1] == "dropped"
    done = cli("netpol", "reach", "-f", "dump.json", "--from", "x/b", "--to", "x/a", "--port", "serve-80-tcp")
    assert done.out.startswith(
        "x/b reaches x/a on port serve-80-tcp/TCP over IPv4\n  egress of x/b: passes\n    isolated by: no policy\n"
        "  ingress of x/a: passes\n    isolated by: x/from-b\n    allowed by: x/from-b ingress[0]\n"
        "  a packet, in order:\n    1. x/b sends\n"
    )
    blocked = cli("netpol", "reach", "-f", "dump.json", "--from", "x/c", "--to", "x/a").out
    assert "    nearest: x/from-b ingress[0], which allows others there\n" in blocked
    same = reach(cli, "--from", "x/a", "--to", "x/a")
    assert same["reaches"] is True and same["why"] == "x/a always reaches itself" and same["egress"] is None


def test_pairs(cli: Cli, dump: Path) -> None:
    found = reach(cli, "--to", "x/a")["pairs"]
    assert [one["from"] for one in found] == [f"{ns}/{p}" for ns in "xyz" for p in "abc"][1:]
    assert [one["from"] for one in found if one["reaches"]] == ["x/b"]
    assert len(reach(cli)["pairs"]) == 72
    one = reach(cli, "--from", "pod in (a, b)", "-n", "y", "--to", "pod=c")["pairs"]
    assert [(row["from"], row["to"]) for row in one] == [("y/a", "y/c"), ("y/b", "y/c")]
    text = cli("netpol", "reach", "-f", "dump.json", "--to", "x/a", "-o", "csv").out
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["reaches"] for row in rows] == ["yes" if row["from"] == "x/b" else "no" for row in rows]
    assert list(rows[0]) == ["from", "to", "reaches", "why"]
    assert "| x/b | x/a | yes |" in cli("netpol", "reach", "-f", "dump.json", "--to", "x/a", "-o", "markdown").out
    table = cli("netpol", "reach", "-f", "dump.json", "-o", "table").out
    assert table.startswith("65 of 72 pairs reach each other on port 80/TCP over IPv4\n")
    assert "(32 more rows with -o wide)" in table
    assert "more rows" not in cli("netpol", "reach", "-f", "dump.json", "-o", "wide").out


def test_namespaces_of_many(cli: Cli, tmp_path: Path) -> None:
    pods = [
        pod(ns, f"p{i}", {"pod": "ab"[i % 2]}, [f"10.{'xy'.index(ns)}.0.{i + 1}"]) for ns in "xy" for i in range(10)
    ]
    write(tmp_path, [namespace("x"), namespace("y"), *pods, FROM_B])
    expected = [
        {"from": "x", "to": "x", "reach": 5 * 9 + 5 * 5, "pairs": 90},
        {"from": "x", "to": "y", "reach": 100, "pairs": 100},
        {"from": "y", "to": "x", "reach": 50, "pairs": 100},
        {"from": "y", "to": "y", "reach": 90, "pairs": 90},
    ]
    assert reach(cli)["namespaces"] == expected
    assert reach(cli, "-n", "x")["namespaces"] == expected[:3]
    done = cli("netpol", "reach", "-f", "dump.json")
    assert done.out.startswith("310 of 380 pairs reach each other on port 80/TCP over IPv4\n")
    assert len(reach(cli, "--from", "192.0.2.7")["pairs"]) == 20


def test_addresses(cli: Cli, dump: Path) -> None:
    found = reach(cli, "--from", "192.0.2.7", "--to", "10.1.0.1")
    assert (found["from"], found["to"], found["reaches"]) == ("192.0.2.7", "x/a", False)
    found = reach(cli, "--from", "x/a", "--to", "2001:db8::1", "--port", "443")
    assert found["reaches"] is True and found["family"] == "IPv6"
    assert reach(cli, "--from", "x/a", "--to", "x/b", "--family", "IPv6")["family"] == "IPv6"


def test_rules(cli: Cli, tmp_path: Path) -> None:
    objects = [pod("x", name, {"pod": name}, [f"10.1.0.{n}"], node=f"n{n % 2}") for n, name in enumerate("abc", 1)]
    write(tmp_path, [*objects, FROM_B])
    done = cli("netpol", "rules", "-f", "dump.json", "-o", "json")
    assert done.code == 0 and done.err == ""
    rows = {row.pop("node"): row for row in json.loads(done.out)["nodes"]}
    assert rows["n1"] == {
        "endpoints": 2, "isolated": 1, "policies": 1, "chains": 5, "rules": 2 * 18 + 4 + 2, "sets": 1, "members": 1,
        "longest": 14,
    }  # fmt: skip
    assert rows["n0"]["policies"] == 0 and rows["n0"]["chains"] == 2 and rows["n0"]["longest"] == 10
    assert "n1" in cli("netpol", "rules", "-f", "dump.json").out


def test_notes(cli: Cli, tmp_path: Path) -> None:
    ended = pod("x", "ended")
    ended["status"] = {"phase": "Failed"}
    other = {"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "AdminNetworkPolicy", "metadata": {"name": "n"}}
    write(tmp_path, [pod("x", "a"), pod("x", "b", hostNetwork=True), ended, other])
    assert cli("netpol", "reach", "-f", "dump.json").err.splitlines() == [
        "note: 1 AdminNetworkPolicy.policy.networking.k8s.io are not looked at: only NetworkPolicy is",
        "note: there are no NetworkPolicies: all pods reach each other",
        "note: 1 pods have ended, and are left out",
        "note: 2 pods have no address yet, and are given one of --pod-cidr",
        "note: 1 pods are on their node's network: no policy isolates them, no selector sees them",
    ]
    assert cli("netpol", "reach", "-f", "dump.json", "-q").err == ""


def test_wrong_input_is_one_line(cli: Cli, dump: Path) -> None:
    bad = policy("x", "bad", ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/40"}}]}])
    write(dump, [*three(), bad], "bad.json")
    write(dump, [pod("x", "same"), pod("y", "same")], "two.json")
    for words, expected in (
        (("-f", "none.json"), "none.json: does not exist"),
        (
            ("-f", "bad.json"),
            "bad.json, item 13 (NetworkPolicy x/bad), field 'spec.ingress[0].from[0].ipBlock.cidr': '10.0.0.0/40' is",
        ),
        (("-f", "dump.json", "--from", "x/d"), "field '--from': there is no pod 'x/d'; did you mean 'x/"),
        (("-f", "dump.json", "--from", "a"), "field '--from': 'a' may be x/a, y/a, z/a; expected NAMESPACE/NAME"),
        (("-f", "dump.json", "--from", "x/a", "-n", "y"), "field '--from': 'x/a' is not in the namespace y"),
        (("-f", "dump.json", "--from", "x/"), "field '--from': names no pod"),
        (("-f", "dump.json", "--to", "pod=q"), "field '--to': selects no pod; expected one of the 9 pods read"),
        (("-f", "dump.json", "--to", "pod=a,,"), "field '--to': cannot be read at"),
        (("-f", "dump.json", "--to", "10.96.0.1"), "field '--to': 10.96.0.1 is the address of the Service x/s"),
        (
            ("-f", "dump.json", "--to", "10.1.0.1", "--from", "fd01::1"),
            "field '--from, --to': are addresses of two IP versions",
        ),
        (("-f", "dump.json", "--to", "10.1.0.1", "--family", "IPv6"), "field '--to': 10.1.0.1 is no IPv6 address"),
        (("-f", "dump.json", "--family", "IPv5"), "field '--family': there is no 'IPv5'; did you mean 'IPv"),
        (("-f", "dump.json", "--port", "0"), "field '--port': is 0; expected 1 to 65535"),
        (("-f", "dump.json", "--port", "80/ICMP"), "field '--port': 'ICMP' is not known"),
        (("-f", "dump.json", "--port", "web_1"), "field '--port': 'web_1' is no port name"),
        (
            ("-f", "dump.json", "--port", "serve-80-tpc"),
            "field '--port': no pod has a port named serve-80-tpc/TCP; did you mean 'serve-80-tcp'?",
        ),
        (("-f", "dump.json", "-n", "w"), "field '--namespace': there are no pods in 'w'"),
        (("-f", "dump.json", "--pod-cidr", "10.0.0.0"), "field '--pod-cidr': '10.0.0.0' is not a CIDR"),
    ):
        done = cli("netpol", "reach", *words)
        assert done.code == 2 and done.line.startswith(f"kscale: {expected}"), done.line
    done = cli("netpol", "reach", "-f", "two.json", "--to", "same")
    assert done.code == 2 and "'same' may be x/same, y/same" in done.line


def test_policies_without_pods(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path, [FROM_B])
    assert reach(cli) == {"pairs": []} and len(reach(cli, "--from", "192.0.2.7", "--to", "192.0.2.8")["packet"]) == 5
    assert cli("netpol", "rules", "-f", "dump.json", "-o", "csv").out.count("\n") == 1
    assert cli("netpol", "reach", "-f", "dump.json", "-o", "table").out.startswith("0 of 0 pairs reach each other")


WEB: Object = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "x"},
    "spec": {"clusterIP": "10.96.0.2", "selector": {"pod": "a"}, "ports": [{"port": 8080, "targetPort": 80}]},
}  # fmt: skip


def test_what_a_packet_passes_with_kube_proxy(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, [*three(), FROM_B, WEB])
    found = reach(cli, "--from", "x/b", "--to", "x/a", "--mode", "iptables", "--cache", "cold")
    assert found["proxy"] == {
        "mode": "iptables cold", "packet": "hit", "service": "x/web:8080/TCP",
        "mean_us": found["proxy"]["mean_us"], "proxy_us": found["proxy"]["proxy_us"],
    }  # fmt: skip
    assert 0 < found["proxy"]["proxy_us"] < found["proxy"]["mean_us"]
    steps = [step.partition(": ")[0] for step in found["packet"]]
    assert steps[2:7] == [*["kube-proxy, nat PREROUTING"] * 2, "kube-proxy, nat PREROUTING, at its end", "routing",
                          "policies, filter FORWARD"]  # fmt: skip
    assert "proxy" not in reach(cli, "--from", "x/b", "--to", "x/a")
    other = reach(cli, "--from", "x/b", "--to", "y/a", "--mode", "ipvs")["proxy"]
    assert (other["packet"], other["service"]) == ("other", None)
    text = io.TextIOWrapper(io.BytesIO((tmp_path / "dump.json").read_bytes()))
    monkeypatch.setattr("sys.stdin", text)
    done = cli("netpol", "reach", "-f", "-", "--from", "x/b", "--to", "x/a", "--mode", "nftables", "--service", "x/web")
    assert done.code == 0, done.err
    assert "kube-proxy nftables, a packet (hit) to x/web:8080/TCP: " in done.out
    page = (Path(__file__).parents[2] / "docs" / "network-policy.md").read_text()
    lines = page.partition("--mode iptables\nx/b reaches")[2].partition("```")[0].splitlines()[2:]
    told = cli("netpol", "reach", "-f", "dump.json", "--from", "x/b", "--to", "x/a", "--mode", "iptables").out
    assert len(lines) == 13 and told.splitlines()[-13:] == lines
    blocked = reach(cli, "--from", "192.0.2.7", "--to", "x/a", "--mode", "nftables")
    assert blocked["packet"][-1] == "dropped" and blocked["packet"][1] == "the network between them"


def test_what_is_wrong_about_kube_proxy_is_one_line(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path, [*three(), FROM_B, WEB])
    one = ("--from", "x/b", "--to", "x/a")
    for words, expected in (
        ((*one, "--packet", "hit"), "field '--packet': is about kube-proxy; expected --mode as well"),
        ((*one, "--option", "a=b"), "field '--option': is about kube-proxy"),
        ((*one, "--mode", "iptable"), "field '--mode': there is no 'iptable'; did you mean 'iptables'?"),
        (("--mode", "ipvs"), "field '--mode': is of one packet; expected one source and one destination"),
        ((*one, "--mode", "userspace"), "field '--mode': is userspace: kube-proxy itself opens the connection to x/a"),
        (
            (*one, "--mode", "ipvs", "--packet", "hit", "--port", "81"),
            "field '--packet': is hit, and no Service leads to x/a on 81/TCP; expected other",
        ),
    ):
        done = cli("netpol", "reach", "-q", "-f", "dump.json", *words)
        assert done.code == 2 and done.out == "" and done.err.count("\n") == 1, done.err
        assert done.err.startswith(f"kscale: {expected}"), done.err
