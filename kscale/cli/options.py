"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import Parameter, Token

Form = Literal["table", "wide", "json", "yaml", "csv", "markdown"]


def _whole(type_: object, tokens: Sequence[Token]) -> int:
    """Read a whole number strictly: the framework would round 1.5."""
    return int(tokens[0].value)


Whole = Annotated[int, Parameter(converter=_whole)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Quiet = Annotated[bool, Parameter(name=["-q", "--quiet"], negative="", show_default=False)]
Output = Annotated[Form, Parameter(name=["-o", "--output"])]
