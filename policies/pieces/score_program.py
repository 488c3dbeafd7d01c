"""The program that reads scores with verovio, in a process of its own; `scores` starts it.

verovio's parsers are C++ and files aren't trusted, so a crash or a hang must end nothing but this
process. It reads a line of JSON from standard input for each score, {"text": text} or {"zip":
base64 of a .mxl}, and writes one: {"midi": base64, "measures": [[quarter, numerator, denominator],
...], "title": text}, or null where it can't be read. The numerator is 0 where a score has no metre.

It imports nothing of this package, as it is run as a file.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from typing import Any
from xml.etree import ElementTree

import verovio

MEMORY_BYTES = 4 * 2**30
NAMESPACE = "http://www.music-encoding.org/ns/mei"
MEI = f"{{{NAMESPACE}}}"
ElementTree.register_namespace("", NAMESPACE)  # verovio knows MEI by its name without a prefix
# Repeats are read once; cue notes are no notes of the part.
OPTIONS = {"expandNever": True, "midiNoCue": True}


def piece_of(toolkit: Any) -> dict[str, Any] | None:
    """What is loaded, as a piece; None where it has no measures."""
    root = ElementTree.fromstring(toolkit.getMEI({}))
    drop_graces(root)
    if not toolkit.loadData(ElementTree.tostring(root, encoding="unicode")):
        return None
    metres = metres_of(root)
    measures = [
        [float(moment["qstamp"]), *metres.get(moment["measureOn"], (0, 1))]
        for moment in toolkit.renderToTimemap({"includeMeasures": True})
        if "measureOn" in moment
    ]
    if not measures:
        return None
    title = next((e for e in root.iter(f"{MEI}title") if "".join(e.itertext()).strip()), None)
    words = "" if title is None else " ".join("".join(title.itertext()).split())
    return {"midi": toolkit.renderToMIDI(), "measures": measures, "title": words}


def drop_graces(root: ElementTree.Element) -> None:
    """Take grace notes out, which have no time of their own and would take it from others."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.get("grace") or child.tag == f"{MEI}graceGrp":
                parent.remove(child)


def metres_of(root: ElementTree.Element) -> dict[str, tuple[int, int]]:
    """Identifier of each measure -> its metre."""
    found: dict[str, tuple[int, int]] = {}
    metre = (0, 1)
    for element in root.iter():
        if element.tag == f"{MEI}measure":
            found[element.get("{http://www.w3.org/XML/1998/namespace}id", "")] = metre
        elif element.tag == f"{MEI}meterSig":
            metre = numbers(element.get("count"), element.get("unit")) or metre
        elif element.tag in (f"{MEI}scoreDef", f"{MEI}staffDef"):
            metre = numbers(element.get("meter.count"), element.get("meter.unit")) or metre
    return found


def numbers(count: str | None, unit: str | None) -> tuple[int, int] | None:
    """A metre from its two numbers, of which the upper one may be a sum."""
    if count is None or unit is None or not re.fullmatch(r"\d+(\s*\+\s*\d+)*", count):
        return None
    return sum(map(int, count.split("+"))), int(float(unit))


def read(toolkit: Any, request: dict[str, str]) -> dict[str, Any] | None:
    """The answer to a request."""
    try:
        if "zip" in request:
            loaded = toolkit.loadZipDataBase64(request["zip"])
        else:
            loaded = toolkit.loadData(request["text"])
        return piece_of(toolkit) if loaded else None
    except Exception:  # whatever a damaged file makes verovio or the parser of its MEI raise
        return None


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what verovio prints is no answer
    verovio.enableLog(verovio.LOG_OFF)
    for line in sys.stdin:
        # verovio keeps the key of one ABC tune for the next one in C, so each score has its process
        child = os.fork()
        if child:
            if os.waitpid(child, 0)[1]:
                sys.exit("verovio crashed")
            continue
        toolkit = verovio.toolkit()
        toolkit.setOptions(OPTIONS)
        answers.write(json.dumps(read(toolkit, json.loads(line))) + "\n")
        answers.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
