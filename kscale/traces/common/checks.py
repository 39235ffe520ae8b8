"""Checks of what a file holds, in one place: columns, types, ranges, nulls, and rules across columns.

Strict, the first bad row is told (an InputError with file, row, field and what was expected); lenient, bad rows are
left out and counted by reason. Everything runs over whole columns, and costs one pass when nothing is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kscale.errors import InputError, nearest
from kscale.state.quantities import LARGEST
from kscale.traces import Options
from kscale.traces.common import files
from kscale.traces.common.files import ROW
from kscale.traces.common.seen import Seen
from kscale.traces.common.threads import ahead

#: Longest name in bytes; Kubernetes allows 253, clones and hostile files are given some more.
LONGEST_NAME = 512
#: Longest text of any other field, in bytes.
LONGEST_TEXT = 64 << 10
#: Largest time in seconds, so that microseconds stay below 2^59.
LARGEST_SECONDS = LARGEST // 10**6

_WHAT = {pl.Int64: "an integer", pl.Float64: "a number", pl.String: "a text", pl.Boolean: "true or false"}
_TRUTH = {"true": True, "True": True, "TRUE": True, "1": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True)
class Field:
    """What a column should hold.

    Attributes:
        name: its name in the file.
        dtype: pl.Int64, pl.Float64, pl.String or pl.Boolean.
        required: the file must have it.
        nullable: a row may leave it empty.
        low: smallest value.
        high: largest value.
        doc: what it means, for the documentation.
    """

    name: str
    dtype: type[pl.DataType] = pl.Int64
    required: bool = True
    nullable: bool = False
    low: float = 0
    high: float = LARGEST
    doc: str = ""

    @property
    def expected(self) -> str:
        """What a value should be, in words."""
        if self.dtype in (pl.String, pl.Boolean):
            return _WHAT[self.dtype]
        high = "2^59" if self.high == LARGEST else f"{self.high:,.0f}"
        return f"{_WHAT[self.dtype]} from {self.low:,.0f} to {high}"


@dataclass(frozen=True)
class Rule:
    """A row is bad where ``bad`` is true; ``problem`` may use ``{value}``, the field's value."""

    bad: pl.Expr
    field: str
    problem: str
    expected: str


@dataclass
class Checker:
    """The checks of one file; ``dropped`` counts rows left out under ``lenient``, by reason."""

    path: Path
    options: Options
    dropped: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, Seen] = field(default_factory=dict)
    _last: dict[str, Any] = field(default_factory=dict)

    def columns(self, names: Iterable[str], fields: Iterable[Field]) -> None:
        """Raise InputError when a required column is missing; it names the nearest one that is there."""
        known = list(names)
        for wanted in fields:
            if wanted.required and wanted.name not in known:
                close = nearest(wanted.name, known)
                raise InputError(
                    f"the column is missing{close}", file=self.path, field=wanted.name, expected=wanted.expected
                )

    def typed(self, frame: pl.DataFrame, fields: Iterable[Field]) -> pl.DataFrame:
        """Return the columns of ``fields`` that ``frame`` has, in their types, with ``ROW``; bad rows are dealt with.

        Texts are read as numbers, whole floats as integers. Raises InputError.
        """
        present = [f for f in fields if f.name in frame.columns]
        columns = {f.name: _cast(frame[f.name], f, self.path) for f in present}
        result = pl.DataFrame([frame[ROW], *(column.alias(name) for name, column in columns.items())])
        rules = []
        for f in present:
            rules += self._type_rules(frame[f.name], columns[f.name], f)
            rules += _range_rules(f)
        return self.drop(result, rules, raw=frame)

    def csv(self, fields: Sequence[Field], names: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the CSV file in batches as ``typed`` gives them; without a header where ``names`` are given.

        The first batch comes always, also without rows. Raises InputError. A batch whose fields all are what they
        should be is read right into its types; any other is read as texts, to tell what is wrong and where. The next
        batch is read ahead.
        """
        known = {f.name: pl.String if f.dtype is pl.Boolean else f.dtype for f in fields}

        apart = Checker(self.path, self.options)  # what is dropped of a batch counts when its turn comes

        def parse(data: bytes, columns: Sequence[str], row: int) -> tuple[pl.DataFrame, int]:
            frame = files.csv_typed(data, columns, row, known)
            if frame is not None and (result := self._clean(frame, fields)) is not None:
                return result, result.height
            raw, count = files.csv_texts(data, columns, row, self.path, self.options, apart.dropped)
            self.columns(raw.columns, fields)
            return apart.typed(raw, fields), count

        def batches() -> Iterator[tuple[pl.DataFrame, dict[str, int]]]:
            for frame in files.csv_pieces(self.path, self.options, parse, names):
                yield frame, apart.dropped
                apart.dropped = {}

        try:
            for frame, dropped in ahead(batches()):
                self._count(dropped)
                yield frame
        except InputError:
            self._count(apart.dropped)
            raise

    def _count(self, dropped: dict[str, int]) -> None:
        for reason, count in dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def _clean(self, frame: pl.DataFrame, fields: Iterable[Field]) -> pl.DataFrame | None:
        """Return what ``typed`` gives of columns that have their types, or None where something is wrong."""
        present = [f for f in fields if f.name in frame.columns]
        if any(f.required and f.name not in frame.columns for f in fields):
            return None
        columns = [_cast(frame[f.name], f, self.path) for f in present]
        result = pl.DataFrame([frame[ROW], *columns])
        rules = [
            rule
            for f, column in zip(present, columns, strict=True)
            for rule in (*self._type_rules(frame[f.name], column, f), *_range_rules(f))
        ]
        broken = result.select(rule.bad.any().alias(str(i)) for i, rule in enumerate(rules))
        return None if any(broken.row(0) if rules else ()) else result

    def _type_rules(self, raw: pl.Series, column: pl.Series, wanted: Field) -> list[Rule]:
        rules = []
        missing = raw.null_count()
        if column.null_count() > missing:
            bad = pl.lit(raw.is_not_null() & column.is_null())
            rules.append(Rule(bad, wanted.name, f"'{{value}}' is not {_WHAT[wanted.dtype]}", wanted.expected))
        if missing and not wanted.nullable:
            rules.append(Rule(pl.lit(raw.is_null()), wanted.name, "is missing", wanted.expected))
        return rules

    def drop(self, frame: pl.DataFrame, rules: Sequence[Rule], raw: pl.DataFrame | None = None) -> pl.DataFrame:
        """Return the rows of ``frame`` that break no rule. Raises InputError for the first bad row when strict.

        ``raw`` is the same rows as the file has them, for the message.
        """
        if not rules or not frame.height:
            return frame
        masks = frame.select(rule.bad.fill_null(False).alias(str(i)) for i, rule in enumerate(rules))
        broken = [i for i in range(len(rules)) if masks[str(i)].any()]
        if not broken:
            return frame
        if not self.options.lenient:
            firsts = {i: int(masks[str(i)].arg_max() or 0) for i in broken}
            first = min(broken, key=lambda i: (firsts[i], i))
            source = frame if raw is None else raw
            self._refuse(source, firsts[first], rules[first])
        good = pl.repeat(True, frame.height, eager=True)
        for i in broken:
            reason = f"{rules[i].field}: {rules[i].problem.replace(chr(39) + '{value}' + chr(39) + ' ', '')}"
            bad = masks[str(i)] & good
            if bad.any():
                self.dropped[reason] = self.dropped.get(reason, 0) + int(bad.sum())
            good = good & ~bad
        return frame.filter(good)

    def _refuse(self, source: pl.DataFrame, at: int, rule: Rule) -> None:
        value = source[rule.field][at] if rule.field in source.columns else None
        problem = rule.problem.replace("{value}", str(value)[:80])
        raise InputError(problem, file=self.path, row=int(source[ROW][at]), field=rule.field, expected=rule.expected)

    def parsed(self, frame: pl.DataFrame, name: str, parse: Callable[[str], object]) -> pl.DataFrame:
        """Return ``frame`` without the rows whose text ``name`` the function ``parse`` refuses (InputError).

        Each distinct text is parsed once, and bad ones count by what is wrong with them, not by what they say.
        """
        found: dict[tuple[str, str], list[str]] = {}
        for text in frame[name].unique(maintain_order=True).drop_nulls():
            try:
                parse(text)
            except InputError as error:
                problem, expected = error.problem, error.expected or "its written form"
                if self.options.lenient:
                    problem = re.sub("'.*'", "'{value}'", problem, flags=re.DOTALL)
                found.setdefault((problem, expected), []).append(text)
                if not self.options.lenient:  # texts come in the order of their rows: the first is the one to tell
                    break
        return self.drop(frame, [Rule(pl.col(name).is_in(texts), name, *said) for said, texts in found.items()])

    def unique(self, frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
        """Return ``frame`` without rows that repeat the columns ``names`` of an earlier row."""
        varying = [n for n in names if frame[n].n_unique() > 1] or [names[-1]]
        distinct = frame[varying[0]].n_unique() if len(varying) == 1 else frame.select(varying).n_unique()
        if distinct == frame.height:
            return frame
        repeated = ~pl.struct(varying).is_first_distinct()
        return self.drop(frame, [Rule(repeated, names[-1], "'{value}' occurs twice", "a name that occurs once")])

    def fresh(self, frame: pl.DataFrame, name: str) -> pl.DataFrame:
        """Return ``frame`` without rows whose ``name`` an earlier row had, here or in an earlier call.

        Of earlier calls 64 bits of each are kept: eight bytes a row, and one false repetition in 10^19 pairs.
        """
        if not frame.height:
            return frame
        ascends = self._ascends(frame[name])
        hashes = frame[name].hash().to_numpy()
        seen = self._seen.setdefault(name, Seen())
        if ascends:
            seen.add(hashes)
            return frame
        ascending = np.sort(hashes)
        if (ascending[1:] == ascending[:-1]).any():
            frame = self.unique(frame, [name])
            hashes = frame[name].hash().to_numpy()
        elif not seen.before(ascending).any():
            seen.add(ascending)
            return frame
        again = seen.before(hashes)
        seen.add(hashes[~again])
        rule = Rule(pl.lit(pl.Series(again)), name, "'{value}' occurs twice", "a name that occurs once")
        return self.drop(frame, [rule])

    def _ascends(self, numbers: pl.Series) -> bool:
        """Tell whether all numbers so far, call by call, are each larger than the one before: then none repeats."""
        if not numbers.dtype.is_integer() or numbers.null_count():
            return False
        values = numbers.to_numpy()
        last = self._last.get(numbers.name)
        if numbers.name in self._seen and last is None:
            return False
        ascends = (last is None or values[0] > last) and bool((values[1:] > values[:-1]).all())
        self._last[numbers.name] = values[-1] if ascends else None
        return ascends


def share_rules(devices: str, share: str) -> list[Rule]:
    """Return the rules of GPU requests: one share of a GPU, or whole GPUs. Both columns may be null."""
    count, milli = pl.col(devices).fill_null(0), pl.col(share)
    return [
        Rule((count > 0) & (milli == 0), share, "is 0 with GPUs", "1 to 1000"),
        Rule((count == 0) & (milli > 0), devices, "is 0 with a share", "1 or more"),
        Rule((count > 1) & (milli < 1000), share, "'{value}' is a share of several GPUs", "1000, or a single GPU"),
    ]


@cache  # a few fields, asked for with each batch
def _range_rules(wanted: Field) -> Sequence[Rule]:
    column = pl.col(wanted.name)
    if wanted.dtype is pl.Boolean:
        return []
    if wanted.dtype is pl.String:
        longest = int(wanted.high) if wanted.high != LARGEST else LONGEST_TEXT
        too_long = column.str.len_bytes() > longest
        return [Rule(too_long, wanted.name, f"is longer than {longest} bytes", "a shorter text")]
    rules = []
    if wanted.dtype is pl.Float64:
        rules.append(Rule(~column.is_finite(), wanted.name, "'{value}' is not a finite number", wanted.expected))
    low = "'{value}' is negative" if wanted.low == 0 else f"'{{value}}' is below {wanted.low:,.0f}"
    rules.append(Rule(column < wanted.low, wanted.name, low, wanted.expected))
    rules.append(Rule(column > wanted.high, wanted.name, "'{value}' is too large", wanted.expected))
    return rules


def _cast(raw: pl.Series, wanted: Field, path: Path) -> pl.Series:
    """Return ``raw`` in the type of ``wanted``, null where a value does not have it."""
    kind = raw.dtype
    if kind == pl.String:
        return _from_text(raw, wanted)
    if kind == pl.Null:
        return raw.cast(wanted.dtype)
    if wanted.dtype is pl.String and (kind.is_integer() or kind in (pl.Categorical, pl.Enum)):
        return raw.cast(pl.String)
    if wanted.dtype is pl.Boolean and kind == pl.Boolean:
        return raw
    if wanted.dtype in (pl.Int64, pl.Float64) and kind.is_numeric():
        column = raw.cast(wanted.dtype, strict=False)
        if wanted.dtype is pl.Int64 and not kind.is_integer():
            return _whole(raw.cast(pl.Float64))
        return column
    raise InputError(f"is {kind} in the file", file=path, field=wanted.name, expected=wanted.expected)


def _from_text(raw: pl.Series, wanted: Field) -> pl.Series:
    if wanted.dtype is pl.String:
        return raw
    if wanted.dtype is pl.Boolean:
        return raw.replace_strict(_TRUTH | {"0": False}, default=None, return_dtype=pl.Boolean)
    column = raw.cast(wanted.dtype, strict=False)
    if column.null_count() == raw.null_count():
        return column
    stripped = raw.str.strip_chars()
    column = stripped.cast(wanted.dtype, strict=False)
    if wanted.dtype is pl.Float64 or column.null_count() == raw.null_count():
        return column
    return column.fill_null(_whole(stripped.cast(pl.Float64, strict=False)))


def _whole(numbers: pl.Series) -> pl.Series:
    """Return floats that are whole and exact as integers, null for the others."""
    exact = (numbers == numbers.floor()) & (numbers.abs() <= 2.0**53)
    return pl.select(pl.when(exact).then(numbers)).to_series().cast(pl.Int64, strict=False)


def microseconds(seconds: pl.Expr) -> pl.Expr:
    """Return times in seconds (floats) as int64 microseconds, rounded to the nearest."""
    return (seconds * 1e6).round().cast(pl.Int64)


def rounded_up(amount: pl.Expr) -> pl.Expr:
    """Return amounts as int64, rounded up as Kubernetes does, where the sixth decimal still counts.

    The decimals beyond are those of the double, not of the file: 0.07 cores are 70 milli, not 71.
    """
    return amount.round(6).ceil().cast(pl.Int64)
