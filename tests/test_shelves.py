"""One test for every leaf of every shelf: it declares something, is documented and tested, and its kernels hold."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kscale import controllers, shelf
from kscale.controllers import Controller
from kscale.engine.members import COLUMNS as MEMBERS
from kscale.engine.pods import RUNNING
from kscale.kernels import parameters, plain, plain_form
from kscale.network.proxies import Mode
from kscale.scheduler import plugins
from kscale.scheduler.configuration import UPSTREAM, ProfileConfiguration
from kscale.scheduler.plugins import Plugin
from kscale.simulation import Settings, Simulation
from kscale.state import schema
from kscale.state.schema import Column
from kscale.state.tables import Cluster
from kscale.traces import Reader
from tests.engine.columns import SIZES, call, small
from tests.objects import random_simulation

TESTS = Path(__file__).parent
SHELVES = {
    "kscale.scheduler.plugins": Plugin, "kscale.traces": Reader, "kscale.state.schema": Column,
    "kscale.controllers": Controller, "kscale.network.proxies": Mode,
}  # fmt: skip
#: The arguments of each kernel of a plug-in, before its columns.
OWN = {
    "filter": ["template", "first", "last", "reason"],
    "late": ["template", "first", "last", "reason", "sums"],
    "hopeless": ["template", "node"],
    "score": ["template", "first", "last"],
    "raw": ["template", "sums"],
    "points": ["template", "weight", "sums"],
    "assign": ["template", "node", "draw"],
    "reserve": ["template", "node", "sign"],
    "remember": ["node", "slot"],
    "recall": ["node", "slot"],
    "hint": ["template", "other", "added"],
}
ROWS = schema.full_names(schema.load(plugins.columns()))


def leaves(package: str) -> list[ModuleType]:
    """Return the modules of a shelf; a folder in it holds what they share."""
    return [module for module in shelf.modules(package) if not hasattr(module, "__path__")]


LEAVES = [(package, leaf) for package in SHELVES for leaf in leaves(package)]
KERNELS = [
    (plugin, point) for plugin in plugins.found().values() for point in OWN if getattr(plugin, point) is not None
]


def follows(function: Callable[..., Any]) -> bool:
    """Whether a kernel goes from row to row by what columns hold: these cannot hold any values."""
    return not set(parameters(function)) <= ALONE


#: Columns that hold amounts and nothing that leads to another row of a list.
ALONE = {name for own in OWN.values() for name in own} | {
    name for name, (table, _) in ROWS.items()
    if table.name in ("node", "resource", "typical", "level", "profile", "scan")
    or (table.name == "template" and not name.endswith(("_first", "_last")))
}  # fmt: skip
#: ``points`` goes on from what ``raw`` has left.
AMOUNTS = [(plugin, point) for plugin, point in KERNELS if point != "points" and not follows(getattr(plugin, point))]
LISTS = [(plugin, point) for plugin, point in KERNELS if (plugin, point) not in AMOUNTS]


def name_of(value: Any) -> str:
    return value.__name__.rpartition(".")[2] if isinstance(value, ModuleType) else getattr(value, "name", str(value))


@pytest.mark.parametrize("package", SHELVES)
def test_no_shelf_is_empty(package: str) -> None:
    assert len(leaves(package)) >= (4 if package in ("kscale.controllers", "kscale.network.proxies") else 5)


@pytest.mark.parametrize(("package", "leaf"), LEAVES, ids=name_of)
def test_a_leaf_declares_is_documented_and_has_its_test(package: str, leaf: ModuleType) -> None:
    assert (leaf.__doc__ or "").strip().endswith(".")
    if package == "kscale.state.schema":
        assert leaf.COLUMNS
        assert all(isinstance(column, Column) for column in leaf.COLUMNS)
        return
    assert [value for value in vars(leaf).values() if isinstance(value, SHELVES[package])]
    path = Path(*leaf.__name__.split(".")[1:])
    test = TESTS / path.parent / f"test_{path.name}.py"
    assert test.is_file(), f"{leaf.__name__} has no test: {test}"
    assert "def test_" in test.read_text()


@pytest.mark.parametrize(
    "package", ["kscale.scheduler.plugins", "kscale.traces", "kscale.controllers", "kscale.network.proxies"]
)
def test_names_are_unique_across_a_shelf(package: str) -> None:
    names = [v.name for leaf in leaves(package) for v in vars(leaf).values() if isinstance(v, SHELVES[package])]
    assert sorted(names) == sorted(set(names))
    assert sorted(shelf.declared(package, SHELVES[package])) == sorted(names)


def test_a_name_that_two_leaves_declare_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "made_up_shelf"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    text = "from kscale.scheduler.plugins import Plugin\nMINE = Plugin('{}', draw=True)\n"
    (folder / "b.py").write_text(text.format("Two"))
    (folder / "a.py").write_text(text.format("One"))
    monkeypatch.syspath_prepend(tmp_path)
    assert [module.__name__ for module in shelf.modules("made_up_shelf")] == ["made_up_shelf.a", "made_up_shelf.b"]
    assert list(shelf.declared("made_up_shelf", Plugin)) == ["One", "Two"]
    (folder / "c.py").write_text("from made_up_shelf.a import MINE\n")  # what is imported is not declared again
    assert list(shelf.declared("made_up_shelf", Plugin)) == ["One", "Two"]
    (folder / "d.py").write_text(text.format("One"))
    with pytest.raises(ValueError, match=r"made_up_shelf\.d: 'One' is declared twice in made_up_shelf"):
        shelf.declared("made_up_shelf", Plugin)
    for name in [name for name in sys.modules if name.startswith("made_up_shelf")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("controller", controllers.found().values(), ids=name_of)
def test_a_controllers_keys_and_numbers_are_such(controller: Controller) -> None:
    assert controller.kind in ("", *controllers.kinds())
    assert controller.workers > 0 and controller.qps >= 0 and controller.burst >= 0
    assert 0 < controller.base_us <= controller.cap_us
    assert controller.step.__doc__
    assert controller.kind or controller.keys, "a controller of any kind says which objects concern it"


@pytest.mark.parametrize("kind", controllers.kinds().values(), ids=name_of)
def test_a_kind_has_its_table(kind: controllers.Kind) -> None:
    tables = schema.load(controllers.columns())
    assert kind.table in tables
    assert not kind.min_ready or kind.min_ready in tables[kind.table].columns
    assert not kind.members or set(MEMBERS) <= set(tables[kind.table].columns.values())
    assert not kind.members or kind.members in tables


def test_what_controllers_share_is_no_leaf() -> None:
    assert "kscale.controllers.common" not in [leaf.__name__ for leaf in leaves("kscale.controllers")]
    assert Path(controllers.__path__[0], "common", "__init__.py").is_file()


@pytest.mark.parametrize(("plugin", "point"), KERNELS, ids=name_of)
def test_parameters_are_the_contracts_own_and_columns(plugin: Plugin, point: str) -> None:
    names = parameters(getattr(plugin, point))
    assert names[: len(OWN[point])] == OWN[point]
    unknown = [name for name in names[len(OWN[point]) :] if name not in ROWS]
    assert unknown == []
    assert plain(getattr(plugin, point)).__doc__


@pytest.mark.parametrize("plugin", plugins.found().values(), ids=name_of)
def test_a_plugin_is_whole(plugin: Plugin) -> None:
    assert plugin.fills
    assert (plugin.plane is None) == (plugin.plane_column == "")
    assert plugin.plane_column == "" or plugin.plane_column in ROWS
    assert (plugin.filter is None and plugin.late is None) == (plugin.reasons is None)
    assert plugin.hopeless is None or plugin.reasons is not None
    assert plugin.hint is None or plugin.reasons is not None
    assert plugin.reasons is None or set(plugin.unresolvable) <= set(range(len(plugin.reasons(["cpu", "memory"]))))
    assert plugin.normalise in plugins.NORMALISATIONS
    assert plugin.normalise == "own" or plugin.points is None
    assert plugin.normalise != "own" or (plugin.raw is not None and plugin.points is not None)
    assert (plugin.remember is None) == (plugin.recall is None)
    assert plugin.remember is None or plugin.reserve is not None
    assert plugin.weight > 0
    for table in plugin.lists:
        assert {f"template_{table}_first", f"template_{table}_last"} <= set(ROWS)
    for function in (plugin.mask, plugin.plane, plugin.bar, *(getattr(plugin, point) for point in OWN)):
        assert function is None or plain(function).__doc__


@pytest.mark.parametrize("plugin", [p for p in plugins.found().values() if p.standard], ids=name_of)
def test_what_the_default_profile_has_is_kube_schedulers(plugin: Plugin) -> None:
    assert plugin.name in UPSTREAM
    assert plugin.standard_filter == ("filter" in UPSTREAM[plugin.name]) == ("filter" in plugin.fills)
    assert ("score" in plugin.fills) <= ("score" in UPSTREAM[plugin.name])
    weights = dict(ProfileConfiguration().weights)
    assert "score" not in plugin.fills or plugin.weight == weights[plugin.name]


def test_filters_run_in_kube_schedulers_order() -> None:
    ranked = sorted(plugins.found().values(), key=lambda plugin: plugin.rank)
    names = [plugin.name for plugin in ranked if plugin.standard_filter]
    assert names == [name for name in plugins.UPSTREAM_FILTERS if name in names]


# Compiled and plain: any values that the columns may hold

DEVICES, LEVELS, TYPICAL = SIZES["device"], SIZES["level"], SIZES["typical"]
amounts = st.one_of(st.integers(0, 9000), st.integers(0, 1 << 58), st.sampled_from([(1 << 46) - 1, 1 << 46, 1 << 47]))
#: What a column holds, where that is less than its type.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "node_device_count": st.integers(0, DEVICES),
    "node_device_free": st.integers(0, 1000),
    "node_device_free_total": st.integers(0, 1000 * DEVICES),
    "node_device_model": st.integers(-1, 3),
    "node_tag_pods": st.integers(0, 2),
    "node_fragmented_gpu_milli": st.floats(0, 2000),
    "template_device_count": st.integers(0, DEVICES),
    "template_device_milli": st.integers(1, 1000),
    "template_device_models": st.integers(0, 15),
    "typical_cpu_milli": st.integers(0, 9000),
    "typical_device_count": st.integers(1, DEVICES),
    "typical_device_models": st.integers(0, 15),
    "typical_level": st.integers(-1, LEVELS - 1),
    "typical_weight": st.floats(0, 1),
    "level_milli": st.integers(1, 1000),
    "resource_scored_weight": st.integers(0, 3),
    "template_profile": st.integers(0, SIZES["profile"] - 1),
    "profile_points": st.integers(1, SIZES["point"]),
    "profile_score": st.integers(0, 100),
    "resource_wide": st.integers(0, 2),
    "resource_everywhere": st.integers(0, 1),
    "resource_balanced": st.integers(0, 1),
    "scan_reject": st.sampled_from([0, 0, 1 << 30]),
}


@st.composite
def filled(draw: st.DrawFn, names: list[str], devices: bool) -> Cluster:
    """A cluster whose columns of these names hold any values; the policies for devices score in doubles and int32."""
    cluster = small()
    other = st.integers(0, 300_000) if devices else amounts
    for name in names:
        column = cluster.columns[name]
        values = VALUES.get(name, other if column.dtype == np.int64 else st.integers(0, 100))
        if name.endswith("_double"):  # the same amounts as doubles
            cluster.columns[name] = cluster.columns[name.removesuffix("_double")].astype(np.float64)
        else:
            cluster.columns[name] = draw(arrays(column.dtype, column.shape, elements=values, fill=st.nothing()))
    return cluster


@pytest.mark.parametrize(("plugin", "point"), AMOUNTS, ids=name_of)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_kernel_runs_compiled_and_plain_alike(plugin: Plugin, point: str, data: st.DataObject) -> None:
    function = getattr(plugin, point)
    names = parameters(function)[len(OWN[point]) :]
    cluster = data.draw(filled(names, plugin.needs_devices))
    template = data.draw(st.integers(0, SIZES["template"] - 1))
    if point in ("filter", "score"):
        first = data.draw(st.integers(0, SIZES["node"]))
        own = [template, first, data.draw(st.integers(first, SIZES["node"]))] + [2] * (point == "filter")
    else:
        node = data.draw(st.integers(0, SIZES["node"] - 1))
        own = [template, node]
        if point != "hopeless":
            own.append(data.draw(st.sampled_from([1, -1]) if point == "reserve" else st.integers(0, 1 << 62)))
        if point == "assign":  # it is asked only where the pod fits
            free = cluster.node_device_free[node, : cluster.node_device_count[node]]
            fitting = (free >= cluster.template_device_milli[template]).sum()
            if fitting == 0:
                return
            cluster.template_device_count[template] = min(max(cluster.template_device_count[template], 1), fitting)
    both_alike(function, cluster, *own)


def both_alike(function: Callable[..., Any], cluster: Cluster, *own: Any) -> None:
    """Call both forms on copies; the columns are then as they leave them."""
    names = parameters(function)[len(own) :]
    results: list[Any] = []
    for form in (function, plain_form(function)):
        columns = {name: cluster.columns[name].copy() for name in names}
        arguments = [value.copy() if isinstance(value, np.ndarray) else value for value in own]
        # Amounts beyond what nodes can hold wrap in both; plain scalars warn of it.
        with np.errstate(over="ignore"):
            results.append((form(*arguments, *columns.values()), arguments, columns))
    (returned, arguments, columns), (plainly, expected_arguments, expected) = results
    assert returned == plainly
    for value, expected_value in zip(arguments, expected_arguments, strict=True):
        assert np.array_equal(value, expected_value)
    for name in names:
        assert np.array_equal(columns[name], expected[name]), name
        cluster.columns[name][...] = columns[name]
    for value, changed in zip(own, arguments, strict=True):
        if isinstance(value, np.ndarray):
            value[...] = changed


# Compiled and plain: lists and counters as runs of pods leave them


@cache
def halfway(seed: int) -> Simulation:
    """A run that has come to its third second, so that pods are on nodes and others wait."""
    made = random_simulation(Random(seed), Settings(compiled=False, until_us=3_000_000))
    made.compile()
    made.run()
    return made


def sums_of(rng: Random, simulation: Simulation) -> Any:
    return np.array([rng.choice([0, 7, 7, -1]) for _ in range(simulation.cluster.sizes["node"])], np.int32)


def exercise(plugin: Plugin, point: str, simulation: Simulation, rng: Random) -> None:
    """Call a kernel as the cycle would, in both forms."""
    cluster, function = simulation.cluster, getattr(plugin, point)
    nodes, templates = cluster.sizes["node"], list(range(cluster.sizes["template"]))
    running = [
        (int(cluster.pod_template[pod]), int(cluster.pod_node[pod]))
        for pod in np.flatnonzero(cluster.pod_state == RUNNING)
    ]
    first = rng.randrange(nodes)
    for template in templates:
        if point == "filter":
            cluster.scan_reject[:] = [rng.choice([0, 0, 1 << 30]) for _ in range(nodes)]
            both_alike(function, cluster, template, 0, nodes, 2)
            both_alike(function, cluster, template, first, first + 1, 2)
        elif point == "late":
            both_alike(function, cluster, template, 0, nodes, 2, sums_of(rng, simulation))
            both_alike(function, cluster, template, first, first + 1, 2, sums_of(rng, simulation))
        elif point == "hopeless":
            both_alike(function, cluster, template, first)
        elif point in ("raw", "points"):
            sums = sums_of(rng, simulation)
            assert plugin.raw is not None
            said = call(plugin.raw, cluster, template, sums, compiled=False) if point == "points" else False
            if point == "raw":
                both_alike(function, cluster, template, sums)
            elif said:
                both_alike(function, cluster, template, 3, sums)
        elif point == "hint":
            for other in templates:
                for added in (0, 1):
                    both_alike(function, cluster, template, other, added)
        elif point == "reserve":
            sums = np.zeros(nodes, np.int32)
            if plugin.late is not None:
                call(plugin.late, cluster, template, 0, nodes, 2, sums, compiled=False)
            for node in np.flatnonzero(sums >= 0)[:1].tolist():
                both_alike(function, cluster, template, node, 1)
                both_alike(function, cluster, template, node, -1)
    for template, node in running if point in ("reserve", "remember", "recall") else ():
        slot = rng.randrange(2)
        if point != "reserve":
            assert plugin.remember is not None and plugin.reserve is not None
            both_alike(plugin.remember, cluster, node, slot)
            call(plugin.reserve, cluster, template, node, -1, compiled=False)
            both_alike(plugin.recall, cluster, node, slot)  # type: ignore[arg-type]
        both_alike(function if point == "reserve" else plugin.reserve, cluster, template, node, -1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("plugin", "point"), LISTS, ids=name_of)
def test_a_kernel_over_lists_runs_compiled_and_plain_alike(plugin: Plugin, point: str) -> None:
    times = 0
    for seed in range(24):
        simulation = copy.copy(halfway(seed))
        if plugin.used is None or not plugin.used(simulation.building):
            continue
        simulation.cluster = copy.copy(simulation.cluster)
        simulation.cluster.columns = {name: array.copy() for name, array in simulation.cluster.columns.items()}
        exercise(plugin, point, simulation, Random(seed))
        times += 1
    assert times >= 8


def test_a_kernel_that_differs_would_be_found() -> None:
    """The proof above compares what the two forms leave behind: a form that writes something else is another result."""
    fit = plugins.found()["NodeResourcesFit"].filter
    assert fit is not None
    names = parameters(fit)[4:]
    cluster = small()
    cluster.template_fit_request[0, 0] = 5
    fit(0, 0, 3, 2, *cluster.arguments(names))
    assert cluster.scan_reject.tolist() == [1 << 2] * 3
    assert small().scan_reject.tolist() == [0] * 3
