"""Batch work as Alibaba's traces have it: tasks that plan what each of their instances asks for, and the instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kscale.traces import SPECS, Options
from kscale.traces.common import runs, tables
from kscale.traces.common.tables import NUMBER, Lookup, Table

#: Names of the columns that both tables have to have.
JOB, TASK = "job_name", "task_name"


@dataclass(frozen=True)
class Work:
    """Two tables, each with job_name, task_name, status, start_time and end_time; times are seconds.

    Attributes:
        tasks: the table of tasks; it has ``count`` besides, and what ``requests`` reads.
        instances: the table of instances, a row for each time that one was tried.
        requests: columns of ``SPECS`` that an instance of a task asks for, from the columns of ``tasks``.
        count: the column of ``tasks`` that says how many instances a task has.
        namespace: the namespace of the pods.
        prefixes: what stands before a job and before a task in names.
        created: whether the start of a task is the time at which it was handed in.
        joined: adds columns to rows of either table: ``created_us``, when they were handed in, or columns of ``SPECS``.
    """

    tasks: Table
    instances: Table
    requests: Mapping[str, pl.Expr]
    count: str = "instance_num"
    namespace: str = "default"
    prefixes: tuple[str, str] = ("", "")
    created: bool = False
    joined: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame

    def pods(
        self, found: Mapping[str, list[Path]], options: Options, dropped: dict[str, int], notes: list[str]
    ) -> Iterator[pl.DataFrame]:
        """Yield the pods in portions: the instances, or where their table is not there, those that tasks say to have.

        ``found`` are the files of each table by its name. What became of the rows is added to ``notes`` at the end.
        Raises InputError.
        """
        if self.instances.name in found:
            return self._from_instances(found, options, dropped, notes)
        return self._from_tasks(found.get(self.tasks.name, []), options, dropped, notes)

    def _from_tasks(
        self, paths: list[Path], options: Options, dropped: dict[str, int], notes: list[str]
    ) -> Iterator[pl.DataFrame]:
        account, pods, hollow = runs.Account(), 0, 0
        for batch in tables.rows(self.tasks, paths, options, dropped):
            tasks = runs.ran(batch, account).with_columns(pl.col(self.count).fill_null(0).cast(pl.Int64))
            hollow += int((tasks[self.count] == 0).sum())
            tasks = self.joined(tasks.with_columns(**self.requests))
            for chunk in tables.repeated(tasks, tasks[self.count]):
                pods += chunk.height
                yield self._flat(chunk, [NUMBER, "index"])
        if paths:
            name = self.tasks.name
            notes += account.told(name)
            notes.append(
                f"{name}: there is no {self.instances.name}, so each task is as many pods as it has instances, each as "
                f"long as the task: {pods:,} pods; {hollow:,} tasks have no instances."
            )

    def _from_instances(
        self, found: Mapping[str, list[Path]], options: Options, dropped: dict[str, int], notes: list[str]
    ) -> Iterator[pl.DataFrame]:
        plans = self._plans(found.get(self.tasks.name, []), options, dropped)
        account, name = runs.Account(), self.instances.name
        for batch in tables.rows(self.instances, found[name], options, dropped):
            ran = runs.ran(batch, account)
            yield self._flat(self.joined(ran.hstack(plans.find(_keys(ran)))), [NUMBER])
        notes += account.told(name)
        notes.append(
            f"{name}: a row is a pod, tries of one instance too; it asks for what {self.tasks.name} plans: "
            f"{plans.height:,} tasks, {plans.height - int(plans.used.sum()):,} of them without pods, and "
            f"{plans.repeated:,} rows that name a task again, which are not used."
        )
        if plans.missed:
            notes.append(f"{name}: {plans.missed:,} pods are of no known task: what they ask for is not stated.")

    def _plans(self, paths: list[Path], options: Options, dropped: dict[str, int]) -> Lookup:
        """Return what each task plans, and when it was handed in, by job and task."""
        columns = {name: SPECS[name] for name in self.requests}
        values = dict(self.requests)
        if self.created:
            columns["created_us"] = pl.Int64
            values["created_us"] = pl.col("start_time").clip(0) * 10**6
        plans = Lookup(columns)
        for batch in tables.rows(self.tasks, paths, options, dropped):
            named = batch.drop_nulls([JOB, TASK])  # a row without them is found by none
            plans.add(_keys(named), named.select(**values))
        return plans.seal()

    def _flat(self, frame: pl.DataFrame, numbers: list[str]) -> pl.DataFrame:
        """Return rows that ran as pods; ``numbers`` tell those of one task apart."""
        before_job, before_task = self.prefixes
        job = pl.lit(before_job) + pl.col(JOB)
        task = pl.lit(before_task) + pl.col(TASK)
        arrival = pl.min_horizontal("start_us", "created_us") if "created_us" in frame.columns else pl.col("start_us")
        return frame.select(
            name=pl.concat_str(job.fill_null("unknown"), task.fill_null("unknown"), *numbers, separator="-"),
            namespace=pl.lit(self.namespace),
            owner=job,
            arrival_us=arrival,
            duration_us=pl.col("end_us") - pl.col("start_us"),
            end_us="end_us",
            **{name: pl.col(name) for name in SPECS if name in frame.columns},
        )


def _keys(frame: pl.DataFrame) -> list[pl.Series]:
    return [frame[JOB].fill_null(""), frame[TASK].fill_null("")]
