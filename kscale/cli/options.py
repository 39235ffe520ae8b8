"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import Parameter, Token

from kscale.errors import InputError

Form = Literal["table", "wide", "json", "yaml", "csv", "markdown"]


def _whole(type_: object, tokens: Sequence[Token]) -> int:
    """Read a whole number strictly: the framework would round 1.5."""
    return int(tokens[0].value)


def _files(type_: object, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Read file names: ``-`` is one, other options are none."""
    for token in tokens:
        if token.value.startswith("-") and token.value != "-":
            raise InputError("has no value", field=token.keyword, expected="a file or folder, or - for standard input")
    return tuple(token.value for token in tokens)


Objects = Annotated[
    tuple[str, ...], Parameter(name=["-f", "--filename"], negative="", allow_leading_hyphen=True, converter=_files)
]
Whole = Annotated[int, Parameter(converter=_whole)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Quiet = Annotated[bool, Parameter(name=["-q", "--quiet"], negative="", show_default=False)]
Output = Annotated[Form, Parameter(name=["-o", "--output"])]
