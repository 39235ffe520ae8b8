"""What commands that look at Kubernetes objects share: reading them, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kscale.cli.progress import Reporter
    from kscale.scheduler.configuration import SchedulerConfiguration
    from kscale.state.manifests import Inventory


def read(
    paths: Sequence[str], config: Path | None, max_input: str, reporter: Reporter
) -> tuple[Inventory, SchedulerConfiguration | None, list[str]]:
    """Return what objects amount to, the scheduler's configuration, and what was filled in or is ignored.

    Raises InputError and MachineError.
    """
    from kscale.cli.replay import parsed
    from kscale.schedule import notes_of
    from kscale.scheduler.configuration import read_configuration
    from kscale.state.manifests import ReadOptions, take_inventory
    from kscale.state.quantities import parse_quantity
    from kscale.writing import configuration_notes

    options = ReadOptions(parsed("--max-input", parse_quantity, max_input) or 0)
    configuration = None if config is None else read_configuration(config)
    reporter.stage(f"reading {', '.join(paths)[:200]}")
    inventory = take_inventory(paths, options)
    return inventory, configuration, [*notes_of(inventory), *configuration_notes(configuration)]
