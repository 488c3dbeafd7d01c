"""The receptor and the box in which molecules are docked, from the options of a configuration."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sequence_tutor.rewards.names import unknown

# The packages of the extra, by the names they are imported under.
PACKAGES = ("vina", "meeko", "gemmi", "dimorphite_dl", "dockstring")
INSTALL = "pip install 'sequence-tutor[docking]'"
# Columns of a PDBQT line, counted from 0, that hold a coordinate each, and the partial charge.
_XYZ = (slice(30, 38), slice(38, 46), slice(46, 54))
_CHARGE, _TYPE = slice(68, 76), slice(77, 79)
# A line of a box in dockstring's files, such as "center_x = 15.851".
_BOX_LINE = re.compile(r"(center|size)_([xyz])\s*=\s*(\S+)")


@dataclass(frozen=True)
class Site:
    """Where molecules are docked."""

    name: str
    """The target's name, or the receptor's path as the configuration says it."""
    path: str
    """Path of the receptor's PDBQT file."""
    center: tuple[float, ...]
    """Centre of the box, x, y and z in angstrom."""
    size: tuple[float, ...]
    """Edges of the box along x, y and z in angstrom."""
    stamp: tuple[int, int]
    """The file's time of change, nanoseconds, and its size, bytes: another file needs new maps."""


def require_packages() -> None:
    """Raises ValueError where a package of the extra is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ValueError(f"it needs {', '.join(missing)}: {INSTALL}")


Numbers = Sequence[float] | None
_SITES: dict[tuple[object, ...], Site] = {}


def site(target: str | None, receptor: str | None, center: Numbers, size: Numbers) -> Site:
    """The site that these options name, as `read_site` has read it, or as it is now."""
    found = _SITES.get(_named(target, receptor, center, size))
    return read_site(target, receptor, center, size) if found is None else found


def read_site(target: str | None, receptor: str | None, center: Numbers, size: Numbers) -> Site:
    """The site that these options name, from the files as they are now. Raises ValueError with one
    sentence for a contradiction, a name that isn't known, a file that isn't a receptor, and a box
    without an atom of it."""
    found = _read_site(target, receptor, center, size)
    _SITES[_named(target, receptor, center, size)] = found
    return found


def _named(
    target: str | None, receptor: str | None, center: Numbers, size: Numbers
) -> tuple[object, ...]:
    path = receptor and os.path.abspath(receptor)
    return target, path, *(None if one is None else tuple(one) for one in (center, size))


def _read_site(target: str | None, receptor: str | None, center: Numbers, size: Numbers) -> Site:
    given = [o for o, v in (("receptor", receptor), ("center", center), ("size", size)) if v]
    if target is not None:
        if given:
            raise ValueError(
                f"target = {target!r} has its own receptor and box: leave out {', '.join(given)}"
            )
        return _dockstring_site(target)
    if receptor is None:
        raise ValueError("give target, or receptor with center and size")
    middle, edges = _numbers("center", center), _numbers("size", size)
    if min(edges) <= 0:
        raise ValueError(f"size must be above 0 in each direction, got {list(edges)}")
    if not any(_is_inside(atom, middle, edges) for atom in _atoms(receptor)):
        raise ValueError(
            f"no atom of receptor = {receptor!r} is in the box of center = {list(middle)} and "
            f"size = {list(edges)}, angstrom"
        )
    path = os.path.abspath(receptor)
    return Site(receptor, path, middle, edges, _stamp(path))


def _stamp(path: str) -> tuple[int, int]:
    state = os.stat(path)
    return state.st_mtime_ns, state.st_size


def _numbers(option: str, values: Sequence[float] | None) -> tuple[float, ...]:
    if values is None:
        raise ValueError(f"receptor needs {option} too: three numbers, angstrom")
    if len(values) != 3 or not all(map(math.isfinite, values)):
        raise ValueError(f"{option} must be three finite numbers, angstrom, got {list(values)}")
    return tuple(map(float, values))


def _is_inside(atom: Sequence[float], center: Sequence[float], size: Sequence[float]) -> bool:
    return all(
        abs(x - middle) <= edge / 2 for x, middle, edge in zip(atom, center, size, strict=True)
    )


def _atoms(receptor: str) -> list[list[float]]:
    """Coordinates of a receptor's atoms, [N][3] in angstrom. Raises ValueError where the file
    can't be read as PDBQT."""
    if not receptor.endswith(".pdbqt"):
        raise ValueError(
            f"receptor = {receptor!r} must be a PDBQT file, whose name ends in .pdbqt; meeko's "
            "mk_prepare_receptor.py makes one of a PDB file"
        )
    try:
        lines = Path(receptor).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it isn't text"
        raise ValueError(f"receptor = {receptor!r} can't be read: {reason}") from error
    atoms = []
    for number, line in enumerate(lines, 1):
        if line.startswith(("ATOM", "HETATM")):
            try:
                atoms.append([float(line[column]) for column in _XYZ])
                float(line[_CHARGE])
            except ValueError:
                atoms.append([])
            if not atoms[-1] or not line[_TYPE].strip():
                raise ValueError(
                    f"receptor = {receptor!r} isn't PDBQT: line {number} has no coordinates, "
                    f"partial charge and AutoDock type: {line[:79]!r}"
                )
    if not atoms:
        raise ValueError(f"receptor = {receptor!r} isn't PDBQT: it has no line that begins ATOM")
    return atoms


def _dockstring_site(target: str) -> Site:
    folder = _dockstring_folder()
    names = sorted(p.name.removesuffix("_target.pdbqt") for p in folder.glob("*_target.pdbqt"))
    if target not in names:
        if target.upper() in names:
            raise ValueError(f"unknown target {target!r}; did you mean {target.upper()!r}?")
        raise ValueError(unknown("target", target, names))
    box: dict[str, dict[str, float]] = {"center": {}, "size": {}}
    for kind, axis, value in _BOX_LINE.findall((folder / f"{target}_conf.txt").read_text()):
        box[kind][axis] = float(value)
    center, size = (tuple(box[kind][axis] for axis in "xyz") for kind in ("center", "size"))
    path = str(folder / f"{target}_target.pdbqt")
    return Site(target, path, center, size, _stamp(path))


@cache
def _dockstring_folder() -> Path:
    """The folder of dockstring's targets, found without importing the package."""
    spec = find_spec("dockstring")
    assert spec is not None and spec.submodule_search_locations is not None
    [folder] = spec.submodule_search_locations
    return Path(os.path.join(folder, "resources", "targets"))
