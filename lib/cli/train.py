"""`crossmodal train`: train the committed models again."""

from typing import Annotated

from typer import Argument, Option

from lib.cli.output import counted, progress_bar, say
from lib.core.checks import RetrievalInputError, check_choice


def train(
    names: Annotated[list[str] | None, Argument(help="Artifacts to train.")] = None,
    everything: Annotated[bool, Option("--all", help="Train every artifact.")] = False,
    device: Annotated[str, Option(help="Where to train: cpu, cuda or cuda:1.")] = "cpu",
) -> None:
    """Train the committed models again (two hours on one core). A stopped run continues."""
    from lib.training import RECIPES, train_model

    if everything == bool(names):
        raise RetrievalInputError(f"name what to train ({', '.join(RECIPES)}) or pass --all")
    chosen = RECIPES if everything else names
    chosen = [check_choice(name, RECIPES, "artifact") for name in chosen]
    with progress_bar() as bar:
        for name in chosen:
            train_model(name, log=say, progress=counted(bar, name), device=device)
