"""Narrower networks `mt`, as a report suggests them: their MACs are those of the builder."""

from __future__ import annotations

import pytest

from keras_mtl.cost import cost
from keras_mtl.firmware_host.compute import WIDTHS
from keras_mtl.models import build_mt


@pytest.mark.parametrize("part", sorted(WIDTHS))
def test_their_macs_are_those_of_the_builder(part):
    channels, units, both_m, causal_m = WIDTHS[part]
    for bidirectional, known in ((True, both_m), (False, causal_m)):
        widths = {"channels": channels, "recurrent_units": units, "bidirectional": bidirectional}
        network = build_mt(1000, 128, **widths, scenes=10, events=10)
        assert cost(network, 10.0).macs_per_second / 1e6 == pytest.approx(known, abs=6e-4)
