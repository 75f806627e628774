"""A report as text and as one HTML page."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.views.html import report_html
    from keras_mtl.firmware_host.views.html_parts import mark
    from keras_mtl.firmware_host.views.text import baseline_text, compute_lines, operator_name, percent, report_text
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["baseline_text", "compute_lines", "mark", "operator_name", "percent", "report_html", "report_text"]
