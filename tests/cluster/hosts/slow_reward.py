"""A user's own reward for jobs on pretend machines: sleeps, and notes each call on its machine."""

import os
import time

NOTES = "/var/tmp/calls"


def carbons(smiles: str) -> float:
    """The number of carbons. Each call is a line of NOTES: the time of its end, and the SMILES."""
    time.sleep(0.2)
    descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{time.time()} {smiles}\n".encode())
    os.close(descriptor)
    return float(smiles.upper().count("C"))
