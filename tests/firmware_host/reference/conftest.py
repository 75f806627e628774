"""TensorFlow Lite Micro beside the reference."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this one: pytest imports tests without them
from tflm_process import TflmProcess


@pytest.fixture(scope="session")
def tflm() -> Iterator[TflmProcess]:
    """The interpreter in its process."""
    process = TflmProcess()
    yield process
    process.close()
