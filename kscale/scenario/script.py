"""Carries out the actions of a scenario when their time has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kscale.engine.clock import NEVER
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.scenario.effects import Effect

Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Action:
    """What is done at one time.

    Attributes:
        file, number: where it stands: the scenario file, and the place of its entry there from 1.
        words: what is done, in a few words.
        effects: what it does to the world, in order.
    """

    at_us: int
    file: str
    number: int
    words: str
    effects: tuple[Effect, ...]

    def apply(self, world: World, now_us: int, wanted: Rows) -> str:
        """Do it; return what was done. ``wanted`` are rows of templates by their handles. Raises InputError."""
        try:
            said = [effect.apply(world, now_us, wanted) for effect in self.effects]
        except InputError as error:
            raise InputError(
                error.problem, file=f"{self.file}, action {self.number}", field=error.field, expected=error.expected
            ) from None
        told = "; ".join(dict.fromkeys(filter(None, said)))
        return f"{self.words} ({told})" if told else self.words


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

    def due_us(self) -> int:
        """Return when the next action is due."""
        done = len(self.happened)
        return self.actions[done].at_us if done < len(self.actions) else NEVER

    def last_us(self) -> int:
        """Return when the last action is due; 0 where there is none."""
        return self.actions[-1].at_us if self.actions else 0

    def apply_due(self, world: World, now_us: int) -> list[Happened]:
        """Carry out what is due, and return it. Raises InputError."""
        first = len(self.happened)
        while self.due_us() <= now_us:
            action = self.actions[len(self.happened)]
            self.happened.append(Happened(now_us, action.number, action.apply(world, now_us, self.wanted)))
        return self.happened[first:]
