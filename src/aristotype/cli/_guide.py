"""`aristotype guide`: likely crystals with properties."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from aristotype._files import printable, refuse_folder
from aristotype.cli import _chains as chains_
from aristotype.cli import _types as types
from aristotype.cli._conditions import build_conditions
from aristotype.errors import InputError

EXAMPLES = """[bold]Examples[/bold]

aristotype guide --guide density=5.0:10 --space-group 225 --chains 16 --out dense

aristotype guide --guide energy:-20 --elements Li,Ti,O --temperature 10 --final-temperature 1 --out low

aristotype guide --pattern observed.xy --formula CaTiO3 --z 4 --screen 40 --chains 4 --out solved
"""


def guide(
    out: types.OutFolder,
    guide: chains_.Guides = None,
    pattern: chains_.Pattern = None,
    pattern_weight: chains_.PatternWeight = 50.0,
    model: chains_.Model = chains_.DEFAULT_MODEL,
    chains: chains_.ChainCount = 8,
    steps: chains_.Steps = 100,
    screen: Annotated[int, typer.Option("--screen", help="Draws of which each chain begins with the best.")] = 1,
    space_group: types.SpaceGroups = None,
    elements: types.Elements = None,
    require: types.Require = None,
    exclude: types.Exclude = None,
    formula: types.Formula = None,
    z: types.FormulaUnits = None,
    sites: types.Sites = None,
    max_atoms: types.MaxAtoms = None,
    template: types.Template = None,
    temperature: chains_.Temperature = 1.0,
    final_temperature: chains_.FinalTemperature = None,
    displacement: chains_.Displacement = 0.1,
    strain: chains_.StrainStep = 0.01,
    closest: chains_.Closest = 0.7,
    seed: types.Seed = 0,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Draw crystals from a model, towards properties: from log p plus weighted properties.

    Metropolis chains that begin with draws of the model; new draws and moves of elements, sites and cells take turns.
    The temperature divides the properties' part alone. Writes crystals.parquet (best and last of each chain), a CIF
    each, trace.parquet and summary.json, or, when interrupted, nothing.
    """
    from aristotype.discover import ChainConfig
    from aristotype.discover import guide as run_chains
    from aristotype.models import load

    conditions = build_conditions(
        space_group=space_group,
        elements=elements,
        require=require,
        exclude=exclude,
        formula=formula,
        z=z,
        sites=sites,
        max_atoms=max_atoms,
        template=template,
    )
    config = ChainConfig(
        steps=steps,
        temperature=temperature,
        final_temperature=final_temperature,
        displacement=displacement,
        strain=strain,
        closest=closest,
        seed=seed,
    )
    guides = chains_.build_guides(guide, pattern, pattern_weight)
    if not guides:
        raise InputError("no property is given; give --guide NAME=TARGET:WEIGHT or --pattern FILE, or use generate")
    refuse_folder(out, force, chains_.SUMMARY)
    loaded = load(model)

    chains_.run_or_estimate(
        partial(run_chains, loaded, guides, conditions, chains=chains, screen=screen),
        config,
        out,
        title="guide",
        facts={"model": printable(model)},
        about="at most about",
        force=force,
        dry_run=dry_run,
    )
