"""How the report writes: clean names, numbers of three digits, and the escapes of each medium.

Every string of a run folder is untrusted: ``clean`` first, then the escape of where it goes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from kscale.state.quantities import format_duration, format_quantity

_LABELS = {
    "ephemeral_storage": "ephemeral storage",
    "cpu": "CPU",
    "memory": "memory",
    "ephemeral-storage": "ephemeral storage",
    "pods": "pod slots",
    "gpu": "GPU",
}
#: GitHub drops a step summary that is larger, in bytes.
SUMMARY_LIMIT = 1 << 20
_PERCENT = re.compile(r"(\d) %")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#!|~$])")


def clean(text: object, limit: int = 120) -> str:
    """Return ``text`` on one line without control or invisible characters, cut to ``limit`` characters."""
    words = " ".join("".join(c if c.isprintable() else " " if c.isspace() else "" for c in str(text)).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def escape_html(text: object, limit: int = 400) -> str:
    """Return ``text`` cleaned and escaped for HTML and SVG, in text and in quoted attributes."""
    # A number and its percent sign stay on one line.
    return _PERCENT.sub("\\1&#160;%", html.escape(clean(text, limit), quote=True))


def escape_markdown(text: object, limit: int = 400) -> str:
    """Return ``text`` cleaned, with everything that Markdown or inline HTML would read as a mark escaped."""
    marked = _MARKDOWN.sub(r"\\\1", clean(text, limit))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(words: str, limit: int, said: str) -> str:
    """Return ``words`` cut at a line's end to at most ``limit`` bytes of UTF-8, with ``said`` behind where it is."""
    raw = words.encode()
    if len(raw) <= limit:
        return words
    kept = raw[: limit - len(said.encode())].decode(errors="ignore")
    return kept[: kept.rfind("\n") if "\n" in kept else len(kept)] + said


def label(resource: str) -> str:
    """Return a resource's name for people."""
    return _LABELS.get(resource, resource)


def number(value: float | None) -> str:
    """Return a number with three significant digits; whole numbers in full, with thousands: ``1,234``, ``0.123``."""
    if value is None:
        return "–"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percent(value: float | None) -> str:
    """Return a percentage (0 to 100) with three significant digits; it says 100 % and 0 % only when it is so."""
    if value is None:
        return "–"
    if value == int(value):
        return f"{int(value):,} %"
    if abs(value) < 0.1:
        return "< 0.1 %"
    digits = f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if digits == "100" and value < 100:
        digits = "99.9"
    return f"{digits} %"


def plural(count: float, word: str) -> str:
    """Return the count and the word, in the plural unless it is one: ``1 node``, ``1,234 nodes``."""
    return f"{number(count)} {word}" if count == 1 else f"{number(count)} {word}s"


def listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    items = list(words)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def capital(text: str) -> str:
    """Return ``text`` with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def duration(microseconds: float | None) -> str:
    """Return a duration in the two units that matter, or a dash for none."""
    return "–" if microseconds is None else format_duration(microseconds)


def amount(value: float | None, resource: str) -> str:
    """Return an amount of a resource with its unit: ``96 cores``, ``512Gi``, ``8 GPUs``."""
    if value is None:
        return "–"
    if resource == "gpu":
        return f"{number(value / 1000)} {'GPU' if value == 1000 else 'GPUs'}"
    if resource == "cpu":
        return f"{number(value / 1000)} {'core' if value == 1000 else 'cores'}"
    words = format_quantity(value, resource.replace("_", "-"))
    return f"{words} pods" if resource == "pods" else words


def at(kind: str, x: float) -> str:
    """Return a place on the run's axis (``time``, ``gpu``, ``pods``) for a sentence: ``at 3h 5m``."""
    if kind == "time":
        return f"at {format_duration(x)}"
    return f"at {percent(round(x, 1))} of GPUs asked for" if kind == "gpu" else f"after {plural(round(x), 'pod')}"


def place_on(kind: str, x: float) -> str:
    """Return a place on the run's axis for a table."""
    if kind == "time":
        return format_duration(x)
    return f"{x:.1f} %" if kind == "gpu" else number(round(x))
