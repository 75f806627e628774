"""Self-contained HTML pages in one style: reports, the demo's page, operating points, comparisons.

A page loads nothing, and its policy holds a browser to that: pictures are in it, and its scripts are named by their
digests, so that no other can run. It follows the system's light or dark colours, and prints. A click on a head of a
table sorts the table by that column.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

#: Colours, texts and tables of all pages. A page's own style may add to it.
STYLE = """
:root { --ink: #1d2733; --quiet: #5b6875; --rule: #dde3ea; --page: #ffffff; --card: #f5f7f9;
  --good: #11703a; --bad: #b3261e; --blue: #4a7fb5; --pale: #a9c4df; --teal: #3a9188; --amber: #c98a1b;
  --violet: #8a6bb8; --peak: #fbe9c8; --inside: #ffffff; --link: #2f6ca8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ee; --quiet: #9aa7b4; --rule: #323b45; --page: #14191f;
  --card: #1c232b; --good: #5cc98a; --bad: #ff8a80; --blue: #4d85bf; --pale: #41678e; --teal: #35837b; --amber: #b47b16;
  --violet: #7d60ac; --peak: #3d3220; --inside: #f4f7fa;
  --link: #6aa5dd; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 0; background: var(--page); color: var(--ink); }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 2.5rem; }
main + main { border-top: 3px solid var(--rule); }
h1 { font-size: 1.6rem; margin: 0 0 .6rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; } p { margin: .4rem 0; }
h1 span { font-size: .9rem; border: 1px solid; border-radius: 1rem; padding: .15rem .7rem; vertical-align: middle; }
.table, .plot { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin: .3rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { color: var(--quiet); font-weight: 600; cursor: pointer; }
th[aria-sort="ascending"]::after { content: " \\25b4"; } th[aria-sort="descending"]::after { content: " \\25be"; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.passed { color: var(--good); font-weight: 600; } .failed { color: var(--bad); font-weight: 600; }
.quiet { color: var(--quiet); } .note { border-left: 3px solid var(--amber); padding-left: .6rem; }
pre { background: var(--card); border-radius: .5rem; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere;
  margin: .4rem 0; font-size: 13px; min-height: 1.5em; }
img { max-width: 100%; background: #ffffff; }
a { color: var(--link); }
@media print { main { max-width: none; } h2 { break-after: avoid; } img, pre { break-inside: avoid; } }
"""
#: By numbers where both cells begin with one, else by letters; cells without a value come last.
_SORT = """
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = [...table.querySelectorAll("thead th")];
  const value = (row, place) => row.cells[place].textContent.trim();
  const order = place => (one, other) => {
    const [a, b] = [value(one, place), value(other, place)];
    if (a === "-" || b === "-") return (a === "-") - (b === "-");
    const [x, y] = [a, b].map(words => parseFloat(words.replaceAll(",", "")));
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  heads.forEach((head, place) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort(order(place));
      body.append(...(down ? rows.reverse() : rows));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  });
}
"""


def page(title: str, *parts: str, style: str = "", script: str = "") -> str:
    """A page.

    Args:
        title: plain text.
        parts: HTML of the page's parts, one below the other.
        style: beside `STYLE`.
        script: beside the one that sorts tables.
    """
    scripts = [each for each in (_SORT, script) if each]
    digests = " ".join(f"'sha256-{_base64(hashlib.sha256(each.encode()).digest())}'" for each in scripts)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {digests}"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style>"
    )
    body = "\n".join(f"<main>\n{part}\n</main>" for part in parts)
    ends = "".join(f"<script>{each}</script>" for each in scripts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n{ends}</body></html>\n'


def picture(png: bytes, words: str) -> str:
    """A picture within the page.

    Args:
        png: the file.
        words: what it shows, for those who do not see it.
    """
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{_base64(png)}">'


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
