"""What a starting server tells whoever started it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from safelight import __version__
from safelight.devices import device_label, gpus
from safelight.inputs import image_fields
from safelight.models import NANO, REAL, Catalogue
from safelight.models.base import Model
from safelight.schema import published_schema
from safelight.settings import PREFIX, Settings, WeightsChoice


@dataclass(frozen=True)
class Welcome:
    """What there is to tell.

    new_key: the key of an owner who has just got one; it is in the key file. login_link: logs the owner in
    once.
    """

    settings: Settings
    url: str
    new_key: str | None
    catalogue: Catalogue
    login_link: str | None = None


def show_welcome(welcome: Welcome, console: Console | None = None) -> None:
    """Print where the server is, what it runs and what to try next.

    A new key and a link that logs in are shown on a terminal, this once. Elsewhere the output may end up in a
    log: there only the file's path is told.
    """
    console = console or Console()
    lines = [
        ("API", Text(welcome.url, style="cyan")),
        *_page_lines(welcome, console.is_terminal),
        ("Device", Text(device_label(welcome.settings))),
        *_key_lines(welcome, console.is_terminal),
        *_labelled("Models", _model_lines(welcome)),
        *_labelled("Try", [Text(command) for command in _next_commands(welcome)]),
    ]
    console.print(f"\n[bold]Safelight {__version__}[/]\n", highlight=False)
    for label, text in lines:
        console.print(Text.assemble((f"{label:<9}", "bold"), text), soft_wrap=True)
    console.print()


def _labelled(label: str, texts: list[Text]) -> list[tuple[str, Text]]:
    return [(label if number == 0 else "", text) for number, text in enumerate(texts)]


def _page_lines(welcome: Welcome, is_terminal: bool) -> list[tuple[str, Text]]:
    if welcome.login_link and is_terminal:
        hint = Text("open it in a browser; it logs you in once, within a day", style="dim")
        return _labelled("Pages", [Text(welcome.login_link, style="cyan"), hint])
    return [("Pages", Text(f"{welcome.settings.public_url or welcome.url}/login; log in with the API key"))]


def _key_lines(welcome: Welcome, is_terminal: bool) -> list[tuple[str, Text]]:
    file = str(welcome.settings.key_file)
    if welcome.settings.api_key:
        return [("API key", Text("the one in SAFELIGHT_API_KEY"))]
    if welcome.new_key and is_terminal:
        saved = Text(f"shown this once; saved in {file}, which only you can read", style="dim")
        return _labelled("API key", [Text(welcome.new_key, style="yellow"), saved])
    if welcome.settings.key_file.is_file():
        return [("API key", Text(f"in {file}"))]
    return [("API key", Text("one that was made before; set SAFELIGHT_API_KEY to let another one in"))]


def _model_lines(welcome: Welcome) -> list[Text]:
    wish = welcome.settings.weights
    real_could_run = wish is WeightsChoice.REAL or (
        wish is WeightsChoice.AUTO and bool(gpus(welcome.settings))
    )
    return [
        _model_line(model, welcome.catalogue.weights_of(model), real_could_run)
        for model in welcome.catalogue.all()
    ]


def _model_line(model: Model, weights: str | None, real_could_run: bool) -> Text:
    line = Text(f"{model.id}  ")
    if weights and not (model.weights.nano or model.weights.real):
        return line.append("ready", style="green")
    if weights:
        line.append("ready, " + (f"{weights} weights" if weights in (REAL, NANO) else weights), style="green")
        hint = f"; safelight models pull {model.id} brings the real ones"
        return line.append(hint, style="dim") if weights == NANO and real_could_run else line
    if not model.has_engine():
        return line.append("listed; this version cannot run it yet", style="dim")
    why = f"safelight models pull {model.id}" if real_could_run else "its weights are not installed"
    return line.append(f"listed; {why}", style="dim")


# --- The next command -----------------------------------------------------------------------------------


def _next_commands(welcome: Welcome) -> list[str]:
    ready = [model for model in welcome.catalogue.all() if welcome.catalogue.weights_of(model)]
    commands = [run_command(welcome.settings, welcome.url, ready[0])] if ready else []
    return [*commands, curl_command(welcome.settings, welcome.url)]


def run_command(settings: Settings, url: str, model: Model) -> str:
    """A command line that sends the model its required fields to this server."""
    schema = published_schema(model.Input)["properties"]
    fields = " ".join(
        f"{name}={_example(name, schema[name]['type'], model)}"
        for name, info in model.Input.model_fields.items()
        if info.is_required()
    )
    return f"{_environment(settings, url)}{_program()} run {model.id} {fields} -o first.png"


def _example(name: str, kind: str, model: Model) -> str:
    if name in image_fields(model.Input):
        return "@picture.png"
    return {"string": '"a red house"', "array": "[]"}.get(kind, "1")


def curl_command(settings: Settings, url: str) -> str:
    """A command line that lists the models of this server."""
    key = "$SAFELIGHT_API_KEY" if settings.api_key else f"$(cat {settings.key_file})"
    return f'curl -H "Authorization: Bearer {key}" {url}/v1/models'


def _environment(settings: Settings, url: str) -> str:
    """What the command needs to know to find this server and its key."""
    default = Settings.model_fields
    known = {}
    if settings.data_dir != Path(default["data_dir"].default).expanduser():
        known["DATA_DIR"] = _shown(settings.data_dir)
    if not url.endswith(f":{default['port'].default}"):
        known["BASE_URL"] = url
    return "".join(f"{PREFIX}{name}={value} " for name, value in known.items())


def _program() -> str:
    """How this installation's command is called from here."""
    name = "safelight"
    beside = Path(sys.executable).parent / name
    return name if shutil.which(name) or not beside.exists() else os.path.relpath(beside)


def _shown(path: Path) -> str:
    near = os.path.relpath(path)
    return near if not near.startswith("..") else str(path)
