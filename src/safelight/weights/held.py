"""One command at a time changes what is held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from safelight.errors import PullFailed, SettingsError
from safelight.settings import Settings


@contextmanager
def one_at_a_time(settings: Settings) -> Iterator[None]:
    """Hold off every other pull and removal. Raises PullFailed when one is under way."""
    for folder in (settings.data_dir, settings.weights_folder):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{folder} cannot be made: {error.strerror}") from None
    try:
        with FileLock(settings.weights_folder / ".safelight.lock", timeout=0):
            yield
    except Timeout:
        raise PullFailed(f"Another pull or removal is at work in {settings.weights_folder}.") from None
