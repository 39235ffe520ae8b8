"""What all tests share."""

import email.parser
import gc
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

if os.environ.get("NUMBA_DISABLE_JIT") == "1":
    # Random bits are made of products that wrap, which plain numpy scalars warn of.
    np.seterr(over="ignore")

# A machine that does other things as well, or a kernel that has to be compiled, is no failure.
settings.register_profile("kscale", deadline=None)
settings.load_profile("kscale")

#: Files that take a minute and more. They come first, so that no worker begins one of them when the others are done.
LONGEST = (
    "test_simulation.py", "test_golden.py", "test_volume_binding.py", "test_queue_worlds.py", "test_placing.py",
    "test_benchmarks.py", "test_fgd.py", "test_replay.py", "test_machine.py", "test_shelves.py", "test_wheel.py",
    "test_budget.py", "test_classes.py", "test_invariants.py", "test_cohorts.py",
)  # fmt: skip
TESTS = Path(__file__).parent
#: Folders whose tests look at columns and call kernels as plain Python: compiling them would prove nothing more. Those
#: that hold both forms against each other are marked.
PLAIN = ("controllers", "living", "network", "node", "scenario", "state")
#: Marks of what the plain run leaves out: the compiled one has it.
LEFT_OUT = ("browser", "compiled", "data", "slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if TESTS in item.path.parents else ""
        left_out = any(item.get_closest_marker(name) for name in LEFT_OUT)
        if folder in PLAIN and not left_out:
            item.add_marker(pytest.mark.plain)
        elif left_out and item.get_closest_marker("plain"):
            raise pytest.UsageError(f"{item.nodeid} is marked for no run: plain, and what the plain run leaves out")
    if not os.environ.get("KSCALE_DATA"):
        # Small cases made by hand stand beside each of these, and always run.
        absent = pytest.mark.skip(reason="KSCALE_DATA does not name the folder of foreign data, which is not kept here")
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(absent)
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


def pytest_collection_finish() -> None:
    # What was imported stays: looking through it for garbage again and again takes a third of the time otherwise.
    gc.collect()
    gc.freeze()


@pytest.fixture
def users_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of somebody who may not write everywhere: what root tests, it tests as nobody.

    Nobody may not read root's Python either: what is imported late (the parser of packages' versions) is there before.
    """
    assert email.parser
    if os.geteuid() != 0:
        yield tmp_path
        return
    nobody, folder = pwd.getpwnam("nobody").pw_uid, Path(tempfile.mkdtemp())
    os.chown(folder, nobody, -1)
    os.seteuid(nobody)
    try:
        yield folder
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)
