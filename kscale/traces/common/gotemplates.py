"""The part of Go's text/template that templates of Kubernetes objects use: fields, numbers and arithmetic.

``{{.Index}}``, ``{{Mod .Index 3}}``, ``{{AddInt (Mod .Index 3) 1}}``: the functions are those of scheduler_perf.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from kscale.errors import InputError

_ACTION = re.compile(r"(\s*)\{\{(-\s)?(.*?)(\s-)?\}\}(\s*)", re.DOTALL)
_TOKEN = re.compile(
    r"\s*(?:(?P<field>\.\w+)|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>\w+)|(?P<mark>[()])|\"(?P<text>[^\"\\]*)\")"
)
_EXPECTED = "fields such as .Index, numbers, and functions such as Mod and AddInt"
Value = Any


def _whole(function: Callable[..., float]) -> Callable[..., int]:
    return lambda *numbers: int(function(*numbers))


def _sum(*numbers: float) -> float:
    return sum(numbers)


def _product(*numbers: float) -> float:
    return reduce(operator.mul, numbers, 1.0)


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "AddFloat": _sum,
    "AddInt": _whole(_sum),
    "SubtractFloat": operator.sub,
    "SubtractInt": _whole(operator.sub),
    "MultiplyFloat": _product,
    "MultiplyInt": _whole(_product),
    "DivideFloat": operator.truediv,
    "DivideInt": _whole(operator.truediv),
    "Mod": lambda one, other: int(math.fmod(int(one), int(other))),
}


def render(text: str, values: Mapping[str, Value]) -> str:
    """Return a text whose actions are replaced by what they come to. Raises InputError for what is not known."""

    def replaced(action: re.Match[str]) -> str:
        before, trims_before, expression, trims_after, after = action.groups()
        tokens = _tokens(expression)
        value = _call(tokens, values)
        if tokens:
            raise _unknown(expression)
        return ("" if trims_before else before) + _written(value) + ("" if trims_after else after)

    return _ACTION.sub(replaced, text)


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    stripped = expression.strip()
    while at < len(stripped):
        token = _TOKEN.match(stripped, at)
        if token is None or token.lastgroup is None:
            raise _unknown(expression)
        found.append((token.lastgroup, token[token.lastgroup]))
        at = token.end()
    return found


def _call(tokens: list[tuple[str, str]], values: Mapping[str, Value]) -> Value:
    """Return what the next call or operand comes to, and take its tokens away."""
    if not tokens or tokens[0][0] != "name":
        return _operand(tokens, values)
    name = tokens.pop(0)[1]
    if name not in _FUNCTIONS:
        raise _unknown(name)
    operands = []
    while tokens and tokens[0] != ("mark", ")"):
        operands.append(_operand(tokens, values))
    try:
        return _FUNCTIONS[name](*(one if isinstance(one, int) else float(one) for one in operands))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"'{name}' cannot be worked out", expected="numbers, and no division by 0") from None


def _operand(tokens: list[tuple[str, str]], values: Mapping[str, Value]) -> Value:
    kind, text = tokens.pop(0) if tokens else ("", "")
    if kind == "field":
        if text[1:] not in values:
            raise InputError(f"'{text[:60]}' is not given", expected=", ".join(f".{name}" for name in values)[:200])
        return values[text[1:]]
    if kind == "number":
        return float(text) if "." in text else int(text)
    if kind == "text":
        return text
    if (kind, text) == ("mark", "("):
        value = _call(tokens, values)
        if not tokens or tokens.pop(0) != ("mark", ")"):
            raise _unknown("(")
        return value
    raise _unknown(text)


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "g") if isinstance(value, float) else str(value)


def _unknown(expression: str) -> InputError:
    return InputError(f"'{expression.strip()[:60]}' is not understood in a template", expected=_EXPECTED)
