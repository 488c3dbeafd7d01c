"""The tasks of two benchmarks, PMO and GuacaMol, as components of rewards.

Importing this package registers them; docs/tasks.md describes each. `TASKS` gives the same values
to scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType

from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.measures.properties import qed
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.molecules.tasks.activity import ACTIVITY_TASKS
from sequence_tutor.rewards.molecules.tasks.guacamol import GUACAMOL_TASKS

__all__ = ["GUACAMOL", "PMO", "TASKS"]


@lru_cache(maxsize=64)
def _molecule(smiles: str) -> Molecule | None:
    # tasks are often asked for the same molecule one after another
    mol = identify(smiles).mol
    return None if mol is None else Molecule(smiles, mol)


def _score(function: Callable[[Molecule], float], smiles: str) -> float:
    molecule = _molecule(smiles)
    return 0.0 if molecule is None else function(molecule)


_FUNCTIONS = GUACAMOL_TASKS | ACTIVITY_TASKS | {"qed": qed}

# Name of a task -> function from a SMILES to its score, 0 to 1; an invalid SMILES scores 0. The
# functions of drd2, gsk3b and jnk3 raise ValueError unless the environment variable
# SEQUENCE_TUTOR_TDC_MODELS names the folder of their models.
TASKS: Mapping[str, Callable[[str], float]] = MappingProxyType(
    {name: partial(_score, function) for name, function in sorted(_FUNCTIONS.items())}
)
# Names of GuacaMol's 20 goal-directed tasks, and of PMO's 23 tasks.
GUACAMOL = tuple(name for name in TASKS if name in GUACAMOL_TASKS and name != "isomers_c7h8n2o2")
PMO = tuple(name for name in TASKS if name not in ("aripiprazole_similarity", "isomers_c11h24"))
