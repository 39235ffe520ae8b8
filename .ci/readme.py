"""Runs the commands of the README's console blocks and compares what they print; ``--write`` puts the output in.

Each block is a command behind ``$ `` and its output on stdout. Figures that depend on the machine (pods/s) are not
compared. The commands run in an empty folder that sees ``docs/``, ``traces/`` and ``tests/``.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"```console\n\$ (.+?)\n(.*?)```", re.DOTALL)


def comparable(text: str) -> str:
    """Return the output without what depends on the machine."""
    return re.sub(r"[\d,.]+ (k|M)?pods/s", "N pods/s", text).strip()


def main() -> int:
    """Run every block; return 1 if one fails or prints something else."""
    text, bad = README.read_text(), 0
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "80",
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in ("docs", "traces", "tests"):
            (Path(folder) / name).symlink_to(ROOT / name)
        for found in BLOCK.finditer(text):
            command, expected = found[1], found[2]
            done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
            if done.returncode:
                print(f"README: '{command}' ended with {done.returncode}: {done.stderr[-500:]}")
                bad = 1
            elif "--write" in sys.argv:
                text = text.replace(found[0], f"```console\n$ {command}\n{done.stdout.rstrip()}\n```")
            elif comparable(done.stdout) != comparable(expected):
                print(f"README: '{command}' prints something else:\n{done.stdout}")
                bad = 1
            else:
                print(f"README: {command}")
    if "--write" in sys.argv:
        README.write_text(text)
    return bad


if __name__ == "__main__":
    sys.exit(main())
