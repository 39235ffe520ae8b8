"""Passes over rows of int16 in vectors, where numba's own loops cost more to begin than to do.

A row of the class index has a few vectors. A loop over one takes 25 cycles before its first element (what overlaps, how
long, how aligned), and a node that changes needs thirty of them: more than all arithmetic. Each function here is plain
Python; compiled code calls the vectors instead. They are written out where they are called, and not as functions that
numba types, compiles and puts in place each time: that took a tenth of the first run.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.extending import lower_builtin, type_callable

#: Elements of a vector: 256 bits.
WIDTH = 16


def raise_rows(first: int, last: int, above: int, lanes: int, scores: Any, highest: Any) -> bool:
    """Put the highest of the rows ``first`` to ``last`` into the row ``above``; tell whether that changes it.

    ``scores`` and ``highest`` are int16, ``(rows, lanes)``; of a row the first ``lanes`` count, a multiple of
    ``WIDTH``.
    """
    most = scores[first:last, :lanes].max(axis=0)
    changed = bool((most != highest[above, :lanes]).any())
    highest[above, :lanes] = most
    return changed


def natural(number: int) -> int:
    """Return a number that is not below 0, and promise that."""
    return number


@type_callable(natural)
def _type_natural(context: Any) -> Any:
    def typed(number: Any) -> Any:
        return types.unliteral(number) if isinstance(number, types.Integer) else None

    return typed


@lower_builtin(natural, types.Integer)
def _lower_natural(target: Any, builder: Any, called: Any, arguments: Any) -> Any:
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(1)])
    assume = cgutils.get_or_insert_function(builder.module, kind, "llvm.assume")
    builder.call(assume, [builder.icmp_signed(">=", arguments[0], arguments[0].type(0))])
    return arguments[0]


@type_callable(raise_rows)
def _type_raise_rows(context: Any) -> Any:
    def typed(first: Any, last: Any, above: Any, lanes: Any, scores: Any, highest: Any) -> Any:
        return signature(types.boolean, *(types.intp,) * 4, scores, highest)

    return typed


@lower_builtin(raise_rows, *(types.intp,) * 4, types.Array, types.Array)
def _lower_raise_rows(target: Any, builder: Any, called: Any, arguments: Any) -> Any:
    first, last, above, lanes = arguments[:4]
    scores, highest = (
        target.make_array(kind)(target, builder, value)
        for kind, value in zip(called.args[4:], arguments[4:], strict=True)
    )
    word, vector = first.type, ir.VectorType(ir.IntType(16), WIDTH)

    def at(array: Any, row: Any, lane: Any) -> Any:
        stride = builder.extract_value(array.shape, 1)
        element = builder.gep(array.data, [builder.add(builder.mul(row, stride), lane)])
        return builder.bitcast(element, vector.as_pointer())

    changed = cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * WIDTH))
    most = cgutils.alloca_once(builder, vector)
    with cgutils.for_range(builder, builder.sdiv(lanes, word(WIDTH))) as chunk:
        lane = builder.mul(chunk.index, word(WIDTH))
        builder.store(builder.load(at(scores, first, lane), align=2), most)
        with cgutils.for_range_slice(builder, builder.add(first, word(1)), last, word(1)) as (row, _):
            known, other = builder.load(most), builder.load(at(scores, row, lane), align=2)
            builder.store(builder.select(builder.icmp_signed(">", other, known), other, known), most)
        into, found = at(highest, above, lane), builder.load(most)
        differs = builder.xor(builder.load(into, align=2), found)
        builder.store(builder.or_(builder.load(changed), differs), changed)
        builder.store(found, into, align=2)
    bits = ir.IntType(16 * WIDTH)
    return builder.icmp_unsigned("!=", builder.bitcast(builder.load(changed), bits), bits(0))
