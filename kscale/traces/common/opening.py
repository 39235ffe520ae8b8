"""Opens a trace or a node list: by the name of its format, or by looking at it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

import kscale
from kscale import shelf
from kscale.engine.scratch import Scratch
from kscale.errors import InputError, nearest
from kscale.traces import Options, Portions, Reader, Trace
from kscale.traces.common import files
from kscale.traces.common.shapes import GRAMMAR, parse_shapes
from kscale.traces.common.specs import portions_of


def readers() -> dict[str, Reader]:
    """Return the readers of the shelf by name."""
    return shelf.declared("kscale.traces", Reader)


def reader_of(path: Path, format: str | None = None) -> Reader:
    """Return the reader for a file or a folder: the one named ``format``, else the one that knows it.

    Raises InputError when there is none, or when several know it.
    """
    known = readers()
    folder = path.is_dir()
    if not folder:
        files.check_file(path)
    if format is not None:
        if format not in known:
            raise InputError(
                f"'{format[:40]}' is not a format{nearest(format, known)}",
                field="--format",
                expected=f"one of {', '.join(known)}",
            )
        return known[format]
    head = b"" if folder else files.head(path)
    found = [one for one in known.values() if (one.detects_folder(path) if folder else one.detects(path, head))]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(reader.name for reader in found)
        raise InputError("could be of several formats", file=path, expected=f"--format with one of {names}")
    if folder:
        raise InputError("is a directory", file=path, expected="a file, or a folder with the tables of a known format")
    nodes = [reader.name for reader in known.values() if reader.detects_nodes(path, head)]
    seen = f" (it looks like a node list of the format {nodes[0]})" if nodes else ""
    raise InputError(f"is of no known format{seen}", file=path, expected=f"one of {', '.join(known)}; or --format")


def open_trace(
    path: Path, format: str | None = None, options: Options | None = None, scratch: Scratch | None = None
) -> Trace:
    """Read a workload trace. Raises InputError on bad input, MachineError where the machine refuses.

    With ``scratch``, a format that can leaves the pods in the file, and their numbers there.
    """
    reader, options = reader_of(path, format), options or Options()
    streamed = reader.stream(path, options, scratch) if scratch is not None and reader.stream is not None else None
    return streamed or reader.read(path, options)


def portions(path: Path, format: str | None = None, options: Options | None = None) -> Portions:
    """Return the pods of a trace in portions, of one portion where the format has to be read whole.

    Raises InputError, now or while portions are taken.
    """
    reader, options = reader_of(path, format), options or Options()
    return reader.portions(path, options) if reader.portions is not None else _whole(reader, path, options)


def _whole(reader: Reader, path: Path, options: Options) -> Portions:
    return (yield from portions_of(reader.read(path, options)))


def read_nodes(source: str | Path, options: Options | None = None) -> pl.DataFrame:
    """Return nodes from a node file (its format is found by looking), or from shapes such as ``96cpu,512Gi:4000``.

    The frame has the columns of ``NODES`` and ``resource.<name>``. Raises InputError.
    """
    options = options or Options()
    path = Path(source)
    if not _is_there(path):
        text = str(source)
        if isinstance(source, Path) or ("cpu" not in text and ":" not in text):
            raise InputError("does not exist", file=text[:200], expected=f"a node file, or {GRAMMAR}")
        return parse_shapes(text)
    head = files.head(path)
    known = [reader for reader in readers().values() if reader.read_nodes is not None]
    for reader in known:
        if reader.read_nodes is not None and reader.detects_nodes(path, head):
            return reader.read_nodes(path, options)
    names = ", ".join(reader.name for reader in known)
    raise InputError("is no node list of a known format", file=path, expected=f"a node file of {names}; or {GRAMMAR}")


def check_models(trace: Trace, nodes: pl.DataFrame, path: Path, options: Options) -> Trace:
    """Return the trace without pods that allow only GPU models that no node has.

    Strict, the first of them is an InputError; lenient, they are left out and counted. A model that no node has is
    fine beside one that some node has, and is noted.
    """
    known = sorted(set(nodes["gpu_model"].drop_nulls()))
    allowed = [[model for model in (text or "").split("|") if model] for text in trace.specs["gpu_models"]]
    hopeless = [bool(models) and set(models).isdisjoint(known) for models in allowed]
    spec = trace.rows.spec
    bad = pl.Series(np.array(hopeless, np.bool_)[spec])
    if bad.any():
        if not options.lenient:
            row = int(bad.arg_max() or 0)
            models = allowed[spec[row]]
            raise InputError(
                f"no node has the GPU model '{'|'.join(models)[:60]}'{nearest(models[0], known)}",
                file=path,
                row=row + 1,
                field="gpu_spec" if trace.format == "openb" else "gpu_models",
                expected=", ".join(known) or "no model, since no node has GPUs",
            )
        trace = _without_specs(trace, hopeless, bad)
    absent = sorted({model for models in allowed for model in models} - set(known))
    if any(not h and set(models) - set(known) for h, models in zip(hopeless, allowed, strict=True)):
        note = f"GPU models that pods allow beside others, and no node has: {', '.join(absent)[:200]}."
        trace = replace(trace, notes=(*trace.notes, note))
    return trace


def _without_specs(trace: Trace, hopeless: list[bool], bad: pl.Series) -> Trace:
    """Return the trace without the ``hopeless`` specs and their pods (``bad``), which are counted."""
    kept = ~np.array(hopeless)
    number = pl.Series(np.cumsum(kept) - 1, dtype=pl.UInt32)
    pods = trace.pods.filter(~bad).with_columns(spec=number.gather(trace.pods.filter(~bad)["spec"]))
    dropped = trace.dropped | {"gpu_models: no node has the model": int(bad.sum())}
    return replace(trace, pods=pods, specs=trace.specs.filter(pl.Series(kept)), dropped=dropped)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a text of shapes may be too long for a name
        return False


def bundled() -> Path:
    """Return the folder of the bundled traces: in an installed package, or in a checkout.

    Raises InputError when neither is there.
    """
    package = Path(kscale.__file__).parent
    for folder in (package / "bundled", package.parent / "traces"):
        if (folder / "README.md").is_file():
            return folder
    raise InputError("the bundled traces are missing", file=package / "bundled", expected="a whole installation")
