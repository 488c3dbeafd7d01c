"""QED (Bickerton et al. 2012), equal to RDKit's to the last bit in a fraction of its time.

Formula, parameters and patterns are RDKit's; only the eight properties are computed differently:

- logP is an argument, since another component may have computed it;
- only those structural alerts and acceptors are tried that the molecule can have (`screen`), and
  the alerts in one call;
- molecules without hydrogen atoms skip their removal.
"""

from __future__ import annotations

from functools import cache, lru_cache

from rdkit import Chem
from rdkit.Chem import QED, Descriptors, rdMolDescriptors
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogEntry, SmartsMatcher

from sequence_tutor.rewards.molecules.screen import Content, Needs, content

# Version of RDKit's QED that this equals; with any other version RDKit's own function is called.
VERSION = "1.1.0"


def qed(mol: Chem.Mol, logp: float) -> float:
    """Drug-likeness in [0, 1] of a sanitised molecule; logp: its Crippen logP."""
    # RDKit removes hydrogen atoms first. An atom that isn't heavy is a hydrogen or a dummy.
    if mol.GetNumHeavyAtoms() != mol.GetNumAtoms() or _version() != VERSION:
        return float(QED.qed(mol))  # type: ignore[no-untyped-call]
    alerts, acceptors = _possible_patterns(content(mol))
    found = QED.QEDproperties(  # type: ignore[no-untyped-call]
        MW=Descriptors.MolWt(mol),  # type: ignore[attr-defined]
        ALOGP=logp,
        HBA=sum(len(mol.GetSubstructMatches(pattern)) for pattern in acceptors),
        HBD=rdMolDescriptors.CalcNumHBD(mol),
        PSA=rdMolDescriptors.CalcTPSA(mol),
        ROTB=rdMolDescriptors.CalcNumRotatableBonds(
            mol, rdMolDescriptors.NumRotatableBondsOptions.Strict
        ),
        AROM=len(Chem.GetSSSR(Chem.DeleteSubstructs(mol, QED.AliphaticRings))),
        ALERTS=len(alerts.GetMatches(mol)),
    )
    return float(QED.qed(mol, qedProperties=found))  # type: ignore[no-untyped-call]


def _version() -> str:
    return getattr(QED.qed, "version", "")


@cache
def _alerts() -> list[tuple[Needs, FilterCatalogEntry]]:
    return [
        (Needs(pattern), FilterCatalogEntry(str(i), SmartsMatcher(str(i), pattern)))
        for i, pattern in enumerate(QED.StructuralAlerts)
    ]


@cache
def _acceptors() -> list[tuple[Needs, Chem.Mol]]:
    return [(Needs(pattern), pattern) for pattern in QED.Acceptors]


# about 5 kB each; 2,000 suffice for nine of ten molecules of a drug-like library
@lru_cache(maxsize=2048)
def _possible_patterns(content: Content) -> tuple[FilterCatalog, list[Chem.Mol]]:
    """The alerts and acceptors that a molecule with this content may have."""
    elements, kinds = content.elements(), content.kinds
    catalog = FilterCatalog()
    for needs, entry in _alerts():
        if needs.met(elements, kinds):
            catalog.AddEntry(entry)
    return catalog, [pattern for needs, pattern in _acceptors() if needs.met(elements, kinds)]
