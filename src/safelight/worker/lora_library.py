"""Bring a job's LoRAs to this machine: find them, judge their headers before the bodies come, keep them."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from safelight.errors import (
    FetchFailed,
    FetchTimeout,
    FileTooLarge,
    InvalidLora,
    LoraNotFound,
    SafelightError,
)
from safelight.jobs import Json
from safelight.loras.keys import Kind, Targets, fit_controlnet, fit_lora, identify
from safelight.loras.references import (
    EXAMPLES_OWNER,
    KNOWN_CONTROLNETS,
    SUFFIX,
    Example,
    FromFolder,
    FromHub,
    FromUrl,
    LoraFile,
    source_of,
)
from safelight.loras.safetensors_header import (
    LENGTH_BYTES,
    Header,
    header_length,
    parse_header,
    read_header,
)
from safelight.models.base import NANO_DIR
from safelight.network.fetch import Fetcher, Wanted
from safelight.texts import Text
from safelight.worker.attempt import Attempt
from safelight.worker.lora_cache import LoraCache, hash_of, place

MAX_BYTES = {Kind.LORA: 2 * 2**30, Kind.CONTROLNET: 8 * 2**30}
TIMEOUT_S = 600
LISTING_BYTES = 5 * 2**20
CONVENTIONAL_NAMES = ("pytorch_lora_weights.safetensors",)
EXAMPLES_DIR = NANO_DIR / "z-image" / "loras"

OwnControlNet = Callable[[FromHub], bool]


def in_place_of_known(source: FromHub) -> bool:
    """With nano weights nano's own ControlNet stands for those that are made for the real model."""
    return source.repo in KNOWN_CONTROLNETS


@dataclass(frozen=True)
class Place:
    """Where one LoRA of a job goes, and what it must fit."""

    into: Path
    targets: Targets
    is_own_controlnet: OwnControlNet


class LoraLibrary:
    """Finds LoRAs by their path, wherever they are."""

    def __init__(
        self,
        cache: LoraCache,
        fetcher: Fetcher,
        *,
        hub_url: str,
        lora_dir: Path | None = None,
        examples_dir: Path = EXAMPLES_DIR,
    ) -> None:
        self._cache = cache
        self._fetcher = fetcher
        self._hub_url = hub_url
        self._lora_dir = lora_dir
        self._examples_dir = examples_dir

    async def provide(
        self,
        attempt: Attempt,
        asked: Sequence[Json],
        targets: Targets,
        is_own_controlnet: OwnControlNet = in_place_of_known,
    ) -> list[LoraFile]:
        """The LoRAs of a job in its folder, in the order of the request.

        is_own_controlnet: whether the ControlNet that is loaded anyway is what a repository means.

        Raises LoraNotFound, InvalidLora, LoraIncompatible, FileTooLarge, FetchFailed and the like.
        """
        files = []
        for index, lora in enumerate(asked):
            place = Place(attempt.folder / f"lora.{index}{SUFFIX}", targets, is_own_controlnet)
            try:
                files.append(await self._provide(lora, place, attempt.job.account_id))
            except SafelightError as error:
                raise type(error)(error.text.after(f"loras[{index}]: ")) from None
        return files

    async def _provide(self, lora: Json, place: Place, account_id: str) -> LoraFile:
        source = source_of(lora["path"], self._lora_dir)
        name, scale = lora["path"].partition("?")[0], float(lora["scale"])
        if isinstance(source, FromHub) and place.is_own_controlnet(source):
            return LoraFile(name, Kind.CONTROLNET, scale)
        match source:
            case Example():
                sha256 = await asyncio.to_thread(self._example, source.name, place)
            case FromFolder():
                sha256 = await asyncio.to_thread(self._local, source.path, place)
            case FromUrl():
                # What an address leads to may be meant for one account alone.
                sha256 = await self._fetched(f"{account_id} {source.url}", source.url, place)
            case FromHub():
                sha256 = await self._from_hub(source, place)
        kind = identify(await asyncio.to_thread(read_header, place.into))
        return LoraFile(name, kind, scale, str(place.into), sha256)

    # --- On this machine ----------------------------------------------------------------------------------

    def _example(self, name: str, to: Place) -> str:
        path = self._examples_dir / f"{name}{SUFFIX}"
        if not path.is_file():
            names = [f"{EXAMPLES_OWNER}/{path.stem}" for path in sorted(path.parent.glob(f"*{SUFFIX}"))]
            raise LoraNotFound(_no_example(names))
        return _taken(path, to)

    def _local(self, path: Path, to: Place) -> str:
        """A file of the operator's folder: a regular one, reached without a link that leaves the folder."""
        assert self._lora_dir is not None  # noqa: S101 - source_of refuses local paths without it
        try:
            real = path.resolve(strict=True)
            inside = real.is_relative_to(self._lora_dir.resolve())
            if not inside or not stat.S_ISREG(real.stat().st_mode):
                raise FileNotFoundError
        except OSError:
            raise LoraNotFound(_NOT_IN_FOLDER) from None
        return _taken(real, to)

    # --- From elsewhere -----------------------------------------------------------------------------------

    async def _fetched(self, key: str, url: str, to: Place, *, immutable: bool = False) -> str:
        kept = await asyncio.to_thread(self._cache.known, key)
        if kept and immutable and await asyncio.to_thread(self._cache.take, kept.sha256, to.into):
            _judge(await asyncio.to_thread(read_header, to.into), to.targets)
            return kept.sha256
        inspector = _Inspector(to.targets)
        wanted = Wanted(to.into, max(MAX_BYTES.values()), kept.etag if kept else "", inspector.see)
        fetched = await self._fetcher.download(url, wanted, TIMEOUT_S)
        if fetched.unchanged and kept and await asyncio.to_thread(self._cache.take, kept.sha256, to.into):
            _judge(await asyncio.to_thread(read_header, to.into), to.targets)
            return kept.sha256
        if fetched.unchanged:  # it left the cache meanwhile
            wanted = Wanted(to.into, wanted.limit_bytes, inspect=inspector.see)
            fetched = await self._fetcher.download(url, wanted, TIMEOUT_S)
        await asyncio.to_thread(read_header, to.into)
        return await asyncio.to_thread(self._cache.add, key, to.into, fetched.etag)

    async def _from_hub(self, source: FromHub, to: Place) -> str:
        """A file of a public repository, at the commit that its branch `main` is at."""
        listing = to.into.with_suffix(".json")
        try:
            await self._fetcher.fetch(f"{self._hub_url}/api/models/{source.repo}", listing, LISTING_BYTES)
            commit, names = _listed(await asyncio.to_thread(listing.read_bytes))
        except (FetchFailed, FetchTimeout):
            raise LoraNotFound(_NO_REPOSITORY) from None
        finally:
            listing.unlink(missing_ok=True)
        name = source.file or _chosen(names)
        if name not in names:
            raise LoraNotFound(_NO_SUCH_FILE)
        url = f"{self._hub_url}/{source.repo}/resolve/{commit}/{quote(name)}"
        # Anybody can have it, and a commit never changes.
        return await self._fetched(f"hub {source.repo} {commit} {name}", url, to, immutable=True)


def linear_modules(folder: Path) -> Targets:
    """The linear modules of a component, by the headers of its weights: (outputs, inputs)."""
    headers = [read_header(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    return {
        name.removesuffix(".weight"): (info.shape[0], info.shape[1])
        for header in headers
        for name, info in header.tensors.items()
        if name.endswith(".weight") and len(info.shape) == 2
    }


class _Inspector:
    """Judges a file by its header, which comes first."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._seen = b""
        self._judged = False

    def see(self, chunk: bytes) -> None:
        """Take the next piece. Raises as soon as the header is there and the file will not do."""
        if self._judged:
            return
        self._seen += chunk
        if len(self._seen) >= LENGTH_BYTES:
            end = LENGTH_BYTES + header_length(self._seen)
            if len(self._seen) >= end:
                _judge(parse_header(self._seen[LENGTH_BYTES:end]), self._targets)
                self._judged, self._seen = True, b""


def _judge(header: Header, targets: Targets) -> None:
    """Refuse what cannot work. Raises InvalidLora, LoraIncompatible, FileTooLarge."""
    kind = identify(header)
    if header.size_bytes > MAX_BYTES[kind]:
        most = MAX_BYTES[kind] // 2**30
        raise FileTooLarge(Text(f"The file is larger than {most} GiB.", f"파일이 {most}GiB보다 큽니다."))
    if kind is Kind.CONTROLNET:
        fit_controlnet(header, targets)
    else:
        fit_lora(header, targets)


def _taken(path: Path, to: Place) -> str:
    _judge(read_header(path), to.targets)
    place(path, to.into)
    return hash_of(to.into)


def _listed(text: bytes) -> tuple[str, list[str]]:
    """The commit and the file names in what the hub says of a repository."""
    try:
        content = json.loads(text)
        commit, names = content["sha"], [entry["rfilename"] for entry in content["siblings"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FetchFailed from None
    if not isinstance(commit, str) or not commit.isalnum():
        raise FetchFailed
    return commit, [name for name in names if isinstance(name, str)]


def _chosen(names: Sequence[str]) -> str:
    """The file that a repository means: the conventional one, else the only one."""
    found = [name for name in names if name.endswith(SUFFIX)]
    conventional = [name for name in found if os.path.basename(name) in CONVENTIONAL_NAMES]
    if len(found) == 1 or conventional:
        return (conventional or found)[0]
    if not found:
        raise InvalidLora(_NO_SAFETENSORS)
    listing = ", ".join(found[:20])[:350]
    raise InvalidLora(
        Text(
            f"The repository has several files; name one of: {listing}.",
            f"저장소에 파일이 여러 개 있습니다. 하나를 지정해 주세요: {listing}",
        )
    )


_NOT_IN_FOLDER = Text(
    "There is no such file in the LoRA folder of this server.", "이 서버의 LoRA 폴더에 그런 파일이 없습니다."
)
_NO_REPOSITORY = Text(
    "The hub does not know the repository, or it is private.", "허브에 없거나 비공개인 저장소입니다."
)
_NO_SUCH_FILE = Text("The repository has no file of that name.", "저장소에 그런 이름의 파일이 없습니다.")
_NO_SAFETENSORS = Text("The repository has no .safetensors file.", "저장소에 .safetensors 파일이 없습니다.")


def _no_example(names: Sequence[str]) -> Text:
    listing = ", ".join(names)
    return Text(
        f"There is no example of that name; there are: {listing or 'none'}.",
        f"그런 이름의 예제가 없습니다. 있는 예제: {listing or '없음'}",
    )
