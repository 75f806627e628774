"""The modules of the tests beside these, and those of the reference."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).parent
for _folder in (_HERE, _HERE.parent / "reference"):
    sys.path.insert(0, str(_folder))
