"""A melody's notes as SVG, engraved by verovio from our MusicXML.

verovio's own SVG has a style sheet and ids that collide where many lie in one page. We keep its
shapes alone: symbols are written out where they are used, and all is in the color of the text.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

LACKS = "engraved notes need verovio: pip install 'sequence-tutor[notes]'"
# Width of a page in verovio's units, of which a staff is 72 high: at most two busy bars a line,
# which are legible on a telephone.
PAGE_WIDTH = 1000
MARGIN = 10  # around the notes, in the same units
LEFT_MARGIN = 25  # where bar numbers of two digits begin
OPTIONS = {
    "pageWidth": PAGE_WIDTH,
    "pageHeight": 60_000,  # one page, cut to the height of its notes
    "adjustPageHeight": True,
    "pageMarginLeft": LEFT_MARGIN,
    "pageMarginRight": MARGIN,
    "pageMarginTop": MARGIN,
    "pageMarginBottom": MARGIN,
    "header": "none",
    "footer": "none",
    "svgViewBox": True,
    "svgRemoveXlink": True,
    "svgFormatRaw": True,
}
SVG = "http://www.w3.org/2000/svg"
_SHAPES = ("path", "polygon", "polyline", "rect", "ellipse")
_KEPT = (
    *("d", "points", "x", "y", "width", "height", "cx", "cy", "rx", "ry", "transform"),
    *("stroke-width", "stroke-linecap", "stroke-linejoin", "fill", "fill-opacity"),
    *("font-size", "text-anchor", "font-style"),
)


def lacks_verovio() -> str:
    """Why notes can't be engraved here and what to do; empty where they can."""
    try:
        import_module("verovio")
    except (ImportError, OSError):
        return LACKS
    return ""


def engrave(score: str) -> str:
    """The notes of a MusicXML file as an SVG element. Raises ImportError without verovio, and
    ValueError for what it can't read."""
    toolkit = _toolkit()
    if not toolkit.loadData(score):
        raise ValueError("verovio can't read this MusicXML")
    return slim(toolkit.renderToSVG(1))


@cache
def _toolkit() -> Any:
    verovio = import_module("verovio")
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(OPTIONS)
    return toolkit


def slim(svg: str) -> str:
    """verovio's SVG without style sheet, ids, classes and empty groups."""
    root = ElementTree.fromstring(svg)
    page = root.find(f"{{{SVG}}}svg")
    assert page is not None
    glyphs = {
        glyph.get("id", ""): glyph[0].get("d", "")
        for defs in root.iter(f"{{{SVG}}}defs")
        for glyph in defs
    }
    out = Element("svg", xmlns=SVG, viewBox=page.get("viewBox", ""))
    # what verovio's style sheet says: shapes have a line of the text's color
    drawn = SubElement(out, "g", fill="currentColor", stroke="currentColor")
    _copy(page, drawn, glyphs)
    return ElementTree.tostring(out, encoding="unicode").replace(" />", "/>")


def _copy(source: Element, target: Element, glyphs: dict[str, str]) -> None:
    for child in source:
        kind = child.tag.removeprefix(f"{{{SVG}}}")
        kept = {name: value for name, value in child.attrib.items() if name in _KEPT}
        if "placeholder" in child.get("class", ""):  # not to be seen
            continue
        if kind == "use":
            place = kept["transform"].split(" scale")[0]
            size = re.findall(r"scale\(([\d.]+)", kept["transform"])[0]
            shape = glyphs[child.get("href", "").lstrip("#")]
            # a font's y axis points upwards
            SubElement(target, "path", d=shape, transform=f"{place} scale({size},-{size})")
        elif kind in _SHAPES:
            SubElement(target, kind, kept)
        elif kind in ("text", "tspan"):
            text = SubElement(target, kind, kept)
            if kind == "text":
                text.set("stroke", "none")
            text.text = child.text
            _copy(child, text, glyphs)
        elif kind == "g":
            group = SubElement(target, "g", kept) if kept else target
            _copy(child, group, glyphs)
