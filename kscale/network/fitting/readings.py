"""Reads measurements of kube-proxy's modes: CSV files, one figure a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import polars as pl

from kscale.errors import InputError, MachineError

#: What figures are of, by kind; the first one of each holds where a file does not say.
WHAT = {
    "latency": ("connect", "first", "later", "round-trip"),
    "load": ("full", "change", "rule", "list-table", "list-chains", "addresses"),
    "memory": ("kernel", "client"),
}
BACKENDS = ("iptables-legacy", "iptables-nft", "nftables", "ipvs", "none", "conntrack", "dnat")
#: Shorter names for the same.
_SHORT = {"legacy": "iptables-legacy", "ipt-nft": "iptables-nft", "nft": "nftables"}
CACHES = ("warm", "cold")
#: Units, as parts of the one that is kept: microseconds, seconds, bytes.
_UNITS = {
    "latency": {"us": 1.0, "ns": 1e-3, "ms": 1e3, "s": 1e6},
    "load": {"s": 1.0, "ms": 1e-3, "us": 1e-6},
    "memory": {"bytes": 1.0, "kB": 1e3, "MB": 1e6, "KiB": 2.0**10, "MiB": 2.0**20},
}
KEPT = {"latency": "us", "load": "s", "memory": "bytes"}
_NEEDED = ("kind", "backend", "services", "endpoints", "value")
#: Largest file, in bytes.
_LARGEST = 1 << 26
_MOST = 1e9
#: In the tables of other shape: CPU below so many seconds is lost in the kernel's clock of 4 ms, memory below so many
#: megabytes in what else goes on.
_LEAST_CPU, _LEAST_MB = 0.03, {"legacy": 10.0, "ipt-nft": 1.0, "nft": 1.0}


def read(files: Sequence[Path]) -> pl.DataFrame:
    """Return the figures of all files: one row each.

    A file has the columns ``kind``, ``backend``, ``services``, ``endpoints`` and ``value``, of latency also
    ``position`` (from 1; 0: an address that is no Service's), and may have ``what``, ``cache``, ``unit`` and
    ``weight``; or it is a table of times by target (``mode``, ``target``, ``p50_ns``), of CPU by operation (``op``,
    ``user_s``, ``sys_s``), or of memory by what the kernel counts (``SUnreclaim``, ``VmallocUsed``), each with ``S``
    and ``E``. Columns that come back: kind, what, backend, services, endpoints (int64), position (int64, null), cache,
    value (float64, in the unit of ``KEPT``), weight (float64). Raises InputError, MachineError.
    """
    return pl.concat([_read(file) for file in files])


def _read(file: Path) -> pl.DataFrame:
    if file.is_dir():
        raise InputError("is a folder", file=file, expected="a CSV file of measurements")
    try:
        if file.stat().st_size > _LARGEST:
            raise InputError("is too large", file=file, expected=f"{_LARGEST:,} bytes at most")
        frame = pl.read_csv(file, infer_schema=False)
    except FileNotFoundError:
        raise InputError("does not exist", file=file, expected="a CSV file of measurements") from None
    except OSError as error:
        raise MachineError(f"{file}: {error.strerror or error}") from error
    except pl.exceptions.PolarsError:
        raise InputError("is no CSV", file=file, expected="a header, and one figure a row") from None
    for needed, shape in _SHAPES:
        if needed <= set(frame.columns):
            return shape(frame, file)
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise InputError("is missing", file=file, field=missing[0], expected=f"the columns {', '.join(_NEEDED)}")
    return _plain(frame, file)


def _number(frame: pl.DataFrame, name: str, file: Path, *, whole: bool = False, most: float = _MOST) -> pl.Expr:
    """Return a column of texts as finite numbers of 0 or more. Raises InputError with the first row that is none."""
    expected = f"a {'whole ' if whole else ''}number of 0 or more"
    # Spaces at the ends are none of the number.
    texts = frame[name].fill_null("").str.strip_chars()
    found = texts.cast(pl.Float64, strict=False)
    good = found.is_finite() & (found >= 0) & (found <= most)
    if whole:
        good &= found == found.round()
    bad = (~good.fill_null(False)).arg_true()
    if len(bad):
        text = texts[bad[0]]
        problem = f"is '{text[:80]}'" if text else "is empty"
        raise InputError(problem, file=file, row=bad[0] + 1, field=name, expected=expected)
    return pl.lit(found.cast(pl.Int64) if whole else found).alias(name)


def _word(frame: pl.DataFrame, name: str, known: Iterable[str], default: str, file: Path) -> pl.Series:
    """Return a column of words; ``default`` where one is empty. Raises InputError."""
    if name not in frame.columns:
        return pl.Series(name, [default] * frame.height, dtype=pl.String)
    words = frame[name].str.strip_chars().replace("", None).fill_null(default)
    bad = (~words.is_in(list(known))).arg_true()
    if len(bad):
        problem = f"is '{words[bad[0]][:80]}'" if words[bad[0]] else "is empty"
        raise InputError(problem, file=file, row=bad[0] + 1, field=name, expected=f"one of {', '.join(known)}")
    return words


def _plain(frame: pl.DataFrame, file: Path) -> pl.DataFrame:
    """Read a table in the shape of ``kscale proxy measure``."""
    if not frame.height:
        raise InputError("has no rows", file=file, expected="one figure a row")
    kinds = _word(frame, "kind", WHAT, "", file)
    backends = _word(frame, "backend", (*BACKENDS, *_SHORT), "", file).replace(_SHORT)
    caches = _word(frame, "cache", CACHES, "warm", file)
    own = {name: _number(frame, name, file, whole=True) for name in ("services", "endpoints")}
    value = _number(frame, "value", file, most=1e15)
    weight = _number(frame, "weight", file) if "weight" in frame.columns else pl.lit(1.0).alias("weight")
    parts = []
    frame = frame.with_row_index("row").with_columns(kinds, backends, caches, *own.values(), value, weight)
    for kind in dict.fromkeys(kinds):
        part = frame.filter(pl.col("kind") == kind)
        try:
            what = _word(part, "what", WHAT[kind], WHAT[kind][0], file)
            unit = _word(part, "unit", _UNITS[kind], KEPT[kind], file).replace_strict(
                _UNITS[kind], return_dtype=pl.Float64
            )
            position = pl.lit(None, pl.Int64).alias("position")
            if kind == "latency":
                if "position" not in part.columns:
                    problem = "is missing"
                    raise InputError(problem, file=file, field="position", expected="the Service's place in the list")
                position = _number(part, "position", file, whole=True)
        except InputError as error:
            row = None if error.row is None else int(part["row"][error.row - 1]) + 1
            raise InputError(error.problem, file=file, row=row, field=error.field, expected=error.expected) from None
        part = part.with_columns(what.alias("what"), position, value=pl.col("value") * unit)
        _checked(part, file)
        parts.append(part)
    return _kept(pl.concat([_kept(part, "row") for part in parts]).sort("row"))


def _checked(part: pl.DataFrame, file: Path) -> None:
    """Raise InputError where a figure is zero, or a place is beyond the list."""
    zero = part.filter((pl.col("value") <= 0) | (pl.col("weight") <= 0))
    if zero.height:
        field = "value" if zero["value"][0] <= 0 else "weight"
        raise InputError("is 0", file=file, row=zero["row"][0] + 1, field=field, expected="a number above 0")
    beyond = part.filter(pl.col("position") > pl.col("services"))
    if beyond.height:
        problem = f"is {beyond['position'][0]:,}"
        raise InputError(problem, file=file, row=beyond["row"][0] + 1, field="position", expected="a place in the list")


def _kept(frame: pl.DataFrame, *more: str) -> pl.DataFrame:
    return frame.select(
        *more, "kind", "what", "backend", "services", "endpoints", "position", "cache", "value", "weight"
    )


def _sizes(frame: pl.DataFrame, file: Path) -> list[pl.Expr]:
    return [
        _number(frame, "S", file, whole=True).alias("services"),
        _number(frame, "E", file, whole=True).alias("endpoints"),
    ]


def _by_target(frame: pl.DataFrame, file: Path) -> pl.DataFrame:
    """Read times by target: medians of what was sent to some places of the list."""
    what = {"tcp": "connect", "udp_new": "first", "udp_est": "later", "tcp_est": "round-trip"}
    frame = frame.filter(pl.col("backend").is_in(list(_SHORT)) & pl.col("mode").is_in(list(what)))
    frame = frame.with_columns(_number(frame, "p50_ns", file), _number(frame, "cold", file, most=1))
    # The place of an address that is no Service's is -1.
    named = frame.with_columns(place=pl.when(pl.col("target") == "direct").then(pl.lit("-1")).otherwise("position"))
    places = named["place"].cast(pl.Int64, strict=False)
    if places.null_count():
        row = int(places.is_null().arg_true()[0]) + 1
        raise InputError("is no place", file=file, row=row, field="position", expected="a whole number")
    return _kept(frame.with_columns(
        *_sizes(frame, file), (places + 1).alias("position"), kind=pl.lit("latency"),
        what=pl.col("mode").replace(what), backend=pl.col("backend").replace(_SHORT),
        cache=pl.when(pl.col("cold") > 0).then(pl.lit("cold")).otherwise(pl.lit("warm")),
        value=pl.col("p50_ns") / 1000, weight=pl.lit(1.0),
    ))  # fmt: skip


_OPERATIONS = {
    ("legacy", "full_initial"): "full", ("ipt-nft", "full_initial"): "full", ("nft", "full_initial"): "full",
    ("legacy", "partial_1svc"): "change", ("ipt-nft", "partial_1svc"): "change", ("nft", "add_1svc"): "change",
    ("legacy", "append_1rule"): "rule", ("nft", "list_json_terse"): "list-table",
    ("nft", "list_chains_json"): "list-chains", ("local_addr_lo", "ip_batch_add"): "addresses",
}  # fmt: skip


def _by_operation(frame: pl.DataFrame, file: Path) -> pl.DataFrame:
    """Read CPU by operation: the median of its repetitions, where they ended well and were not too short."""
    names = {f"{backend} {operation}": what for (backend, operation), what in _OPERATIONS.items()}
    frame = frame.with_columns(name=pl.concat_str("backend", "op", separator=" "))
    frame = frame.filter(pl.col("name").is_in(list(names)))
    if "rc" in frame.columns:
        frame = frame.filter(pl.col("rc") == "0")
    frame = frame.with_columns(_number(frame, "user_s", file), _number(frame, "sys_s", file), *_sizes(frame, file))
    found = frame.group_by("name", "services", "endpoints", maintain_order=True).agg(
        pl.first("backend"), value=(pl.col("user_s") + pl.col("sys_s")).median()
    )
    return _kept(found.filter(pl.col("value") >= _LEAST_CPU).with_columns(
        kind=pl.lit("load"), what=pl.col("name").replace(names), position=pl.lit(None, pl.Int64), cache=pl.lit("warm"),
        backend=pl.col("backend").replace({**_SHORT, "local_addr_lo": "ipvs"}), weight=pl.lit(1.0),
    ))  # fmt: skip


def _by_counter(frame: pl.DataFrame, file: Path) -> pl.DataFrame:
    """Read memory by what the kernel counts: megabytes of whole pages (iptables-legacy), or of slabs."""
    frame = frame.filter(pl.col("backend").is_in(list(_SHORT)))
    # What else goes on may have given more back than the rules took.
    grown = {name: pl.col(name).cast(pl.Float64, strict=False) for name in ("VmallocUsed", "SUnreclaim")}
    frame = frame.with_columns(
        *_sizes(frame, file),
        value=pl.when(pl.col("backend") == "legacy").then(grown["VmallocUsed"]).otherwise(grown["SUnreclaim"]),
        least=pl.col("backend").replace_strict(_LEAST_MB, return_dtype=pl.Float64),
    )
    return _kept(frame.filter(pl.col("value") >= pl.col("least")).with_columns(
        kind=pl.lit("memory"), what=pl.lit("kernel"), position=pl.lit(None, pl.Int64), cache=pl.lit("warm"),
        backend=pl.col("backend").replace(_SHORT), value=pl.col("value") * 1e6, weight=pl.lit(1.0),
    ))  # fmt: skip


_SHAPES: tuple[tuple[set[str], Callable[[pl.DataFrame, Path], pl.DataFrame]], ...] = (
    ({"backend", "S", "E", "mode", "target", "position", "cold", "p50_ns"}, _by_target),
    ({"backend", "S", "E", "op", "user_s", "sys_s"}, _by_operation),
    ({"backend", "S", "E", "SUnreclaim", "VmallocUsed"}, _by_counter),
)
