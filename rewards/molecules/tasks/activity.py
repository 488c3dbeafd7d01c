"""Three tasks of PMO that ask a classifier how likely a molecule acts on a protein.

The classifiers are files of TDC, 75 MB, and don't come with this package; the user gives their
path. docs/tasks.md says where to get them. Values are probabilities, 0 to 1.
"""

from __future__ import annotations

import os
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component

if TYPE_CHECKING:
    from sequence_tutor.rewards.molecules.tasks.classifiers import Classifier, Floats

FEATURES = 2048
KINASES = "Li et al. 2018, https://doi.org/10.1186/s13321-018-0287-6"
# The folder of the three files, for `TASKS`; a component has the option `model`.
FOLDER = "SEQUENCE_TUTOR_TDC_MODELS"


@lru_cache(maxsize=8)
def _load(path: str) -> Classifier:
    # imported here, since most rewards don't need it
    from sequence_tutor.rewards.molecules.tasks.model_file import read_classifier

    return read_classifier(path, FEATURES)


def _check_model(model: str) -> None:
    _load(model)


def _folded_counts(molecule: Molecule) -> Floats:
    """Counts of FCFP6 fragments, float64 [2048]; fragments whose numbers are equal modulo 2048 are
    added up (Olivecrona et al. 2017)."""
    counts = np.zeros(FEATURES)
    found = molecule.fingerprint(3, counts=True, features=True).GetNonzeroElements()
    for fragment, times in found.items():
        counts[fragment % FEATURES] += times
    return counts


def _bits(molecule: Molecule) -> Floats:
    """ECFP4, float64 [2048] of 0 and 1."""
    bits = np.zeros(FEATURES)
    bits[list(molecule.fingerprint(2).GetOnBits())] = 1.0
    return bits


@component(
    "drd2",
    domain="molecules",
    bounded=True,
    check=_check_model,
    reference="Olivecrona et al. 2017, https://doi.org/10.1186/s13321-017-0235-x",
    example='model = "drd2_current.pkl"',
)
def drd2(molecule: Molecule, *, model: str) -> float:
    """Probability of acting on the dopamine receptor D2 (Olivecrona et al. 2017).

    model: path of TDC's drd2_current.pkl. Raises ValueError where it can't be read.
    """
    return _load(model).probability(_folded_counts(molecule))


@component(
    "gsk3b",
    domain="molecules",
    bounded=True,
    check=_check_model,
    reference=KINASES,
    example='model = "gsk3b_current.pkl"',
)
def gsk3b(molecule: Molecule, *, model: str) -> float:
    """Probability of inhibiting the kinase GSK3-beta (Li et al. 2018; Jin et al. 2020).

    model: path of TDC's gsk3b_current.pkl. Raises ValueError where it can't be read.
    """
    return _load(model).probability(_bits(molecule))


@component(
    "jnk3",
    domain="molecules",
    bounded=True,
    check=_check_model,
    reference=KINASES,
    example='model = "jnk3_current.pkl"',
)
def jnk3(molecule: Molecule, *, model: str) -> float:
    """Probability of inhibiting the kinase JNK3 (Li et al. 2018; Jin et al. 2020).

    model: path of TDC's jnk3_current.pkl. Raises ValueError where it can't be read.
    """
    return _load(model).probability(_bits(molecule))


_TASKS = {"drd2": drd2, "gsk3b": gsk3b, "jnk3": jnk3}


def _with_model_of_folder(name: str, molecule: Molecule) -> float:
    if not (folder := os.environ.get(FOLDER)):
        raise ValueError(
            f"the task {name} needs a model: set {FOLDER} to the folder that has {name}_current.pkl"
        )
    return _TASKS[name](molecule, model=str(Path(folder) / f"{name}_current.pkl"))


# Name -> the task with the model that the environment variable FOLDER gives.
ACTIVITY_TASKS = {name: partial(_with_model_of_folder, name) for name in _TASKS}
