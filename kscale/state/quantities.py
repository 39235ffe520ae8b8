"""Kubernetes quantities and durations, to and from int64.

cpu is counted in milli, everything else in whole units (bytes, pods, devices); both are rounded up, as
kube-scheduler does (facts of v1.34.1: Quantity.MilliValue and Quantity.Value round away from zero).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation

from kscale.errors import InputError

#: Resources every node and pod may name, in the order of their rows; extended resources follow.
BASE_RESOURCES = ("cpu", "memory", "ephemeral-storage", "pods")
#: Largest amount that is taken: 2^59. Beyond it ten times an amount would leave int64, which the resource scores need.
LARGEST = 1 << 59

_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
_DECIMAL = {
    suffix: Decimal(10) ** (3 * power)
    for power, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)
}
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?))", re.ASCII)
# Digits enough for every product of a text of 64 characters and a unit: rounding up must see all of them.
_EXACT = Context(prec=100)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d|w)", re.ASCII)
_MICROSECONDS = {
    "us": 1,
    "ms": 10**3,
    "s": 10**6,
    "m": 60 * 10**6,
    "h": 3600 * 10**6,
    "d": 86400 * 10**6,
    "w": 7 * 86400 * 10**6,
}


def parse_quantity(text: str, resource: str = "memory") -> int:
    """Return a Kubernetes quantity as int64: milli for ``cpu``, whole units otherwise, rounded up.

    Raises InputError when it is not a quantity, is negative or is above 2^59.
    """
    found = _QUANTITY.fullmatch(text.strip()) if len(text) <= 64 else None
    if found is None:
        raise InputError(f"'{text[:64]}' is not a quantity", expected="a Kubernetes quantity such as 500m, 2, 16Gi")
    number, exponent, suffix = found.groups()
    try:
        scale = (
            Decimal(f"1{exponent}")
            if exponent
            else Decimal(_BINARY[suffix])
            if suffix in _BINARY
            else _DECIMAL[suffix or ""]
        )
        unit = scale * 1000 if resource == "cpu" else scale
        amount = _EXACT.multiply(Decimal(number), unit).to_integral_value(ROUND_CEILING)
    except InvalidOperation:
        raise InputError(f"'{text[:64]}' is out of range", expected="an amount of at most 2^59") from None
    if amount < 0:
        raise InputError(f"'{text}' is negative", expected="an amount of 0 or more")
    if amount > LARGEST:
        raise InputError(f"'{text}' is out of range", expected="an amount of at most 2^59")
    return int(amount)


def format_quantity(value: float, resource: str = "memory") -> str:
    """Return an amount as a short Kubernetes quantity, three significant digits: ``1.5`` cores, ``16Gi``, ``110``."""
    if resource == "cpu":
        if 0 < abs(value) < 1000:
            return f"{value:.0f}m"
        return _short(value / 1000)
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
            if abs(value) >= _BINARY[suffix]:
                return f"{_short(value / _BINARY[suffix])}{suffix}"
    return _short(value)


def _short(value: float) -> str:
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def parse_duration(text: str) -> int:
    """Return a duration (``90``, ``1.5h``, ``2d12h``, ``250ms``; a bare number is seconds) in microseconds.

    Raises InputError when it is not a duration or is above 2^59 microseconds.
    """
    stripped = text.strip()
    parts = _DURATION.findall(stripped)
    if re.fullmatch(r"\d+(\.\d+)?", stripped, re.ASCII):
        parts = [(stripped, "s")]
    elif not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise InputError(f"'{text[:64]}' is not a duration", expected="a duration such as 90s, 1.5h, 2d12h")
    total = int(sum(Decimal(number) * _MICROSECONDS[unit] for number, unit in parts))
    if total > LARGEST:
        raise InputError(f"'{text[:64]}' is too long", expected="a duration of at most 2^59 microseconds")
    return total


def format_duration(microseconds: float) -> str:
    """Return a duration in the two units that matter: ``3d 4h``, ``2m 5s``, ``1.25s``, ``40ms``, ``0s``."""
    if microseconds < 0:
        return f"-{format_duration(-microseconds)}"
    if microseconds == 0:
        return "0s"
    if microseconds < 1000:
        return f"{microseconds:.0f}us"
    if microseconds < 10**6:
        return f"{microseconds / 1000:.3g}ms"
    if microseconds < 60 * 10**6:
        return f"{microseconds / 10**6:.3g}s"
    seconds = round(microseconds / 10**6)
    for large, small, unit, part in ((86400, 3600, "d", "h"), (3600, 60, "h", "m"), (60, 1, "m", "s")):
        if seconds >= large:
            whole, rest = divmod(seconds, large)
            return f"{whole:,}{unit} {rest // small}{part}" if rest // small else f"{whole:,}{unit}"
    return f"{seconds}s"
