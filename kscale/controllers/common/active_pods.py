"""Which active pods of one owner go first (pkg/controller, ActivePods): without ranks, and by whole ages."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.engine.objects import RUNNING_PHASE, UNKNOWN_PHASE
from kscale.state.tables import Cluster

Rows = np.ndarray[Any, Any]


def active_order(cluster: Cluster, pods: Rows, *groups: Rows) -> Rows:
    """Return the order in which ``pods`` are deleted, groups ascending, the first of ``groups`` before the others.

    Not bound before bound; Pending before Unknown before Running; not ready before ready; the shorter time ready; more
    restarts; the younger; where all is the same, the pod that came later.
    """
    phase, ready = cluster.life_phase[pods], cluster.life_ready[pods]
    keys = [
        cluster.pod_node[pods] >= 0,
        np.select([phase == RUNNING_PHASE, phase == UNKNOWN_PHASE], [2, 1], 0),
        ready,
        np.where(ready == 1, -cluster.life_ready_us[pods], 0),
        -cluster.life_restarts[pods],
        -cluster.pod_arrived_us[pods],
        -cluster.pod_trace_row[pods],
    ]
    return np.lexsort([*reversed(keys), *reversed(groups)])
