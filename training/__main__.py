"""`python -m training STAGE`: make the nano weights, one stage at a time, or all of them."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from training.stage import Stage, train

STAGES: Final[dict[str, tuple[str, float]]] = {
    "autoencoder": ("training.autoencoder:AutoencoderStage", 13),
    "text": ("training.text_encoder:TextEncoderStage", 18),
    "writer": ("training.writer:WriterStage", 10),
    "checker": ("training.checker:CheckerStage", 15),
    "transformer": ("training.transformer:TransformerStage", 200),
    "controlnet": ("training.controlnet:ControlNetStage", 74),
    "ovis": ("training.ovis:OvisStage", 175),
    "klein": ("training.klein:KleinStage", 223),
    "depth": ("training.preprocessors:DepthStage", 7),
    "pose": ("training.preprocessors:PoseStage", 11),
    "night-lights": ("training.loras:NightLightsStage", 6),
    "pencil": ("training.loras:PencilStage", 6),
    "decoder": ("training.autoencoder:DecoderStage", 45),
}
"""By name, in order: the class, and the minutes that the published weights were given, if any were."""
ROUNDS: Final = 7


@click.group()
def main() -> None:
    """Make the nano weights. Every stage goes on from its checkpoint."""


@main.command()
@click.option("--rounds", default=ROUNDS, show_default=True, help="How many times 22 shards of 32 scenes.")
@click.option("--seed", default=0, show_default=True)
def latents(rounds: int, seed: int) -> None:
    """Fill the bank of painted scenes that the image models learn from (needs the autoencoder)."""
    from training.latents import fill

    fill(rounds, seed)


@main.command()
@click.option("--rounds", default=8, show_default=True, help="How many times 12 shards of 32 lessons.")
@click.option("--seed", default=0, show_default=True)
def mixtures(rounds: int, seed: int) -> None:
    """Fill the bank of lessons with references that klein learns from (needs the autoencoder)."""
    from training.klein import fill

    fill(rounds, seed)


@main.command()
def export() -> None:
    """Write what is trained into the package."""
    from training.export import export as publish

    sizes = publish()
    for folder, size in sizes.items():
        click.echo(f"{folder:28}{size / 1e6:8.2f} MB")
    click.echo(f"{'together':28}{sum(sizes.values()) / 1e6:8.2f} MB")


@main.command()
@click.argument("models", nargs=-1)
@click.option("--prompts", default=200, show_default=True, help="Unseen prompts per model.")
@click.option("--seed", default=1, show_default=True)
def evaluate(models: tuple[str, ...], prompts: int, seed: int) -> None:
    """Measure how well the published weights obey, and write docs/nano.md; all MODELS, or those named."""
    from training.evaluate import MODELS
    from training.evaluate import evaluate as measure

    if unknown := set(models) - set(MODELS):
        raise click.UsageError(f"{', '.join(unknown)}: there are {', '.join(MODELS)}")
    measure(prompts, seed, models)


@main.command()
def examples() -> None:
    """Paint the input images that the demo sends."""
    from training.examples import write_examples

    write_examples()


@main.command("all")
@click.pass_context
def everything(context: click.Context) -> None:
    """Every stage with its usual minutes, the bank in between, then export."""
    for name in STAGES:
        context.invoke(main.commands[name])
        if name == "autoencoder":
            context.invoke(latents)
            context.invoke(mixtures)
    context.invoke(export)


def _stage(name: str) -> Stage:
    module, _, kind = STAGES[name][0].partition(":")
    stage: Stage = getattr(import_module(module), kind)()
    return stage


def _add_command(name: str, usual: float) -> None:
    @main.command(name, help=f"Train the {name}.")
    @click.option(
        "--minutes", default=usual, show_default=True, help="How long in all, earlier runs included."
    )
    @click.option("--seed", default=0, show_default=True)
    @click.option("--published", is_flag=True, help="Begin with the weights in the package, not anew.")
    def command(minutes: float, seed: int, published: bool) -> None:
        stage = _stage(name)
        if published:
            stage.take_published()
        train(stage, minutes, seed)


for _name, (_, _usual) in STAGES.items():
    _add_command(_name, _usual)

if __name__ == "__main__":
    main()
