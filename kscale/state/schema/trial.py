"""An entry of the list of counters that a template's pods change in trials of preemption only.

kube-scheduler v1.34.1 does not count terminating pods, nor any for an empty selector, but takes them off when it tries
an eviction, and adds them when it puts them back.
"""

from kscale.state.schema import Column

COLUMNS = (Column("counter", "int64", "The counter."),)
