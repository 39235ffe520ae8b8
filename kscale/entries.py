"""The entries of the compiled loop: loaded once, called with the columns as they stand now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from kscale import kernels
from kscale.state.tables import Cluster


class Entries:
    """What of the loop can be called, by name.

    ``compiled`` says whether texts are compiled or run as they stand, when they are loaded.
    """

    def __init__(self, cluster: Cluster, compiled: Callable[[], bool]) -> None:
        self._cluster, self._compiled = cluster, compiled
        self._names: dict[str, list[str]] = {}
        self._called: dict[str, Callable[..., Any]] = {}
        self._columns: dict[str, Any] = {}
        self._generation = -1

    def load(self, text: str, names: Mapping[str, list[str]]) -> ModuleType:
        """Load the module of a text, whose entries take the columns that ``names`` lists for each."""
        module = kernels.load(text, compiled=self._compiled())
        self._names |= names
        self._called |= {name: getattr(module, name) for name in names}
        return module

    def __contains__(self, name: str) -> bool:
        return name in self._called

    def call(self, name: str, *arguments: Any) -> Any:
        """Call an entry: its own arguments, then the table of its columns, which is made anew when they have grown."""
        if self._generation != self._cluster.generation:
            self._columns, self._generation = {}, self._cluster.generation
        if name not in self._columns:
            columns = self._cluster.arguments(self._names[name])
            self._columns[name] = kernels.table(columns, compiled=self._compiled())
        return self._called[name](*arguments, self._columns[name])
