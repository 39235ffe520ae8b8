"""Controllers: each module here compares what is with what was asked, for all objects of its kind at once.

To add a controller, add a module that declares a ``Controller`` (and its test, ``tests/controllers/test_<module>.py``);
one that lives outside the package is an entry point of the group ``kscale.controllers``. A leaf may declare the kinds
that it brings (``Kind``), and their tables (``COLUMNS``, as every leaf does).

A step gets the keys whose objects changed, or whose time has come, and the present time. It reads columns only, and
says what it wants in ``Requests``: it never writes. It must not remember: stopped and started again, it has to come to
the same end, so what it needs to know stands in columns. What it does for a key may depend on nothing but the state.
"""

from __future__ import annotations

from functools import cache

from kscale import shelf
from kscale.engine.kinds import Kind
from kscale.engine.reconcile import Controller
from kscale.state.schema import Addition

__all__ = ["Controller", "Kind", "columns", "found", "kinds"]


@cache
def found() -> dict[str, Controller]:
    """Return every controller, by its name."""
    return shelf.declared(__name__, Controller)


@cache
def kinds() -> dict[str, Kind]:
    """Return every kind that a leaf brings, by its name."""
    return shelf.declared(__name__, Kind)


@cache
def columns() -> list[Addition]:
    """Return the tables and columns that leaves declare."""
    return [module.COLUMNS for module in shelf.modules(__name__) if hasattr(module, "COLUMNS")]
