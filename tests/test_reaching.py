"""Reaching: from manifests to who reaches whom; and what 10,000 pods under 1,000 policies may cost."""

from __future__ import annotations

import ipaddress
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import netpol as made
from kscale import reference
from kscale.errors import InputError
from kscale.network import proxies
from kscale.network.policy.bits import has
from kscale.network.policy.ends import ends_of
from kscale.network.policy.reach import Reach
from kscale.network.policy.reading import Cluster
from kscale.network.policy.rules import Question, rules_of
from kscale.reaching import Reaching, Whom, question_of, read, read_both
from kscale.state.manifests import ReadOptions
from tests.network.policy.making import Object, namespace, pod, policy, three

A: Object = {"matchLabels": {"pod": "a"}}
FROM_Y: Object = {"from": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]}
#: What 10,000 pods under 1,000 policies may take, in times of the reference kernel (a twentieth of a second or so).
MOST = 200


def cluster(folder: Path, objects: list[Object], **options: Any) -> Cluster:
    path = folder / "dump.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return read([path], ReadOptions(), **options)


def whom(text: str) -> Whom:
    return Whom("--to", address=ipaddress.ip_address(text))


def test_ports_in_words(tmp_path: Path) -> None:
    found = cluster(tmp_path, three())
    assert question_of("80", found) == Question("TCP", 80)
    assert question_of("53/udp", found) == Question("UDP", 53)
    assert question_of("serve-81-sctp/SCTP", found) == Question("SCTP", "serve-81-sctp")
    with pytest.raises(InputError, match="no pod has a port named serve-81-sctp/TCP; did you mean 'serve-81-tcp'"):
        question_of("serve-81-sctp", found)


def test_by_namespace_and_address(tmp_path: Path) -> None:
    found = cluster(tmp_path, [*three(), policy("x", "p", podSelector=A, ingress=[FROM_Y])])
    assert Reaching(found, Question()).by_namespace() == [
        ("x", "x", 4, 6), ("x", "y", 9, 9), ("x", "z", 9, 9), ("y", "x", 9, 9), ("y", "y", 6, 6), ("y", "z", 9, 9),
        ("z", "x", 6, 9), ("z", "y", 9, 9), ("z", "z", 6, 6),
    ]  # fmt: skip
    away = Reaching(found, Question(), Whom("--from", address=ipaddress.ip_address("192.0.2.7")))
    assert away.by_namespace() == [("192.0.2.7", "x", 2, 3), ("192.0.2.7", "y", 3, 3), ("192.0.2.7", "z", 3, 3)]
    assert away.pairs == 9 and Reaching(found, Question()).pairs == 72


def test_an_address_is_who_has_it(tmp_path: Path) -> None:
    node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    node["status"] = {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}
    objects = [
        pod("x", "a", {}, ["10.1.0.1"], node="n1"), pod("x", "b", {}, ["10.1.0.2"], node="n2"), node,
        pod("x", "host", {}, ["192.0.2.2"], node="n2", hostNetwork=True), policy("x", "deny"),
    ]  # fmt: skip
    found = cluster(tmp_path, objects)
    assert Reaching(found, Question(), whom("10.1.0.2")).sources.tolist() == [1]
    # A node's address reaches that node's pods and no others: of a Node object, or of a pod on its network.
    for address, reached in (("192.0.2.1", [True, False]), ("192.0.2.2", [False, True]), ("192.0.2.3", [False, False])):
        one = Reaching(found, Question(), whom(address))
        assert one.sources.tolist() == [3] and one.ends.names[3] == address
        assert one.reach.reaches(np.array([3, 3]), np.array([0, 1])).tolist() == reached
    same = Reaching(found, Question(), whom("192.0.2.9"), whom("192.0.2.9"))
    assert same.sources.tolist() == same.destinations.tolist() == [3] and same.pairs == 0


def test_the_ip_version(tmp_path: Path) -> None:
    six = cluster(tmp_path, [pod("x", "a", {}, ["fd00::1"]), pod("x", "b", {}, ["fd00::2"])])
    assert Reaching(six, Question()).version == 6 and Reaching(six, Question()).reach.matrix().tolist() == [[3], [3]]
    both = cluster(tmp_path, three())
    assert Reaching(both, Question()).version == 4
    assert Reaching(both, Question(), whom("fd01::2:1")).version == 6
    assert Reaching(both, Question(), version=6).version == 6


def test_what_a_packet_passes(tmp_path: Path) -> None:
    found = cluster(tmp_path, [*three(), policy("x", "p", podSelector=A, ingress=[FROM_Y])])
    a, b, y = (Whom("--to", namespace=ns, name=name) for ns, name in (("x", "a"), ("x", "b"), ("y", "a")))
    steps = Reaching(found, Question("TCP", "serve-81-tcp"), y, a).path()
    assert steps[-1] == "x/a receives" and steps[2] == "routing: to x/a, port 81/TCP"
    assert Reaching(found, Question(), b, a).path()[-1] == "dropped"
    bare = cluster(tmp_path, [*three(), pod("x", "bare", ips=["10.1.0.9"])])
    assert Reaching(bare, Question("TCP", "serve-80-tcp"), a, Whom("--to", namespace="x", name="bare")).path() == ()


def test_what_kube_proxy_does_stands_before_the_policies(tmp_path: Path) -> None:
    spec = {"clusterIP": "10.96.0.9", "selector": {"pod": "a"}, "ports": [{"port": 9, "targetPort": "serve-81-tcp"}]}
    web = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "x"}, "spec": spec}
    cluster(tmp_path, [*three(), policy("x", "p", podSelector=A, ingress=[FROM_Y]), web])
    found, dump = read_both([tmp_path], ReadOptions())
    a, b, y = (Whom("--to", namespace=ns, name=name) for ns, name in (("x", "a"), ("x", "b"), ("y", "a")))
    reaching = Reaching(found, Question("TCP", "serve-81-tcp"), y, a)
    translation = reaching.translated(dump, proxies.found()["nftables"], {}, None, None)
    assert (translation.service, translation.packet) == ("x/web:9/TCP", "hit")
    steps = reaching.path(translation)
    assert steps[2] == f"kube-proxy, nat PREROUTING: {translation.steps[0][1]}"
    assert steps[2 + len(translation.steps)] == "routing: to x/a, port 81/TCP" and steps[-1] == "x/a receives"
    # What another one sends is dropped behind the same steps.
    other = Reaching(found, Question("TCP", 81), b, a)
    assert other.path(other.translated(dump, proxies.found()["nftables"], {}, None, None))[-1] == "dropped"
    with pytest.raises(InputError, match="field '--mode': is userspace"):
        reaching.translated(dump, proxies.found()["userspace"], {}, None, None)
    with pytest.raises(InputError, match="field '--packet': is node-port"):
        reaching.translated(dump, proxies.found()["iptables"], {}, "node-port", None)


def test_pods_are_given_addresses_where_it_is_said(tmp_path: Path) -> None:
    egress = policy("x", "p", egress=[{"to": [{"ipBlock": {"cidr": "172.16.0.0/12"}}]}])
    objects = [namespace("x"), pod("x", "a"), pod("x", "b"), egress]
    assert Reaching(cluster(tmp_path, objects), Question()).by_namespace() == [("x", "x", 0, 2)]
    inside = cluster(tmp_path, objects, pod_cidr="172.16.0.0/16")
    assert Reaching(inside, Question()).by_namespace() == [("x", "x", 0, 2)]
    open_ingress = policy("x", "q", ingress=[{}])
    assert Reaching(cluster(tmp_path, [*objects, open_ingress]), Question()).by_namespace() == [("x", "x", 0, 2)]
    inside = cluster(tmp_path, [*objects, open_ingress], pod_cidr="172.16.0.0/16")
    assert Reaching(inside, Question()).by_namespace() == [("x", "x", 2, 2)]


@pytest.mark.parametrize("own", [False, True], ids=["alike", "own"])
def test_ten_thousand_pods_under_a_thousand_policies(own: bool) -> None:
    rng = np.random.default_rng(1)
    pods, policies = made.pods_of(10_000, rng), made.policies_of(1_000, rng, own=own)
    began = time.process_time()
    ends = ends_of(pods, made.namespaces(), policies)
    rules = rules_of(policies, ends)
    found = Reach(rules, ends, Question())
    matrix = found.matrix()
    seconds = time.process_time() - began
    assert seconds < MOST * reference.seconds()
    assert matrix.nbytes < 12.6e6
    reached, pairs = found.counts(ends.namespace, ends.namespace, len(ends.namespaces))
    assert int(np.bitwise_count(matrix).sum()) - 10_000 == reached.sum() and pairs.sum() == 10_000 * 9_999
    # Some pairs one by one, by the rules' own columns.
    source, target = rng.integers(0, 10_000, (2, 300))
    for s, t in zip(source.tolist(), target.tolist(), strict=True):
        assert bool(has(matrix, s, t)) == (s == t or all(allowed(rules, found, s, t, side) for side in (0, 1)))


def allowed(rules: Any, found: Reach, source: int, target: int, side: int) -> bool:
    subject, other = ((target, source), (source, target))[side]
    isolating = rules.isolates[:, side] & has(rules.sets, rules.policy_subjects, subject)
    mine = (rules.direction == side) & isolating[rules.policy]
    good = has(rules.sets, rules.peers, other) & has(found.open, rules.ports, target)
    return not isolating.any() or bool((mine & good).any())


def test_memory_is_bounded() -> None:
    rng = np.random.default_rng(1)
    pods, policies = made.pods_of(10_000, rng), made.policies_of(300, rng)
    ends = ends_of(pods, made.namespaces(), policies)
    rules = rules_of(policies, ends)
    tracemalloc.start()
    try:
        found = Reach(rules, ends, Question())
        found.matrix()
        found.counts(ends.namespace, ends.namespace, len(ends.namespaces))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The matrix as bytes would be 100 MB, and each step that unpacks takes 16 MiB and what it makes of that.
    assert peak < 90e6
