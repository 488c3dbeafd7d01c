"""Filters of medicinal chemistry: patterns that chemists don't want in a molecule."""

from __future__ import annotations

import csv
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from rdkit import RDConfig
from rdkit.Chem import FilterCatalog

from sequence_tutor.rewards.molecules.measures.substructure import compiled
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component, unknown

NIBR_FILE = "NIBRSubstructureFilters/SubstructureFilter_HitTriaging_wPubChemExamples.csv"
# A pattern of this severity rules a molecule out by itself; its value is then the value below.
_RULED_OUT, _EXCLUDED = 2, 10.0


@cache
def _lists() -> dict[str, Any]:
    """RDKit's catalogues by name. ALL isn't one of them: it would grow with RDKit."""
    names = dict(FilterCatalog.FilterCatalogParams.FilterCatalogs.names)
    names.pop("ALL", None)
    return names


@lru_cache(maxsize=16)
def _catalogue(names: tuple[str, ...]) -> Any:
    chosen = FilterCatalog.FilterCatalogParams()
    for name in names:
        chosen.AddCatalog(_lists()[name])
    return FilterCatalog.FilterCatalog(chosen)


def _check_alerts(smarts: list[str] | None = None, catalogues: list[str] | None = None) -> None:
    if not smarts and not catalogues:
        raise ValueError("give smarts = [...], catalogues = [...] or both")
    compiled(tuple(smarts or ()))
    for name in catalogues or ():
        if name not in _lists():
            raise ValueError(unknown("name in catalogues:", name, _lists()))
    _catalogue(tuple(catalogues or ()))


@component(
    "alerts",
    domain="molecules",
    bounded=True,
    check=_check_alerts,
    reference="Brenk et al. 2008, https://doi.org/10.1002/cmdc.200700139; "
    "Baell and Holloway 2010, https://doi.org/10.1021/jm901137j",
    example='catalogues = ["PAINS", "BRENK"], smarts = ["[SH]"]',
)
def alerts(
    molecule: Molecule, *, smarts: list[str] | None = None, catalogues: list[str] | None = None
) -> float:
    """1 where none of the unwanted patterns is found, else 0.

    smarts: patterns of your own.
    catalogues: lists that come with RDKit: "PAINS", "BRENK", "NIH", "ZINC", "CHEMBL" or parts of
    these, such as "PAINS_A".
    """
    if any(map(molecule.mol.HasSubstructMatch, compiled(tuple(smarts or ())))):
        return 0.0
    if catalogues and _catalogue(tuple(catalogues)).HasMatch(molecule.mol):
        return 0.0
    return 1.0


@cache
def _nibr() -> tuple[Any, tuple[int, ...]]:
    """The filters of NIBR that come with RDKit, and the severity of each."""
    path = Path(RDConfig.RDContribDir) / NIBR_FILE
    if not path.is_file():
        raise ValueError(f"this RDKit comes without {NIBR_FILE}, which nibr needs")
    catalogue = FilterCatalog.FilterCatalog()
    severities: list[int] = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            times = max(1, int(row["MIN_COUNT"]))
            matcher = FilterCatalog.SmartsMatcher(row["PATTERN_NAME"], row["SMARTS"], times)
            # the entry's text is its row, by which its severity is found
            entry = FilterCatalog.FilterCatalogEntry(str(len(severities)), matcher)
            catalogue.AddEntry(entry)
            severities.append(int(row["SEVERITY_SCORE"]))
    return catalogue, tuple(severities)


def _check_nibr() -> None:
    _nibr()


@component(
    "nibr",
    domain="molecules",
    least=0.0,
    check=_check_nibr,
    reference="Schuffenhauer et al. 2020, https://doi.org/10.1021/acs.jmedchem.0c01332",
    example='transform = { type = "left_step", low = 9 }',
)
def nibr(molecule: Molecule) -> float:
    """Severity by the filters of Novartis: number of flags, or 10 where one of them excludes."""
    catalogue, severities = _nibr()
    found = [severities[int(e.GetDescription())] for e in catalogue.GetMatches(molecule.mol)]
    return _EXCLUDED if _RULED_OUT in found else float(sum(found))
