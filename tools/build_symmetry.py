"""Builds the shipped table of the 230 space groups from two independent sources.

    python tools/build_symmetry.py src/aristotype/symmetry/spacegroups.safetensors

The operations and the list of Wyckoff positions are read from moyopy and from cctbx, and the build stops where the two
disagree. Everything else (orbits, stabilisers, oriented site-symmetry symbols, normalizers, relabellings, features) is
derived here in exact integer arithmetic; site-symmetry symbols and Euclidean normalizers are compared with moyopy's and
with cctbx's once more. Neither library is needed at run time for the table.

Coordinates are column vectors in the conventional cell of the standard setting (origin choice 2, hexagonal axes for R,
unique axis b). Translations are integers in units of 1/24.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

sys.path.insert(0, str(Path(__file__).parent))
from symmetry_features import group_features, position_features
from symmetry_normalizers import Normalizer, enantiomorph_map, normalizer
from symmetry_positions import Position, wyckoff_positions
from symmetry_sources import crystal_system, operations, symbol

CENTRINGS = "PACFIR"


def collect() -> dict[str, np.ndarray]:
    """Every array of the table, ragged ones concatenated with an offset array beside them."""
    positions: list[list[Position]] = []
    normalizers: list[Normalizer] = []
    ops = [operations(number) for number in range(1, 231)]
    for number in range(1, 231):
        found = wyckoff_positions(number, ops[number - 1])
        positions.append(found)
        normalizers.append(normalizer(number, ops[number - 1], found))
        count = len(normalizers[-1].affine)
        print(f"{number:3d} {symbol(number):12s} {len(found):2d} positions, {count:4d} relabellings")
    flat = [p for group in positions for p in group]
    systems = np.array([crystal_system(number) for number in range(1, 231)], dtype=np.int8)
    symbols = sorted({p.site_symmetry for p in flat})
    arrays = {
        "symbol": text([symbol(number) for number in range(1, 231)]),
        "crystal_system": systems,
        "centring": np.array([CENTRINGS.index(symbol(n)[0]) for n in range(1, 231)], dtype=np.int8),
        "operation_offset": offsets([len(r) for r, _ in ops]),
        "operation_rotation": np.concatenate([r for r, _ in ops]).astype(np.int8),
        "operation_translation": np.concatenate([t for _, t in ops]).astype(np.int8),
        "position_offset": offsets([len(group) for group in positions]),
        "multiplicity": np.array([p.multiplicity for p in flat], dtype=np.int16),
        "freedom": np.array([p.freedom for p in flat], dtype=np.int8),
        "site_symmetry": np.array([symbols.index(p.site_symmetry) for p in flat], dtype=np.int16),
        "site_symmetry_symbols": text(symbols),
        "site_symmetry_index": np.concatenate([same_symbol_index(group) for group in positions]),
        "representative_linear": np.stack([p.linear for p in flat]).astype(np.int8),
        "representative_origin": np.stack([p.origin for p in flat]).astype(np.int8),
        "representative_inverse": np.stack([p.inverse for p in flat]).astype(np.int8),
        "orbit_offset": offsets([p.multiplicity for p in flat]),
        "orbit_linear": np.concatenate([p.orbit_linear for p in flat]).astype(np.int8),
        "orbit_origin": np.concatenate([p.orbit_origin for p in flat]).astype(np.int8),
        "stabiliser_offset": offsets([len(p.stabiliser) for p in flat]),
        "stabiliser": np.concatenate([p.stabiliser for p in flat]).astype(np.int16),
        "position_features": np.concatenate(
            [position_features(n, ops[n - 1], positions[n - 1]) for n in range(1, 231)]
        ).astype(np.float32),
        "group_features": np.stack([group_features(n, ops[n - 1], positions[n - 1]) for n in range(1, 231)]).astype(
            np.float32
        ),
    }
    arrays |= normalizer_arrays(normalizers)
    arrays |= enantiomorph_arrays(ops, positions)
    if len(np.unique(arrays["group_features"], axis=0)) != 230:
        raise SystemExit("two groups have the same features")
    return arrays


def normalizer_arrays(normalizers: list[Normalizer]) -> dict[str, np.ndarray]:
    """Relabellings as one flat array of letters a kind, and the normalizers' coset representatives."""
    arrays: dict[str, np.ndarray] = {}
    for kind in ("affine", "euclidean"):
        tables = [getattr(n, kind) for n in normalizers]
        arrays[f"{kind}_count"] = np.array([len(t) for t in tables], dtype=np.int16)
        arrays[f"{kind}_offset"] = offsets([t.size for t in tables], dtype=np.int32)
        arrays[f"{kind}_relabelling"] = np.concatenate([t.ravel() for t in tables]).astype(np.int8)
    arrays["normalizer_offset"] = offsets([len(n.linear) for n in normalizers])
    arrays["normalizer_linear"] = np.concatenate([n.linear for n in normalizers]).astype(np.int8)
    arrays["normalizer_translation"] = np.concatenate([n.translation for n in normalizers]).astype(np.int8)
    arrays["polar_axes"] = np.stack([n.polar_axes for n in normalizers]).astype(np.int8)
    return arrays


def enantiomorph_arrays(ops: list, positions: list[list[Position]]) -> dict[str, np.ndarray]:
    """For each group its mirror image: partner number (itself where there is none) and the map of the letters."""
    partner = np.arange(1, 231, dtype=np.int16)
    letters = [np.arange(len(group), dtype=np.int8) for group in positions]
    linear, translation = np.zeros((230, 3, 3), np.int8), np.zeros((230, 3), np.int8)
    for number in range(1, 231):
        found = enantiomorph_map(number, ops, positions)
        if found is not None:
            partner[number - 1], letters[number - 1], linear[number - 1], translation[number - 1] = found
    if int((partner != np.arange(1, 231)).sum()) != 22:
        raise SystemExit("expected 11 enantiomorphic pairs")
    return {
        "enantiomorph": partner,
        "enantiomorph_letter": np.concatenate(letters),
        "enantiomorph_linear": linear,
        "enantiomorph_translation": translation,
    }


def same_symbol_index(group: list[Position]) -> np.ndarray:
    """Index of each position among those of its group that share its site-symmetry symbol, in letter order."""
    seen: dict[str, int] = {}
    index = []
    for position in group:
        index.append(seen.get(position.site_symmetry, 0))
        seen[position.site_symmetry] = index[-1] + 1
    return np.array(index, dtype=np.int8)


def offsets(lengths: list[int], dtype: type = np.int32) -> np.ndarray:
    """Start of each ragged row in the concatenation, with the total at the end."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(dtype)


def text(strings: list[str]) -> np.ndarray:
    """Strings as one array of UTF-8 bytes, newline separated."""
    return np.frombuffer("\n".join(strings).encode(), dtype=np.uint8).copy()


def write(out: Path, arrays: dict[str, np.ndarray], layout: str) -> None:
    """Writes arrays with their checksum, and prints the header."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        arrays[name] = np.ascontiguousarray(arrays[name])
        digest.update(name.encode() + str(arrays[name].dtype).encode() + arrays[name].tobytes())
    metadata = {"format": layout, "version": "1", "sha256": digest.hexdigest()}
    out.write_bytes(save(arrays, metadata=metadata))
    print(json.dumps(metadata), out.stat().st_size, "bytes")


def main(out: Path) -> None:
    """Builds, checks the counts that every crystallographer knows, and writes one file."""
    arrays = collect()
    freedom = np.bincount(arrays["freedom"], minlength=4).tolist()
    if freedom != [616, 718, 167, 230]:
        raise SystemExit(f"positions by freedom are {freedom}, not 616/718/167/230")
    write(out, arrays, "aristotype-symmetry")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
