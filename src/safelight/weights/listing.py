"""What the hub says: which files a repository has at a revision, and in plain words why it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep
from typing import NoReturn

import httpx2
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo
from huggingface_hub.utils import build_hf_headers, parse_ratelimit_headers
from pydantic import TypeAdapter, ValidationError

from safelight.errors import HubRefused, HubUnreachable, PullFailed
from safelight.settings import DEFAULT_HUB, Settings
from safelight.weights.lock import Commit, FilePath

TIMEOUT_S = 30
BUSY = frozenset({429, 500, 502, 503, 504})
PAUSES_S = (1, 2, 4)
MAX_PAUSE_S = 30
"""Whoever shall wait longer is told so."""

_COMMIT: TypeAdapter[str] = TypeAdapter(Commit)
_PATH: TypeAdapter[str] = TypeAdapter(FilePath)


@dataclass(frozen=True)
class ListedFile:
    """One file of a repository. sha256: what the hub says it is; None for small files, which have a git hash.

    blob: the name that the hub's client gives its bytes: the SHA-256 where there is one, else the git hash.
    """

    size_bytes: int
    blob: str
    sha256: str | None


@dataclass(frozen=True)
class Listing:
    """The files of a repository at a commit, by path."""

    repo: str
    commit: str
    files: Mapping[str, ListedFile]


@dataclass(frozen=True)
class Hub:
    """The hub, or a mirror of it. token: the operator's; empty: none is sent."""

    url: str
    token: str

    @classmethod
    def of(cls, settings: Settings) -> Hub:
        """The hub of the settings.

        A token that the hub's own client has saved goes to the hub itself alone: a mirror gets only what
        SAFELIGHT_HUB_TOKEN says.
        """
        if settings.hub_token:
            return cls(settings.hub_url, settings.hub_token.get_secret_value())
        return cls(settings.hub_url, (get_token() or "") if settings.hub_url == DEFAULT_HUB else "")

    @property
    def headers(self) -> dict[str, str]:
        """What every request to it carries."""
        headers: dict[str, str] = build_hf_headers(token=self.token or False, library_name="safelight")
        return headers | {"Accept-Encoding": "identity"}

    def listing(self, repo: str, revision: str) -> Listing:
        """What a repository holds. Raises HubRefused, HubUnreachable or PullFailed."""
        with plain_refusals(repo, self):
            info = self._info(repo, revision)
        try:
            files = {
                _PATH.validate_python(file.rfilename): ListedFile(
                    file.size,
                    file.lfs.sha256 if file.lfs else file.blob_id,
                    file.lfs.sha256 if file.lfs else None,
                )
                for file in info.siblings or ()
                if file.size is not None and file.blob_id
            }
            return Listing(repo, _COMMIT.validate_python(info.sha), files)
        except ValidationError:
            raise PullFailed(f"{self.url} answers for {repo} as no hub does; is it one?") from None

    def _info(self, repo: str, revision: str) -> ModelInfo:
        """Ask, and ask again a few times where the hub is busy: its client does so for files alone."""
        for wait_s in (*PAUSES_S, None):
            try:
                return HfApi(endpoint=self.url, token=self.token or False).model_info(
                    repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S
                )
            except HfHubHTTPError as error:
                asked_s = _retry_after_s(error.response.headers)
                if wait_s is None or error.response.status_code not in BUSY or asked_s > MAX_PAUSE_S:
                    raise
                sleep(max(wait_s, asked_s))
        raise AssertionError("the last go returns or raises")


def _retry_after_s(headers: Mapping[str, str]) -> int:
    """How many seconds the hub asks to wait."""
    limit = parse_ratelimit_headers(headers)
    if limit and not limit.remaining:
        return int(limit.reset_in_seconds) + 1
    asked = headers.get("retry-after", "")
    return int(asked) if asked.isdecimal() else 0


@contextmanager
def plain_refusals(repo: str, hub: Hub) -> Iterator[None]:
    """Turn what the hub's client raises into errors that say what would work."""
    try:
        yield
    except HfHubHTTPError as error:
        _refused(error, repo, hub)
    except httpx2.HTTPError as error:
        raise HubUnreachable(
            f"{hub.url} cannot be reached ({type(error).__name__}). Check the network, name a mirror with "
            "SAFELIGHT_HUB_URL, or use --offline with files that were brought here by other means."
        ) from None
    except (HFValidationError, ValueError) as error:
        raise PullFailed(f"{hub.url} gave no usable answer for {repo}: {error}") from None


def _refused(error: HfHubHTTPError, repo: str, hub: Hub) -> NoReturn:
    status = error.response.status_code
    page = f"{hub.url}/{repo}"
    if isinstance(error, GatedRepoError):
        if status == 401 or not hub.token:
            raise HubRefused(
                f"{repo} is gated. Accept its terms at {page} with your account of the hub, then give its "
                "token: SAFELIGHT_HUB_TOKEN=hf_… (or `hf auth login`)."
            ) from None
        raise HubRefused(
            f"{repo} is gated, and this token's account has not been let in. Ask for access at {page}."
        ) from None
    if isinstance(error, EntryNotFoundError):
        raise PullFailed(f"{repo} has lost a file while it was pulled; pull it again.") from None
    if isinstance(error, DisabledRepoError):
        raise HubRefused(f"{repo} has been disabled by the hub.") from None
    if isinstance(error, RevisionNotFoundError):
        raise PullFailed(f"{repo} no longer has the commit that is held; pull it with --upgrade.") from None
    if status == 401 and hub.token and not isinstance(error, RepositoryNotFoundError):
        raise HubRefused("The hub does not know this token; make a new one in your account there.") from None
    if isinstance(error, RepositoryNotFoundError):
        ways = "is the token's account allowed to see it?" if hub.token else "a private one needs a token:"
        more = "" if hub.token else " SAFELIGHT_HUB_TOKEN=hf_…"
        raise HubRefused(
            f"There is no repository {repo} at {hub.url}, or it is private; {ways}{more}"
        ) from None
    if status == 403:
        raise HubRefused(f"The hub refuses {repo} to this token; it needs the right to read it.") from None
    if status == 429:
        asked_s = _retry_after_s(error.response.headers)
        raise HubUnreachable(
            "The hub asks to wait: too many requests. What is here stays; pull again "
            + (f"in {asked_s} seconds" if asked_s else "in some minutes")
            + ("." if hub.token else ", or with a token (SAFELIGHT_HUB_TOKEN), which is allowed more.")
        ) from None
    raise HubUnreachable(f"The hub answered {status} for {repo}; pull again in a while.") from None
