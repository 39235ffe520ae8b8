"""Finds what the modules of a folder declare: a folder is its own registry.

A leaf is one module in the folder (or one entry point in the group of the folder's name);
what it declares is found by type. To add a leaf, add a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from importlib.metadata import entry_points
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def modules(package: str) -> Iterator[ModuleType]:
    """Yield the leaf modules of ``package`` in the order of their names, then those of its entry points.

    Raises ImportError when a leaf cannot be imported.
    """
    folder = importlib.import_module(package)
    for found in sorted(pkgutil.iter_modules(folder.__path__), key=lambda m: m.name):
        yield importlib.import_module(f"{package}.{found.name}")
    for entry in sorted(entry_points(group=package), key=lambda e: e.name):
        yield importlib.import_module(entry.value)


def declared(package: str, kind: type[T]) -> dict[str, T]:
    """Return every value of type ``kind`` that the leaves of ``package`` declare, by its ``name``.

    Raises ValueError when two leaves declare one name.
    """
    result: dict[str, T] = {}
    for module in modules(package):
        for value in vars(module).values():
            if not isinstance(value, kind):
                continue
            name: str = value.name  # type: ignore[attr-defined]
            if result.get(name, value) is not value:
                raise ValueError(f"{module.__name__}: '{name}' is declared twice in {package}")
            result[name] = value
    return result
