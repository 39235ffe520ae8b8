"""What is read of a pod: Kubernetes' defaults, behaviour from annotations, and one clear error for what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kscale.errors import InputError
from kscale.node.manifests import life_of
from kscale.state.lives import (
    ALWAYS_RESTART,
    BURSTABLE,
    GUARANTEED,
    INIT,
    NEVER_RESTART,
    ON_FAILURE,
    REGULAR,
    SIDECAR,
    PodLife,
    Probe,
)

SECOND = 1_000_000


def read(spec: dict[str, Any], **annotations: str) -> PodLife:
    return life_of(json.dumps(spec).encode(), {name.replace("__", "/"): value for name, value in annotations.items()})


def noted(spec: dict[str, Any], notes: dict[str, str]) -> PodLife:
    return life_of(json.dumps(spec).encode(), {f"kscale.dev/{name}": value for name, value in notes.items()})


def test_defaults() -> None:
    life = read({"containers": [{"name": "web", "image": "nginx:1.25", "readinessProbe": {"httpGet": {"port": 80}}}]})
    (web,) = life.containers
    assert (life.restart_policy, life.grace_us, life.mounts, life.claims, life.static) == (
        ALWAYS_RESTART, 30 * SECOND, 1, (), False,
    )  # fmt: skip
    assert (web.kind, web.restart, web.always_pulls, web.run_us, web.readiness) == (
        REGULAR, ALWAYS_RESTART, False, -1, Probe(0, 10 * SECOND, SECOND, 1, 3),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("image", "policy", "always"),
    [
        ("nginx", None, True),
        ("nginx:latest", None, True),
        ("host:5000/nginx", None, True),
        ("nginx:1.25", None, False),
        ("nginx@sha256:00", None, False),
        ("nginx", "IfNotPresent", False),
        ("nginx:1.25", "Always", True),
    ],
)
def test_pull_policies(image: str, policy: str | None, always: bool) -> None:
    life = read({"containers": [{"name": "web", "image": image, "imagePullPolicy": policy}]})
    assert life.containers[0].always_pulls == always


def test_init_containers_and_sidecars() -> None:
    initial = [{"name": "setup"}, {"name": "mesh", "restartPolicy": "Always", "startupProbe": {"periodSeconds": 1}}]
    spec = {"initContainers": initial, "containers": [{"name": "web"}]}
    for policy, setup, web in (
        ("Always", ON_FAILURE, ALWAYS_RESTART),
        ("OnFailure", ON_FAILURE, ON_FAILURE),
        ("Never", NEVER_RESTART, NEVER_RESTART),
    ):
        life = read({**spec, "restartPolicy": policy})
        assert [one.kind for one in life.containers] == [INIT, SIDECAR, REGULAR]
        assert [one.restart for one in life.containers] == [setup, ALWAYS_RESTART, web]
        assert [one.run_us for one in life.containers] == [0, -1, -1]


def test_volumes_and_classes() -> None:
    full = {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "100m", "memory": "100Mi"}}
    spec = {
        "automountServiceAccountToken": False,
        "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": "data"}}],
        "containers": [{"name": "web", "resources": full}],
    }
    life = read(spec)
    assert (life.mounts, life.claims, life.qos) == (1, ("default/data",), GUARANTEED)
    assert life.containers[0].limit == 100 << 20
    limited = {"limits": full["limits"]}
    assert read({"containers": [{"resources": limited}]}).qos == GUARANTEED
    zero = {"requests": {"cpu": 0, "memory": 0}, "limits": {"memory": "200Mi"}}
    assert read({"containers": [{"resources": zero}]}).qos == BURSTABLE


def test_behaviour() -> None:
    life = noted(
        {"initContainers": [{"name": "setup"}], "containers": [{"name": "web", "image": "w:1"}, {"name": "log"}]},
        {
            "run-time": "1h", "run-time.setup": "5s", "exit-code": "3", "exit-code.log": "0",
            "crash-probability": "0.25", "crashes-per-hour": "2", "ready-after.web": "3s", "memory": "10Mi",
            "memory-growth": "1Ki", "stop-time": "2s", "pull-failures": "-1", "image-layers.web": "base=80Mi, w=12Mi",
        },
    )  # fmt: skip
    setup, web, log = life.containers
    assert [setup.run_us, web.run_us, log.run_us] == [5 * SECOND, 3600 * SECOND, 3600 * SECOND]
    assert [setup.exit_code, web.exit_code, log.exit_code] == [0, 3, 0]
    assert (web.crash_millionths, web.crash_mean_us, web.ready_us, log.ready_us) == (
        250_000, 1800 * SECOND, 3 * SECOND, 0,
    )  # fmt: skip
    assert (web.memory, web.growth, web.stop_us, web.pull_failures) == (10 << 20, 1024, 2 * SECOND, -1)
    assert life.layers == (("w:1", (("base", 80 << 20), ("w", 12 << 20))),)


def test_hooks_sleep_as_long_as_they_say() -> None:
    hooks = {"preStop": {"sleep": {"seconds": 5}}, "postStart": {"exec": {}}}
    life = noted({"containers": [{"lifecycle": hooks}, {}]}, {"prestop-time": "9s", "poststart-time": "2s"})
    assert [(one.prestop_us, one.poststart_us) for one in life.containers] == [(5 * SECOND, 2 * SECOND), (0, 0)]


def test_static_pods() -> None:
    assert read({}, **{"kubernetes.io__config.mirror": "x"}).static
    assert read({}, **{"kubernetes.io__config.source": "file"}).static
    assert not read({}, **{"kubernetes.io__config.source": "api"}).static


@pytest.mark.parametrize(
    ("spec", "notes", "told"),
    [
        ({"restartPolicy": "Sometimes"}, {}, "field 'spec.restartPolicy': 'Sometimes' is not known"),
        ({"terminationGracePeriodSeconds": -1}, {}, "field 'spec.terminationGracePeriodSeconds': -1 is negative"),
        ({"containers": 3}, {}, "field 'containers': is a whole number; expected a list"),
        ({"containers": [{"imagePullPolicy": "Now"}]}, {}, "field 'spec.containers[0].imagePullPolicy'"),
        ({"initContainers": [{"restartPolicy": "Never"}]}, {}, "field 'spec.initContainers[0].restartPolicy'"),
        ({"initContainers": [{"readinessProbe": {}}]}, {}, "'spec.initContainers[0].readinessProbe': is not allowed"),
        ({"containers": [{"livenessProbe": {"successThreshold": 2}}]}, {}, "livenessProbe.successThreshold': 2 is not"),
        ({"containers": [{"livenessProbe": {"periodSeconds": -2}}]}, {}, "livenessProbe.periodSeconds': -2 is out of"),
        ({}, {"run-tme": "5s"}, "annotations['kscale.dev/run-tme']': 'run-tme' is not known; did you mean 'run-time'?"),
        ({"containers": [{"name": "web"}]}, {"run-time.wbe": "5s"}, "there is no container 'wbe'; did you mean 'web'?"),
        ({"containers": [{}]}, {"run-time": "soon"}, "['kscale.dev/run-time']': 'soon' is not a duration"),
        ({"containers": [{}]}, {"exit-code": "300"}, "300 is out of range; expected a whole number from 0 to 255"),
        ({"containers": [{}]}, {"exit-code": "-"}, "'-' is no whole number"),
        ({"containers": [{}]}, {"crash-probability": "nan"}, "'nan' is out of range; expected a number from 0 to 1"),
        ({"containers": [{}]}, {"image-layers": "base"}, "'base' is no layer; expected layers and sizes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(spec: dict[str, Any], notes: dict[str, str], told: str) -> None:
    with pytest.raises(InputError) as error:
        noted(spec, notes)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
