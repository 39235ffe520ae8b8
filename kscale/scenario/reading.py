"""Reads scenario files: YAML documents, each a list of entries or one entry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kscale.errors import InputError, nearest
from kscale.scenario import models
from kscale.scenario.models import TIMES, VERBS, Entry
from kscale.state.manifests.faults import Item, told
from kscale.state.manifests.reading import STDIN, ReadOptions, objects_of, read_objects, read_texts
from kscale.state.manifests.yamls import documents, encoded

_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$\.?(.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `\$\.?(.*)`)?", re.DOTALL)
#: Structs within a verb's, by the field that holds them; in others there are but curves.
_NESTED: dict[str, type[models.Part]] = {"flows": models.Flow, "duration": models.Duration}


@dataclass(frozen=True)
class Step:
    """An entry of a scenario.

    Attributes:
        file: where it stands.
        number: its number there, from 1.
        place: its place among the entries of all files, from 0.
        items: the objects that it applies.
    """

    file: str
    number: int
    place: int
    entry: Entry
    items: tuple[Item, ...] = ()

    @property
    def where(self) -> str:
        """The file and the number, for messages."""
        return f"{self.file}, action {self.number}"

    @property
    def verb(self) -> str:
        """The verb that it names."""
        return next(verb for verb in VERBS if getattr(self.entry, verb) is not None)


@dataclass(frozen=True)
class Scenario:
    """All entries, in the order of the files; ``inputs`` are the files."""

    steps: tuple[Step, ...]
    inputs: tuple[str, ...] = ()


def read(paths: Sequence[str | Path], options: ReadOptions | None = None) -> Scenario:
    """Return the scenario of files, in order; ``-`` is stdin. Raises InputError and MachineError."""
    options = options or ReadOptions()
    inputs: list[str] = []
    steps: list[Step] = []
    for file, text in read_texts(paths, options, inputs):
        for number, found in enumerate(_entries(text, file), 1):
            steps.append(_step(found, file, number, len(steps), options))
    if not steps:
        raise InputError("has no actions", file=", ".join(inputs)[:200], expected="a list of actions")
    return Scenario(tuple(steps), tuple(inputs))


def _entries(text: memoryview, file: str) -> Iterator[Any]:
    for document in documents(text, file):
        yield from document if isinstance(document, list) else [document]


def _step(found: Any, file: str, number: int, place: int, options: ReadOptions) -> Step:
    where = f"{file}, action {number}"
    try:
        entry = _entry(found)
        verbs = [verb for verb in VERBS if getattr(entry, verb) is not None]
        if len(verbs) != 1:
            what = f"has {' and '.join(verbs)}" if verbs else "has no verb"
            raise InputError(what, expected=f"exactly one of {', '.join(VERBS)}")
        items = tuple(_items(entry.apply, file, where, options)) if verbs == ["apply"] else ()
    except InputError as error:
        if error.file is not None:
            raise
        raise InputError(error.problem, file=where, field=error.field, expected=error.expected) from None
    return Step(file, number, place, entry, items)


def _entry(found: Any) -> Entry:
    """Return an entry as a struct. Raises InputError."""
    if not isinstance(found, dict):
        raise InputError("is no mapping", expected="a time and a verb")
    try:
        return msgspec.convert(found, Entry)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        text = str(error)
        if unknown := _UNKNOWN.fullmatch(text):
            raise _unknown(unknown[1], unknown[2] or "") from None
        if missing := _MISSING.fullmatch(text):
            raise InputError("is missing", field=_joined(missing[2], missing[1]), expected="a value") from None
        raise told(error) from None


def _unknown(name: str, path: str) -> InputError:
    first, _, rest = path.partition(".")
    struct: type[models.Part] | None = VERBS.get(first, Entry) if path else Entry
    if rest:
        struct = _NESTED.get(rest.rpartition(".")[2].partition("[")[0], models.Curve)
    elif first == "random":
        struct = models.Random
    assert struct is not None
    fields = [field.encode_name for field in msgspec.structs.fields(struct)]
    known = (*TIMES, *VERBS) if struct is Entry else fields
    return InputError(
        f"is not known{nearest(name[:80], known)}",
        field=_joined(path, name[:80]),
        expected=f"one of {', '.join(known)}",
    )


def _joined(path: str | None, name: str) -> str:
    return f"{path}.{name}" if path else name


def _items(given: Any, file: str, where: str, options: ReadOptions) -> Iterator[Item]:
    """Yield the objects of an ``apply``: manifests as they stand there, or in files beside the scenario's."""
    many = given if isinstance(given, list) else [given]
    if not many:
        raise InputError("is empty", field="apply", expected="manifests, or files of them")
    for one in many:
        if isinstance(one, dict):
            yield from objects_of(memoryview(encoded(one, where)), where)
        elif isinstance(one, str) and one not in ("", STDIN) and "\0" not in one:
            path = Path(one) if file == STDIN else Path(file).parent / one
            if not _exists(path):
                raise InputError(
                    f"'{one[:200]}' does not exist", field="apply", expected="a file or folder of manifests"
                )
            yield from read_objects([path], options)
        else:
            raise InputError("is no manifest", field="apply", expected="manifests, or files of them")


def _exists(path: Path) -> bool:
    """Tell whether a file or folder is there; a name that no file system takes is not."""
    try:
        return path.exists()
    except OSError:
        return False
