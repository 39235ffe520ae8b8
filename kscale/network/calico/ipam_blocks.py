"""Kernels of ``ipam``: a pod after a pod takes an address of a block, or gives it back.

Every array is int64. A block's free addresses are a ring of ordinals in ``block_free``: the next one is at
``block_begin``, what is given back goes to its end. Blocks are claimed in order; ``marks`` holds how many are, and the
lowest one that may have a free address.
"""

from __future__ import annotations

from typing import Any

from kscale.kernels import inlined, kernel

#: Why a pod has no address; 0 where it has one.
NO_BLOCK, NO_ADDRESS = 1, 2
#: Places of ``limits``: addresses of a block, whether strict affinity holds, most blocks of a node.
SIZE, STRICT, MOST = 0, 1, 2
#: Places of ``marks``.
CLAIMED, OPEN = 0, 1


@inlined
def take(block: int, size: int, block_used: Any, block_free: Any, block_begin: Any) -> int:
    """Return the ordinal of the next free address of a block, which has one, and take it."""
    begin = block_begin[block]
    block_begin[block] = (begin + 1) % size
    block_used[block] += 1
    return block_free[block, begin]


@kernel
def allocate(
    pod_node: Any, pod_block: Any, pod_ordinal: Any, pod_reason: Any, block_node: Any, block_next: Any,
    block_used: Any, block_free: Any, block_begin: Any, node_first: Any, node_last: Any, node_blocks: Any,
    marks: Any, limits: Any,
) -> None:  # fmt: skip
    """Give each pod an address: of its node's blocks in the order of claims, of a new one, or a borrowed one."""
    size = limits[SIZE]
    for pod in range(len(pod_node)):
        node = pod_node[pod]
        block = node_first[node]
        while block >= 0 and block_used[block] == size:
            block = block_next[block]
        if block < 0 and node_blocks[node] < limits[MOST]:
            if marks[CLAIMED] < len(block_node):
                block = marks[CLAIMED]
                marks[CLAIMED] += 1
                block_node[block] = node
                block_next[block] = -1
                node_blocks[node] += 1
                if node_last[node] >= 0:
                    block_next[node_last[node]] = block
                else:
                    node_first[node] = block
                node_last[node] = block
        if block < 0 and limits[STRICT] == 0:
            while marks[OPEN] < marks[CLAIMED] and block_used[marks[OPEN]] == size:
                marks[OPEN] += 1
            if marks[OPEN] < marks[CLAIMED]:
                block = marks[OPEN]
        if block < 0:
            pod_block[pod] = -1
            pod_ordinal[pod] = -1
            pod_reason[pod] = NO_BLOCK if limits[STRICT] else NO_ADDRESS
            continue
        pod_block[pod] = block
        pod_ordinal[pod] = take(block, size, block_used, block_free, block_begin)
        pod_reason[pod] = 0


@kernel
def release(pod_block: Any, pod_ordinal: Any, block_used: Any, block_free: Any, block_begin: Any, marks: Any) -> None:
    """Take addresses back, each to the end of its block's free ones."""
    size = block_free.shape[1]
    for pod in range(len(pod_block)):
        block = pod_block[pod]
        block_used[block] -= 1
        free = size - block_used[block]
        block_free[block, (block_begin[block] + free - 1) % size] = pod_ordinal[pod]
        marks[OPEN] = min(marks[OPEN], block)
