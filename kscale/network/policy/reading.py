"""Reads what decides who reaches whom: pods, namespaces, nodes and NetworkPolicies of a dump."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from kscale.errors import InputError
from kscale.network.policy import models
from kscale.network.policy.addresses import Address, Network, address_of, given_out
from kscale.network.policy.ends import Pod, Port
from kscale.network.policy.policies import PROTOCOLS, Policy, policy_of, port_name, port_number
from kscale.state.manifests.faults import Item, full_name, need, one_of
from kscale.state.manifests.kinds import group_of
from kscale.state.manifests.models import Meta
from kscale.state.manifests.names import check_labels, check_name
from kscale.state.manifests.others import Plain
from kscale.state.manifests.pods import PHASES
from kscale.state.manifests.reading import ReadOptions, read_objects
from kscale.state.manifests.surroundings import NAMESPACE_LABEL

_ENDED = ("Succeeded", "Failed")
_KINDS = {
    "Pod": ("", msgspec.json.Decoder(models.Pod).decode),
    "Namespace": ("", msgspec.json.Decoder(Plain).decode),
    "Node": ("", msgspec.json.Decoder(models.Node).decode),
    "Service": ("", msgspec.json.Decoder(models.Service).decode),
    "NetworkPolicy": ("networking.k8s.io", msgspec.json.Decoder(models.NetworkPolicy).decode),
}
#: Calico's API, and that of the objects below it.
CALICO_GROUPS = ("projectcalico.org", "crd.projectcalico.org")
#: Kinds of other policies, by the ends of their names: what they do is not in the answer.
_OTHERS = ("NetworkPolicy", "NetworkPolicies", "NetworkSet", "AuthorizationPolicy")


@dataclass
class Cluster:
    """What was read.

    Attributes:
        namespaces: labels by name; each has its name as a label, as the API server sees to.
        nodes: addresses by name.
        services: ``namespace/name`` by the addresses of Services, which no policy ever sees.
        ended: pods that have run, and have no network any more.
        unnumbered: rows of pods that had no address, and were given one.
        ignored: how many objects of other kinds of policies there are.
        calico: objects of Calico's, and service accounts, as they stand in the input.
    """

    pods: list[Pod] = field(default_factory=list)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    nodes: dict[str, tuple[Address, ...]] = field(default_factory=dict)
    services: dict[Address, str] = field(default_factory=dict)
    policies: list[Policy] = field(default_factory=list)
    ended: int = 0
    unnumbered: list[int] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    calico: list[Item] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)


def read_cluster(paths: Sequence[str | Path], options: ReadOptions, block: Network) -> Cluster:
    """Return what files, folders or ``-`` (stdin) hold. Raises InputError and MachineError.

    ``block`` is where pods without an address get one.
    """
    inputs: list[str] = []
    return named(cluster_of(read_objects(paths, options, inputs), block), inputs)


def named(cluster: Cluster, inputs: list[str]) -> Cluster:
    """Return a cluster with the names of what it was read from. Raises InputError where there is nothing in it."""
    cluster.inputs = inputs
    if not cluster.pods and not cluster.policies:
        raise InputError("has no pods", file=", ".join(inputs)[:200], expected="pods and NetworkPolicies")
    return cluster


def cluster_of(items: Iterable[Item], block: Network) -> Cluster:
    """Return what objects hold. Raises InputError that names the object and the field.

    A pod without an address gets one of ``block``: in input order, the lowest that no pod and no node has. The same
    objects so give the same addresses.
    """
    cluster, seen = Cluster(), set[tuple[str, str, str]]()
    for item in items:
        group, decode = _KINDS.get(item.kind, ("", None))
        if decode is None or (item.api_version and group_of(item.api_version) != group):
            if item.kind == "ServiceAccount" or group_of(item.api_version) in CALICO_GROUPS:
                cluster.calico.append(item)
            if item.kind.endswith(_OTHERS):
                cluster.ignored[f"{item.kind}.{group_of(item.api_version)}"] += 1
            continue
        found = item.decode(decode)
        meta = getattr(found, "metadata", None) or Meta()
        namespaced = item.kind in ("Pod", "NetworkPolicy", "Service")
        namespace = (meta.namespace or "default") if namespaced else ""
        try:
            name = check_name(need(meta.name, "metadata.name", "a name"))
            if namespaced:
                check_name(namespace, "metadata.namespace", "namespace")
            if (item.kind, namespace, name) in seen:
                raise InputError("is there twice", expected="each object once")
            seen.add((item.kind, namespace, name))
            check_labels(meta.labels or {})
            _take(cluster, found, namespace, name)
        except InputError as error:
            item.refuse(error, full_name(namespace, meta.name))
    for pod in cluster.pods:
        cluster.namespaces.setdefault(pod.namespace, {NAMESPACE_LABEL: pod.namespace})
    _number(cluster, block)
    return cluster


def _take(cluster: Cluster, found: object, namespace: str, name: str) -> None:
    if isinstance(found, models.NetworkPolicy):
        cluster.policies.append(policy_of(found, namespace, name))
    elif isinstance(found, models.Node):
        cluster.nodes[name] = _node_addresses(found)
    elif isinstance(found, Plain):
        labels = (found.metadata.labels if found.metadata else None) or {}
        cluster.namespaces[name] = {**labels, NAMESPACE_LABEL: name}
    elif isinstance(found, models.Service):
        spec = found.spec or models.ServiceSpec()
        for i, text in enumerate((spec.cluster_ip, *(spec.cluster_ips or ()))):
            if text and text != "None":
                where = f"spec.clusterIPs[{i - 1}]" if i else "spec.clusterIP"
                cluster.services[address_of(text, where)] = f"{namespace}/{name}"
    elif isinstance(found, models.Pod):
        pod = pod_of(found, namespace, name)
        if pod is None:
            cluster.ended += 1
        else:
            cluster.pods.append(pod)


def pod_of(found: models.Pod, namespace: str, name: str) -> Pod | None:
    """Return a pod; None where it has run. Raises InputError with the field that is wrong."""
    spec, status = found.spec, found.status or models.PodStatus()
    if spec is None:
        raise InputError("is missing", field="spec", expected="the pod's spec")
    if status.phase and one_of(status.phase, PHASES, "status.phase") in _ENDED:
        return None
    # A container beside the others that is an init container by name (restartPolicy Always) listens all along.
    beside = [one if one.restart_policy == "Always" else models.Container() for one in spec.init_containers or ()]
    ports = []
    for part, containers in (("containers", spec.containers or ()), ("initContainers", beside)):
        for i, container in enumerate(containers):
            for j, port in enumerate(container.ports or ()):
                found_port = _port(port, f"spec.{part}[{i}].ports[{j}]")
                ports += [found_port] if found_port else []
    labels = dict((found.metadata.labels if found.metadata else None) or {})
    return Pod(
        namespace, name, labels, _addresses(status), spec.node_name or "", bool(spec.host_network), tuple(ports),
        spec.service_account_name or "default",
    )  # fmt: skip


def _port(port: models.ContainerPort, field: str) -> Port | None:
    number = port_number(port.container_port, f"{field}.containerPort")
    protocol = one_of(port.protocol or "TCP", PROTOCOLS, f"{field}.protocol")
    return Port(port_name(port.name, f"{field}.name"), protocol, number) if port.name else None


def _addresses(status: models.PodStatus) -> tuple[Address, ...]:
    """Return the addresses of a pod: ``podIP``, and of ``podIPs`` one of the other IP version."""
    texts = [("status.podIP", status.pod_ip)]
    texts += [(f"status.podIPs[{i}].ip", one.ip) for i, one in enumerate(status.pod_ips or ())]
    found: dict[int, Address] = {}
    for where, text in texts:
        if text:
            address = address_of(text, where)
            found.setdefault(address.version, address)
    return tuple(found.values())


def _node_addresses(node: models.Node) -> tuple[Address, ...]:
    """Return the addresses of a node; its names are none."""
    found = []
    for i, one in enumerate((node.status.addresses if node.status else None) or ()):
        if one.type in ("InternalIP", "ExternalIP") and one.address:
            found.append(address_of(one.address, f"status.addresses[{i}].address"))
    return tuple(found)


def _number(cluster: Cluster, block: Network) -> None:
    """Give each pod without an address one. Raises InputError where there are not enough."""
    cluster.unnumbered = [row for row, pod in enumerate(cluster.pods) if not pod.addresses]
    taken = [address for pod in cluster.pods for address in pod.addresses]
    taken += itertools.chain(*cluster.nodes.values())
    addresses = given_out(block, taken)
    for row in cluster.unnumbered:
        pod = cluster.pods[row]
        # A pod on its node's network has its node's addresses.
        known = cluster.nodes.get(pod.node, ()) if pod.host else ()
        if not known:
            address = next(addresses, None)
            if address is None:
                raise InputError(
                    f"'{block}' has no address left for {pod.namespace}/{pod.name}", field="--pod-cidr",
                    expected=f"a block for {len(cluster.unnumbered):,} pods that have no status.podIP",
                )  # fmt: skip
            known = (address,)
        cluster.pods[row] = replace(pod, addresses=known)
