"""Creations of pods that the API server refuses, and how a controller that meets one stops (slow start)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.engine.requests import CREATE_PODS, Request
from kscale.state.tables import Cluster

Rows = np.ndarray[Any, Any]


def refused(cluster: Cluster, request: Request) -> Rows:
    """Tell which calls of a request the API server refuses: creations of pods that admission does not let in (mask)."""
    if request.verb != CREATE_PODS:
        return np.zeros(len(request), bool)
    answer: Rows = cluster.template_refused[request.columns["template"]] != 0
    return answer


def slow_start(key: Rows, fails: Rows) -> Rows:
    """Return which calls are made at all (mask), of those that each key would make one after the other.

    They go out in batches of 1, 2, 4, 8 and so on, and each batch is waited for: after one with an error, the rest is
    left out (kube-controller-manager's slowStartBatch: ReplicaSet, DaemonSet, Job, StatefulSet with Parallel). A
    controller that makes one pod at a time never has a second batch.
    """
    order = np.argsort(key, kind="stable")
    batch = np.empty(len(key), np.int64)
    batch[order] = np.frexp(np.arange(len(key)) - np.searchsorted(key[order], key[order]) + 1)[1] - 1
    last = np.full(int(key.max(initial=-1)) + 1, 64)
    np.minimum.at(last, key[fails], batch[fails])
    made: Rows = batch <= last[key]
    return made


def begun(cluster: Cluster, request: Request) -> Request:
    """Return the calls of a request that are made, as slow start leaves them."""
    fails = refused(cluster, request)
    return request.some(slow_start(request.key, fails)) if fails.any() else request


def count_refused(cluster: Cluster, request: Request, which: Rows) -> None:
    """Count refused creations (mask) with the objects that were to own the pods, and note of which template."""
    owner, template = request.columns["owner"][which], request.columns["template"][which]
    np.add.at(cluster.object_refused_pods, owner, 1)
    cluster.object_refused_template[owner] = template
