"""Service ports of a dump."""

from __future__ import annotations

import json

import pytest

from kscale.errors import InputError
from kscale.network.dump import dump_of, read_dump
from kscale.state.manifests.reading import ReadOptions, objects_of


def read(*found):
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": list(found)}).encode()
    return dump_of(objects_of(memoryview(text), "dump.json"))


def service(name, *ports, namespace="default", status=None, **spec):
    return {
        "kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": list(ports) or [{"port": 80}], **spec}, "status": status or {},
    }  # fmt: skip


def slice_of(of, *endpoints, name=None, ports=("",)):
    return {
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
        "metadata": {"name": name or f"{of}-1", "labels": {"kubernetes.io/service-name": of}},
        "endpoints": [{"addresses": [address], "nodeName": node} for address, node in endpoints],
        "ports": [{"name": one, "port": 80} for one in ports],
    }  # fmt: skip


def node(name, kernel=None, kubelet=None, system="linux"):
    info = {"kernelVersion": kernel, "kubeletVersion": kubelet, "operatingSystem": system}
    return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}, "status": {"nodeInfo": info}}


def test_services_with_their_slices_as_seen_from_the_node_with_most_endpoints():
    dump = read(
        service("web", {"port": 80, "name": "http"}, {"port": 443, "name": "https"}, {"port": 53, "protocol": "UDP"}),
        slice_of("web", ("10.0.0.1", "a"), ("10.0.0.2", "b"), ports=("http", "https")),
        slice_of("web", ("10.0.0.3", "b"), name="web-2", ports=("http",)),
        service("idle"),
        service("named", type="ExternalName", externalName="example.com"),
        service("peers", clusterIP="None"),
    )
    assert dump.ports.endpoints.tolist() == [3, 2, 0, 0]
    assert dump.ports.local_endpoints.tolist() == [2, 1, 0, 0]
    assert dump.ports.service.tolist() == [0, 0, 0, 1]
    assert dump.ports.protocol.tolist() == [0, 0, 1, 0]
    assert dump.node == "b"
    assert dump.origins == {"slices": 1, "nowhere": 1}
    assert dump.left_out == {"ExternalName": 1, "headless": 1}
    assert (dump.nodes, dump.kernel, dump.kubernetes) == (0, None, None)


def test_what_services_state():
    dump = read(
        service("a", type="NodePort", sessionAffinity="ClientIP", internalTrafficPolicy="Local"),
        service("b", type="LoadBalancer", externalTrafficPolicy="Local", externalIPs=["192.0.2.1", "192.0.2.2"],
                loadBalancerSourceRanges=["10.0.0.0/8"],
                status={"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}, {"hostname": "x"},
                                                     {"ip": "192.0.2.8", "ipMode": "Proxy"}]}}),
        service("c", {"port": 80, "nodePort": 30080}, {"port": 81}, type="LoadBalancer",
                allocateLoadBalancerNodePorts=False),
    )  # fmt: skip

    def column(name):
        return getattr(dump.ports, name).astype(int).tolist()

    assert column("node_port") == [1, 1, 1, 0]
    assert column("affinity") == column("internal_local") == [1, 0, 0, 0]
    assert column("external_local") == column("health_check") == column("source_ranges") == [0, 1, 0, 0]
    assert column("external_ips") == [0, 2, 0, 0] and column("load_balancer_ips") == [0, 1, 0, 0]


def test_without_slices_pods_count_and_without_pods_the_workloads():
    web = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-0", "labels": {"app": "web"}},
           "spec": {"nodeName": "a"}}  # fmt: skip
    template = {"metadata": {"labels": {"app": "api"}}}
    api = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "api"},
           "spec": {"replicas": 4, "template": template}}  # fmt: skip
    each = {"kind": "DaemonSet", "apiVersion": "apps/v1", "metadata": {"name": "each"}, "spec": {"template": template}}
    found = [service("web", selector={"app": "web"}), service("api", selector={"app": "api"}), web, api]
    assert read(*found).ports.endpoints.tolist() == [1, 4]
    assert read(*found, each, node("a"), node("b")).ports.endpoints.tolist() == [1, 6]
    assert read(*found).origins == {"pods": 1, "workloads": 1}
    assert read(*found, slice_of("web")).ports.endpoints.tolist() == [0, 4]


def test_the_oldest_linux_node_counts():
    dump = read(
        service("a"), node("a", "6.8.0-45-generic", "v1.34.1"), node("b", "5.15.0-100", "v1.33.4"),
        node("w", "10.0.20348.2966", "v1.30.0", "windows"), node("c"),
    )  # fmt: skip
    assert (dump.nodes, dump.kernel, dump.kubernetes) == (4, (5, 15), (1, 33))


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (service("a", {"port": 0}), "field 'spec.ports[0].port': is 0; expected 1 to 65535"),
        (service("a", {"port": 80, "nodePort": 70000}), "field 'spec.ports[0].nodePort': is 70000"),
        (service("a", {"port": 80, "protocol": "tcp"}), "field 'spec.ports[0].protocol': 'tcp' is not known"),
        (service("a", {"port": 80}, {"port": 80}), "field 'spec.ports[1]': 80/TCP is there twice"),
        (service("a", {"name": "x"}), "field 'spec.ports[0].port': is missing"),
        (service("a", ports=[]), "field 'spec.ports': is missing"),
        (service("a", type="Balancer"), "field 'spec.type': 'Balancer' is not known"),
        (service("a", sessionAffinity="Client"), "field 'spec.sessionAffinity': 'Client' is not known"),
        (service("a", internalTrafficPolicy="Here"), "field 'spec.internalTrafficPolicy': 'Here' is not known"),
        (service("a", selector={"app!": "x"}), "field 'spec.selector'"),
        (service("a", ports=3), "field 'spec.ports': is a whole number; expected a list"),
        (slice_of("a") | {"addressType": "IP"}, "field 'addressType': 'IP' is not known"),
        (node("a", "none"), "field 'status.nodeInfo.kernelVersion': 'none' is no version"),
        ({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d"}, "spec": {"replicas": -1}},
         "field 'spec.replicas': is -1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_the_object_and_the_field(found, line):
    with pytest.raises(InputError) as fault:
        read(found)
    assert line in str(fault.value) and "dump.json, item 1" in str(fault.value)


def test_objects_that_are_there_twice_and_dumps_without_services(tmp_path):
    with pytest.raises(InputError, match=r"item 2 \(Service default/a\): is there twice"):
        read(service("a"), service("a"))
    assert read(service("a"), service("a", namespace="b")).ports.endpoints.tolist() == [0, 0]
    path = tmp_path / "none.json"
    path.write_text(json.dumps(service("a", clusterIP="None")))
    with pytest.raises(InputError, match=r"has no Service with an address \(1 headless\); expected of kubectl get"):
        read_dump([path], ReadOptions())
