"""Keeps the repository's root off `sys.path`: `datasets` and `tflite` in it must not shadow others of that name."""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _ROOT]
