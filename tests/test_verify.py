"""Verify: it finds any one value that differs, says which, and refuses what is no recording."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.simulation import Simulation
from kscale.verify import COUNTS, Comparison, Engine, recordings, total, verify, verify_file
from tests.golden.select import HERE

Mutation = Callable[[dict[str, Any]], Any]


def short(family: str, number: str, pods: int) -> dict[str, Any]:
    """A recording of the first pods: those that come later have no bearing on them."""
    with gzip.open(HERE / family / f"{number}.json.gz") as stream:
        found: dict[str, Any] = json.load(stream)
    found["scenario"]["pending"] = found["scenario"]["pending"][:pods]
    found["result"]["pods"] = found["result"]["pods"][:pods]
    return found


def smallest(family: str) -> str:
    return min((HERE / family).glob("*.json.gz"), key=lambda f: (f.stat().st_size, f.name)).name.split(".")[0]


RECORDING = short("preemption", smallest("preemption"), 12)
VOLUMES = short("volumes", smallest("volumes"), 20)


def checked(recording: Any, folder: Path, engine: Engine = "index") -> Comparison:
    file = folder / "family" / "one.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(recording))
    return verify_file(file, engine=engine, compiled=False)


def first(recording: dict[str, Any], wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The first result for which something holds."""
    return next(pod for pod in recording["result"]["pods"] if wanted(pod))


def scheduled(recording: dict[str, Any]) -> dict[str, Any]:
    return first(recording, lambda pod: pod["status"] == "scheduled" and len(pod["feasible"]) > 1)


def preempted(recording: dict[str, Any]) -> dict[str, Any]:
    return first(recording, lambda pod: pod["status"] == "preempted")


def flip_node(recording: dict[str, Any]) -> None:
    pod = scheduled(recording)
    pod["node"] = next(name for name in recording["result"]["nodes"] if name != pod["node"])


def flip_status(recording: dict[str, Any]) -> None:
    scheduled(recording)["status"] = "reserve_failed"


def flip_verdict(recording: dict[str, Any]) -> None:
    recording["result"]["statuses"].append({"plugin": "NodeName", "code": "Unschedulable", "reasons": ["no"]})
    scheduled(recording)["filter"][0] = len(recording["result"]["statuses"]) - 1


def flip_code(recording: dict[str, Any]) -> None:
    pod = first(recording, lambda pod: any(pod.get("filter", ())))
    place = next(place for place, index in enumerate(pod["filter"]) if index)
    status = recording["result"]["statuses"][pod["filter"][place]]
    code = "Unschedulable" if status["code"] != "Unschedulable" else "UnschedulableAndUnresolvable"
    recording["result"]["statuses"].append(status | {"code": code})
    pod["filter"][place] = len(recording["result"]["statuses"]) - 1


def flip_reason(recording: dict[str, Any]) -> None:
    pod = first(recording, lambda pod: any(pod.get("filter", ())))
    place = next(place for place, index in enumerate(pod["filter"]) if index)
    status = recording["result"]["statuses"][pod["filter"][place]]
    recording["result"]["statuses"].append(status | {"reasons": ["another reason"]})
    pod["filter"][place] = len(recording["result"]["statuses"]) - 1


def flip_mask(recording: dict[str, Any]) -> None:
    scheduled(recording)["mask"][1] ^= 1


def flip_raw(recording: dict[str, Any]) -> None:
    scheduled(recording)["raw"]["NodeResourcesFit"][1] += 1


def flip_points(recording: dict[str, Any]) -> None:
    scheduled(recording)["norm"]["TaintToleration"][0] -= 1


def add_scorer(recording: dict[str, Any]) -> None:
    pod = scheduled(recording)
    pod["raw"]["InterPodAffinity"] = [0] * len(pod["feasible"])
    pod["raw"]["InterPodAffinity"][0] = 7


def flip_total(recording: dict[str, Any]) -> None:
    scheduled(recording)["total"][-1] += 1


def flip_ties(recording: dict[str, Any]) -> None:
    pod = scheduled(recording)
    pod["ties"] = [*pod["ties"], next(node for node in pod["feasible"] if node not in pod["ties"])]


def flip_candidate(recording: dict[str, Any]) -> None:
    preempted(recording)["preemption"]["candidates"][0]["victims"].append("default/nobody")


def flip_budgets(recording: dict[str, Any]) -> None:
    preempted(recording)["preemption"]["candidates"][0]["pdb_violations"] += 1


def drop_candidate(recording: dict[str, Any]) -> None:
    del preempted(recording)["preemption"]["candidates"][0]


def flip_victims(recording: dict[str, Any]) -> None:
    preempted(recording)["preemption"]["victims"] = ["default/nobody"]


FLIPS: list[tuple[Mutation, str, str]] = [
    (flip_node, "nodes", "its recorded node is "),
    (flip_status, "statuses", "its recorded status is reserve_failed, kscale says scheduled"),
    (flip_verdict, "verdicts", "the recorded verdict is NodeName: no (Unschedulable), kscale says "),
    (flip_code, "verdicts", "on node n"),
    (flip_reason, "verdicts", "another reason"),
    (flip_mask, "masks", "each filter run alone; kscale says"),
    (flip_raw, "raw", "the recorded raw score of NodeResourcesFit is "),
    (flip_points, "normalised", "the recorded normalised score of TaintToleration is 99, kscale says 100"),
    (add_scorer, "raw", "the recorded raw score of InterPodAffinity is 7, kscale says 0"),
    (flip_total, "totals", "the recorded total is "),
    (flip_ties, "ties", "the recorded best nodes are "),
    (flip_candidate, "candidates", "default/nobody"),
    (flip_budgets, "candidates", "against a disruption budget"),
    (drop_candidate, "candidates", "the recorded victims would be nobody, kscale says "),
    (flip_victims, "victims", "the recorded victims are default/nobody, kscale says "),
]


@pytest.mark.parametrize("engine", ["index", "scan"])
def test_recordings_as_they_are_agree(tmp_path: Path, engine: Engine) -> None:
    for recording in (RECORDING, VOLUMES):
        found = checked(recording, tmp_path, engine)
        assert found.agrees and found.first == "" and found.files == 1
        assert found.pods == len(recording["result"]["pods"])
        assert (found.found > 0) == (engine == "index")
    assert all(checked(RECORDING, tmp_path, engine).compared[name] for name in COUNTS)


def by_hand() -> dict[str, Any]:
    """Two nodes, one twice the other, and pods that ask for a quarter of the smaller: the emptier one takes the next.

    Where both would be as empty, the first takes it. The last pod finds both full.
    """
    nodes = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
         "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": "110"}}}
        for name, cpu, memory in (("small", "4", "8Gi"), ("large", "8", "16Gi"))
    ]  # fmt: skip
    taken = ["large", "small", "large"] * 4
    container = {"name": "c", "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}}
    pending = [{"metadata": {"name": f"p{n}"}, "spec": {"containers": [container]}} for n in range(len(taken) + 1)]
    pods: list[dict[str, Any]] = [
        {"pod": f"default/p{n}", "status": "scheduled", "node": node, "feasible": 2, "ties": 1}
        for n, node in enumerate(taken)
    ]
    pods.append({"pod": "default/p12", "status": "unschedulable", "feasible": 0})
    scenario = {"name": "by hand", "objects": nodes, "pending": pending}
    return {"scenario": scenario, "result": {"nodes": ["small", "large"], "compact": True, "pods": pods}}


def test_a_recording_by_hand_is_held_through_the_index_and_through_the_scan(tmp_path: Path) -> None:
    by_index, by_scan = checked(by_hand(), tmp_path), checked(by_hand(), tmp_path, "scan")
    assert by_index.agrees and by_scan.agrees and by_index.compared == by_scan.compared
    assert (by_index.found, by_scan.found) == (12, 0)


def test_what_the_index_says_is_what_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that takes the small node for the best finds a difference that the scan does not see."""
    opened = Simulation.open_lanes

    def opened_wrong(simulation: Simulation) -> None:
        opened(simulation)
        if simulation.indexed:
            cluster, spot = simulation.cluster, int(simulation.cluster.node_spot[0])
            for scores, place in (
                (cluster.spot_score, spot), (cluster.block_score, spot // 16), (cluster.bank_score, spot // 256),
                (cluster.hall_score, 0), (cluster.kind_best, 0),
            ):  # fmt: skip
                scores[place, 0] = 30_000

    monkeypatch.setattr(Simulation, "open_lanes", opened_wrong)
    by_index = checked(by_hand(), tmp_path)
    assert by_index.first == "family/one.json, pod default/p0: its recorded node is large, kscale says small"
    assert checked(by_hand(), tmp_path, "scan").agrees


@pytest.mark.parametrize(("mutation", "what", "words"), FLIPS, ids=lambda value: getattr(value, "__name__", None))
def test_one_value_that_differs_is_found_and_named(tmp_path: Path, mutation: Mutation, what: str, words: str) -> None:
    recording = copy.deepcopy(RECORDING)
    mutation(recording)
    found = checked(recording, tmp_path)
    differing = {name: found.compared[name] - found.equal[name] for name in COUNTS}
    assert differing == {name: int(name == what) for name in COUNTS}, found.first
    assert not found.agrees
    changed = next(
        pod["pod"] for pod, other in zip(recording["result"]["pods"], RECORDING["result"]["pods"], strict=True)
        if pod != other
    )  # fmt: skip
    assert found.first.startswith(f"family/one.json, pod {changed}: ") and words in found.first


def test_a_verdict_before_any_node(tmp_path: Path) -> None:
    recording = copy.deepcopy(VOLUMES)
    pod = first(recording, lambda pod: "prefilter" in pod)
    recording["result"]["statuses"][pod["prefilter"]]["reasons"] = ["another reason"]
    found = checked(recording, tmp_path)
    assert "before any node is" in found.first and "another reason" in found.first
    assert found.compared["verdicts"] > found.equal["verdicts"]


def test_feasible_nodes_that_differ_leave_the_scores_out(tmp_path: Path) -> None:
    recording = copy.deepcopy(RECORDING)
    pod = scheduled(recording)
    pod["feasible"], pod["total"] = pod["feasible"][1:], pod["total"][1:]
    for scores in (pod["raw"], pod["norm"]):
        scores |= {name: values[1:] for name, values in scores.items()}
    found = checked(recording, tmp_path)
    assert "the recorded feasible nodes are " in found.first
    assert found.compared["totals"] < checked(RECORDING, tmp_path).compared["totals"]


def test_the_first_pod_that_differs_is_told(tmp_path: Path) -> None:
    """Though what became of the pods is compared after all verdicts."""
    recording = copy.deepcopy(RECORDING)
    pods = recording["result"]["pods"]
    early = next(place for place, pod in enumerate(pods) if pod["status"] != "gated")
    late = max(place for place, pod in enumerate(pods) if "mask" in pod)
    assert early < late
    pods[early]["status"] = "error"
    pods[late]["mask"][0] ^= 1
    assert pods[early]["pod"] in checked(recording, tmp_path).first


def test_compact_recordings_carry_placements_only(tmp_path: Path) -> None:
    recording = copy.deepcopy(RECORDING)
    keep = ("pod", "status", "node")
    recording["result"] = {
        "compact": True,
        "pods": [{k: p[k] for k in keep if k in p} for p in RECORDING["result"]["pods"]],
    }
    for pod, whole in zip(recording["result"]["pods"], RECORDING["result"]["pods"], strict=True):
        pod["victims"] = whole.get("preemption", {}).get("victims", [])
        pod["ties"] = pod["feasible"] = 1
    found = checked(recording, tmp_path)
    assert found.agrees and {name for name in COUNTS if found.compared[name]} == {"nodes", "statuses", "victims"}
    assert found.decided == 12 and found.seconds > 0
    recording["result"]["pods"][3]["victims"] = ["default/x"]
    assert "default/x" in checked(recording, tmp_path).first


def test_families_and_totals(tmp_path: Path) -> None:
    for family in ("b", "a"):
        (tmp_path / family).mkdir()
        (tmp_path / family / "1.json.gz").write_bytes(gzip.compress(json.dumps(VOLUMES).encode()))
    (tmp_path / "notes.txt").write_text("no recording")
    told: list[tuple[int, int]] = []
    found = verify(tmp_path, compiled=False, progress=lambda done, all_: told.append((done, all_)))
    assert list(found) == ["a", "b"] and told == [(1, 2), (2, 2)]
    both = total(found)
    assert both.pods == 40 and both.files == 2 and both.agrees
    assert both.compared["nodes"] == 40
    assert [path.parent.name for path in recordings(tmp_path)] == ["a", "b"]


BROKEN: list[tuple[Mutation, str]] = [
    (lambda r: r.pop("scenario"), "scenario"),
    (lambda r: r["scenario"].pop("objects"), "objects"),
    (lambda r: r.update(result=[]), "result"),
    (lambda r: r["result"].pop("pods"), "pods"),
    (lambda r: r["result"]["pods"].pop(), "12 pending pods and results for 11"),
    (lambda r: r["result"]["pods"][2].update(filter=7), "(pod {pod})"),
    (lambda r: r["result"]["pods"][2].update(filter=["x"]), "(pod {pod})"),
    (lambda r: r["result"]["pods"][2].update(filter=[0]), "pod {pod}, field 'filter': has 1 values"),
    (lambda r: r["result"]["pods"][2]["filter"].__setitem__(0, 99), "pod {pod}, field 'filter': has 99"),
    (lambda r: r["result"]["pods"][2]["filter"].__setitem__(0, -1), "pod {pod}, field 'filter': has -1"),
    (lambda r: r["result"]["pods"][2]["mask"].pop(), "pod {pod}, field 'mask': has"),
    (lambda r: r["result"]["pods"][2].pop("mask"), "pod {pod}, field 'mask': is missing"),
    (lambda r: r["result"]["pods"][2].update(profile="other"), "pod {pod}, field 'profile': 'other'"),
    (lambda r: r["result"]["pods"][2].update(prefilter=99), "pod {pod}, field 'prefilter': has 99"),
    (lambda r: scheduled(r)["feasible"].__setitem__(0, 1000), "field 'feasible': has 1000"),
    (lambda r: scheduled(r).update(feasible=3), "field 'feasible': is no list"),
    (lambda r: scheduled(r).update(ties=1), "field 'ties': is no list"),
    (lambda r: scheduled(r)["ties"].append(-2), "field 'ties': has -2"),
    (lambda r: scheduled(r)["total"].append(1), "field 'total': has"),
    (lambda r: scheduled(r)["raw"]["NodeResourcesFit"].pop(), "field 'raw.NodeResourcesFit': has"),
    (lambda r: scheduled(r)["norm"].update(NodeName=[]), "field 'norm.NodeName': has 0 values"),
    (lambda r: preempted(r)["preemption"]["candidates"][0].update(node="x"), "field 'preemption': names no node: x"),
    (lambda r: r["result"]["nodes"].reverse(), "field 'result.nodes': are not those of the objects"),
    (lambda r: r["result"]["pods"][2].update(pod="a/b"), "field 'result.pods[2].pod': is 'a/b'"),
    (lambda r: r["scenario"]["objects"].append({"kind": "Node"}), "objects, item"),
    (lambda r: r["scenario"]["objects"].append(7), "scenario.objects"),
    (lambda r: r["scenario"]["pending"][0].update(status={"phase": "Succeeded"}), "pods that have ended"),
    (lambda r: r["scenario"].update(config="kind: x"), "one.json"),
    (lambda r: r["scenario"].update(objects=[], pending=[]) or r["result"].update(pods=[], nodes=[]), "one.json"),
]  # fmt: skip


@pytest.mark.parametrize(("mutation", "words"), BROKEN, ids=range(len(BROKEN)))
def test_broken_recordings_are_refused_in_one_line(tmp_path: Path, mutation: Mutation, words: str) -> None:
    recording = copy.deepcopy(RECORDING)
    mutation(recording)
    with pytest.raises(InputError) as caught:
        checked(recording, tmp_path)
    line = str(caught.value)
    assert line.startswith(str(tmp_path / "family" / "one.json")) and "\n" not in line
    assert words.format(pod=RECORDING["result"]["pods"][2]["pod"]) in line


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    good = gzip.compress(json.dumps(VOLUMES).encode())
    for name, data, words in (
        ("empty.json", b"", "is no recording"),
        ("text.json", b"\xff\xfe{}", "is no recording"),
        ("list.json", b"[]", "is no recording"),
        ("deep.json", b"[" * 100_000, "is no recording"),
        ("cut.json.gz", good[: len(good) // 2], "cannot be read as gzip"),
        ("odd.json.gz", good[:20] + b"xxxxxxxxx" + good[29:], "cannot be read as gzip"),
    ):
        file = tmp_path / name
        file.write_bytes(data)
        with pytest.raises(InputError, match=words):
            verify_file(file, compiled=False)
    with pytest.raises(InputError, match="does not exist"):
        verify(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no recordings"):
        (tmp_path / "none").mkdir()
        verify(tmp_path / "none")


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, one in inner for found in paths(one, (*path, key)))][path == () :]


TINY = short("preemption", smallest("preemption"), 3)
PLACES = [("result", *path) for path in paths(TINY["result"])] + [
    ("scenario", *path) for path in paths(TINY["scenario"]) if path[0] != "objects" or path[1:2] < (3,)
]
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(-2, 12), st.floats(), st.text(max_size=5),
    st.just([]), st.just({}), st.just([0]), st.just("default/p0000"), st.just([[]]),
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), JUNK, st.booleans()), min_size=1, max_size=3))
def test_mutated_recordings_are_compared_or_refused(
    tmp_path: Path, changes: list[tuple[tuple[Any, ...], Any, bool]]
) -> None:
    recording = copy.deepcopy(TINY)
    for (*way, last), junk, remove in changes:
        holder: Any = recording
        try:
            for key in way:
                holder = holder[key]
            if remove:
                del holder[last]
            else:
                holder[last] = junk
        except (LookupError, TypeError):
            continue
    try:
        found = checked(recording, tmp_path)
    except InputError as error:
        assert str(error).startswith(str(tmp_path / "family" / "one.json"))
    else:
        assert found.agrees == (found.first == "")
