"""The report's page: one HTML document with its style in it, light and dark as the reader's system is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

_STYLE: Final = """
:root{color-scheme:light dark;--bg:#f7f8fa;--card:#fff;--ink:#1a2230;--soft:#64708a;--line:#e3e7ee;--track:#eef1f6;
--plot:#f4f6fa;--heat:#2f6fde;--tick:#1a2230;--c0:#2f6fde;--c1:#e07b27;--c2:#1f9d76;--c3:#d1495b;--c4:#7a5cc7;
--c5:#b8860b;--c6:#2a9bb5;--c7:#8a93a6}
@media (prefers-color-scheme:dark){:root{--bg:#11151c;--card:#1a202b;--ink:#e6eaf2;--soft:#95a0b6;--line:#2a3241;
--track:#242c3a;--plot:#151b25;--heat:#6ea2ff;--tick:#e6eaf2;--c0:#6ea2ff;--c1:#f2a05c;--c2:#4cc9a0;--c3:#f07f8d;
--c4:#a78bf0;--c5:#dcb13c;--c6:#5fc4dc;--c7:#7d879b}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 24px 64px}h1{font-size:30px;margin:0;letter-spacing:-.02em}
h2{font-size:19px;margin:0 0 2px}h3{font-size:13px;margin:18px 0 6px;color:var(--soft);font-weight:600}
p{margin:0 0 14px;color:var(--soft)}.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:24px 0}
.tile{flex:1 1 150px;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 18px}
.tile b{display:block;font-size:23px;letter-spacing:-.01em}.tile span{color:var(--soft);font-size:13px}
.told{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--c1);border-radius:12px;
padding:12px 18px 12px 34px;margin:0 0 20px}.grid{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:20px}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px 22px}
section.wide{grid-column:1/-1}@media(max-width:900px){.grid{grid-template-columns:minmax(0,1fr)}}
svg{display:block;max-width:100%;height:auto}section>svg{width:100%}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:4px 36px}
text{font-size:12px;fill:var(--ink)}
text.soft{fill:var(--soft)}.row{display:flex;flex-wrap:wrap;gap:14px}figure{margin:0}
figcaption{font-size:12px;color:var(--soft);max-width:300px}.track{fill:var(--track)}.plot{fill:var(--plot)}
.heat{fill:var(--heat)}.tick{fill:var(--tick)}path{fill:none;stroke-width:1.4;stroke-linejoin:round}
""" + "".join(f".h{n}{{fill:var(--c{n})}}.l{n}{{stroke:var(--c{n})}}" for n in range(8))


class Section(NamedTuple):
    """A part of the page."""

    title: str
    told: str
    parts: Sequence[str]
    """HTML."""


_WIDE: Final = ("Examples", "Outliers", "Where labels come from")


def page(
    name: str, about: str, tiles: Sequence[tuple[str, str]], told: Sequence[str], sections: Sequence[Section]
) -> str:
    """The page; `told` is what stands out, in words."""
    boxes = "".join(f"<div class=tile><b>{escape(value)}</b><span>{escape(what)}</span></div>" for value, what in tiles)
    lines = "".join(f"<li>{escape(line)}</li>" for line in told)
    body = "".join(
        f"<section{' class=wide' if each.title in _WIDE else ''}><h2>{escape(each.title)}</h2>"
        f"<p>{escape(each.told)}</p>{''.join(each.parts)}</section>"
        for each in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(name)}: dataset report</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(name)}</h1><p>{escape(about)}</p><div class=tiles>{boxes}</div>"
        + (f"<ul class=told>{lines}</ul>" if lines else "")
        + f"<div class=grid>{body}</div></main></body></html>\n"
    )
