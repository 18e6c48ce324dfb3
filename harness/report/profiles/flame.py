"""A differential flame graph: one self-contained HTML page with an SVG, hover, zoom, search.

Paths of both kernels are laid over one another. A frame is as wide as the greater of its two
costs, so that what has vanished stays to be seen; red is dearer after, blue cheaper.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.records.profiles import CellProfile, PathTable

WIDTH, ROW, FONT = 1160.0, 17, 11
NARROWEST = 0.4
"""Pixels: frames that would be narrower are left out."""
CHAR = 6.4  # pixels of a letter, about


@dataclass
class Frame:
    """One function in its call path."""

    name: str
    before: float = 0.0
    """Instructions per operation of itself, without what it calls."""
    after: float = 0.0
    children: dict[str, Frame] = field(default_factory=dict)
    whole_before: float = 0.0
    whole_after: float = 0.0
    width: float = 0.0

    def child(self, name: str) -> Frame:
        """The frame of a callee, made if missing."""
        return self.children.setdefault(name, Frame(name))

    def settle(self) -> None:
        """Add children up."""
        for child in self.children.values():
            child.settle()
        kids = list(self.children.values())
        self.whole_before = self.before + sum(kid.whole_before for kid in kids)
        self.whole_after = self.after + sum(kid.whole_after for kid in kids)
        self.width = max(self.before, self.after) + sum(kid.width for kid in kids)

    @property
    def depth(self) -> int:
        """Rows that it takes with what it calls."""
        return 1 + max((kid.depth for kid in self.children.values()), default=0)


def merge(
    before: Sequence[CellProfile], after: Sequence[CellProfile], *, background: bool
) -> Frame:
    """The paths of both kernels as one tree, per operation, the mean over profiles.

    ``background``: with what interrupts and other tasks did.
    """
    root = Frame("all")
    for profiles, side in ((before, "before"), (after, "after")):
        followed = [one for one in profiles if one.paths is not None]
        for profile in followed:
            if profile.paths is not None:
                _add(root, profile.paths, side, 1.0 / profile.units / len(followed), background)
    root.settle()
    return root


def _add(root: Frame, paths: PathTable, side: str, share: float, background: bool) -> None:
    frames = [root]
    for i in range(1, len(paths.function)):
        frame = frames[paths.parent[i]].child(paths.function[i])
        frames.append(frame)
        if background or not paths.background[i]:
            value = paths.instructions[i] * share
            setattr(frame, side, getattr(frame, side) + value)


def render(root: Frame, title: str, unit: str, before: str, after: str) -> str:
    """The page. ``title`` names the cell, ``before`` and ``after`` the variants."""
    most = max((abs(f.after - f.before) for f in _all(root)), default=0.0) or 1.0
    height = (root.depth + 1) * ROW + 4
    frames = "".join(_frames(root, 0.0, 0, WIDTH / (root.width or 1.0), most))
    words = {
        "title": html.escape(title), "unit": html.escape(unit), "before": html.escape(before),
        "after": html.escape(after), "height": str(height), "width": f"{WIDTH:.0f}",
        "frames": frames, "total_before": f"{root.whole_before:,.1f}",
        "total_after": f"{root.whole_after:,.1f}",
        "total_delta": f"{root.whole_after - root.whole_before:+,.1f}",
    }
    page = _PAGE
    for name, text in words.items():
        page = page.replace(f"@{name}@", text)
    return page


def _all(frame: Frame) -> Iterable[Frame]:
    yield frame
    for child in frame.children.values():
        yield from _all(child)


def _colour(frame: Frame, most: float) -> str:
    """By the difference of the function itself, the greatest one being the strongest."""
    delta = frame.after - frame.before
    strength = min(1.0, abs(delta) / most) ** 0.5
    weak = round(232 - 150 * strength)
    if abs(delta) < 0.005 * most:
        return "#e4e2dc"
    return f"rgb(240,{weak},{weak})" if delta > 0 else f"rgb({weak},{weak + 10},245)"


def _frames(frame: Frame, x: float, row: int, scale: float, most: float) -> Iterable[str]:
    width = frame.width * scale
    if width < NARROWEST:
        return
    y = row * ROW
    name = html.escape(frame.name)
    numbers = ";".join(
        f"{value:.2f}" for value in
        (frame.whole_before, frame.whole_after, frame.before, frame.after)
    )
    shown = name if len(frame.name) * CHAR < width - 4 else (
        html.escape(frame.name[: max(0, int((width - 8) / CHAR))]) + "…" if width > 24 else ""
    )
    yield (
        f'<g data-n="{name}" data-v="{numbers}" data-x="{x:.2f}" data-w="{width:.2f}" '
        f'data-y="{row}"><rect x="{x:.2f}" y="{y}" width="{max(width - 0.3, 0.2):.2f}" '
        f'height="{ROW - 1}" fill="{_colour(frame, most)}"/>'
        f'<text x="{x + 3:.2f}" y="{y + 12}">{shown}</text></g>'
    )
    x += max(frame.before, frame.after) * scale
    for child in sorted(frame.children.values(), key=lambda one: one.name):
        yield from _frames(child, x, row + 1, scale, most)
        x += child.width * scale


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>@title@: @before@ against @after@</title>
<style>
body{font:13px/1.45 system-ui,sans-serif;margin:18px;color:#222;background:#fff;max-width:1200px}
svg{display:block;width:100%;font:11px ui-monospace,monospace}
rect{stroke:#fff;stroke-width:.3}g{cursor:pointer}g:hover rect{stroke:#000;stroke-width:1}
g.hit rect{stroke:#b80;stroke-width:1.4}text{pointer-events:none}
#say{min-height:3em;font-family:ui-monospace,monospace;white-space:pre-wrap}
input{font:inherit;width:22em}button{font:inherit}
</style></head><body>
<h1 style="font-size:17px">@title@</h1>
<p>Instructions of the kernel per @unit@, by call path: <b>@before@</b> @total_before@,
<b>@after@</b> @total_after@ (@total_delta@). A frame is as wide as the greater of its two costs;
red functions cost more in @after@, blue ones less, by their own instructions. Click to zoom,
click the top frame to zoom out.</p>
<p><input id="find" placeholder="search: a name or a regular expression" aria-label="search">
<span id="found"></span></p>
<svg id="flame" viewBox="0 0 @width@ @height@" role="img" aria-label="flame graph">@frames@</svg>
<p id="say"></p>
<script>
const W=@width@,CHAR=6.4,gs=[...document.querySelectorAll("#flame g")];
const say=document.getElementById("say");
const number=v=>(+v).toFixed(1);
gs.forEach(g=>{
  g.x=+g.dataset.x;g.w=+g.dataset.w;g.y=+g.dataset.y;
  const v=g.dataset.v.split(";");
  g.words=g.dataset.n+"\\n  with what it calls: "+number(v[0])+" -> "+number(v[1])+"  ("+
    (v[1]-v[0]>0?"+":"")+number(v[1]-v[0])+")\\n  itself:             "+number(v[2])+" -> "+
    number(v[3])+"  ("+(v[3]-v[2]>0?"+":"")+number(v[3]-v[2])+")";
  const t=document.createElementNS("http://www.w3.org/2000/svg","title");
  t.textContent=g.words;g.appendChild(t);
  g.onmouseenter=()=>say.textContent=g.words;
  g.onclick=()=>zoom(g);
});
function zoom(to){
  const k=W/to.w;
  gs.forEach(g=>{
    const inside=g.y>=to.y&&g.x>=to.x-.01&&g.x+g.w<=to.x+to.w+.01;
    const above=g.y<to.y&&g.x<=to.x+.01&&g.x+g.w>=to.x+to.w-.01;
    g.style.display=inside||above?"":"none";
    if(!inside&&!above)return;
    const x=above?0:(g.x-to.x)*k,w=above?W:g.w*k,r=g.querySelector("rect"),
          t=g.querySelector("text"),n=g.dataset.n,room=Math.floor((w-8)/CHAR);
    r.setAttribute("x",x);r.setAttribute("width",Math.max(w-.3,.2));
    t.setAttribute("x",x+3);
    t.textContent=n.length<=room?n:room>2?n.slice(0,room)+"…":"";
  });
}
document.getElementById("find").oninput=e=>{
  const text=e.target.value;let match=null,count=0,b=0,a=0;
  try{match=text?new RegExp(text,"i"):null}catch{return}
  gs.forEach(g=>{
    const hit=match!==null&&match.test(g.dataset.n);
    g.classList.toggle("hit",hit);
    if(hit){count++;const v=g.dataset.v.split(";");b+=+v[2];a+=+v[3]}
  });
  document.getElementById("found").textContent=match===null?"":
    count+" frames, themselves "+number(b)+" -> "+number(a)+" ("+(a-b>0?"+":"")+number(a-b)+")";
};
</script></body></html>
"""
