import numpy as np
import pytest

from kscale.traces.common.presets import PRESETS, Quantiles, Uniform
from kscale.traces.common.shapes import parse_shape


def test_a_law_meets_its_knots():
    knots = ((0, 1), (0.5, 2), (0.9, 158), (0.99, 998), (0.9999, 5000))
    values = Quantiles(knots).draw(np.random.default_rng(1), 400_000)
    found = np.quantile(values, [0.5, 0.9, 0.99])
    assert found == pytest.approx([2, 158, 998], rel=0.05)
    assert values.min() >= 1
    assert values.max() <= 5000 * (1 + 1e-9)


def test_between_knots_a_law_is_pareto():
    alpha = 0.7
    knots = ((0, 1.0), (0.999, 1000 ** (1 / alpha)))
    values = Quantiles(knots).draw(np.random.default_rng(2), 400_000)
    assert np.quantile(values, [0.5, 0.9, 0.99]) == pytest.approx(
        [2 ** (1 / alpha), 10 ** (1 / alpha), 100 ** (1 / alpha)], rel=0.05
    )


def test_even_laws():
    values = Uniform(60, 7200).draw(np.random.default_rng(3), 10_000)
    assert 60 <= values.min() < values.max() <= 7200


@pytest.mark.parametrize("name", PRESETS)
def test_every_pod_of_a_preset_fits_some_node(name):
    preset = PRESETS[name]
    shapes = [parse_shape(text) for text, _ in preset.nodes]
    for kind in preset.kinds:
        cpu, memory = max(kind.cpu_milli), max(kind.cpu_milli) * max(kind.mib_per_cpu) / 1000 * (1 << 20)
        assert any(s.cpu_milli >= cpu and s.memory_bytes >= memory and s.gpu_count >= kind.gpu_count for s in shapes), (
            kind
        )
