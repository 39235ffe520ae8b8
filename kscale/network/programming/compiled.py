"""The compiled passes of this folder."""

from __future__ import annotations

from functools import cache
from typing import Any

from kscale import kernels

_TEXT = '''"""The programming of nodes."""
from kscale import kernels
from kscale.network.programming import latencies, syncs

_entry, _form, _part = kernels.forms(globals().get("COMPILED", True))
_advance = _form(syncs.advance)
_gather = _form(syncs.gather)
_drop = _form(syncs.drop)
_weigh = _form(latencies.weigh)


@_entry
def advance(
    written_us, before, endpoints, watch_us, waiting, ended_us, bucket_us, full_us, syncs, fulls, cpu_us, upto, end_us,
    held, settings, costs,
):
    return _advance(
        written_us, before, endpoints, watch_us, waiting, ended_us, bucket_us, full_us, syncs, fulls, cpu_us, upto,
        end_us, held, settings, costs,
    )


@_entry
def gather(upto, end_us, held, nodes, first, seen_us):
    _gather(upto, end_us, held, nodes, first, seen_us)


@_entry
def drop(upto, end_us, held, known):
    _drop(upto, end_us, held, known)


@_entry
def weigh(seen_us, trigger_us, measured, ranks, quantiles, total_us, buckets, fine, places):
    _weigh(seen_us, trigger_us, measured, ranks, quantiles, total_us, buckets, fine, places)
'''


@cache
def passes(compiled: bool = True) -> Any:
    """Return the module of the passes, compiled or plain."""
    with kernels.compiling():
        return kernels.load(_TEXT, compiled=compiled)
