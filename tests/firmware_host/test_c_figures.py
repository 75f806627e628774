"""What the documents say that the C costs on a Cortex-M is what it costs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from c_programs import CORTEX_M, CORTEX_M0, CORTEX_M4F_FIXED, Core, require

#: Other versions of the compiler make other code, but not that different.
_APART = 0.25


@pytest.fixture(scope="module")
def benchmark(repository) -> Any:
    spec = importlib.util.spec_from_file_location("firmware_c", repository.root / "benchmarks" / "firmware_c.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def published(repository) -> dict[str, Any]:
    return json.loads((repository.root / "benchmarks" / "results" / "firmware_c.json").read_text())


@pytest.mark.parametrize("core", (*CORTEX_M, CORTEX_M4F_FIXED, CORTEX_M0), ids=lambda core: core.name)
def test_figures_are_what_is_measured(core: Core, benchmark, published, tmp_path: Path) -> None:
    require(core)
    rows = {row["part"]: row for row in published["rows"] if row["core"] == core.name}
    measured = benchmark.measure(core, tmp_path)
    assert [row["part"] for row in measured] == list(rows)
    for row in measured:
        for figure in benchmark.FIGURES:
            said = rows[row["part"]][figure]
            assert row[figure] == pytest.approx(said, rel=_APART, abs=64), (row["part"], figure)


def test_documents_have_the_table(repository, benchmark, published) -> None:
    text = benchmark.table(published)
    assert (repository.root / "benchmarks" / "results" / "firmware_c.md").read_text() == text
    page = (repository.root / "docs" / "device.md").read_text()
    for row in published["rows"]:
        cells = [f"{row[name]:,}" for name in benchmark.FIGURES]
        assert f"| {row['part']} | {row['core']} | {' | '.join(cells)} |" in page
