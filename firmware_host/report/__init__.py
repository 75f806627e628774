"""The emulator's report, and its comparison with an older one."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.report.baseline import REPORTS_SCHEMA, Baseline, Tolerance, key_text
    from keras_mtl.firmware_host.report.report import Check, EngineResult, Report, at_most
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "REPORTS_SCHEMA", "Baseline", "Check", "EngineResult", "Report", "Tolerance", "at_most", "key_text",
]  # fmt: skip
