"""Fills the room's tables: containers, images and claims of templates, what nodes have, a runtime's figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from kscale.kernels import plain_form
from kscale.node.chance import RELIST, bits_of
from kscale.node.columns import BUCKETS, STEPS
from kscale.node.runtimes import Runtime
from kscale.node.runtimes.containerd import RUNTIME as CONTAINERD
from kscale.state.descriptions import NodeDescriptions, PodTemplate
from kscale.state.lives import ContainerLife, PodLife, Probe
from kscale.state.tables import Cluster

#: The dimensions of the room's tables, before they are filled.
SIZES = {
    "container": 0, "slot": 0, "image": 0, "layer": 0, "layerword": 0, "claimed": 0, "attached": 0, "startup": 0,
    "bucket": 0, "puller": 0, "collected": 0,
}  # fmt: skip
#: A kubelet looks at the runtime at a multiple of this, so that many nodes share their instants.
RELIST_STEP_US = 100_000
_PLAIN = ("kind", "restart", "prestop_us", "poststart_us", "run_us", "crash_millionths", "crash_mean_us", "crash_code",
          "ready_us", "hang_us", "stop_us", "pull_failures")  # fmt: skip
Layers = tuple[tuple[str, int], ...]


class _Images:
    """Images and layers, each with its row; an image whose layers nobody told is one layer."""

    def __init__(self, lives: Iterable[PodLife], nodes: NodeDescriptions | None) -> None:
        self.known = dict(nodes.images) if nodes is not None else {}
        told = {image: layers for life in lives for image, layers in life.layers}
        self.layers: dict[str, int] = {}
        self.sizes: list[int] = []
        self.rows: dict[str, int] = {}
        self.of: list[list[int]] = []
        for image in dict.fromkeys([*(c.image for life in lives for c in life.containers if c.image), *self.known]):
            size = self.known[image][1] if image in self.known else 0
            self.rows[image] = len(self.of)
            self.of.append([self._layer(name, bytes_) for name, bytes_ in told.get(image, ((image, size),))])

    def _layer(self, name: str, bytes_: int) -> int:
        row = self.layers.setdefault(name, len(self.sizes))
        if row == len(self.sizes):
            self.sizes.append(bytes_)
        return row

    def words(self, images: Iterable[int]) -> np.ndarray[Any, Any]:
        """Return the layers of images as bit words."""
        words = np.zeros(max(-(-len(self.sizes) // 64), 1), np.uint64)
        for layer in {layer for image in images for layer in self.of[image]}:
            words[layer // 64] |= np.uint64(1 << (layer % 64))
        return words


def fill(
    cluster: Cluster, templates: Sequence[PodTemplate], *, nodes: NodeDescriptions | None = None,
    runtime: Runtime = CONTAINERD, pullers: int = 1, collects: bool = False,
) -> None:  # fmt: skip
    """Fill the room's tables for templates, the rows of ``template`` in order.

    Args:
        cluster: with ``SIZES`` among its dimensions; its seed is set.
        templates: those without a life have one container that runs until it is stopped.
        nodes: what images they have, and how large these are.
        runtime: of all nodes.
        pullers: pulls at a time and node: 1 for serializeImagePulls, else maxParallelImagePulls.
        collects: whether images are collected; then ``node_image_capacity`` says how much room they have.
    """
    lives = [template.life or PodLife() for template in templates]
    images = _Images(lives, nodes)
    containers = [(row, container) for row, life in enumerate(lives) for container in life.containers]
    claims = [(row, claim) for row, life in enumerate(lives) for claim in life.claims]
    attachments = {claim: row for row, claim in enumerate(dict.fromkeys(claim for _, claim in claims))}
    sizes = {
        "container": len(containers), "slot": max((len(life.containers) for life in lives), default=1),
        "image": len(images.of), "layer": len(images.sizes), "layerword": len(images.words(())),
        "claimed": len(claims), "attached": len(attachments), "startup": len(STEPS), "bucket": BUCKETS,
        "puller": pullers, "collected": len(images.of) if collects else 0,
    }  # fmt: skip
    for dimension, size in sizes.items():
        if size > cluster.sizes[dimension]:
            cluster.resize(dimension, size)
    _fill_templates(cluster, lives)
    for row, (_, container) in enumerate(containers):
        _fill_container(cluster, row, container, images)
    _fill_bounds(cluster, "container", [row for row, _ in containers], len(templates))
    _fill_bounds(cluster, "claimed", [row for row, _ in claims], len(templates))
    cluster.claimed_attached[: len(claims)] = [attachments[claim] for _, claim in claims]
    cluster.layer_bytes[: len(images.sizes)] = images.sizes
    for image in range(len(images.of)):
        cluster.image_layers[image] = images.words([image])
    _fill_nodes(cluster, images, nodes)
    for field in fields(runtime):
        if field.name.endswith("_us"):
            cluster.columns[f"kubelet_{field.name}"][0] = getattr(runtime, field.name)


def _fill_templates(cluster: Cluster, lives: Sequence[PodLife]) -> None:
    count = len(lives)
    cluster.template_grace_us[:count] = [life.grace_us for life in lives]
    cluster.template_volumes[:count] = [life.mounts for life in lives]
    cluster.template_own_claims[:count] = [life.own_claims for life in lives]
    cluster.template_static[:count] = [life.static for life in lives]
    cluster.template_host_network[:count] = [life.host_network for life in lives]
    cluster.template_restart[:count] = [life.restart_policy for life in lives]


def _fill_container(cluster: Cluster, row: int, container: ContainerLife, images: _Images) -> None:
    for name in _PLAIN:
        cluster.columns[f"container_{name}"][row] = getattr(container, name)
    cluster.container_image[row] = images.rows.get(container.image, -1)
    cluster.container_pulls[row] = 1 if container.always_pulls else 2 if container.never_pulls else 0
    cluster.container_code[row], cluster.container_oom_us[row] = container.exit_code, container.oom_us()
    probes = {"startup": container.startup, "liveness": container.liveness, "readiness": container.readiness}
    for kind, probe in probes.items():
        told = probe or Probe(period_us=0, timeout_us=0)
        cluster.columns[f"container_{kind}_period_us"][row] = told.period_us
        cluster.columns[f"container_{kind}_delay_us"][row] = told.delay_us
        cluster.columns[f"container_{kind}_timeout_us"][row] = min(told.timeout_us, told.period_us)
        cluster.columns[f"container_{kind}_failure"][row] = told.failure
    cluster.container_readiness_success[row] = container.readiness.success if container.readiness else 1


def _fill_bounds(cluster: Cluster, table: str, templates: list[int], count: int) -> None:
    rows, all_ = np.array(templates, np.int64), np.arange(count)
    cluster.columns[f"template_{table}_first"][:count] = np.searchsorted(rows, all_, "left")
    cluster.columns[f"template_{table}_last"][:count] = np.searchsorted(rows, all_, "right")


def _fill_nodes(cluster: Cluster, images: _Images, nodes: NodeDescriptions | None) -> None:
    steps, bits = max(int(cluster.kubelet_relist_us[0]) // RELIST_STEP_US, 1), plain_form(bits_of)
    with np.errstate(over="ignore"):
        for node in range(cluster.sizes["node"]):
            cluster.node_relist_us[node] = bits(node, 0, RELIST, cluster.cluster_seed) % steps * RELIST_STEP_US
    if nodes is None:
        return
    for row, there in enumerate(nodes.image_sets):
        words = images.words([images.rows[name] for name, _ in there])
        chosen = np.flatnonzero(nodes.image_set == row)
        cluster.node_layers[chosen] = words
        total = sum(images.sizes[layer] for layer in {k for name, _ in there for k in images.of[images.rows[name]]})
        cluster.node_image_bytes[chosen] = total
