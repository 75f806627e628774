"""The pictures in docs/pictures, from a demo's folder and the built networks.

python scripts/pictures.py DEMO

Needs Chromium for the pictures of pages.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from browser import Browser, program
from PIL import Image

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
_WIDTH, _COLOURS = 1120, 128
#: Of a report what comes before its layers: verdict, checks and arena.
_PAGES = {"report.png": ("reports/scenes.int8.html", 2225), "demo.png": ("report.html", None)}


def main(demo: Path) -> None:
    """Writes them all."""
    if program() is None:
        sys.exit("needs Chromium: apt-get install chromium")
    if not (demo / "report.html").is_file():
        sys.exit(f"no demo in {demo}: make demo")
    (PICTURES / "timeline.png").write_bytes((demo / "timeline.png").read_bytes())
    with Browser(_WIDTH) as browser:
        browser.media()
        for name, (page, most) in _PAGES.items():
            browser.open(demo / page)
            if most:
                browser.value(f"document.body.style.cssText = 'height: {most}px; overflow: hidden'")
            # With a palette, they are a third as large.
            Image.open(io.BytesIO(browser.picture())).quantize(_COLOURS).save(PICTURES / name, optimize=True)
    command = Path(sys.executable).with_name("keras_mtl")
    subprocess.run([command, "systems", "--plot", PICTURES / "systems.png"], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
