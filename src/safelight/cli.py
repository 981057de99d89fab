"""The command line: registers the commands of `commands/` under one name."""

from __future__ import annotations

import click

from safelight import __version__
from safelight.commands.accounts import accounts
from safelight.commands.credits import credit, usage
from safelight.commands.doctor import doctor
from safelight.commands.keys import keys
from safelight.commands.login import login, whoami
from safelight.commands.models import models
from safelight.commands.requests import cancel, requests, result, status, upload
from safelight.commands.run import run
from safelight.commands.serving import serve, worker
from safelight.commands.shared import EXIT_NO_FILE, EXIT_USAGE


def main() -> None:
    """Run a command; every expected failure ends in one line and an exit code."""
    click.UsageError.exit_code = EXIT_USAGE
    click.FileError.exit_code = EXIT_NO_FILE
    cli.main(prog_name="safelight")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="safelight")
def cli() -> None:
    """A self-hosted Model API for image generation."""


for command in (
    serve,
    worker,
    run,
    status,
    result,
    cancel,
    requests,
    upload,
    models,
    keys,
    accounts,
    credit,
    usage,
    login,
    whoami,
    doctor,
):
    cli.add_command(command)
