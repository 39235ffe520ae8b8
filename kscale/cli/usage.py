"""Wrong usage in one line: what is wrong, the nearest right word, and where help is."""

from __future__ import annotations

from itertools import chain
from typing import Literal, get_args, get_origin

import cyclopts

from kscale.cli import COMMANDS, Command
from kscale.errors import InputError, nearest

_KINDS = {int: "a whole number", float: "a number", bool: "the option alone"}


def told(error: cyclopts.CycloptsError, command: Command | None, arguments: list[str]) -> InputError:
    """Return what the framework found wrong in ``arguments``, as an InputError."""
    if command is None:
        return _unknown_command(arguments)
    page = f"kscale {command.words} --help"
    if isinstance(error, cyclopts.UnknownOptionError):
        given = (error.token.keyword or error.token.value).split("=", 1)[0]
        known = [name for name in chain(*(a.names for a in error.argument_collection if a.parse)) if name[:1] == "-"]
        return InputError(f"there is no option '{given}'{nearest(given, known)}", expected=f"an option of {page}")
    if isinstance(error, cyclopts.RepeatArgumentError):
        return InputError("is given twice", field=error.token.keyword, expected="one value")
    if isinstance(error, cyclopts.UnusedCliTokensError):
        given = (error.unused_tokens or ["?"])[0]
        return InputError(f"'{given}' is one argument too many", expected=f"what {page} shows")
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
        name = error.keyword or error.argument.name
        if any(name == a.split("=", 1)[0] for a in arguments):
            return InputError("has no value", field=name, expected=f"{name} VALUE; see {page}")
        return InputError(f"{_shown(name)} is missing", expected=_synopsis(error, command))
    if isinstance(error, cyclopts.CoercionError) and error.argument is not None and error.token is not None:
        return _wrong_value(error)
    return InputError(" ".join(str(error).split()).rstrip("."), expected=f"what {page} shows")


def _shown(name: str) -> str:
    return name if name.startswith("-") else name.upper()


def _synopsis(error: cyclopts.CycloptsError, command: Command) -> str:
    """Return the command with what it requires: ``kscale replay TRACE --nodes … --out …``."""
    needed = [a for a in error.app.assemble_argument_collection() if a.required] if error.app is not None else []
    words = [_shown(a.name) if not a.name.startswith("-") else f"{a.name} …" for a in needed]
    return " ".join(["kscale", command.words, *words])


def _wrong_value(error: cyclopts.CoercionError) -> InputError:
    assert error.argument is not None and error.token is not None
    name, value = error.token.keyword or _shown(error.argument.name), error.token.value
    choices = get_args(error.target_type) if get_origin(error.target_type) is Literal else ()
    if choices:
        return InputError(
            f"there is no '{value}'{nearest(value, choices)}", field=name, expected=f"one of {', '.join(choices)}"
        )
    types = (error.target_type, *get_args(error.target_type))
    kind = next((words for type_, words in _KINDS.items() if type_ in types), "another value")
    return InputError(f"cannot be '{value}'", field=name, expected=kind)


def _unknown_command(arguments: list[str]) -> InputError:
    """Return the error for arguments that name no command."""
    first = arguments[0]
    below = [command.words for command in COMMANDS if command.words.startswith(f"{first} ")]
    if below:
        given = next((a for a in arguments[1:] if not a.startswith("-")), arguments[-1])
        words = [words.split()[1] for words in below]
        return InputError(
            f"there is no command '{first} {given}'{nearest(given, words)}",
            expected=f"kscale {first} with one of {', '.join(words)}",
        )
    if first.startswith("-"):
        return InputError(
            f"there is no option '{first}'{nearest(first, ('--help', '--version'))}", expected="a command"
        )
    words = list(dict.fromkeys(command.words.split()[0] for command in COMMANDS))
    return InputError(f"there is no command '{first}'{nearest(first, words)}", expected=f"one of {', '.join(words)}")
