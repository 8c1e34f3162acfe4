"""The profile as one HTML page: no script, nothing fetched, pictures drawn as SVG within it.

Everything that comes from the table is escaped, and control and bidirectional marks are written out: a column's name
cannot change the page.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any

from hauberk.core.text import one_line
from hauberk.data.verification.profiling import ColumnProfile, Profile
from hauberk.data.verification.summary import ColumnSummary

_STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--paper:#fff;--panel:#f6f8fa;--bar:#3f6fb5;--bad:#b3261e;--warn:#a15c00;--low:#3b6c86}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#a2acba;--line:#323b48;--paper:#151a21;--panel:#1d242d;
--bar:#7fa7e0;--bad:#ff8a80;--warn:#f0b429;--low:#8cc3e0}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1080px;padding:32px 24px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .2rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}
.soft{color:var(--soft)}.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(310px,1fr));gap:14px}
.card{border:1px solid var(--line);border-radius:8px;padding:12px 14px;background:var(--panel);min-width:0}
.card h3{margin:0;font-size:1rem;overflow-wrap:anywhere}.card .kind{color:var(--soft);font-size:.85rem;margin-bottom:8px}
dl{display:grid;grid-template-columns:auto 1fr;gap:0 10px;margin:8px 0 0;font-size:.85rem}dt{color:var(--soft)}
dd{margin:0;text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto}svg rect{fill:var(--bar)}svg text{fill:var(--ink);font:11px system-ui,sans-serif}
svg .soft{fill:var(--soft)}ul.found{list-style:none;padding:0;margin:0}ul.found li{border-left:4px solid var(--low);
padding:4px 12px;margin:8px 0;background:var(--panel);overflow-wrap:anywhere}
ul.found .high,ul.found .critical{border-color:var(--bad)}
ul.found .medium{border-color:var(--warn)}.flag{color:var(--bad)}
"""
_WIDE, _TALL = 280, 84
_LITTLE = 0.001
_BARS = 12


def page(profile: Profile) -> str:
    """Return the page as HTML."""
    found = "".join(
        f'<li class="{finding.severity}"><b>{finding.severity}</b> {shown(finding.what)}'
        f'<br><span class="soft">{shown(finding.advice)}</span></li>'
        for finding in profile.findings
    )
    cards = "".join(_card(column, profile) for column in profile.columns)
    nulls = sum(column.summary.nulls for column in profile.columns)
    cells = max(1, profile.rows * len(profile.columns))
    measured = f", relations measured on {profile.sampled:,} rows" if profile.sampled < profile.rows else ""
    target = f", target <b>{shown(profile.target)}</b>" if profile.target else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Profile of {shown(profile.name)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{shown(profile.name)}</h1><p class=soft>{profile.rows:,} rows, {len(profile.columns):,} columns, "
        f"{nulls / cells:.1%} of values missing{target}{measured}</p>"
        f"<h2>What to look at</h2>{f'<ul class=found>{found}</ul>' if found else '<p>Nothing looks suspicious.</p>'}"
        f'{_strongest(profile)}<h2>Columns</h2><div class="grid">{cards}</div></body></html>\n'
    )


def _strongest(profile: Profile) -> str:
    known = [
        (column.association, column.summary.name) for column in profile.columns if column.association is not None
    ]
    if not known:
        return ""
    telling = sorted((pair for pair in known if pair[0] >= _LITTLE), key=lambda pair: -pair[0])
    bars = telling[:_BARS]
    said = f"{len(known) - len(telling):,} columns explain less than {_LITTLE:.1%} each."
    rest = f"<p class=soft>{said}</p>" if len(telling) < len(known) else ""
    height = 20 * len(bars)
    rows = "".join(
        f'<text x="216" y="{20 * at + 14}" text-anchor="end">{shown(_cut(name, 30))}</text>'
        f'<rect x="224" y="{20 * at + 3}" width="{max(1, 500 * share):.1f}" height="14"/>'
        f'<text x="{232 + 500 * share:.1f}" y="{20 * at + 14}" class="soft">{share:.1%}</text>'
        for at, (share, name) in enumerate(bars)
    )
    return (
        f"<h2>How much of {shown(profile.target)} each column explains alone</h2>"
        f'<svg viewBox="0 0 800 {height}" role="img" aria-label="share of the target explained">{rows}</svg>{rest}'
    )


def _card(column: ColumnProfile, profile: Profile) -> str:
    one = column.summary
    facts = [("distinct", f"{one.distinct:,}")] if one.distinct else []
    facts.append(("missing", f"{one.nulls:,} ({one.nulls / max(1, profile.rows):.1%})" if one.nulls else "none"))
    if one.nans or one.infinities:
        facts.append(("NaN, infinite", f"{one.nans:,}, {one.infinities:,}"))
    if spread(one):
        facts.append(("length" if one.kind == "text" else "range", spread(one)))
    if one.mean is not None and one.kind != "boolean":
        facts.append(("mean ± deviation", f"{figure(one.mean)} ± {figure(one.std)}"))
    if column.association is not None:
        facts.append(("explains target", f"{column.association:.1%}"))
    listed = "".join(f"<dt>{label}</dt><dd>{shown(value)}</dd>" for label, value in facts)
    picture = _histogram(column) or _categories(column, profile.rows)
    name = shown(one.name) + (" <span class=soft>(target)</span>" if one.name == profile.target else "")
    kind = f'<div class="kind">{one.kind}, {shown(one.dtype)}</div>'
    return f'<div class="card"><h3>{name}</h3>{kind}{picture}<dl>{listed}</dl></div>'


def _histogram(column: ColumnProfile) -> str:
    shape, tallest = column.shape, max(column.shape.counts, default=0)
    if not tallest:
        return ""
    step = _WIDE / len(shape.counts)
    heights = [60 * count / tallest for count in shape.counts]
    bars = "".join(
        f'<rect x="{at * step:.1f}" y="{64 - height:.1f}" width="{step - 1:.1f}" height="{height:.1f}"/>'
        for at, height in enumerate(heights)
    )
    times = column.summary.kind in ("date", "datetime")
    low, high = (_moment(edge) if times else figure(edge) for edge in (shape.edges[0], shape.edges[-1]))
    return (
        f'<svg viewBox="0 0 {_WIDE} {_TALL}" role="img" aria-label="histogram">{bars}'
        f'<text x="0" y="79" class="soft">{low}</text>'
        f'<text x="{_WIDE}" y="79" class="soft" text-anchor="end">{high}</text></svg>'
    )


def _categories(column: ColumnProfile, rows: int) -> str:
    top = column.shape.top[:6]
    if not top:
        return ""
    most = top[0][1]
    bars = "".join(
        f'<text x="116" y="{17 * at + 12}" text-anchor="end">{shown(_cut(value, 18))}</text>'
        f'<rect x="122" y="{17 * at + 2}" width="{max(1, 110 * count / most):.1f}" height="12"/>'
        f'<text x="{126 + 110 * count / most:.1f}" y="{17 * at + 12}" class="soft">{count / max(1, rows):.1%}</text>'
        for at, (value, count) in enumerate(top)
    )
    return f'<svg viewBox="0 0 {_WIDE} {17 * len(top)}" role="img" aria-label="commonest values">{bars}</svg>'


def shown(text: str) -> str:
    """Return text for HTML: escaped, and what cannot be printed written as its code point."""
    return escape(one_line(text))


def _cut(text: str, length: int) -> str:
    return (text if len(text) <= length else text[: length - 1] + "…") or "(empty)"


def figure(value: Any) -> str:  # noqa: ANN401 - a number, a time or None
    """Return a value as people read it: four digits that matter, and no powers of ten below a thousand million."""
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def spread(column: ColumnSummary) -> str:
    """Return from where to where the values of a column reach; "" when that says nothing."""
    if column.low is None or column.kind == "boolean":
        return ""
    low, high = figure(column.low), figure(column.high)
    return low if low == high else f"{low} to {high}"


def _moment(micros: float) -> str:
    try:
        return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d}"
    except (OverflowError, ValueError, OSError):
        return f"{micros:.3g} µs"
