"""Docking with AutoDock Vina: what the component `docking` is made of.

    SMILES ── ligand ──► PDBQT ── engine ──► score, PDBQT of the best pose ── pose ──► SDF
                                    ▲
    receptor ── PDBQT and box ──────┘ maps, once per process

The programs are the extra `docking`, and are imported where they are used.
"""
