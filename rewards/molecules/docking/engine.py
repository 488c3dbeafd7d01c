"""Vina with the maps of a site, kept per process.

A map has the energy of an atom type at each point of the box. The maps of a site take seconds and
some hundred MB, a molecule needs nothing else of the receptor but a last refinement. Processes that
are forked after `engine` was called share its maps.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from sequence_tutor.rewards.molecules.docking.programs import vina
from sequence_tutor.rewards.molecules.docking.receptor import Site

# What Vina adds to its errors about the types of arguments.
_ADVICE = re.compile(r"\s*Additional information:.*", re.DOTALL)


class Docked(NamedTuple):
    """The best pose that was found."""

    score: float
    """Its score, kcal/mol."""
    pdbqt: str
    """The pose as PDBQT."""


class Engine:
    """See the module. One CPU, no output. Raises ValueError with Vina's words where it can't use
    the receptor."""

    def __init__(self, site: Site, seed: int) -> None:
        self._vina: Any = vina().Vina(sf_name="vina", cpu=1, seed=seed, verbosity=0)
        try:
            self._vina.set_receptor(site.path)
            self._vina.compute_vina_maps(list(site.center), list(site.size))
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"Vina can't use {site.name!r}: {_words(error)}") from error

    def dock(self, pdbqt: str, exhaustiveness: int) -> Docked:
        """Dock a ligand. A function of the arguments, of the site and of the seed: what was docked
        before doesn't matter. Raises ValueError with Vina's words where that fails."""
        try:
            self._vina.set_ligand_from_string(pdbqt)
            self._vina.dock(exhaustiveness=exhaustiveness, n_poses=1)
            score = float(self._vina.energies(n_poses=1)[0][0])
            return Docked(score, self._vina.poses(n_poses=1))
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            raise ValueError(f"Vina can't dock it: {_words(error)}") from error


@cache
def engine(site: Site, seed: int) -> Engine:
    """The engine of a site in this process; the first call computes the maps."""
    return Engine(site, seed)


def _words(error: Exception) -> str:
    """An error's text as one line, without its advice for programmers."""
    return " ".join(_ADVICE.sub("", str(error)).split()) or type(error).__name__
