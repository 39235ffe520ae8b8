"""The one door to numba: compiling, caching, and composing kernels whose parameters are columns.

A kernel is a plain function over whole columns. A parameter named like a column (``node_requested``) receives that
column; every other parameter is the caller's business. ``Composer`` writes kernels and small drivers out as one
module of plain Python, in which every call passes the columns that its callee names; that module is what runs,
compiled or (``compiled=False``) as it stands.

numba's own cache does not notice an edited callee in another file, so compiled code is kept in a folder named by a
digest of the package's sources, of the versions below it and of the generated text: no edit meets stale code.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection
from functools import cache
from importlib.metadata import entry_points, version
from pathlib import Path
from types import ModuleType
from typing import Any

import numba

_FLAGS: dict[str, Any] = {"error_model": "numpy", "nogil": True}
_KEPT_CACHES = 4


def kernel(function: Callable[..., Any]) -> Any:
    """Make ``function`` a kernel: compiled when a composed module calls it. Its plain form is ``plain(kernel)``."""
    return numba.njit(**_FLAGS)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Make ``function`` a kernel that is inlined into its callers: for arithmetic on scalars inside loops."""
    return numba.njit(inline="always", **_FLAGS)(function)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the plain Python function behind a kernel."""
    return getattr(function, "py_func", function)


def parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of a kernel's parameters, in order."""
    return list(inspect.signature(plain(function)).parameters)


@cache
def source_digest() -> str:
    """Return a digest of every source file of the package and of its outside leaves, and of the versions below."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    for entry in sorted(entry_points(group="kscale.scheduler.plugins"), key=lambda e: e.name):
        found = importlib.util.find_spec(entry.module)
        if found is not None and found.origin is not None:
            digest.update(Path(found.origin).read_bytes())
    digest.update("|".join([sys.version, *(version(name) for name in ("numba", "llvmlite", "numpy"))]).encode())
    return digest.hexdigest()[:20]


@cache
def cache_folder() -> Path:
    """Return the folder for compiled code of these very sources; older ones beside it are removed.

    ``KSCALE_CACHE`` names the parent; without it, the user's cache folder; where that cannot be written, a new one.
    """
    base = os.environ.get("KSCALE_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kscale"
    )
    folder = Path(base) / source_digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return Path(tempfile.mkdtemp(prefix="kscale-"))
    others = [path for path in folder.parent.iterdir() if path.is_dir() and re.fullmatch(r"[0-9a-f]{20}", path.name)]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT_CACHES:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


class Composer:
    """Writes kernels and drivers out as one module.

    ``use`` brings in a kernel under a name; ``define`` adds a driver, whose text calls the others as ``@name(…)``
    with their own arguments only: the columns are filled in by name.
    """

    def __init__(self, columns: Collection[str]) -> None:
        self._columns = frozenset(columns)
        self._needs: dict[str, list[str]] = {}
        self._header: list[str] = []
        self._bodies: list[str] = []
        self._imported: set[str] = set()

    def use(self, name: str, function: Callable[..., Any]) -> None:
        """Bring in a kernel under ``name``; its columns follow its other parameters.

        Raises ValueError when a parameter that is not a column follows one that is.
        """
        names = parameters(function)
        needs = [parameter for parameter in names if parameter in self._columns]
        if names[len(names) - len(needs) :] != needs:
            raise ValueError(f"{plain(function).__qualname__}: columns must come last, in {names}")
        module = plain(function).__module__
        if module not in self._imported:
            self._imported.add(module)
            self._header.append(f"import {module}")
        self._header.append(f"{name} = _form({module}.{plain(function).__qualname__})")
        self._needs[name] = needs

    def define(self, name: str, arguments: str, body: str, *, entry: bool = False, inline: bool = False) -> None:
        """Add a driver: ``body`` is its text, indented as at top level; bare column names in it become parameters."""
        called = set(re.findall(r"@(\w+)\(", body))
        missing = called - set(self._needs)
        if missing:
            raise ValueError(f"{name} calls what is not there: {sorted(missing)}")
        own = set(re.findall(r"\b[a-z]\w*\b", body)) & self._columns
        needs = sorted(own.union(*(self._needs[callee] for callee in called)))
        self._needs[name] = needs
        decorator = "@_entry" if entry else "@_inlined" if inline else "@_inner"
        text = "\n".join("    " + line if line else "" for line in self._expand(body).strip("\n").split("\n"))
        head = ", ".join([*filter(None, [arguments]), *needs])
        self._bodies.append(f"{decorator}\ndef {name}({head}):\n{text}\n")

    def _expand(self, body: str) -> str:
        def filled(found: re.Match[str]) -> str:
            columns = ", ".join(self._needs[found[1]])
            given = found[2].strip()
            return f"{found[1]}({given}{', ' if given and columns else ''}{columns})"

        return re.sub(r"@(\w+)\(([^()]*(?:\([^()]*\)[^()]*)*)\)", filled, body)

    def columns_of(self, name: str) -> list[str]:
        """Return the columns that the driver or kernel ``name`` takes, in order."""
        return self._needs[name]

    def source(self) -> str:
        """Return the module's text."""
        lines = [
            '"""Composed by kscale.kernels; see there."""',
            "import numpy as np\n\nfrom kscale import kernels as _kernels",
            "_entry, _inner, _inlined, _form = _kernels.forms(globals().get('COMPILED', True))",
            *self._header,
        ]
        return "\n".join(lines) + "\n\n\n" + "\n\n".join(self._bodies)

    def load(self, *, compiled: bool = True) -> ModuleType:
        """Write the module into the cache folder and import it; with ``compiled=False``, run it as plain Python."""
        text = self.source()
        name = f"composed_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        path = cache_folder() / f"{name}.py"
        if not path.exists():
            with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".py", delete=False) as file:
                file.write(text)
            os.replace(file.name, path)
        if not compiled:
            module = ModuleType(name + "_plain")
            module.__dict__["COMPILED"] = False
            exec(compile(text, str(path), "exec"), module.__dict__)
            return module
        numba.config.CACHE_DIR = str(cache_folder())
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def forms(compiled: bool) -> tuple[Callable[..., Any], ...]:
    """Return what a composed module decorates its drivers with and takes its kernels as, compiled or plain."""
    if not compiled:
        return (lambda f: f), (lambda f: f), (lambda f: f), plain
    return numba.njit(cache=True, **_FLAGS), numba.njit(**_FLAGS), numba.njit(inline="always", **_FLAGS), lambda f: f
