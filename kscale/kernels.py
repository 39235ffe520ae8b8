"""The one door to numba: compiling and caching kernels whose parameters are columns.

A kernel is a plain function over whole columns. A parameter named like a column (``node_requested``) receives that
column; every other parameter is the caller's business. ``kscale.composer`` writes kernels and drivers out as one
module of plain Python, which ``load`` runs: compiled, or as it stands.

numba's own cache does not notice an edited callee in another file, so compiled code is kept in a folder named by a
digest of the package's sources, of the versions below it and of the generated text: no edit meets stale code.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import hashlib
import importlib.util
import inspect
import os
import re
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points, version
from operator import itemgetter
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.dispatcher import Dispatcher
from numba.core.ir_utils import remove_dels
from numba.core.typed_passes import IRLegalization
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype


@register_pass(mutates_CFG=False, analysis_only=False)
class _KeepVariables(FunctionPass):
    """Takes out the ends of variables, which numba writes as a store of zeros wherever a variable may end.

    They are for reference counts. Without them a column is stored once, and LLVM need not look for where it lives: of
    the largest module, 11 seconds became 3.
    """

    _name = "keep_variables"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        remove_dels(state.func_ir.blocks)
        return True


class _Compiler(CompilerBase):
    """numba's own compiler, without the ends of variables."""

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_KeepVariables, IRLegalization)
        passes.finalize()
        return [passes]


# Kernels allocate nothing, so they need no reference counts (_nrt): composed modules compile in half the time.
_FLAGS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False, "pipeline_class": _Compiler}
_KEPT_CACHES = 4


def kernel(function: Callable[..., Any]) -> Any:
    """Make ``function`` a kernel: compiled when a composed module calls it. ``plain_form(kernel)`` is plain Python."""
    return numba.njit(**_FLAGS)(function)


def hot(function: Callable[..., Any]) -> Any:
    """Make ``function`` a kernel whose machine code is put in place where it is called: for what runs for every pod.

    An array is handed over as seven words, so that a call with twenty columns costs more than most such kernels do.
    """
    _PUT_IN_PLACE.add(function.__code__)
    return numba.njit(forceinline=True, **_FLAGS)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Make ``function`` a kernel that is inlined into its callers: for arithmetic on scalars inside loops."""
    _PUT_IN_PLACE.add(function.__code__)
    return numba.njit(inline="always", **_FLAGS)(function)


#: The code of kernels that are put in place where they are called.
_PUT_IN_PLACE: set[CodeType] = set()


def put_in_place(function: Callable[..., Any]) -> bool:
    """Return whether a kernel is put in place where it is called."""
    return plain(function).__code__ in _PUT_IN_PLACE


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the plain Python function behind a kernel, to look at: what it calls may be compiled."""
    return getattr(function, "py_func", function)


def plain_form(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the plain function behind a kernel, in a world where the kernels that it calls are plain as well.

    Called from plain Python they would be compiled one by one, at every start, and cost more than they do.
    """
    found = plain(function)
    if found is function:
        return function
    return FunctionType(
        found.__code__, _plain_world(found.__module__), found.__name__, found.__defaults__, found.__closure__
    )


def _plain_world(module: str) -> dict[str, Any]:
    """Return what is global in a module, its kernels and those that it imports plain throughout; made once."""
    if module not in _WORLDS:
        known = vars(sys.modules[module])
        world = _WORLDS[module] = dict(known)
        for name, value in known.items():
            if isinstance(value, Dispatcher):
                world[name] = plain_form(value)
    return _WORLDS[module]


_WORLDS: dict[str, dict[str, Any]] = {}


def parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of a kernel's parameters, in order."""
    code = plain(function).__code__
    return list(code.co_varnames[: code.co_argcount])


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


def _name(text: str) -> str:
    return f"composed_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def cached(text: str) -> bool:
    """Return whether a composed module has been compiled: loading it takes about a second, and not half a minute."""
    name = _name(text)
    return name in sys.modules or any(cache_folder().glob(f"*/{name}.*.nbi"))


def load(text: str, *, compiled: bool = True) -> ModuleType:
    """Write a composed module into the cache folder and import it; with ``compiled=False``, run it as plain Python."""
    name = _name(text)
    if compiled and name in sys.modules:
        return sys.modules[name]
    if not compiled:
        module = ModuleType(name + "_plain")
        module.__dict__["COMPILED"] = False
        exec(compile(text, f"<{name}>", "exec"), module.__dict__)
        return module
    path = cache_folder() / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".py", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    numba.config.CACHE_DIR = str(cache_folder())  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # numba's cache finds a function's module by its name: without this, what was stored cannot be loaded.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


#: Words of an array in a table: where its values are, and up to three lengths.
_WORDS = 4


def table(arrays: Sequence[Any], *, compiled: bool) -> Any:
    """Return arrays as the one argument that entries take them from; they must outlive it, where they are.

    An array is seven words to a compiled function: three hundred of them as arguments take as long to compile as all
    that is done with them.
    """
    if not compiled or numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return arrays
    words = np.zeros((len(arrays), _WORDS), np.int64)
    for row, array in enumerate(arrays):
        words[row, 0] = array.ctypes.data
        words[row, 1 : 1 + array.ndim] = array.shape
    return words


#: What a column is to compiled code: its dtype, its number of dimensions, and the bytes from one row to the next where
#: it lies side by side with others (0: it lies alone).
Kind = tuple[str, int, int]


def taken_by(kind: Kind) -> str:
    """Return the name of the function that takes columns of a kind from a table."""
    return "_take_" + "_".join(map(str, kind))


def taker(kind: Kind, compiled: bool) -> Callable[..., Any]:
    """Return the function ``(table, row)`` that gives an array of a table, of this kind."""
    if not compiled or numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return lambda arrays, row: arrays[row]
    return _taker(kind)


@cache
def _taker(kind: Kind) -> Any:
    dtype, dimensions, stride = kind
    result = types.Array(from_dtype(np.dtype(dtype)), dimensions, "A" if stride else "C")

    @intrinsic
    def take(context: Any, words: Any, row: Any) -> Any:
        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = target.make_array(result)(target, builder)
            known = target.make_array(words)(target, builder, arguments[0])
            first = builder.mul(arguments[1], target.get_constant(types.intp, _WORDS))

            never_changes = builder.module.add_metadata([])

            def word(place: int) -> Any:
                loaded = builder.load(
                    builder.gep(known.data, [builder.add(first, target.get_constant(types.intp, place))])
                )
                loaded.set_metadata("invariant.load", never_changes)
                return loaded

            itemsize = target.get_constant(types.intp, np.dtype(dtype).itemsize)
            shape = [word(1 + axis) for axis in range(dimensions)]
            # A constant, so that it costs no register and no multiplication where rows are a power of two apart.
            strides = [target.get_constant(types.intp, stride) if stride else itemsize]
            for length in reversed(shape[1:]):
                strides.insert(0, builder.mul(strides[0], length))
            populate_array(
                array, data=builder.inttoptr(word(0), array.data.type), shape=shape, strides=strides,
                itemsize=itemsize, meminfo=None,
            )  # fmt: skip
            return array._getvalue()

        return result(words, types.intp), generate

    return take


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """Leave the garbage collector off: it looks at every type and statement again and again, a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


#: Where a kernel's columns stand in a table: by parameter, the kind and the row.
Rows = Mapping[str, tuple[Kind, int]]


def forms(compiled: bool) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Return what a composed module decorates its entries with and takes its kernels as, compiled or plain.

    The last is for functions of the module that only its own code calls.
    """
    if not compiled or numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        # Random bits are made of products that wrap, which plain numpy scalars warn of.
        return (lambda function: function) if compiled else np.errstate(over="ignore"), _plain_tabled, lambda part: part
    part = numba.njit(**{"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **_FLAGS})
    return numba.njit(**{"cache": True, "no_cfunc_wrapper": True, **_FLAGS}), _bare, part


def _plain_tabled(function: Callable[..., Any], rows: Rows | None = None) -> Callable[..., Any]:
    """Return a kernel as plain Python, which takes its columns from the table that comes last."""
    form = plain_form(function)
    if not rows:
        return form
    if len(rows) == 1:
        row = next(iter(rows.values()))[1]
        return lambda *arguments: form(*arguments[:-1], arguments[-1][row])
    taken = itemgetter(*(row for _, row in rows.values()))
    return lambda *arguments: form(*arguments[:-1], *taken(arguments[-1]))


def _bare(function: Callable[..., Any], rows: Rows | None = None) -> Any:
    """Return a kernel that only compiled code may call: the wrappers for others take a quarter of the time to compile.

    Called from Python it would crash the process, so it is no more than what a composed module calls. With ``rows`` it
    takes its columns from the table that comes last, at its beginning.
    """
    if not isinstance(function, Dispatcher):
        return function
    options: dict[str, Any] = {key: value for key, value in function.targetoptions.items() if key != "nopython"}
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return _compilable(function, tuple((rows or {}).items()), tuple(options.items()))


@cache
def _compilable(function: Any, rows: tuple[tuple[str, tuple[Kind, int]], ...], options: tuple[Any, ...]) -> Any:
    return numba.njit(**dict(options))(_tabled(function.py_func, dict(rows)) if rows else function.py_func)


def _tabled(function: Callable[..., Any], rows: Rows) -> Callable[..., Any]:
    """Return a function that does the same, and takes its columns from the table that comes last.

    Its name tells the rows: compiled code that is loaded from two modules is joined by name, and one that reads other
    rows of the table must not stand in for it.
    """
    written = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(written, ast.FunctionDef)
    own = [argument.arg for argument in written.args.args if argument.arg not in rows]
    takers = {taken_by(kind): taker(kind, True) for kind, _ in rows.values()}
    taken = [f"{name} = {taken_by(kind)}(_table, {row})" for name, (kind, row) in rows.items()]
    written.args = ast.arguments([], [ast.arg(name) for name in [*own, "_table"]], None, [], [], None, [])
    written.body = [*ast.parse("\n".join(taken)).body, *written.body]
    written.decorator_list, written.returns = [], None
    written.name = f"{written.name}_{hashlib.sha256(repr(rows).encode()).hexdigest()[:16]}"
    world = dict(function.__globals__) | takers
    place = f"<{function.__module__}.{function.__qualname__}, from a table>"
    exec(compile(ast.fix_missing_locations(ast.Module([written], [])), place, "exec"), world)
    result: Callable[..., Any] = world[written.name]
    return result
