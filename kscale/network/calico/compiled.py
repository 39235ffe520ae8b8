"""The compiled passes of this folder: a pod after a pod, a change after a change."""

from __future__ import annotations

from functools import cache
from typing import Any

from kscale import kernels

_TEXT = '''"""Calico's passes over columns."""
from kscale import kernels
from kscale.network.calico import felix_queue, ipam_blocks

_entry, _form, _part = kernels.forms(globals().get("COMPILED", True))
_allocate = _form(ipam_blocks.allocate)
_release = _form(ipam_blocks.release)
_flush = _form(felix_queue.flush)
_apply = _form(felix_queue.apply)


@_entry
def allocate(
    pod_node, pod_block, pod_ordinal, pod_reason, block_node, block_next, block_used, block_free, block_begin,
    node_first, node_last, node_blocks, marks, limits,
):
    _allocate(
        pod_node, pod_block, pod_ordinal, pod_reason, block_node, block_next, block_used, block_free, block_begin,
        node_first, node_last, node_blocks, marks, limits,
    )


@_entry
def release(pod_block, pod_ordinal, block_used, block_free, block_begin, marks):
    _release(pod_block, pod_ordinal, block_used, block_free, block_begin, marks)


@_entry
def flush(change_us, first, flush_us, settings):
    _flush(change_us, first, flush_us, settings)


@_entry
def apply(flush_us, first, begin_us, effect_us, settings):
    _apply(flush_us, first, begin_us, effect_us, settings)
'''


@cache
def passes(compiled: bool = True) -> Any:
    """Return the module of the passes, compiled or plain."""
    with kernels.compiling():
        return kernels.load(_TEXT, compiled=compiled)
