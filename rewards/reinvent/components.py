"""The components of REINVENT4 by our names. docs/rewards.md has them as tables, and
docs/from-reinvent.md says how to convert a file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sequence_tutor.rewards.reinvent.notes import ConversionError, Notes, plain

Options = dict[str, Any]

# Components without parameters.
PLAIN = {
    "Qed": "qed",
    "MolecularWeight": "molecular_weight",
    "GraphLength": "graph_length",
    "NumAtomStereoCenters": "stereo_centres",
    "HBondAcceptors": "hba",
    "HBondDonors": "hbd",
    "NumRotBond": "rotatable_bonds",
    "Csp3": "csp3",
    "numsp": "num_sp",
    "numsp2": "num_sp2",
    "numsp3": "num_sp3",
    "NumHeavyAtoms": "heavy_atoms",
    "NumHeteroAtoms": "hetero_atoms",
    "NumRings": "ring_count",
    "NumAromaticRings": "aromatic_ring_count",
    "NumAliphaticRings": "aliphatic_ring_count",
    "SlogP": "logp",
    "LargestRingSize": "largest_ring",
    "SAScore": "sa",
}


@dataclass(frozen=True)
class Known:
    """A component of REINVENT4 in our words."""

    name: str
    """Our component."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Their parameter -> our option; others are left out, with a note."""
    role: Literal["score", "filter", "penalty"] = "score"
    """Its part in the reward; fixed there."""
    first_only: bool = False
    """Whether only the first endpoint counts there."""
    finish: Callable[[Options, Notes], Options] | None = None
    """Changes our options, where more than their names differs."""
    transform: dict[str, Any] | None = None
    """A transform that it always has."""


def _similarity(options: Options, notes: Notes) -> Options:
    features = options.pop("use_features", False)
    smiles = options.get("smiles")
    if isinstance(smiles, list) and smiles:
        if len(smiles) > 1:
            notes.change(
                f"TanimotoSimilarity compares with the first of {len(smiles)} molecules alone, so "
                "only that one is written; `similarity` can take all, and the best or the mean"
            )
        smiles = smiles[0]
    # theirs compares sets of fragments, not bits that fragments share
    options |= {"smiles": smiles, "folded": False}
    return options | ({"fingerprint": "fcfp"} if features else {})


def _matched_pair(options: Options, notes: Notes) -> Options:
    if options.pop("num_of_cuts", 1) != 1:
        notes.change("MMP with more than one cut: `matched_pair` is for one cut")
    return options


def _program(options: Options, notes: Notes) -> Options:
    executable, arguments = str(options.pop("executable", "")), str(options.pop("args", "") or "")
    if not executable:
        raise ConversionError("ExternalProcess has no executable")
    # a bare name is a file of the working directory there, and a program of the PATH here
    program = executable if "/" in executable else f"./{executable}"
    command = [program, *shlex.split(arguments)]
    return options | {"command": command, "protocol": "batch"}


def _nibr(options: Options, notes: Notes) -> Options:
    cutoff = options.pop("cutoff", 10)
    # whole numbers, of which those below the cutoff pass
    return options | {"transform": {"type": "left_step", "low": float(cutoff) - 1.0}}


_SIMILARITY = Known(
    "similarity",
    {
        "smiles": "smiles",
        "radius": "radius",
        "use_counts": "counts",
        "use_features": "use_features",
    },
    finish=_similarity,
)
_WITH_PARAMETERS = {
    "TPSA": Known("tpsa", {"includeSandP": "include_s_and_p"}),
    "RDKitDescriptors": Known("descriptor", {"descriptor": "descriptor"}),
    "MolVolume": Known("volume", {"grid_spacing": "grid_spacing", "box_margin": "box_margin"}),
    "PMI": Known("pmi", {"property": "property"}),
    "TanimotoSimilarity": _SIMILARITY,
    "TanimotoDistance": _SIMILARITY,  # the same similarity, and no distance
    "CustomAlerts": Known("alerts", {"smarts": "smarts"}, role="filter", first_only=True),
    "GroupCount": Known("substructure_count", {"smarts": "smarts"}),
    "MatchingSubstructure": Known(
        "substructure",
        {"smarts": "smarts", "use_chirality": "chirality"},
        role="penalty",
        transform={"type": "value_mapping", "mapping": {"0": 0.5, "1": 1.0}},
    ),
    "MMP": Known(
        "matched_pair",
        {
            "reference_smiles": "smiles",
            "num_of_cuts": "num_of_cuts",
            "max_variable_heavies": "max_variable_heavies",
            "max_variable_ratio": "max_variable_ratio",
        },
        first_only=True,
        finish=_matched_pair,
    ),
    "RingPrecedence": Known(
        "ring_precedence",
        {"database_file": "file", "nll_method": "method", "make_generic": "generic"},
        first_only=True,
    ),
    "ExternalProcess": Known(
        "process",
        {"executable": "executable", "args": "args", "property": "property"},
        finish=_program,
    ),
    "UnwantedSubstructures": Known("alerts", {"catalogs": "catalogues"}, role="filter"),
    "NIBRSubstructureFilters": Known("nibr", {"cutoff": "cutoff"}, role="filter", finish=_nibr),
}
KNOWN: dict[str, Known] = {
    **{plain(theirs): Known(ours, first_only=True) for theirs, ours in PLAIN.items()},
    **{plain(theirs): known for theirs, known in _WITH_PARAMETERS.items()},
}

_DOCKING = "it runs a program of its own; `docking` is AutoDock Vina, `process` runs any program"
_MODEL = (
    "its model must be saved as ONNX or skops, for `model`, or called by a function of yours, for "
    "`python`: see docs/models.md"
)
_ROUTES = "it runs AiZynthFinder; a program or a function of yours can: see docs/programs.md"
_FUNCTION = "there is none here; a function of yours can call its package: see docs/programs.md"
# Why a component isn't converted.
OTHERS: dict[str, str] = {
    plain(theirs): why
    for theirs, why in {
        "ROCSSimilarity": "it needs OpenEye's program and its query; `shape` compares with a "
        "reference that is given as SMILES",
        "ReactionFilter": "it needs what LibInvent knows of the bonds it made; `reaction` finds "
        "them by a `scaffold`",
        "DockStream": _DOCKING,
        "Icolos": _DOCKING,
        "Maize": _DOCKING,
        "SynthSense": _ROUTES,
        "CAZP": _ROUTES,
        "ChemProp": _MODEL,
        "ChemProp2": _MODEL,
        "Qptuna": _MODEL,
        "REST": "its server is asked in a form of its own; `rest` says what to send and read: see "
        "docs/programs.md",
        "TDCommons": "docs/tasks.md has what there is of it here",
        "Pharm2DFP": '`similarity` with fingerprint = "pharmacophores" is near, but not the same',
        "Mordred": _FUNCTION,
        "MolScore": _FUNCTION,
        "LillyDescriptors": _FUNCTION,
        "LillyPAINS": _FUNCTION,
        "LillyMedchemRules": _FUNCTION,
    }.items()
}
FRAGMENTS = "it needs a generator of linkers or decorations, which isn't here"
