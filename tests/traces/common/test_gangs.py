from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common.gangs import processors_of, split


def plainly(procs: list[int], per_pod: int | None) -> list[tuple[int, int, int]]:
    """Row of the job, place within it, cores: pod by pod."""
    pods = []
    for job, left in enumerate(procs):
        place = 0
        while left > 0:
            cores = min(left, per_pod or left)
            pods.append((job, place, cores))
            left, place = left - cores, place + 1
    return pods


@given(procs=st.lists(st.integers(1, 60), max_size=8), per_pod=st.one_of(st.none(), st.integers(1, 20)))
def test_jobs_are_split_as_a_walk_over_them_splits(procs, per_pod):
    jobs = pl.DataFrame({"job": range(len(procs)), "procs": procs}, schema={"job": pl.Int64, "procs": pl.Int64})
    pods = split(jobs, per_pod, Path("f"), "procs", Options())
    assert pods.select("job", "index", "cores").rows() == plainly(procs, per_pod)


def test_too_many_pods_name_the_field():
    jobs = pl.DataFrame({"procs": [10**6]})
    with pytest.raises(InputError, match="f, field 'NProcs': comes to 1,000,000 pods; expected at most 10,000"):
        split(jobs, 1, Path("f"), "NProcs", Options(max_input=10**6))


def test_processors_of_a_machine():
    assert processors_of("16cpu,64Gi") == 16
    with pytest.raises(InputError, match="'--machine-unit': '64Gi' states no cpu"):
        processors_of("64Gi")
