"""kscale's own format: one flat file, Parquet or CSV (also .csv.gz), a row a pod; and a node file, a row a node.

The columns are those of ``PODS`` (without ``spec``), ``SPECS`` and ``NODES``; only ``name`` is required. Times may be
given in seconds and amounts as Kubernetes quantities under short names: see ``docs/traces.md``.
Large files are read in batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from kscale.engine.scratch import Scratch
from kscale.errors import InputError
from kscale.traces import DEFAULT_PODS_PER_NODE, PODS, TIMES, Options, Portions, Reader, Rest, Trace
from kscale.traces.common import files, specs
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Checker, Field, Rule, share_rules
from kscale.traces.common.columns import batches, long_names, optional
from kscale.traces.common.pods import Stream
from kscale.traces.common.repeats import Repeats
from kscale.traces.common.shapes import MAX_DEVICES

_LOWEST_PRIORITY, _HIGHEST_PRIORITY = -(1 << 31), (1 << 31) - 1


#: Columns of the pod file, each with its meaning; an alternative stands behind the column that it replaces.
POD_FIELDS = (
    Field("name", pl.String, high=LONGEST_NAME, doc="Name; occurs once in its namespace."),
    optional("namespace", pl.String, "Namespace; empty is default.", high=LONGEST_NAME),
    optional("owner", pl.String, "What the pod belongs to; empty: it stands alone.", high=LONGEST_NAME),
    optional("arrival_us", pl.Int64, "Arrival in microseconds; without the column, pods arrive in order of rows."),
    optional("arrival", pl.Float64, "The same in seconds.", high=LARGEST_SECONDS),
    optional(
        "duration_us", pl.Int64, "Time from start to end in microseconds; empty never ends, unless there is an end."
    ),
    optional("duration", pl.Float64, "The same in seconds.", high=LARGEST_SECONDS),
    optional("end_us", pl.Int64, "The recorded end in microseconds; empty: not known."),
    optional("end", pl.Float64, "The same in seconds.", high=LARGEST_SECONDS),
    optional("cpu_milli", pl.Int64, "Requested cpu in milli; empty: not stated."),
    optional("cpu", pl.String, "The same as a quantity: 500m, 2."),
    optional("memory_bytes", pl.Int64, "Requested memory in bytes; empty: not stated."),
    optional("memory", pl.String, "The same as a quantity: 512Mi, 16Gi."),
    optional("ephemeral_storage_bytes", pl.Int64, "Requested ephemeral storage in bytes; empty: not stated."),
    optional("ephemeral_storage", pl.String, "The same as a quantity."),
    optional("gpu_count", pl.Int64, "GPUs; empty is 0.", high=1024),
    optional("gpu_milli", pl.Int64, "Share of a single GPU, 1 to 1000; empty is 1000 (whole GPUs).", high=1000),
    optional("gpu_models", pl.String, "Allowed models, A|B; empty allows all."),
    optional("priority", pl.Int64, "Priority; empty is 0.", low=_LOWEST_PRIORITY, high=_HIGHEST_PRIORITY),
    optional("node_selector", pl.String, "Labels that a node must have: key=value,key=value."),
    optional("node_affinity", pl.String, "Required terms joined by |, each a selector: zone in (a,b),!gpu | big=yes."),
    optional("preferred_node_affinity", pl.String, "Preferred terms with weights 1 to 100: 10: zone=a | 5: disk=ssd."),
    optional("tolerations", pl.String, "key=value:Effect,key:Effect,key,*."),
    optional("node_name", pl.String, "The node it must run on.", high=LONGEST_NAME),
)
#: Columns of the node file.
NODE_FIELDS = (
    Field("name", pl.String, high=LONGEST_NAME, doc="Name; occurs once."),
    optional("cpu_milli", pl.Int64, "Allocatable cpu in milli."),
    optional("cpu", pl.String, "The same as a quantity: 96."),
    optional("memory_bytes", pl.Int64, "Allocatable memory in bytes."),
    optional("memory", pl.String, "The same as a quantity: 512Gi."),
    optional("ephemeral_storage_bytes", pl.Int64, "Allocatable ephemeral storage in bytes; empty: not stated."),
    optional("ephemeral_storage", pl.String, "The same as a quantity."),
    optional("pods", pl.Int64, f"Most pods on it; empty is {DEFAULT_PODS_PER_NODE}."),
    optional("gpu_count", pl.Int64, "GPUs; empty is 0.", high=MAX_DEVICES),
    optional("gpu_model", pl.String, "Model of its GPUs.", high=LONGEST_NAME),
    optional("labels", pl.String, "key=value,key=value."),
    optional("taints", pl.String, "key=value:Effect,key:Effect."),
    optional("unschedulable", pl.Boolean, "true when cordoned; empty is false."),
)
_UNTIMED = "own: the file has no arrivals; pods arrive in the order of their rows and none ends."
_NOTE = "own: empty amounts are not stated, and count 100m cpu and 200Mi memory in scores, as in kube-scheduler."
#: Columns that say that a file is of another format.
_FOREIGN = {"vmid", "sn", "memory_mib", "num_gpu", "instance_sn", "instances_num"}


def _columns(path: Path, head: bytes) -> set[str]:
    if not head.startswith(b"PAR1"):
        return files.csv_columns(head)
    try:
        return set(files.parquet_schema(path))
    except InputError:  # damaged: reading it tells how
        return {"name", "arrival_us", "cpu_milli"}


def _detects(path: Path, head: bytes) -> bool:
    columns = _columns(path, head)
    only_nodes = {f.name for f in NODE_FIELDS} - {f.name for f in POD_FIELDS}
    known = {f.name for f in POD_FIELDS} & columns
    return len(known) >= 2 and not columns & _FOREIGN and not columns & only_nodes


def _detects_nodes(path: Path, head: bytes) -> bool:
    columns = _columns(path, head)
    only_pods = {f.name for f in POD_FIELDS} - {f.name for f in NODE_FIELDS}
    known = {f.name for f in NODE_FIELDS} & columns
    return len(known) >= 2 and not columns & _FOREIGN and not columns & only_pods


def _checked_pods(frame: pl.DataFrame, check: Checker) -> pl.DataFrame:
    """Return the pods with their defaults, after the rules across columns."""
    lacking = [n for n in ("arrival_us", "duration_us", "end_us", "gpu_count", "gpu_milli") if n not in frame.columns]
    untimed = "arrival_us" in lacking
    frame = frame.with_columns(pl.lit(None, pl.Int64).alias(n) for n in lacking)
    count = pl.col("gpu_count").fill_null(0)
    rules = [
        Rule(pl.col("end_us") < pl.col("arrival_us"), "end_us", "'{value}' is before the arrival", "a later time"),
        *share_rules("gpu_count", "gpu_milli"),
    ]
    if not untimed:
        rules.append(Rule(pl.col("arrival_us").is_null(), "arrival_us", "is missing", "a time"))
    frame = check.drop(frame, rules)
    return frame.with_columns(
        duration_us=pl.coalesce("duration_us", pl.col("end_us") - pl.col("arrival_us")),
        gpu_count=count,
        gpu_milli=pl.when(count > 0).then(pl.col("gpu_milli").fill_null(1000)).otherwise(0),
    ).pipe(_named)


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the pods with the default of their namespaces."""
    known = pl.col("namespace").fill_null("default") if "namespace" in frame.columns else pl.lit("default")
    return frame.with_columns(namespace=known)


def _checked(path: Path, check: Checker) -> Iterator[tuple[pl.DataFrame, bool]]:
    """Yield the pods in batches, flat and checked, with ``ROW``, and whether they have times."""
    for batch in batches(path, POD_FIELDS, check):
        yield _checked_pods(batch, check), "arrival_us" in batch.columns


def _pods(path: Path, check: Checker, table: specs.SpecTable) -> Iterator[tuple[pl.DataFrame, bool]]:
    """Yield the pods in batches as ``_checked`` does, with the columns of ``PODS``; their specs go to ``table``."""
    limit = specs.MAX_PODS
    for batch, timed in _checked(path, check):
        pods = specs.conform(batch.with_columns(table.add(batch)), {files.ROW: pl.Int64} | PODS)
        limit -= pods.height
        if limit < 0:
            raise InputError("is too long", file=path, expected=f"at most {specs.MAX_PODS:,} pods; kscale trace sample")
        yield pods.select(files.ROW, *PODS), timed


def _portions(path: Path, options: Options) -> Portions:
    """Give the pods batch by batch. That a name comes twice is told at the end, since memory holds no names.

    Under ``lenient``, where such a row is left out, the names are looked at in a pass of their own.
    """
    check, names = Checker(path, options), Repeats()
    late = _named_before(path, options) if options.lenient else None
    timed = True
    for batch, timed in _checked(path, check):
        if late is None:
            names.add(batch[files.ROW], batch.select("namespace", "name"))
        else:
            twice = Rule(pl.col(files.ROW).is_in(late), "name", "'{value}' occurs twice", "a name that occurs once")
            batch = check.drop(batch, [twice])
        yield batch.drop(files.ROW, *(() if timed else TIMES))
    if late is None:
        check.unique(_suspected(path, options, names.suspects()), ["namespace", "name"])
    return Rest((_NOTE,) if timed else (_NOTE, _UNTIMED), dropped=check.dropped, timed=timed)


def _named_before(path: Path, options: Options) -> list[int]:
    """Return the good rows whose name an earlier good row has."""
    names = Repeats()
    for batch, _ in _checked(path, Checker(path, replace(options, told=None))):
        names.add(batch[files.ROW], batch.select("namespace", "name"))
    suspected = _suspected(path, options, names.suspects())
    return suspected.filter(~pl.struct("namespace", "name").is_first_distinct())[files.ROW].to_list()


def _suspected(path: Path, options: Options, rows: pl.Series) -> pl.DataFrame:
    """Return these rows with the columns of their names."""
    found = pl.DataFrame(schema={files.ROW: pl.Int64, "namespace": pl.String, "name": pl.String})
    if not len(rows):
        return found
    again = _checked(path, Checker(path, replace(options, told=None)))
    wanted = [batch.select(found.columns).filter(pl.col(files.ROW).is_in(rows.implode())) for batch, _ in again]
    return pl.concat([found, *wanted])


def _stream(path: Path, options: Options, scratch: Scratch) -> Trace | None:
    """Check a Parquet file with times and leave its pods there.

    None where rows may be left out, or a name seems to occur twice, which is told by who reads the file whole.
    """
    if options.lenient or not files.head(path).startswith(b"PAR1"):
        return None
    check, table = Checker(path, options), specs.SpecTable()
    stream = Stream(scratch, _Names(path, check))
    for batch, timed in _pods(path, check, table):
        if not timed:
            return None
        stream.add(batch)
    if not stream.distinct():
        scratch.clear()
        return None
    return Trace("own", pl.DataFrame(schema=PODS), table.frame(), None, (_NOTE,), stream=stream)


class _Names:
    """Reads the names of a Parquet file again, batch by batch; the last batch is kept."""

    def __init__(self, path: Path, check: Checker) -> None:
        self._path, self._check = path, check
        self._seen = self._state()
        self._start, self._batch = -1, pl.DataFrame()

    def _state(self) -> tuple[int, int]:
        with files.readable(self._path, "Parquet"):
            found = self._path.stat()
        return found.st_mtime_ns, found.st_size

    def __call__(self, first: int, last: int) -> pl.DataFrame:
        """Return rows with the columns ``name`` and ``namespace``. Raises InputError when the file is another one."""
        parts = [pl.DataFrame(schema={"name": pl.String, "namespace": pl.String})]
        for start in range(first // files.BATCH_ROWS * files.BATCH_ROWS, last, files.BATCH_ROWS):
            if start != self._start:
                self._start, self._batch = start, self._read(start)
            parts.append(self._batch[max(first - start, 0) : last - start])
        return pl.concat(parts)

    def _read(self, start: int) -> pl.DataFrame:
        if self._state() != self._seen:
            raise InputError("was changed while it was replayed", file=self._path, expected="the file as it was")
        there = files.parquet_schema(self._path)
        fields = [f for f in POD_FIELDS if f.name in ("name", "namespace") and f.name in there]
        raw = files.parquet_rows(self._path, [f.name for f in fields], start)
        return _named(long_names(self._check.typed(raw, fields), self._check)).select("name", "namespace")


def _read_nodes(path: Path, options: Options) -> pl.DataFrame:
    check = Checker(path, options)
    nodes = pl.concat(list(batches(path, NODE_FIELDS, check)))
    required = ("cpu_milli", "memory_bytes")
    for name, short in zip(required, ("cpu", "memory"), strict=True):
        if name not in nodes.columns:
            raise InputError("the column is missing", file=path, field=name, expected=f"{name}, or {short}")
    count = pl.col("gpu_count").fill_null(0) if "gpu_count" in nodes.columns else pl.lit(0, pl.Int64)
    nodes = nodes.with_columns(gpu_count=count)
    rules = [Rule(pl.col(name).is_null(), name, "is missing", "an amount") for name in required]
    if "gpu_model" in nodes.columns:
        no_model = (pl.col("gpu_count") > 0) & pl.col("gpu_model").is_null()
        rules.append(Rule(no_model, "gpu_model", "is missing", "the model of the GPUs"))
    nodes = check.unique(check.drop(nodes, rules), ["name"])
    if not nodes.height:
        raise InputError("has no nodes", file=path, expected="a row a node")
    return specs.conform_nodes(nodes)


READER = Reader(
    name="own",
    doc="kscale's own format: Parquet or CSV, a row a pod with its spec; and node files.",
    detects=_detects,
    read=specs.reading("own", _portions),
    portions=_portions,
    stream=_stream,
    read_nodes=_read_nodes,
    detects_nodes=_detects_nodes,
)
