"""Programs that are run: their CPU, their faults in one line, never longer than allowed."""

from __future__ import annotations

import sys
import time

import pytest

from kscale.network.measuring import programs
from kscale.network.measuring.programs import Failed, TooLong

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")


def test_the_input_is_read_and_cpu_is_counted() -> None:
    busy = "import sys; text = sys.stdin.read(); assert text == 'rules'; sum(range(3_000_000))"
    done = programs.run((sys.executable, "-c", busy), "rules")
    assert 0.01 < done.cpu_s < done.wall_s * 1.5
    idle = programs.run((sys.executable, "-c", "import time; time.sleep(0.3)"))
    assert idle.wall_s > 0.3 and idle.cpu_s < idle.wall_s


def test_faults_are_one_line() -> None:
    with pytest.raises(Failed, match=r"^no-such-program: No such file or directory$"):
        programs.run(("no-such-program",))
    with pytest.raises(Failed, match=r": first$"):
        programs.run((sys.executable, "-c", "import sys; sys.exit('\\nfirst\\nsecond')"))
    with pytest.raises(Failed, match=r"false: failed$"):
        programs.run(("false",))


def test_one_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(TooLong, match="took more than"):
        programs.run(("sleep", "30"), seconds=0.2)
    assert time.monotonic() - began < 5
