"""Calico's IPAM: pools are cut into blocks, nodes claim blocks, pods take addresses of their node's blocks.

A node claims a block with its first pod, and a further one when those it has are full. When no block is left, or the
node may have no more, a pod borrows an address of another node's block, unless strict affinity forbids it. Addresses
that are given back are used again last.

Which block a node claims, and from which it borrows, Calico draws by a hash of its name; here it is the lowest. That
changes which addresses pods have, and neither how many blocks there are nor how full they get.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kscale.errors import InputError
from kscale.network.calico.compiled import passes
from kscale.network.calico.ipam_blocks import CLAIMED, NO_ADDRESS, NO_BLOCK
from kscale.network.calico.parameters import values

Ints = npt.NDArray[np.int64]
Pool = ipaddress.IPv4Network | ipaddress.IPv6Network
_LARGEST_BLOCK = 1 << 12


@dataclass(frozen=True)
class Given:
    """Addresses of a batch of pods; every array has the shape (pods,).

    Attributes:
        block: the block, -1 where the pod has no address.
        ordinal: the place in the block, -1 where it has none.
        reason: 0, or why it has none: ``NO_BLOCK`` (strict affinity), ``NO_ADDRESS``.
    """

    block: Ints
    ordinal: Ints
    reason: Ints


@dataclass(frozen=True)
class Figures:
    """How addresses are used.

    Attributes:
        blocks: blocks claimed by each node, shape (nodes,).
        used: addresses in use.
        claimed_share: of the addresses of claimed blocks, how many are in use; 0 where none is claimed.
        pool_share: of all addresses of the pools.
        borrowed: addresses in use on another node than their block's, as told by ``borrowed_by``.
        routes: routes that nodes tell each other: one for a block, one for a borrowed address (/32, /128).
    """

    blocks: Ints
    used: int
    claimed_share: float
    pool_share: float
    borrowed: int
    routes: int


def pool_of(text: str, block_prefix: int) -> Pool:
    """Return an IP pool, written as a CIDR. Raises InputError where it is none, or smaller than a block."""
    try:
        pool = ipaddress.ip_network(text)
    except ValueError:
        raise InputError(
            f"'{text[:80]}' is not a CIDR", field="pool", expected="a block of addresses, such as 192.168.0.0/16"
        ) from None
    if not pool.prefixlen <= block_prefix <= pool.max_prefixlen:
        raise InputError(
            f"blocks of /{block_prefix} do not fit into {pool}", field="pool",
            expected=f"a prefix of at most /{block_prefix}",
        )  # fmt: skip
    return pool


class Ipam:
    """Blocks of one IP version, and who has what of them."""

    def __init__(
        self, nodes: int, pools: Sequence[str], *, strict_affinity: bool = False, blocks_per_node: int | None = None,
        block_prefix: int | None = None, overrides: Mapping[str, int] | None = None, compiled: bool = True,
    ) -> None:  # fmt: skip
        """Begin with no address given out.

        Args:
            nodes: how many nodes there are.
            pools: CIDRs of one IP version that do not overlap, in the order in which they are used.
            strict_affinity: whether a pod may only have an address of its node's own blocks (IPAMConfig).
            blocks_per_node: most blocks of a node (IPAMConfig maxBlocksPerHost); None is no limit.
            block_prefix: the prefix of a block; None is the default, /26 and /122.
            overrides: values of parameters by name.
            compiled: whether kernels run compiled or as plain Python, with equal results.

        Raises InputError.
        """
        if not pools:
            raise InputError("is empty", field="pools", expected="at least one CIDR")
        number = values(overrides)
        version = 6 if ":" in pools[0] else 4
        prefix = number[f"ipam_block_prefix_v{version}"] if block_prefix is None else block_prefix
        self.pools = [pool_of(text, prefix) for text in pools]
        self._checked(version)
        self.block_prefix, self.size = prefix, 1 << (self.pools[0].max_prefixlen - prefix)
        if self.size > _LARGEST_BLOCK:
            raise InputError(
                f"is {prefix}", field="block_prefix", expected=f"at most {_LARGEST_BLOCK:,} addresses a block"
            )
        if blocks_per_node is not None and blocks_per_node < 1:
            raise InputError(f"is {blocks_per_node}", field="blocks_per_node", expected="at least 1")
        self.blocks = sum(1 << (prefix - pool.prefixlen) for pool in self.pools)
        most = np.iinfo(np.int64).max if blocks_per_node is None else blocks_per_node
        self._limits = np.array([self.size, strict_affinity, most], np.int64)
        self._passes = passes(compiled)
        self._marks = np.zeros(2, np.int64)
        self._node_first, self._node_last = np.full(nodes, -1, np.int64), np.full(nodes, -1, np.int64)
        self.node_blocks = np.zeros(nodes, np.int64)
        self.block_node = self._block_next = self.block_used = self._block_begin = np.empty(0, np.int64)
        self._block_free = np.empty((0, self.size), np.int64)

    def _checked(self, version: int) -> None:
        for place, pool in enumerate(self.pools):
            if pool.version != version:
                raise InputError(f"{pool} is IPv{pool.version}", field="pools", expected=f"pools of IPv{version} alone")
            for other in self.pools[:place]:
                if pool.overlaps(other):
                    raise InputError(f"{pool} overlaps {other}", field="pools", expected="pools that do not overlap")

    @property
    def claimed(self) -> int:
        """How many blocks are claimed."""
        return int(self._marks[CLAIMED])

    def _grow(self, wanted: int) -> None:
        """Have rows for so many blocks, or for all there are."""
        more = min(self.blocks, wanted) - len(self.block_node)
        if more <= 0:
            return
        self.block_node = np.concatenate([self.block_node, np.full(more, -1, np.int64)])
        self._block_next = np.concatenate([self._block_next, np.full(more, -1, np.int64)])
        self.block_used = np.concatenate([self.block_used, np.zeros(more, np.int64)])
        self._block_begin = np.concatenate([self._block_begin, np.zeros(more, np.int64)])
        fresh = np.tile(np.arange(self.size), (more, 1))
        self._block_free = np.concatenate([self._block_free, fresh])

    def allocate(self, node: Ints) -> Given:
        """Give an address to each pod of a batch, in order; ``node`` is the node of each, shape (pods,)."""
        self._grow(self.claimed + len(node))
        block, ordinal, reason = (np.empty(len(node), np.int64) for _ in range(3))
        self._passes.allocate(
            np.ascontiguousarray(node, np.int64), block, ordinal, reason, self.block_node, self._block_next,
            self.block_used, self._block_free, self._block_begin, self._node_first, self._node_last, self.node_blocks,
            self._marks, self._limits,
        )  # fmt: skip
        return Given(block, ordinal, reason)

    def release(self, block: Ints, ordinal: Ints) -> None:
        """Take addresses back, in order; those of pods without one (block -1) are passed over. Blocks stay claimed."""
        there = block >= 0
        self._passes.release(
            block[there], ordinal[there], self.block_used, self._block_free, self._block_begin, self._marks
        )

    def address(self, block: int, ordinal: int) -> str:
        """Return an address as text."""
        for pool in self.pools:
            many = 1 << (self.block_prefix - pool.prefixlen)
            if block < many:
                return str(pool[block * self.size + ordinal])
            block -= many
        raise IndexError(block)

    def borrowed(self, node: Ints, block: Ints) -> npt.NDArray[np.bool_]:
        """Return which pods, by node and block, have an address of another node's block; bool of shape (pods,)."""
        return (block >= 0) & (self.block_node[block] != node) if len(self.block_node) else np.zeros(len(node), bool)

    def figures(self, node: Ints, block: Ints) -> Figures:
        """Return how addresses are used; ``node`` and ``block`` are of all pods that have one now, shape (pods,)."""
        claimed, used = self.claimed, int(self.block_used.sum())
        borrowed = int(self.borrowed(node, block).sum())
        return Figures(
            self.node_blocks.copy(), used, used / (claimed * self.size) if claimed else 0.0,
            used / (self.blocks * self.size), borrowed, claimed + borrowed,
        )  # fmt: skip

    def told(self, given: Given) -> list[str]:
        """Return in words why pods of a batch have no address; nothing where all have one."""
        lines = []
        blocks = f"all {self.blocks:,} blocks of {', '.join(map(str, self.pools))} are claimed"
        limit = self._limits[2]
        if self.blocks > self.claimed:
            blocks = f"their nodes have {limit:,} blocks each, the most allowed"
        if many := int((given.reason == NO_BLOCK).sum()):
            lines.append(f"{many:,} pods have no address: {blocks}, and strict affinity forbids to borrow")
        if many := int((given.reason == NO_ADDRESS).sum()):
            lines.append(f"{many:,} pods have no address: {blocks}, and every address of claimed blocks is in use")
        return lines


def leak_released_us(gone_us: Ints, overrides: Mapping[str, int] | None = None) -> Ints:
    """Return when addresses of pods that went without giving them back are free again, int64 us of the same shape.

    kube-controllers looks every ``ipam_resync_us``, from 0 on: it marks what leaks when it first sees it, and frees it
    at the first look at which the mark is ``ipam_leak_grace_us`` old.
    """
    number = values(overrides)
    period, grace = number["ipam_resync_us"], number["ipam_leak_grace_us"]
    marked = -(-np.asarray(gone_us, np.int64) // period) * period
    return -(-(marked + grace) // period) * period
