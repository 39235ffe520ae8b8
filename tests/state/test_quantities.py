"""Quantities and durations against the rules of Kubernetes, with exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.state.quantities import (
    LARGEST,
    format_duration,
    format_quantity,
    parse_duration,
    parse_quantity,
)

SCALES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12), "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40), "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cpu", "other"),
    [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("1", 1000, 1),
        ("+1", 1000, 1),
        ("007", 7000, 7),
        ("1.5", 1500, 2),  # whole units are rounded up
        (".5", 500, 1),
        ("5.", 5000, 5),
        ("500m", 500, 1),
        ("1500m", 1500, 2),
        ("0.0001", 1, 1),  # a tenth of a milli is rounded up to one
        ("1001u", 2, 1),
        ("1n", 1, 1),
        ("0n", 0, 0),
        ("1k", 1_000_000, 1000),
        ("0.5Ki", 512_000, 512),
        ("1.1Ki", 1_126_400, 1127),  # 1126.4 bytes
        ("1e3", 1_000_000, 1000),
        ("1E3", 1_000_000, 1000),
        ("12e-1", 1200, 2),
        ("1e-3", 1, 1),
        ("1e-999", 1, 1),
        ("1.0000000000000000000000000000000000001", 1001, 2),  # every digit counts
        ("  2Gi ", 2 * 1000 << 30, 2 << 30),
    ],
)
def test_amounts(text: str, cpu: int, other: int) -> None:
    assert parse_quantity(text, "cpu") == cpu
    assert parse_quantity(text) == other
    assert parse_quantity(text, "nvidia.com/gpu") == other


@pytest.mark.parametrize(
    ("text", "amount"),
    [("16Gi", 16 << 30), ("128974848", 128_974_848), ("129e6", 129_000_000), ("129M", 129_000_000),
     ("128974848000m", 128_974_848), ("123Mi", 123 << 20), ("1Ti", 1 << 40), ("1Pi", 1 << 50), ("0.5Ei", LARGEST),
     ("0.1E", 10**17), ("1P", 10**15)],
)  # fmt: skip
def test_the_suffixes_of_the_documentation(text: str, amount: int) -> None:
    assert parse_quantity(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "abc",
        "1 Gi",
        "1gi",
        "1K",
        "1KiB",
        "1Mb",
        "0x10",
        "1e",
        "1e+",
        "1e1.5",
        "1e3k",
        "1.2.3",
        ".",
        "+",
        "--1",
        "1_000",
        "NaN",
        "inf",
        "1,5",
        "\u0661",
        "1e1000",
        "1" * 65,
        "1\n2",
    ],
)
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(InputError, match="is not a quantity; expected a Kubernetes quantity") as found:
        parse_quantity(text)
    assert found.value.exit_code == 2
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("text", ["-1", "-1n", "-2Gi", "-1e3"])
def test_negative_amounts_are_refused(text: str) -> None:
    # -1n rounds up to 0 milli: not below zero.
    if text == "-1n":
        assert parse_quantity(text) == 0
        return
    with pytest.raises(InputError, match="is negative"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["1Ei", "1E", str(LARGEST + 1), "1e18", "1e999", f"{LARGEST}.0000001"])
def test_amounts_above_two_to_the_59_are_refused(text: str) -> None:
    assert parse_quantity(str(LARGEST)) == 1 << 59
    with pytest.raises(InputError, match=r"out of range; expected an amount of at most 2\^59"):
        parse_quantity(text)


@given(st.integers(0, LARGEST), st.sampled_from(["cpu", "memory", "pods"]))
def test_whole_amounts_come_back(amount: int, resource: str) -> None:
    assert parse_quantity(f"{amount}m" if resource == "cpu" else str(amount), resource) == amount


@given(
    st.integers(0, 10**12), st.text("0123456789", max_size=30), st.sampled_from(sorted(SCALES)),
    st.sampled_from(["cpu", "memory"]),
)  # fmt: skip
def test_every_amount_is_the_exact_one_rounded_up(whole: int, digits: str, suffix: str, resource: str) -> None:
    value = Fraction(f"{whole}.{digits}" if digits else str(whole)) * SCALES[suffix]
    amount = math.ceil(value * 1000 if resource == "cpu" else value)
    text = f"{whole}.{digits}{suffix}"
    if amount > LARGEST:
        with pytest.raises(InputError, match="out of range"):
            parse_quantity(text, resource)
    else:
        assert parse_quantity(text, resource) == amount


@given(st.integers(0, 10**6), st.integers(-20, 12), st.sampled_from("eE"))
@example(576461, 12, "e")
def test_exponents_are_powers_of_ten(number: int, exponent: int, letter: str) -> None:
    amount = math.ceil(number * Fraction(10) ** exponent)
    if amount > LARGEST:
        with pytest.raises(InputError, match="out of range"):
            parse_quantity(f"{number}{letter}{exponent}")
    else:
        assert parse_quantity(f"{number}{letter}{exponent}") == amount


@pytest.mark.parametrize(
    ("value", "resource", "text"),
    [
        (0, "cpu", "0"),
        (250, "cpu", "250m"),
        (1500, "cpu", "1.5"),
        (96_000, "cpu", "96"),
        (1_234_000, "cpu", "1,234"),
        (16 << 30, "memory", "16Gi"),
        (1536 << 20, "memory", "1.5Gi"),
        (1000, "memory", "1,000"),
        (1 << 10, "ephemeral-storage", "1Ki"),
        (1 << 50, "memory", "1Pi"),
        (1 << 59, "memory", "512Pi"),
        (2 << 20, "hugepages-2Mi", "2Mi"),
        (110, "pods", "110"),
        (1 << 20, "pods", "1,048,576"),
    ],
)
def test_amounts_as_text(value: int, resource: str, text: str) -> None:
    assert format_quantity(value, resource) == text


@given(st.integers(0, 999))
def test_short_amounts_come_back(amount: int) -> None:
    assert parse_quantity(format_quantity(amount, "cpu"), "cpu") == amount
    assert parse_quantity(format_quantity(amount << 30)) == amount << 30


SECOND = 10**6


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("90", 90 * SECOND),
        ("1.5", 1_500_000),
        ("90s", 90 * SECOND),
        ("1.5h", 5400 * SECOND),
        ("2d12h", 60 * 3600 * SECOND),
        ("250ms", 250_000),
        ("7us", 7),
        ("1w", 7 * 86400 * SECOND),
        ("1m30s", 90 * SECOND),
        (" 3m ", 180 * SECOND),
    ],
)
def test_durations(text: str, amount: int) -> None:
    assert parse_duration(text) == amount


@pytest.mark.parametrize("text", ["", "s", "1x", "-1s", "1h 30m", "1.s", "1e3", "1,5h", "1hh", "NaN", "\u0661s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InputError, match="is not a duration; expected a duration such as"):
        parse_duration(text)


def test_durations_beyond_the_end_of_time_are_refused() -> None:
    # A week is 604,800,000,000 us; 2^59 us are 953,142.8 weeks.
    assert parse_duration("953142w") == 953_142 * 7 * 86400 * SECOND
    with pytest.raises(InputError, match="is too long"):
        parse_duration("953143w")


@given(st.integers(0, LARGEST))
def test_microseconds_come_back(amount: int) -> None:
    assert parse_duration(f"{amount}us") == amount


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0s"),
        (7, "7us"),
        (40_000, "40ms"),
        (1_250_000, "1.25s"),
        (59 * SECOND, "59s"),
        (60 * SECOND, "1m"),
        (125 * SECOND, "2m 5s"),
        (3600 * SECOND, "1h"),
        (3 * 3600 * SECOND + 61 * SECOND, "3h 1m"),
        (76 * 3600 * SECOND, "3d 4h"),
        (1000 * 86400 * SECOND, "1,000d"),
        (-125 * SECOND, "-2m 5s"),
    ],
)
def test_durations_as_text(amount: int, text: str) -> None:
    assert format_duration(amount) == text
