"""The style sheet of a report's page: light and dark, narrow and wide, and on paper."""

from __future__ import annotations

STYLE = """
:root { --ink: #1d2733; --quiet: #5b6875; --rule: #dde3ea; --page: #ffffff; --card: #f5f7f9;
  --good: #11703a; --bad: #b3261e; --blue: #4a7fb5; --pale: #a9c4df; --teal: #3a9188; --amber: #c98a1b;
  --violet: #8a6bb8; --peak: #fbe9c8; --inside: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ee; --quiet: #9aa7b4; --rule: #323b45; --page: #14191f;
  --card: #1c232b; --good: #5cc98a; --bad: #ff8a80; --blue: #4d85bf; --pale: #41678e; --teal: #35837b; --amber: #b47b16;
  --violet: #7d60ac; --peak: #3d3220; --inside: #f4f7fa; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 0; background: var(--page); color: var(--ink); }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 2.5rem; }
main + main { border-top: 3px solid var(--rule); }
h1 { font-size: 1.6rem; margin: 0 0 .6rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; } p { margin: .4rem 0; }
h1 span { font-size: .9rem; border: 1px solid; border-radius: 1rem; padding: .15rem .7rem; vertical-align: middle; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0; font-size: 14px; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
.table, .plot { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin: .3rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { color: var(--quiet); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.passed { color: var(--good); font-weight: 600; } .failed { color: var(--bad); font-weight: 600; }
.quiet { color: var(--quiet); } .note { border-left: 3px solid var(--amber); padding-left: .6rem; }
.meter { display: inline-block; width: 6rem; height: .7rem; border-radius: .35rem; background: var(--rule);
  overflow: hidden; margin-top: .35rem; }
.meter i { display: block; height: 100%; } .meter .part { background: var(--teal); }
.meter .full { background: var(--bad); }
details { margin: .5rem 0; } summary { cursor: pointer; }
.plot { background: var(--card); border-radius: .5rem; padding: .6rem; margin: .6rem 0; }
svg { display: block; width: 100%; min-width: 42rem; height: auto; font-size: 12px; }
svg text { fill: var(--ink); } svg .quiet { fill: var(--quiet); } svg .head { font-weight: 600; }
svg .inside { fill: var(--inside); pointer-events: none; }
.axis { stroke: var(--quiet); } .grid { stroke: var(--rule); } .clock { stroke: var(--bad); stroke-dasharray: 4 3; }
.tensor { stroke: var(--card); } .input { fill: var(--teal); background: var(--teal); }
.activation { fill: var(--blue); background: var(--blue); }
.output { fill: var(--violet); background: var(--violet); }
.scratch { fill: var(--amber); background: var(--amber); }
.peak { fill: var(--peak); } .frame { fill: none; stroke: var(--amber); stroke-width: 1.5; pointer-events: none; }
.at-peak { background: var(--peak); border: 1.5px solid var(--amber); }
.alive { fill: var(--pale); } .most { fill: var(--amber); }
.macs { fill: var(--blue); } .weights { fill: var(--violet); }
.plot .activation:not(.tensor) { fill: var(--teal); } .range { fill: var(--pale); }
.same { fill: var(--teal); } .near { fill: var(--amber); } .differ { fill: var(--bad); }
.keys { font-size: 13px; color: var(--quiet); } .key { margin-right: 1.2rem; white-space: nowrap; }
.key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; vertical-align: -1px; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin: 0 0 .3rem; } .cards thead { display: none; }
  .cards tr { display: flex; flex-wrap: wrap; gap: .1rem .9rem; border-bottom: 1px solid var(--rule); }
  .cards td { border: 0; padding: .1rem 0; } .cards td:last-child { flex-basis: 100%; } }
@media print { main { max-width: none; } .plot { break-inside: avoid; } svg { min-width: 0; }
  h2 { break-after: avoid; } }
"""
