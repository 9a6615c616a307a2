"""`aristotype mutate`: likely relatives of a given crystal."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import printable, refuse_folder
from aristotype.cli import _chains as chains_
from aristotype.cli import _types as types
from aristotype.cli._input import is_encoded, read_whole
from aristotype.errors import InputError

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable


_LOOSER = 3
"""Times the tolerance, at which a start must not have a higher symmetry."""


class By(StrEnum):
    """What changes together in a substitution."""

    element = "element"
    orbit = "orbit"


class Keep(StrEnum):
    """What substitutions keep."""

    nothing = "nothing"
    elements = "elements"
    formula = "formula"


EXAMPLES = """[bold]Examples[/bold]

aristotype mutate calcite.cif --substitute Ca=Mg,Sr,Ba,Mn --out relatives

aristotype mutate spinel.cif --keep formula --by orbit --temperature 3 --final-temperature 0.3 --out ordered

aristotype mutate start.cif --moves displace,strain --steps 1000 --chains 16 --out geometry
"""


def mutate(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A structure file, a table, or a folder.", show_default=False)
    ],
    out: types.OutFolder,
    model: chains_.Model = chains_.DEFAULT_MODEL,
    chains: chains_.ChainCount = 8,
    steps: chains_.Steps = 200,
    substitute: Annotated[
        list[str] | None,
        typer.Option(
            "--substitute",
            metavar="Na=Li,K",
            help="Elements that may stand in for one, or, without =, for any; may be given several times.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[By, typer.Option("--by", help="All sites of one element change together, or each orbit.")] = (
        By.element
    ),
    keep: Annotated[Keep, typer.Option("--keep", help="What substitutions keep.")] = Keep.nothing,
    formula: Annotated[
        str | None,
        typer.Option("--formula", help="Formula of the start, which is kept; another one is refused."),
    ] = None,
    moves: Annotated[
        list[str] | None,
        typer.Option(
            "--moves",
            metavar="KIND,KIND",
            help="Of substitute, exchange, displace and strain; by default all that can change anything.",
        ),
    ] = None,
    guide: chains_.Guides = None,
    pattern: chains_.Pattern = None,
    pattern_weight: chains_.PatternWeight = 50.0,
    temperature: chains_.Temperature = 1.0,
    final_temperature: chains_.FinalTemperature = None,
    displacement: chains_.Displacement = 0.1,
    strain: chains_.StrainStep = 0.01,
    closest: chains_.Closest = 0.7,
    tolerance: types.Tolerance = 0.1,
    space_group: Annotated[
        int | None, typer.Option("--space-group", help="That the start has at the tolerance; another one is refused.")
    ] = None,
    seed: types.Seed = 0,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Search around a crystal, guided by a model's likelihood: elements, coordinates, cell; the template stays.

    Metropolis chains on log p: at temperature 1 they draw from the model, restricted to what the moves reach. Writes
    crystals.parquet (best and last of each chain), a CIF each, trace.parquet and summary.json, or, when interrupted,
    nothing.
    """
    from aristotype.discover import ChainConfig
    from aristotype.discover import mutate as run_chains
    from aristotype.models import load

    config = ChainConfig(
        steps=steps,
        temperature=temperature,
        final_temperature=final_temperature,
        displacement=displacement,
        strain=strain,
        closest=closest,
        seed=seed,
    )  # before anything is read: a wrong setting is told at once
    substitutes, kinds = read_substitutes(substitute), _listed(moves)
    guides = chains_.build_guides(guide, pattern, pattern_weight)
    refuse_folder(out, force, chains_.SUMMARY)
    starts = read_whole(path, tolerance=tolerance)
    if space_group is not None:
        _check_group(starts, space_group, tolerance)
    elif not is_encoded(path):
        _refuse_lost_symmetry(starts, tolerance)
    loaded = load(model)

    run = partial(
        run_chains,
        loaded,
        starts,
        chains=chains,
        substitutes=substitutes,
        by=by.value,
        keep=keep.value,
        formula=formula,
        moves=kinds,
        guides=guides,
    )
    chains_.run_or_estimate(
        run,
        config,
        out,
        title="mutate",
        facts={"model": printable(model), "tolerance": tolerance},
        force=force,
        dry_run=dry_run,
    )


def read_substitutes(texts: list[str] | None) -> Any:
    """A set of elements, or sets by element, from `Li,Na` or `Na=Li,K`; None where nothing is given.

    Raises:
        InputError: both forms are mixed, or an entry is empty.
    """
    if not texts:
        return None
    if any("=" in text for text in texts):
        pairs = [text.partition("=") for text in texts]
        for (old, equals, new), text in zip(pairs, texts, strict=True):
            if not (old.strip() and equals and new.strip()):
                raise InputError(f"--substitute {text!r} cannot be read beside others; write each as Na=Li,K")
        found: dict[str, list[str]] = {}
        for old, _, new in pairs:
            found.setdefault(old.strip(), []).extend(_listed([new]) or [])
        return found
    return _listed(texts)


def _listed(texts: list[str] | None) -> list[str] | None:
    """Entries of lists with commas.

    Raises:
        InputError: an entry is empty.
    """
    if not texts:
        return None
    items = [item.strip() for text in texts for item in text.split(",")]
    if not all(items):
        raise InputError(f"{','.join(texts)!r} has an empty entry; separate entries by single commas")
    return items


def _refuse_lost_symmetry(starts: CrystalTable, tolerance: float) -> None:
    """Refuses structures that are all but of a higher group: in their own, the chains would not keep what they lost.

    One whose symmetry cannot be found at the larger tolerance has nothing that it could have lost.
    """
    from aristotype.crystal import encode

    larger = _LOOSER * tolerance
    loose = encode(starts.to_structures(), tolerance=larger, ids=starts.ids, failures=[], max_gap=None)
    groups = dict(zip(loose.ids, loose.space_group.tolist(), strict=True))
    for name, group in zip(starts.ids, starts.space_group.tolist(), strict=True):
        if groups.get(name, group) != group:
            raise InputError(
                f"{name!r} has space group {group} at a tolerance of {tolerance:g} Angstrom and {groups[name]} at "
                f"{larger:g}; take --tolerance {larger:g} to search in the higher one, or say --space-group {group} if "
                "it is distorted by nature"
            )


def _check_group(starts: CrystalTable, expected: int, tolerance: float) -> None:
    """Refuses starts of another group than expected: distorted, or read with too tight or too loose a tolerance."""
    from aristotype.symmetry import space_group

    space_group(expected)  # refuses numbers that do not exist
    wrong = [row for row, number in enumerate(starts.space_group.tolist()) if number != expected]
    if wrong:
        raise InputError(
            f"{starts.ids[wrong[0]]!r} has space group {starts.space_group[wrong[0]]} at a tolerance of {tolerance:g} "
            f"Angstrom, and {expected} is expected; a larger --tolerance finds more symmetry, a smaller one less"
        )
