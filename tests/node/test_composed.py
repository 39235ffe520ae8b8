"""The kubelet in the loop: its columns stand beside all others, and the loop's drivers call it."""

from __future__ import annotations

import ast

from kscale import controllers
from kscale.composer import Composer
from kscale.engine import loop, objects
from kscale.node import kubelet
from kscale.node.filling import SIZES
from kscale.scheduler import cycle, plugins
from kscale.state import schema
from kscale.state.tables import Cluster
from tests.scheduler.states import profile_of


def test_the_loop_calls_the_kubelet() -> None:
    added = [*plugins.columns(), *controllers.columns(), kubelet.COLUMNS]
    rows = schema.full_names(schema.load(added))
    sizes = {dimension: 1 for table, column in rows.values() for dimension in column.dims or (table.name,)}
    cluster = Cluster({**sizes, **SIZES}, added)
    kinds = {name: (dtype, dimensions, stride) for name, dtype, dimensions, stride in cluster.kinds()}
    composer = Composer(kinds, kinds)
    kind = loop.Kind(living=True, objects=True)
    objects.define(composer)
    kubelet.define(composer)
    loop.define_moves(composer, kind)
    cycle.define(composer, profile_of(devices=False), devices=False)
    loop.define(composer, kind)
    text = composer.source()
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    called = {function.id for function in calls if isinstance(function, ast.Name)}
    assert {"see_pod", "run_container", "kubelet_stop", "kubelet_leave", "end_life", "resume_pod"} <= called
    compile(text, "<composed>", "exec")
