"""`models`: bring real weights here, see what is here, give the space back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from safelight.commands.shared import (
    EXIT_AUTH,
    EXIT_INTERRUPTED,
    EXIT_TRY_AGAIN,
    err,
    open_client,
    out,
    plain_errors,
    print_json,
    print_rows,
    stop,
)
from safelight.settings import Settings, read_settings
from safelight.texts import readable_size

if TYPE_CHECKING:
    from safelight.models.base import Model
    from safelight.weights.disk import WeightsDisk

_DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder of everything that is kept."
)


@click.group()
def models() -> None:
    """What a server's models take; and real weights: pull them, list them, remove them."""


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="MODEL…")
@click.option("--upgrade", is_flag=True, help="Take the newest commit, not the one that is held.")
@click.option("--offline", is_flag=True, help="Ask nobody: check and hold what is here already.")
@_DATA_DIR
def pull(names: tuple[str, ...], upgrade: bool, offline: bool, data_dir: Path | None) -> None:
    """Bring a model's real weights here: all that is missing, checked by hash.

    \b
    safelight models pull tongyi-mai/z-image/turbo/controlnet/lora
    safelight models pull aidc-ai/ovis-image wan-ai/wan-2-6/image-to-image

    It goes on where it was interrupted. The commits and hashes are held in weights.lock in the data folder.
    """
    with plain_errors(), _plain_hub_errors():
        from huggingface_hub import constants
        from huggingface_hub.utils import disable_progress_bars
        from huggingface_hub.utils import logging as hub_logging

        from safelight.commands.pull_progress import watching
        from safelight.weights.disk import WeightsDisk
        from safelight.weights.held import one_at_a_time
        from safelight.weights.listing import Hub
        from safelight.weights.lock import write_lock
        from safelight.weights.pull import Pull
        from safelight.weights.remove import delete_leftovers, delete_unheld

        disable_progress_bars()
        hub_logging.set_verbosity_error()
        settings = read_settings(data_dir=data_dir)
        wanted = [model for name in names for model in _named(settings, name)]
        parts = [part for model in wanted for part in model.weights.real.values()]
        with one_at_a_time(settings), watching(err) as watch:
            disk = WeightsDisk.of(settings)
            pulling = Pull(Hub.of(settings), disk, watch, Event())
            pulled = pulling.run(parts, upgrade=upgrade, offline=offline or constants.HF_HUB_OFFLINE)
            write_lock(settings.lock_file, pulled.lock)
            delete_unheld(disk, pulled.lock)
            delete_leftovers(pulled, {part.repo for part in parts})
        for model in wanted:
            out.print(
                f"{model.id}: {readable_size(pulled.size_bytes(model.weights.real.values()))}, complete"
            )
        err.print("A server that runs takes them at its next start: safelight serve")


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="MODEL…")
@_DATA_DIR
def remove(names: tuple[str, ...], data_dir: Path | None) -> None:
    """Delete a model's real weights, except what other pulled models need."""
    with plain_errors():
        from safelight.weights.disk import WeightsDisk
        from safelight.weights.held import one_at_a_time
        from safelight.weights.lock import write_lock
        from safelight.weights.remove import delete_leftovers, delete_unheld, without

        settings = read_settings(data_dir=data_dir)
        gone = [model for name in names for model in _named(settings, name)]
        with one_at_a_time(settings):
            disk = WeightsDisk.of(settings)
            ids = {model.id for model in gone}
            others = [model for model in _all(settings) if model.id not in ids and _is_pulled(model, disk)]
            parts = [part for model in gone for part in model.weights.real.values()]
            kept = [part for model in others for part in model.weights.real.values()]
            lock = without(disk, parts, kept)
            write_lock(settings.lock_file, lock)
            freed = delete_unheld(disk, lock) + delete_leftovers(disk, {part.repo for part in parts})
        out.print(f"{readable_size(freed)} are free again")
        if freed:
            err.print("A server that runs still looks for them; start it again.")
        shared = [model for model in others if set(model.weights.real.values()) & set(parts)]
        if shared:
            err.print(f"What {', '.join(model.id for model in shared)} shares with it stays; name that too.")


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@_DATA_DIR
def list_(as_json: bool, data_dir: Path | None) -> None:
    """Show each model, its real weights on this machine, and what would draw if a server started now."""
    with plain_errors():
        from safelight.weights.choice import open_catalogue
        from safelight.weights.disk import WeightsDisk

        settings = read_settings(data_dir=data_dir)
        disk = WeightsDisk.of(settings)
        catalogue = open_catalogue(settings)
        rows = [_row(model, disk, catalogue.weights_of(model)) for model in catalogue.all()]
        if as_json:
            print_json(rows)
            return
        width = max(len(row["model_id"]) for row in rows)
        for row in rows:
            draws = f"draws with {row['weights']}" if row["weights"] else "not ready"
            out.print(f"{row['model_id']:<{width}}  {draws:<22}  {_on_disk(row)}", soft_wrap=True)


@models.command()
@click.argument("name", metavar="MODEL")
@click.option("--json", "as_json", is_flag=True, help="Print the catalogue's whole entry.")
def get(name: str, as_json: bool) -> None:
    """Show what a server says of a model: what draws it, and the fields that it takes."""
    with plain_errors(), open_client() as client:
        entry = client.model(name)
        if as_json:
            print_json(entry)
            return
        out.print(f"{entry['display_name']} ({entry['model_id']})", soft_wrap=True)
        out.print(escape(entry["description"]), soft_wrap=True)
        out.print(f"draws with {entry['weights']}" if entry["ready"] else "not ready", soft_wrap=True)
        fields = entry["input_schema"]["properties"].items()
        print_rows(
            ("field", "type", "default"), [(name, f["type"], _shown(f.get("default"))) for name, f in fields]
        )


def _shown(default: Any) -> str:
    text = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
    return text if len(text) <= MAX_DEFAULT_CHARACTERS else text[: MAX_DEFAULT_CHARACTERS - 1] + "…"


MAX_DEFAULT_CHARACTERS = 40


def _row(model: Model, disk: WeightsDisk, weights: str | None) -> dict[str, Any]:
    from safelight.weights.remove import leftovers

    parts = model.weights.real
    return {
        "model_id": model.id,
        "weights": weights,
        "ready": weights is not None,
        "real": {
            "pulled": _is_pulled(model, disk),
            "bytes_on_disk": disk.size_bytes(parts.values()),
            "missing": [name for name, part in parts.items() if not disk.has(part)],
            "bytes_begun": sum(
                path.stat().st_size
                for repo in {part.repo for part in parts.values()}
                for path in leftovers(disk, repo)
            ),
        },
    }


def _on_disk(row: dict[str, Any]) -> str:
    real = row["real"]
    size = readable_size(real["bytes_on_disk"])
    if real["pulled"]:
        return f"real weights: {size}, complete" if real["bytes_on_disk"] else "needs no weights"
    if real["bytes_on_disk"]:
        return f"real weights: {size}, lacks {', '.join(real['missing'])}; pull it again"
    command = f"safelight models pull {row['model_id']}"
    if real["bytes_begun"]:
        return f"real weights: {readable_size(real['bytes_begun'])} of a pull that did not end; {command}"
    return f"real weights: {command}"


def _is_pulled(model: Model, disk: WeightsDisk) -> bool:
    return all(disk.has(part) for part in model.weights.real.values())


def _all(settings: Settings) -> tuple[Model, ...]:
    from safelight.models import load_catalogue

    return load_catalogue(settings.models_dir).all()


def _named(settings: Settings, name: str) -> list[Model]:
    from safelight.models import load_catalogue

    return [load_catalogue(settings.models_dir).get(name)]


@contextmanager
def _plain_hub_errors() -> Iterator[None]:
    """Exit codes for what scripts can act upon: a token is missing, or the hub is away."""
    from safelight.errors import HubRefused, HubUnreachable

    try:
        yield
    except HubRefused as error:
        stop(error.message, EXIT_AUTH)
    except HubUnreachable as error:
        stop(error.message, EXIT_TRY_AGAIN)
    except KeyboardInterrupt:
        err.print("Interrupted. What has come stays; the same command goes on from here.")
        out.file.flush()
        os._exit(EXIT_INTERRUPTED)  # a thread may still wait for a hub that answers no more
