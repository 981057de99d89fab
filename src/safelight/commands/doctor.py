"""`doctor`: what works on this machine."""

from __future__ import annotations

import sys

import click
from rich.markup import escape

from safelight.commands.shared import EXIT_FAILED, api_key, out, plain_errors, server_url
from safelight.settings import read_settings


@click.command()
def doctor() -> None:
    """Look at this machine and say what works."""
    with plain_errors():
        import logging

        import structlog

        from safelight.doctor import Verdict, examine

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        settings = read_settings()
        colours = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.BAD: "red"}
        problems = 0
        for finding in examine(settings, server_url(settings), api_key(settings)):
            mark = f"[{colours[finding.verdict]}]{finding.verdict:<8}[/]"
            out.print(f"{mark} {escape(finding.subject)}: {escape(finding.message)}", soft_wrap=True)
            problems += finding.verdict is Verdict.BAD
        sys.exit(EXIT_FAILED if problems else 0)
