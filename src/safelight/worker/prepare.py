"""Bring a job's images and LoRAs to this machine, and have images decoded, before the child needs them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from safelight.engine.decoder import Decoder
from safelight.engine.pixels import Pixels
from safelight.engine.protocol import Decode
from safelight.engine.sources import Source
from safelight.errors import FetchFailed, FileTooLarge, InvalidImage
from safelight.files.files import FileStore
from safelight.images.codec import MAX_IMAGE_BYTES
from safelight.images.rules import MEGABYTE, check_image, file_rule
from safelight.inputs import FILE_SCHEME, HOLES_SCHEME, ModelInput, Validation, image_fields, image_rules
from safelight.loras.references import LoraFile
from safelight.models import NANO
from safelight.models.base import Model
from safelight.network.fetch import Fetcher
from safelight.queue.store import Store
from safelight.texts import Text
from safelight.worker.attempt import Attempt
from safelight.worker.lora_library import LoraLibrary, linear_modules

_GONE = Text(
    "A file of this server that the input names is gone.", "입력에서 가리킨 이 서버의 파일이 더는 없습니다."
)


async def fetch_images(
    attempt: Attempt, input_class: type[ModelInput], store: Store, files: FileStore, fetcher: Fetcher
) -> dict[str, list[str]]:
    """The paths of a job's input images by field; those with a URL are fetched into the attempt's folder.

    Raises UrlNotAllowed, FetchFailed, InvalidImage and the like: the job fails.
    """
    found: dict[str, list[str]] = {}
    for name in image_fields(input_class):
        value = attempt.job.input.get(name) or []
        addresses = [value] if isinstance(value, str) else value
        found[name] = []
        rules = image_rules(input_class, name)
        for index, address in enumerate(addresses):
            scheme, _, file_id = address.partition(":")
            if f"{scheme}:" in (FILE_SCHEME, HOLES_SCHEME):
                path = await _stored(file_id, attempt.job.account_id, store, files)
            else:
                path = attempt.folder / f"{name}.{index}"
                await _fetch(address, path, rules, fetcher)
            await asyncio.to_thread(check_image, path, rules)
            found[name].append(str(path))
    return found


async def _fetch(address: str, path: Path, rules: tuple[Validation, ...], fetcher: Fetcher) -> None:
    """Fetch an image; where a rule bounds its file, no more than that."""
    bound = file_rule(rules)
    try:
        await fetcher.fetch(address, path, bound.value * MEGABYTE if bound else MAX_IMAGE_BYTES)
    except FileTooLarge:
        if bound is None:
            raise
        raise InvalidImage(bound.error) from None


async def decode_images(
    attempt: Attempt, input_class: type[ModelInput], paths: dict[str, list[str]], decoder: Decoder
) -> dict[str, list[Pixels]]:
    """A job's input images as pixels in the attempt's folder, by field.

    Raises RunFailed, StorageFull, ChildDied, ChildNotStarted.
    """
    marks = image_fields(input_class)
    found: dict[str, list[Pixels]] = {}
    for name in paths:
        found[name] = []
        named = attempt.job.input.get(name)
        holes = isinstance(named, str) and named.startswith(HOLES_SCHEME)
        for index, path in enumerate(paths[name]):
            target = str(attempt.folder / f"{name}.{index}.rgb")
            with attempt.timed("decode"):
                size = await decoder.decode(Decode(path, target, marks[name].backdrop, holes))
            found[name].append(Pixels(target, size))
    return found


async def fetch_loras(
    attempt: Attempt, model: Model, library: LoraLibrary, weights: Source
) -> list[LoraFile]:
    """A job's LoRAs in the attempt's folder, each of which fits the model's weights.

    Raises LoraNotFound, InvalidLora, LoraIncompatible, FetchFailed and the like: the job fails.
    """
    asked = attempt.job.input.get("loras")
    if not asked or model.lora_part is None:
        return []
    parts = weights.parts(model)
    targets = await asyncio.to_thread(linear_modules, weights.path(parts[model.lora_part]))
    if weights.name == NANO:
        return await library.provide(attempt, asked, targets)
    repos = {part.repo for part in parts.values()}
    return await library.provide(attempt, asked, targets, lambda it: it.repo in repos and not it.file)


async def _stored(file_id: str, account_id: str, store: Store, files: FileStore) -> Path:
    """The path of a stored file of this account. Raises FetchFailed: unknown and another's look the same."""
    record = await store.file(file_id)
    if record is None or record.account_id != account_id or not files.path(file_id).is_file():
        raise FetchFailed(_GONE)
    return files.path(file_id)
