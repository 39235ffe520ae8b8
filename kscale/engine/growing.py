"""The pods of a run in which more come than the trace has: those of the trace, and after them the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
import polars as pl

from kscale.engine.arrivals import Source
from kscale.engine.scratch import stretches

Numbers = np.ndarray[Any, Any]
#: What Kubernetes' generated names are made of (k8s.io/apimachinery, rand.String).
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIXES = len(LETTERS) ** 5
#: Without a common factor with the number of suffixes, so that each serial number has its own.
_STRIDE, _SHIFT = 8_675_309, 1_234_567


class Told(Source, Protocol):
    """Pods of a trace that can be told of by name."""

    def known(self, first: int, last: int) -> pl.DataFrame:
        """Return rows with the columns that are told of every pod."""
        ...

    def called(self, rows: Numbers) -> pl.Series:
        """Return the names of rows, as namespace/name."""
        ...


def suffix(serial: int) -> str:
    """Return the end of a generated name: five letters, no two pods of fourteen million with the same."""
    number, text = (serial * _STRIDE + _SHIFT) % _SUFFIXES, ""
    for _ in range(5):
        number, letter = divmod(number, len(LETTERS))
        text += LETTERS[letter]
    return text


class _Appended(ABC):
    """Pods by their place in the order of arrival: those of the trace, and after them others, which ``_made`` tells."""

    def __init__(self, base: Told) -> None:
        self._base = base
        self.height = base.height

    @abstractmethod
    def _made(self, first: int, last: int) -> pl.DataFrame:
        """Return the others by their place among them, with the columns that are told of every pod."""

    def numbers(self, name: str, rows: slice | Numbers) -> Numbers:
        """Return a time of these rows of the trace; see ``Source``."""
        return self._base.numbers(name, rows)

    def known(self, first: int, last: int) -> pl.DataFrame:
        """Return rows with the columns that are told of every pod."""
        split = min(max(self._base.height, first), last)
        parts = [self._base.known(first, split)] if split > first or last == first else []
        if last > split:
            parts.append(self._made(split - self._base.height, last - self._base.height))
        return pl.concat(parts)

    def called(self, rows: Numbers) -> pl.Series:
        """Return the names of rows, as namespace/name; the rows ascend."""
        parts = [pl.Series("called", dtype=pl.String)]
        for first, last in stretches(self.height):
            within = rows[(rows >= first) & (rows < last)] - first
            if len(within):
                named = self.known(first, last)[within]
                parts.append(named.select(pl.concat_str("namespace", pl.lit("/"), "name").alias("called")).to_series())
        return pl.concat(parts)


class GrowingPods(_Appended):
    """Pods of a run in which controllers create some."""

    def __init__(self, base: Told) -> None:
        super().__init__(base)
        self._parts: list[dict[str, Numbers]] = []
        self._joined: dict[str, Numbers] | None = None
        self._owners: dict[int, tuple[str, str, bool]] = {}

    def add(self, now_us: int, template: Numbers, uid: Numbers, number: Numbers) -> None:
        """Take pods that were created now: their templates, the ``object_uid`` of their owners, their numbers."""
        at = np.full(len(template), now_us, np.int64)
        part: dict[str, Numbers] = {
            "at": at, "template": template.astype(np.uint32), "uid": uid.copy(), "number": number.copy(),
        }  # fmt: skip
        self._parts.append(part)
        self._joined = None
        self.height += len(template)

    def name_owner(self, uid: int, namespace: str, name: str, *, ordinals: bool) -> None:
        """Note what the owner ``uid`` is called, and whether its pods are called by their ordinals."""
        self._owners[uid] = (namespace, name, ordinals)

    def knows(self, uid: int) -> bool:
        """Return whether the owner's name is noted."""
        return uid in self._owners

    @property
    def _created(self) -> dict[str, Numbers]:
        if self._joined is None:
            empty = {name: np.empty(0, np.int64) for name in ("at", "template", "uid", "number")}
            parts = [empty, *self._parts]
            self._joined = {name: np.concatenate([part[name] for part in parts]) for name in empty}
            self._parts = [self._joined]
        return self._joined

    @property
    def spec(self) -> Numbers:
        """The template of each."""
        return np.concatenate([self._base.spec, self._created["template"].astype(np.uint32)])

    def _made(self, first: int, last: int) -> pl.DataFrame:
        made = {name: values[first:last] for name, values in self._created.items()}
        owners = [self._owners[uid] for uid in made["uid"].tolist()]
        names = [
            _called(name, number, serial, ordinals)
            for (_, name, ordinals), number, serial in zip(
                owners, made["number"].tolist(), range(self._base.height + first, self._base.height + last), strict=True
            )
        ]
        return pl.DataFrame(
            {
                "name": names, "namespace": [namespace for namespace, _, _ in owners],
                "arrival_us": made["at"], "spec": made["template"].astype(np.uint32),
            }
        )  # fmt: skip


class ReturningPods(_Appended):
    """Pods of a run in which others take the place of those that lose their node, called ``<name>~r1`` and so on."""

    def __init__(self, base: Told) -> None:
        super().__init__(base)
        self._roots: list[int] = []
        self._times: list[int] = []
        self._at_us: list[int] = []

    def add(self, row: int, now_us: int) -> int:
        """Take the pod that comes now for that of ``row``, and return its place."""
        before = row - self._base.height
        self._roots.append(row if before < 0 else self._roots[before])
        self._times.append(1 if before < 0 else self._times[before] + 1)
        self._at_us.append(now_us)
        self.height += 1
        return self.height - 1

    @property
    def spec(self) -> Numbers:
        """The template of each."""
        base = self._base.spec
        return np.concatenate([base, base[np.array(self._roots, np.int64)]])

    def _made(self, first: int, last: int) -> pl.DataFrame:
        roots = np.array(self._roots[first:last], np.int64)
        distinct, place = np.unique(roots, return_inverse=True)
        called = self._base.called(distinct).gather(place).str.splitn("/", 2).struct
        times = pl.Series(self._times[first:last], dtype=pl.Int64).cast(pl.String)
        return pl.DataFrame(
            {
                "name": called[1] + "~r" + times, "namespace": called[0],
                "arrival_us": pl.Series(self._at_us[first:last], dtype=pl.Int64),
                "spec": self._base.spec[roots].astype(np.uint32),
            }
        )  # fmt: skip


def _called(owner: str, number: int, serial: int, ordinals: bool) -> str:
    """Return a pod's name: by its ordinal, by its index and a suffix, or by a suffix alone."""
    if ordinals:
        return f"{owner}-{number}"
    return f"{owner}-{number}-{suffix(serial)}" if number >= 0 else f"{owner}-{suffix(serial)}"
