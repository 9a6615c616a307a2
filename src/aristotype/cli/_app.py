"""The commands put together, and what happens to their errors."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aristotype.cli import (
    _baseline,
    _data,
    _encode,
    _evaluate,
    _explore,
    _export,
    _finetune,
    _generate,
    _guide,
    _hull,
    _initialize,
    _models,
    _mutate,
    _predict,
    _realize,
    _relax,
    _score,
    _train,
)
from aristotype.cli._console import INTERRUPTED, SOME_FAILED, WRONG, complain
from aristotype.errors import AristotypeError


class Commands(typer.core.TyperGroup):
    """The commands; errors of ours become one message and an exit code, all others stay loud."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command.

        Raises:
            typer.Exit: with the code for what went wrong.
        """
        try:
            return super().invoke(ctx)
        except AristotypeError as error:
            complain(f"Error: {error}")
            raise typer.Exit(WRONG) from error
        except KeyboardInterrupt:
            complain("Interrupted; nothing was left half-written")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="aristotype",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Exit codes: 0 all well, {SOME_FAILED} some rows failed (listed), {WRONG} bad input or usage, "
    f"{INTERRUPTED} interrupted.",
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"aristotype {version('aristotype')}")
        except PackageNotFoundError:
            typer.echo("aristotype (not installed)")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Generate crystals symmetry first: space groups, Wyckoff positions and what symmetry leaves free."""


app.command("generate", epilog=_generate.EXAMPLES)(_generate.generate)
app.command("initialize", epilog=_initialize.EXAMPLES)(_initialize.initialize)
app.command("explore", epilog=_explore.EXAMPLES)(_explore.explore)
app.command("mutate", epilog=_mutate.EXAMPLES)(_mutate.mutate)
app.command("guide", epilog=_guide.EXAMPLES)(_guide.guide)
app.command("realize", epilog=_realize.EXAMPLES)(_realize.realize)
app.command("relax", epilog=_relax.EXAMPLES)(_relax.relax)
app.command("score", epilog=_score.EXAMPLES)(_score.score)
app.command("predict", epilog=_predict.EXAMPLES)(_predict.predict)
app.command("evaluate", epilog=_evaluate.EXAMPLES)(_evaluate.evaluate)
app.command("baseline", epilog=_baseline.EXAMPLES)(_baseline.baseline)
app.command("models")(_models.models)
app.command("train", epilog=_train.EXAMPLES)(_train.train)
app.command("finetune", epilog=_finetune.EXAMPLES)(_finetune.finetune)
app.command("encode", epilog=_encode.EXAMPLES)(_encode.encode)
app.command("export", epilog=_export.EXAMPLES)(_export.export)
app.add_typer(_data.app, name="data")
app.add_typer(_hull.app, name="hull")
