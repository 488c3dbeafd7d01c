"""A program that answers each line: what it does depends on the line's first letters.

With an argument, that file gets a line for each start and each sequence.
"""

from __future__ import annotations

import json
import os
import sys
import time


def note(text: str) -> None:
    if len(sys.argv) > 1:
        with open(sys.argv[1], "a") as file:
            file.write(f"{text}\n")


note(f"start {os.getpid()}")
print("the program is ready", file=sys.stderr)
for number, line in enumerate(sys.stdin):
    text = line.rstrip("\n")
    note(text)
    if text.startswith("F"):
        print("no parameters for fluorine", file=sys.stderr)
        print("null")
    elif text.startswith("Cl"):
        print("fatal: no memory", file=sys.stderr)
        sys.exit(7)
    elif text.startswith("Br"):
        print(json.dumps({"error": "bromine is too heavy"}))
    elif text.startswith("I"):
        print("Loading model ...")
    elif text.startswith("P"):
        print("1\n2")
    elif text.startswith("S"):
        print("nan")
    elif text.startswith("N") and number:
        os.abort()  # only where others came before
    elif text.startswith("O"):
        time.sleep(600)
    elif text.startswith("B"):
        print(json.dumps({"length": len(text), "error": "ignored"}))
    elif text.startswith("[K]"):
        os.close(1)
        time.sleep(600)
    else:
        print(len(text))
