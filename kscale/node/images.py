"""Images on nodes: which layers are there, pulls one after the other or side by side, and collection.

A node's layers are bits. Those of a pull are marked when it is asked for: what asks later for one of them has nothing
more to fetch, but waits. A pull goes on when its pod is deleted; its layers are there once all pulls of that sort on
the node are done.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.engine.clock import NEVER
from kscale.kernels import kernel


@kernel
def image_there(node: int, image: int, node_layers: Any, image_layers: Any) -> int:
    """Return 1 where the node has all layers of the image; an image that is not known is there."""
    if image >= 0:
        for word in range(image_layers.shape[1]):
            if image_layers[image, word] & ~node_layers[node, word] != 0:
                return 0
    return 1


@kernel
def missing_bytes(
    node: int, image: int, node_layers: Any, node_pulling: Any, image_layers: Any, layer_bytes: Any,
) -> int:  # fmt: skip
    """Return the bytes of the image's layers that the node has not, and that are not on their way."""
    total = 0
    for word in range(image_layers.shape[1]):
        missing = image_layers[image, word] & ~(node_layers[node, word] | node_pulling[node, word])
        place = 64 * word
        while missing != 0:
            if missing & np.uint64(1) != 0:
                total += layer_bytes[place]
            missing >>= np.uint64(1)
            place += 1
    return total


@kernel
def pull_image(
    node: int, image: int, at_us: int, node_layers: Any, node_pulling: Any, node_puller_us: Any, image_layers: Any,
    layer_bytes: Any, kubelet_pull_us: Any, kubelet_pull_bytes_per_s: Any, kubelet_unpack_bytes_per_s: Any,
) -> int:  # fmt: skip
    """Let the next free puller of the node pull the image, and return when that is done."""
    missing = missing_bytes(node, image, node_layers, node_pulling, image_layers, layer_bytes)
    puller, latest = 0, at_us
    for other in range(node_puller_us.shape[1]):
        latest = max(latest, node_puller_us[node, other])
        if node_puller_us[node, other] < node_puller_us[node, puller]:
            puller = other
    end = max(at_us, node_puller_us[node, puller]) + kubelet_pull_us[0]
    if missing > 0:
        # Seconds first: a thousand gigabytes times a million would leave int64.
        for rate in (kubelet_pull_bytes_per_s[0], kubelet_unpack_bytes_per_s[0]):
            end += missing // rate * 1_000_000 + missing % rate * 1_000_000 // rate
    for word in range(image_layers.shape[1]):
        if image_layers[image, word] & node_pulling[node, word] & ~node_layers[node, word] != 0:
            end = max(end, latest)
        node_pulling[node, word] |= image_layers[image, word] & ~node_layers[node, word]
    node_puller_us[node, puller] = end
    return end


@kernel
def fail_pull(node: int, at_us: int, node_puller_us: Any, kubelet_pull_us: Any) -> int:
    """Let the next free puller of the node try a pull that fails, and return when that is known."""
    puller = 0
    for other in range(node_puller_us.shape[1]):
        if node_puller_us[node, other] < node_puller_us[node, puller]:
            puller = other
    end = max(at_us, node_puller_us[node, puller]) + kubelet_pull_us[0]
    node_puller_us[node, puller] = end
    return end


@kernel
def puller_free(node: int, at_us: int, node_puller_us: Any) -> int:
    """Return when a pull that is asked for now begins."""
    free = NEVER
    for puller in range(node_puller_us.shape[1]):
        free = min(free, node_puller_us[node, puller])
    return max(free, at_us)


@kernel
def _keep_layers(
    node: int, word: int, layers: Any, node_layers: Any, node_pulling: Any, node_leaving: Any, node_image_bytes: Any,
    layer_bytes: Any,
) -> None:  # fmt: skip
    """Note that layers (a bit word) are there."""
    fresh = layers & ~node_layers[node, word]
    node_layers[node, word] |= layers
    node_pulling[node, word] &= ~layers
    node_leaving[node, word] &= ~layers
    place = 64 * word
    while fresh != 0:
        if fresh & np.uint64(1) != 0:
            node_image_bytes[node] += layer_bytes[place]
        fresh >>= np.uint64(1)
        place += 1


@kernel
def keep_image(
    node: int, image: int, node_layers: Any, node_pulling: Any, node_leaving: Any, node_image_bytes: Any,
    image_layers: Any, layer_bytes: Any,
) -> None:  # fmt: skip
    """Note that the layers of a pulled image are there."""
    for word in range(image_layers.shape[1]):
        _keep_layers(
            node, word, image_layers[image, word], node_layers, node_pulling, node_leaving, node_image_bytes,
            layer_bytes,
        )  # fmt: skip


@kernel
def leave_pull(
    node: int, image: int, done_us: int, node_layers: Any, node_leaving: Any, node_leaving_us: Any, image_layers: Any,
) -> None:  # fmt: skip
    """Let a pull go on by itself, which is done at ``done_us``."""
    for word in range(image_layers.shape[1]):
        node_leaving[node, word] |= image_layers[image, word] & ~node_layers[node, word]
    node_leaving_us[node] = max(node_leaving_us[node], done_us)


@kernel
def keep_left(
    node: int, now_us: int, node_layers: Any, node_pulling: Any, node_leaving: Any, node_leaving_us: Any,
    node_image_bytes: Any, layer_bytes: Any,
) -> None:  # fmt: skip
    """Note that the layers of pulls that went on by themselves are there, where all of these are done."""
    if 0 < node_leaving_us[node] <= now_us:
        for word in range(node_leaving.shape[1]):
            _keep_layers(
                node, word, node_leaving[node, word], node_layers, node_pulling, node_leaving, node_image_bytes,
                layer_bytes,
            )  # fmt: skip
        node_leaving_us[node] = 0


@kernel
def use_image(node: int, image: int, sign: int, now_us: int, node_image_users: Any, node_image_used_us: Any) -> None:
    """Count a pod that uses the image (1), or does so no more (-1); only where images are collected."""
    if 0 <= image < node_image_users.shape[1]:
        node_image_users[node, image] += sign
        node_image_used_us[node, image] = now_us


@kernel
def _drop_image(
    node: int, image: int, node_layers: Any, node_image_bytes: Any, image_layers: Any, layer_bytes: Any
) -> int:
    """Remove the layers that no other image of the node has; return their bytes."""
    freed = 0
    for word in range(image_layers.shape[1]):
        own = image_layers[image, word]
        for other in range(len(image_layers)):
            if other != image and image_there(node, other, node_layers, image_layers) != 0:
                own &= ~image_layers[other, word]
        own &= node_layers[node, word]
        node_layers[node, word] &= ~own
        place = 64 * word
        while own != 0:
            if own & np.uint64(1) != 0:
                freed += layer_bytes[place]
            own >>= np.uint64(1)
            place += 1
    node_image_bytes[node] -= freed
    return freed


@kernel
def collect(
    node: int, now_us: int, node_layers: Any, node_image_bytes: Any, node_image_other: Any, node_image_capacity: Any,
    node_image_users: Any, node_image_used_us: Any, image_layers: Any, layer_bytes: Any, kubelet_gc_high: Any,
    kubelet_gc_low: Any, kubelet_gc_age_us: Any,
) -> int:  # fmt: skip
    """Remove unused images, the one that was used longest ago first, until use is below the low threshold.

    Return the bytes that should have been freed and were not; 0 where all is well.
    """
    capacity = node_image_capacity[node]
    used = min(node_image_other[node] + node_image_bytes[node], capacity)
    if capacity <= 0 or used * 100 < capacity * kubelet_gc_high[0]:
        return 0
    wanted = used - capacity * kubelet_gc_low[0] // 100
    while wanted > 0:
        oldest = -1
        for image in range(node_image_users.shape[1]):
            free = (
                node_image_users[node, image] == 0 and now_us - node_image_used_us[node, image] >= kubelet_gc_age_us[0]
            )
            if free and image_there(node, image, node_layers, image_layers) != 0:
                if oldest < 0 or node_image_used_us[node, image] < node_image_used_us[node, oldest]:
                    oldest = image
        if oldest < 0:
            return wanted
        freed = _drop_image(node, oldest, node_layers, node_image_bytes, image_layers, layer_bytes)
        if freed == 0:
            # All of its layers belong to others: it goes without freeing anything, and is not looked at again.
            node_image_used_us[node, oldest] = now_us
        wanted -= freed
    return 0


@kernel
def collect_when_due(
    node: int, now_us: int, node_gc_us: Any, kubelet_gc_period_us: Any, node_layers: Any, node_image_bytes: Any,
    node_image_other: Any, node_image_capacity: Any, node_image_users: Any, node_image_used_us: Any, image_layers: Any,
    layer_bytes: Any, kubelet_gc_high: Any, kubelet_gc_low: Any, kubelet_gc_age_us: Any,
) -> None:  # fmt: skip
    """Collect images as they were at each of the node's times for that, up to now, since it was looked at last.

    This comes before whatever changes the node's images or their users, so that it may come late.
    """
    since, period = node_gc_us[node], kubelet_gc_period_us[0]
    while node_gc_us[node] <= now_us:
        due, bytes_ = node_gc_us[node], node_image_bytes[node]
        missed = collect(
            node, due, node_layers, node_image_bytes, node_image_other, node_image_capacity, node_image_users,
            node_image_used_us, image_layers, layer_bytes, kubelet_gc_high, kubelet_gc_low, kubelet_gc_age_us,
        )  # fmt: skip
        node_gc_us[node] = due + period
        if node_image_bytes[node] != bytes_:
            since = due
        elif missed == 0 or due - since >= kubelet_gc_age_us[0]:
            # All is well, or all is old enough: another look would find the same.
            node_gc_us[node] += ((now_us - node_gc_us[node]) // period + 1) * period
