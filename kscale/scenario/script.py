"""Carries out the actions of a scenario when their time has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kscale.engine.clock import NEVER
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.scenario.effects import Effect

Rows = np.ndarray[Any, Any]
#: kubectl drain tries an eviction that was refused again after five seconds (kubectl/pkg/drain).
RETRY_US = 5_000_000


@dataclass(frozen=True)
class Action:
    """What is done at one time.

    Attributes:
        file, number: where it stands: the scenario file, and the place of its entry there from 1.
        words: what is done, in a few words.
        effects: what it does to the world, in order.
        again: whether it is what was left of an earlier one; where nothing comes of it, nothing is said.
    """

    at_us: int
    file: str
    number: int
    words: str
    effects: tuple[Effect, ...]
    again: bool = False

    def apply(self, world: World, now_us: int, wanted: Rows) -> tuple[str, tuple[Effect, ...]]:
        """Do it; return what was done, and what is left. ``wanted`` are rows of templates by their handles.

        Raises InputError.
        """
        try:
            told = [effect.apply(world, now_us, wanted) for effect in self.effects]
        except InputError as error:
            raise InputError(
                error.problem, file=f"{self.file}, action {self.number}", field=error.field, expected=error.expected
            ) from None
        left = tuple(one.left for one in told if one.left is not None)
        words = "; ".join(dict.fromkeys(one.words for one in told if one.words))
        if self.again:
            return (f"{self.words}, again ({words})" if words else ""), left
        return f"{self.words} ({words})" if words else self.words, left


@dataclass(frozen=True)
class Happened:
    """An action that was carried out: when, its number in its file, and what was done."""

    time_us: int
    action: int
    words: str


@dataclass
class Script:
    """Actions in the order of their times, and what has happened so far.

    Attributes:
        wanted: rows of the templates by their handles (``Inventory.wanted``).
    """

    actions: Sequence[Action]
    wanted: Rows
    happened: list[Happened] = field(default_factory=list)
    _done: int = 0
    #: What is left of actions, by time.
    _left: list[Action] = field(default_factory=list)

    def due_us(self) -> int:
        """Return when something is to be done next."""
        return min((one.at_us for one in (*self.actions[self._done : self._done + 1], *self._left[:1])), default=NEVER)

    def last_us(self) -> int:
        """Return when the last action is due; 0 where there is none."""
        return self.actions[-1].at_us if self.actions else 0

    def apply_due(self, world: World, now_us: int) -> list[Happened]:
        """Carry out what is due, and return it. Raises InputError."""
        first = len(self.happened)
        while self.due_us() <= now_us:
            action = self._next()
            words, left = action.apply(world, now_us, self.wanted)
            if words:
                self.happened.append(Happened(now_us, action.number, words))
            if left:
                # All wait equally long, so that they stay in order.
                self._left.append(replace(action, at_us=now_us + RETRY_US, effects=left, again=True))
        return self.happened[first:]

    def _next(self) -> Action:
        """Take out what is to be done next: of one time, what is left comes last."""
        action = self.actions[self._done] if self._done < len(self.actions) else None
        if action is not None and not (self._left and self._left[0].at_us < action.at_us):
            self._done += 1
            return action
        return self._left.pop(0)
