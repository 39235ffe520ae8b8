"""A typical pod: one of the kinds that make up most of the workload, for the fragmentation measure."""

from kscale.state.schema import Column

COLUMNS = (
    Column("cpu_milli", "int64", "cpu it asks for.", "milli"),
    Column("device_count", "int64", "Devices it asks for.", "devices"),
    Column("device_models", "uint64", "Bit set of the allowed device models; 0 allows every one."),
    Column(
        "level",
        "int64",
        "Index of its share per device among the distinct shares; -1 when it asks for none.",
        default=-1,
    ),
    Column("weight", "float64", "Its part of the typical pods; all add up to 1.", "0 to 1"),
)
