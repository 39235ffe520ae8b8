"""Passes over rows of int16 in vectors, where numba's own loops cost more to begin than to do.

A row of the class index has a few vectors. A loop over one takes 25 cycles before its first element (what overlaps, how
long, how aligned), and a node that changes needs thirty of them: more than all arithmetic. Each function here is plain
Python; compiled code calls the vectors instead. They are written out where they are called, and not as functions that
numba types, compiles and puts in place each time: that took a tenth of the first run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.extending import lower_builtin, type_callable

#: Elements of a vector: 256 bits.
WIDTH = 16


def raise_rows(
    row: int, first: int, last: int, above: int, lanes: int, scores: Any, highest: Any, before: Any
) -> bool:  # fmt: skip
    """Bring the row ``above`` up to date, the highest of the rows ``first`` to ``last``, of which ``row`` has changed.

    ``scores`` and ``highest`` are int16, ``(rows, lanes)``; of a row the first ``lanes`` count, a multiple of
    ``WIDTH``. ``before`` holds what ``row`` was; it is given what ``above`` was. Tell whether ``above`` changes.
    """
    old = highest[above, :lanes].copy()
    most = np.maximum(old, scores[row, :lanes])
    lost = (before[:lanes] == old) & (scores[row, :lanes] < old)
    most[lost] = scores[first:last, :lanes].max(axis=0)[lost]
    highest[above, :lanes] = most
    before[:lanes] = old
    return bool((most != old).any())


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
    def typed(
        row: Any, first: Any, last: Any, above: Any, lanes: Any, scores: Any, highest: Any, before: Any
    ) -> Any:  # fmt: skip
        return signature(types.boolean, *(types.intp,) * 5, scores, highest, before)

    return typed


@lower_builtin(raise_rows, *(types.intp,) * 5, types.Array, types.Array, types.Array)
def _lower_raise_rows(target: Any, builder: Any, called: Any, arguments: Any) -> Any:
    row, first, last, above, lanes = arguments[:5]
    scores, highest, before = (
        target.make_array(kind)(target, builder, value)
        for kind, value in zip(called.args[5:], arguments[5:], strict=True)
    )
    word, vector, bits = row.type, ir.VectorType(ir.IntType(16), WIDTH), ir.IntType(16 * WIDTH)

    def at(array: Any, row: Any, lane: Any) -> Any:
        if row is not None:
            lane = builder.add(builder.mul(row, builder.extract_value(array.shape, 1)), lane)
        return builder.bitcast(builder.gep(array.data, [lane]), vector.as_pointer())

    def load(array: Any, row: Any, lane: Any) -> Any:
        return builder.load(at(array, row, lane), align=2)

    def higher(one: Any, other: Any) -> Any:
        return builder.select(builder.icmp_signed(">", one, other), one, other)

    changed = cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * WIDTH))
    most = cgutils.alloca_once(builder, vector)
    with cgutils.for_range(builder, builder.sdiv(lanes, word(WIDTH))) as chunk:
        lane = builder.mul(chunk.index, word(WIDTH))
        now, was, old = load(scores, row, lane), load(before, None, lane), load(highest, above, lane)
        builder.store(old, at(before, None, lane), align=2)
        builder.store(higher(now, old), most)
        lost = builder.and_(builder.icmp_signed("==", was, old), builder.icmp_signed("<", now, old))
        with builder.if_then(
            builder.icmp_unsigned("!=", builder.bitcast(lost, ir.IntType(WIDTH)), ir.IntType(WIDTH)(0))
        ):
            builder.store(load(scores, first, lane), most)
            with cgutils.for_range_slice(builder, builder.add(first, word(1)), last, word(1)) as (other, _):
                builder.store(higher(load(scores, other, lane), builder.load(most)), most)
        found = builder.load(most)
        builder.store(builder.or_(builder.load(changed), builder.xor(old, found)), changed)
        builder.store(found, at(highest, above, lane), align=2)
    return builder.icmp_unsigned("!=", builder.bitcast(builder.load(changed), bits), bits(0))
