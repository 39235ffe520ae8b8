"""Parameters of a model: every number that is not counted, on a row with its source; a file may give other values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from kscale.errors import InputError, MachineError, nearest

#: How a number is known: measured on a machine, published by others, structural (it follows from what is written, or
#: from a source), assumed, or given by whoever runs the model.
MEASURED, PUBLISHED, STRUCTURAL, ASSUMED, GIVEN = "measured", "published", "structural", "assumed", "given"
KINDS = (MEASURED, PUBLISHED, STRUCTURAL, ASSUMED, GIVEN)
_ONE_KIND = f"one of {', '.join(KINDS)}"
#: Largest file of parameters, in bytes.
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Parameter:
    """One number of a model.

    Attributes:
        name: as it is asked for.
        value: never negative, always finite.
        unit: of the value; ``1`` for a count or a factor.
        kind: one of ``KINDS``.
        source: where the number is from.
        note: how sure it is, what else is known; may be empty.
    """

    name: str
    value: float
    unit: str
    kind: str
    source: str
    note: str = ""

    @property
    def whole(self) -> int:
        """The value of what is counted, or of a time in whole us. Raises ValueError where it is no whole number."""
        if self.value != int(self.value):
            raise ValueError(f"the parameter '{self.name}' is {self.value}, which is no whole number")
        return int(self.value)


class Parameters:
    """Parameters by name: ``parameters["userspace_relay_us"]`` is a value; iterating gives the rows."""

    def __init__(self, rows: Iterable[Parameter]) -> None:
        """Raises ValueError where two rows have one name."""
        self._rows: dict[str, Parameter] = {}
        for row in rows:
            if row.name in self._rows:
                raise ValueError(f"the parameter '{row.name}' is declared twice")
            self._rows[row.name] = row
        self._values = {name: row.value for name, row in self._rows.items()}

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and self._rows == other._rows

    def __hash__(self) -> int:
        return hash(tuple(self._rows.values()))

    def row(self, name: str) -> Parameter:
        """Return the row of a name. Raises InputError where there is none."""
        if name not in self._rows:
            short = name[:80]
            raise InputError(f"is no parameter{nearest(short, self._rows)}", field=short, expected="a known name")
        return self._rows[name]

    def replaced(self, values: Mapping[str, float], source: str = "given", kind: str = GIVEN) -> Parameters:
        """Return parameters with other values under these names, marked with where they are from.

        Raises InputError where a name is unknown, or a value is negative or not finite.
        """
        rows = dict(self._rows)
        for name, value in values.items():
            rows[name] = replace(self.row(name), value=_checked(value, name), kind=kind, source=source)
        return Parameters(rows.values())

    def wholes(self, values: Mapping[str, int]) -> dict[str, int]:
        """Return the value of every parameter by name, some of them others: for a model without fractions.

        Raises InputError where a name is unknown, or a value is no whole number of at least 0.
        """
        for name, value in values.items():
            unit = self.row(name).unit
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise InputError(f"is {str(value)[:40]}", field=name, expected=f"a whole number of {unit}, 0 or more")
        return {name: row.whole for name, row in self._rows.items()} | dict(values)


def _checked(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InputError(f"is {value!r}", field=name, expected="a number of 0 or more")
    return float(value)


def _is_yaml(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml")


def read(path: Path, base: Parameters) -> Parameters:
    """Return ``base`` with the values of a JSON or YAML file (by the ending: .yaml and .yml are YAML).

    The file is a mapping of names to values, or what ``text`` writes: a list of rows under ``parameters``, of which
    ``name`` and ``value`` are needed. A row keeps the kind and the source that it states. Raises InputError where the
    file is not that, MachineError where it cannot be read.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError("is too large", file=path, expected=f"{_LARGEST:,} bytes at most")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError("does not exist", file=path, expected="a file of parameters") from None
    except IsADirectoryError:
        raise InputError("is a folder", file=path, expected="a file of parameters") from None
    except OSError as error:
        raise MachineError(f"{path}: {error.strerror}") from error
    try:
        found = msgspec.yaml.decode(raw) if _is_yaml(path) else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        kind = "YAML" if _is_yaml(path) else "JSON"
        raise InputError(f"is not {kind}", file=path, expected="names of parameters with values") from None
    try:
        return _taken(found, base, path.name)
    except InputError as error:
        raise InputError(error.problem, file=path, row=error.row, field=error.field, expected=error.expected) from None


def _taken(found: Any, base: Parameters, source: str) -> Parameters:
    rows = found.get("parameters") if isinstance(found, dict) else None
    if isinstance(found, dict) and rows is None:
        if not all(isinstance(name, str) for name in found):
            raise InputError("has a name that is no text", expected="names of parameters")
        return base.replaced(found, source)
    if not isinstance(rows, list):
        raise InputError("is no mapping of names", expected="names of parameters with values, or a list 'parameters'")
    seen: set[str] = set()
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("name"), str) or "value" not in row:
            raise InputError("is no parameter", row=place + 1, expected="a mapping with name and value")
        name = row["name"]
        if name in seen:
            raise InputError(f"'{name[:80]}' is there twice", row=place + 1, field="name", expected="each name once")
        seen.add(name)
        kind, stated = row.get("kind", GIVEN), row.get("source", source)
        if kind not in KINDS:
            raise InputError(f"is '{str(kind)[:80]}'", row=place + 1, field="kind", expected=_ONE_KIND)
        base = base.replaced({name: row["value"]}, str(stated), kind)
    return base


def text(parameters: Parameters, *, yaml: bool = False) -> str:
    """Return the rows as JSON or YAML; ``read`` gives the same parameters back."""
    rows = {"parameters": [vars(row) for row in parameters]}
    if yaml:
        return msgspec.yaml.encode(rows).decode()
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"
