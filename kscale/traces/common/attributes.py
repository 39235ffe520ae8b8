"""Attributes of machines and constraints on them, as labels of nodes and terms of node affinity.

Obfuscated names and values are base64, which no Kubernetes label may hold: such a text is written with ``-`` for what
is not allowed, and a digest at its end that keeps different texts different.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

import polars as pl

_LABEL = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
#: The name of an attribute, a comparison, and the value to compare with.
Constraint = tuple[str, int, str]
#: Comparisons of a constraint with the value of an attribute.
EQUAL, NOT_EQUAL, LESS, GREATER, LESS_EQUAL, GREATER_EQUAL, PRESENT, ABSENT = range(8)


def label_text(text: str) -> str:
    """Return ``text`` as the key or value of a label: as it stands where it may be one."""
    if _LABEL.fullmatch(text) or not text:
        return text
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:50]
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{plain}-{digest}" if plain else digest


def requirement(key: str, comparison: int, value: str) -> str | None:
    """Return a requirement in kubectl's syntax, or None where Kubernetes has none.

    ``key`` is a label key. A machine without the attribute satisfies ``≠``, as in Kubernetes.
    """
    if comparison == PRESENT:
        return key
    if comparison == ABSENT:
        return f"!{key}"
    if comparison in (EQUAL, NOT_EQUAL):
        return f"{key}{'=' if comparison == EQUAL else '!='}{label_text(value)}"
    if _NUMBER.fullmatch(value) is None:
        return None
    number = int(value)
    if comparison == LESS:
        return f"{key}<{number}"
    if comparison == LESS_EQUAL:
        return f"{key}<{number + 1}"
    if comparison == GREATER:
        return f"{key}>{number}"
    # A bound below 0 is no label value; every number of a label that is not negative is at least 0.
    return f"{key}>{number - 1}" if number else key


class Terms:
    """Constraints as texts of node affinity, each distinct text under a number.

    ``prefix`` is what the keys of labels begin with; ``constraints`` and ``inexpressible`` count all that were seen,
    and those of them that Kubernetes cannot say.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._texts: dict[str, int] = {}
        self._known: dict[tuple[str, int, str], str | None] = {}
        self.constraints = self.inexpressible = 0

    def numbers(self, constraints: pl.DataFrame, by: list[str]) -> pl.DataFrame:
        """Return the term of each group of rows: the columns ``by``, and ``term`` (Float64).

        ``constraints`` has the columns ``by``, ``name``, ``comparison`` (Int64) and ``value``; null is empty.
        """
        what = ["name", "comparison", "value"]
        constraints = constraints.with_columns(pl.col("value").fill_null(""))
        distinct = constraints.select(what).unique()
        texts = [self._requirement(row) for row in distinct.iter_rows()]
        told = constraints.join(distinct.with_columns(pl.Series("text", texts, pl.String)), on=what, nulls_equal=True)
        self.constraints += told.height
        self.inexpressible += told["text"].null_count()
        groups = told.drop_nulls("text").group_by(by).agg(pl.col("text").unique().sort().str.join(","))
        known = groups["text"].unique().sort()
        codes = pl.Series("term", [self._number(text) for text in known], dtype=pl.Float64)
        return groups.join(pl.DataFrame([known, codes]), on="text").select(*by, "term")

    def of_lists(self, lists: pl.Series, decode: Callable[[str], Sequence[Constraint]]) -> pl.Series:
        """Return the term (Float64, null: none) of each text; ``decode`` gives the constraints that a text holds."""
        texts = lists.drop_nulls().value_counts().sort(lists.name)
        numbers: list[int | None] = []
        for text, rows in texts.iter_rows():
            told = [self._requirement(constraint) for constraint in decode(text)]
            said = sorted({requirement for requirement in told if requirement is not None})
            self.constraints += rows * len(told)
            self.inexpressible += rows * told.count(None)
            numbers.append(self._number(",".join(said)) if said else None)
        codes = pl.Series(numbers, dtype=pl.Float64)
        return lists.replace_strict(texts[lists.name], codes, default=None, return_dtype=pl.Float64).alias("term")

    def _number(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _requirement(self, constraint: Constraint) -> str | None:
        if constraint not in self._known:
            name, comparison, value = constraint
            self._known[constraint] = requirement(self._prefix + label_text(name), comparison, value)
        return self._known[constraint]

    def affinity(self, numbers: pl.Series) -> pl.Series:
        """Return the texts of terms by their numbers; null stays null."""
        texts = pl.Series(list(self._texts), dtype=pl.String)
        return texts.gather(numbers.cast(pl.UInt32))


def labels(attributes: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """Return the labels that attributes make: ``machine`` and ``labels``, a machine's in the order of their keys.

    ``attributes`` has the columns ``machine``, ``name`` and ``value`` (null is empty), a row an attribute.
    """
    written = {}
    for column in ("name", "value"):
        texts = attributes[column].fill_null("")
        distinct = texts.unique()
        safe = pl.Series([label_text(text) for text in distinct], dtype=pl.String)
        written[column] = texts.replace_strict(distinct, safe, return_dtype=pl.String)
    label = pl.concat_str(pl.lit(prefix), pl.Series(written["name"]), pl.lit("="), pl.Series(written["value"]))
    joined = pl.col("label").sort().str.join(",").alias("labels")
    return attributes.select("machine", label=label).group_by("machine").agg(joined)
