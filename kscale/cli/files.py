"""Files that a command writes beside a run folder."""

from __future__ import annotations

import os
from pathlib import Path

from kscale.engine.runfolder import machine_errors


def write(path: Path, text: str) -> None:
    """Write beside the name, then rename: nothing half-written is left. Raises MachineError."""
    aside = path.with_name(f"{path.name}.partial-{os.getpid()}")
    with machine_errors(path):
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
