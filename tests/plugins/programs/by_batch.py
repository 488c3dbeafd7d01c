"""A program that reads all lines and answers in the form of its first argument.

With a second argument, that file gets a line for each run: the number of sequences. It fails for
chlorine, and answers nothing for bromine.
"""

from __future__ import annotations

import json
import sys

form = sys.argv[1]
lines = sys.stdin.read().splitlines()
if len(sys.argv) > 2:
    with open(sys.argv[2], "a") as file:
        file.write(f"{len(lines)}\n")
if any(line.startswith("Cl") for line in lines):
    print("chlorine isn't parametrised", file=sys.stderr)
    sys.exit(3)
kept = [line for line in lines if not line.startswith("Br")]
values = [None if line.startswith("F") else len(line) for line in kept]
if form == "list":
    print(json.dumps(values))
elif form == "object":
    print(json.dumps({"other": [0] * len(kept), "length": values}))
elif form == "objects":
    print(json.dumps([{"length": value, "other": 0} for value in values]))
elif form == "reinvent4":
    print(json.dumps({"version": 1, "payload": {"length": values, "other": [0] * len(kept)}}))
elif form == "csv":
    cells = ["" if value is None else value for value in values]
    rows = [f"{line},{cell}\n" for line, cell in zip(kept, cells, strict=True)]
    print("smiles,length\n" + "".join(rows), end="")
elif form == "no header":
    print("".join(f"{value},0\n" for value in values), end="")
elif form == "numbers":
    print("".join(f"{value}\n" for value in values), end="")
