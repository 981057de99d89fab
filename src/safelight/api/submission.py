"""From a submitted body to an accepted job.

Images that came inside the body are stored before the job's own transaction, so that an accepted job finds
its files. Reading, checking and decoding a large body happens off the event loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from safelight.api.body import parse_json
from safelight.api.retries import Retry, digest_of
from safelight.api.services import Services
from safelight.api.wire import example_name, own_file_id
from safelight.api.wishes import Wishes
from safelight.callers import Caller
from safelight.credits.terms import terms_of
from safelight.db.clock import expiry
from safelight.errors import (
    Expired,
    FieldProblem,
    InsufficientCredits,
    InvalidInput,
    PathNotAllowed,
    RateLimited,
    SafelightError,
    StorageFull,
    Unavailable,
    UnsupportedImage,
    UrlNotAllowed,
)
from safelight.examples import picture
from safelight.images.codec import content_type, identify, parse_data_uri
from safelight.inputs import FILE_SCHEME, HOLES_SCHEME, image_fields
from safelight.jobs import Job, JobStatus, Json, new_id
from safelight.loras.references import FromUrl, source_of
from safelight.models.base import Model
from safelight.prices import Quote
from safelight.queue.store import StoredFile, Webhook
from safelight.texts import Language, Text
from safelight.tracing import job_span

INLINE_BYTES = 64 * 1024
"""Bodies up to this size are read on the event loop: a thread would cost more than it spares."""

RESERVED_BYTES = 256 * 2**20
"""What stays free on the disk for the database and for outputs: below it nothing is accepted."""

NO_ENGINE_RETRY_S = 3600
STOPPING_RETRY_S = 5
_STOPPING = Text(
    "This server is stopping; try again shortly.", "서버를 멈추는 중입니다. 잠시 후 다시 시도해 주세요."
)
_CANNOT_RUN = Text(" cannot run in this version.", "은(는) 이 버전에서 실행할 수 없습니다.")
_NO_SUCH_FILE = Text("There is no such file on this server.", "이 서버에 그런 파일이 없습니다.")


@dataclass
class _Draft:
    """An input on its way: which fields brought an image along, and which name a file of this server."""

    input: Json
    uploads: dict[str, bytes] = field(default_factory=dict)
    own_files: dict[str, str] = field(default_factory=dict)
    quote: Quote = field(default_factory=lambda: Quote(Decimal(0)))


@dataclass(frozen=True)
class Submission:
    """One submission: who submits to which model, and under which addresses this server's own URLs are.

    mask_is_holes: a mask that comes inside the body shows by its transparency what shall be repainted.
    """

    services: Services
    caller: Caller
    model: Model
    language: Language
    own_addresses: tuple[str, ...]
    mask_is_holes: bool = False
    wishes: Wishes = field(default_factory=Wishes)
    webhook: Webhook | None = None

    async def accept(self, body: bytes) -> Job:
        """Turn the body into a job in the queue. Raises what the caller shall be told."""
        key = self.wishes.idempotency_key
        if key is None:
            job = await self._accept(body)
            assert job is not None  # noqa: S101 - only a key that is taken stands in the way
            return job
        sha256 = await digest_of(self.model.id.encode(), repr(self.webhook).encode(), body)
        retry = Retry(self.services, self.caller.account.id, key, sha256)
        return await retry.once(lambda: self._accept(body, retry))

    async def _accept(self, body: bytes, retry: Retry | None = None) -> Job | None:
        """None: a job was accepted under this key meanwhile."""
        if self.services.stopping.is_set():
            raise Unavailable(_STOPPING, retry_after_s=STOPPING_RETRY_S)
        draft = await self._draft(body)
        await self._check_ownership(draft.own_files)
        now, limit_s = datetime.now(UTC), self.wishes.cancel_after_s
        job = Job(
            id=new_id(),
            account_id=self.caller.account.id,
            key_id=self.caller.key_id,
            model_id=self.model.id,
            input=draft.input,
            status=JobStatus.IN_QUEUE,
            attempt=0,
            created_at=now,
            deadline_at=now + timedelta(seconds=limit_s) if limit_s else None,
            cost=draft.quote.cost,
            rate=draft.quote.rate,
            language=self.language,
        )
        files = await self._store(draft.uploads, job)
        receipt = retry.receipt_of(job) if retry else None
        try:
            terms = terms_of(self.caller, job)
            with job_span(job.id, "submit", model_id=job.model_id):
                is_new = await self.services.store.add(job, files, terms, receipt, self.webhook)
        except (InsufficientCredits, RateLimited):
            await self._drop(files)
            raise
        if is_new:
            return job
        await self._drop(files)
        return None

    async def _drop(self, files: list[StoredFile]) -> None:
        for file in files:
            await self.services.files.delete(file.id)

    async def quote(self, body: bytes) -> Quote:
        """What this body would cost. Raises as `accept` does."""
        return (await self._draft(body)).quote

    async def _draft(self, body: bytes) -> _Draft:
        return self._read(body) if len(body) <= INLINE_BYTES else await asyncio.to_thread(self._read, body)

    def _read(self, body: bytes) -> _Draft:
        accepted = self.model.Input.parse(parse_json(body), self.language)
        if self.model.id not in self.services.catalogue.runnable_ids():
            raise Unavailable(_CANNOT_RUN.after(self.model.id), retry_after_s=NO_ENGINE_RETRY_S)
        if self.services.catalogue.weights_of(self.model) == "nano":
            self.model.check_installed(accepted)
        price = self.services.price_of(self.model)
        draft = _Draft(accepted.settled(), quote=self.model.quote(accepted, price))
        for name in image_fields(self.model.Input):
            value = draft.input[name]
            if isinstance(value, list):
                draft.input[name] = [
                    self._image(f"{name}[{at}]", text, draft) for at, text in enumerate(value)
                ]
            elif value is not None:
                draft.input[name] = self._image(name, value, draft)
        for at, lora in enumerate(draft.input.get("loras") or ()):
            self._check_lora(f"loras[{at}].path", lora["path"])
        return draft

    def _check_lora(self, name: str, path: str) -> None:
        """Judge where a LoRA is said to be; whether it is there, the worker finds out."""
        try:
            source = source_of(path, self.services.settings.lora_dir)
            if isinstance(source, FromUrl):
                self.services.fetcher.check(source.url)
        except (InvalidInput, PathNotAllowed, UrlNotAllowed) as error:
            problem = FieldProblem(name, error.text)
            raise type(error)(error.text.after(f"{name}: "), fields=(problem,)) from None

    def _image(self, name: str, text: str, draft: _Draft) -> str:
        """What the job's input holds for an image: the given URL, or `file:` and a file's id."""
        if text[:5].lower() == "data:":
            file_id = new_id()
            draft.uploads[file_id] = _decoded(name, text)
            mark = image_fields(self.model.Input).get(name)
            is_holes = self.mask_is_holes and mark is not None and mark.is_mask
            return f"{HOLES_SCHEME if is_holes else FILE_SCHEME}{file_id}"
        if example := picture(example_name(text, self.own_addresses)):
            file_id = new_id()
            draft.uploads[file_id] = example
            return f"{FILE_SCHEME}{file_id}"
        own = own_file_id(text, self.own_addresses)
        if own:
            draft.own_files[own] = name
            return f"{FILE_SCHEME}{own}"
        try:
            self.services.fetcher.check(text)
        except UrlNotAllowed as error:
            raise _not_allowed(name, error.text) from None
        return text

    async def _check_ownership(self, own_files: dict[str, str]) -> None:
        """Unknown, or another account's: one answer for both."""
        for file_id, name in own_files.items():
            file = await self.services.store.file(file_id)
            if file is None or file.account_id != self.caller.account.id:
                raise _not_allowed(name, _NO_SUCH_FILE)
            if file.removed_at:
                raise _not_allowed(name, Expired().text)

    async def _store(self, uploads: dict[str, bytes], job: Job) -> list[StoredFile]:
        files = self.services.files
        if files.free_bytes() - sum(map(len, uploads.values())) < RESERVED_BYTES:
            raise StorageFull
        stored: list[StoredFile] = []
        try:
            for file_id, data in uploads.items():
                await files.put(file_id, data)
                kind = content_type(identify(data))
                stored.append(
                    StoredFile(
                        *(file_id, job.account_id, kind, len(data), job.created_at, job.id),
                        expires_at=expiry(self.services.settings.keeps_for),
                    )
                )
        except SafelightError:
            for file in stored:
                await files.delete(file.id)
            raise
        return stored


def _decoded(name: str, text: str) -> bytes:
    try:
        data = parse_data_uri(text)
        identify(data)
    except (InvalidInput, UnsupportedImage) as error:
        problem = FieldProblem(name, error.text)
        raise InvalidInput(error.text.after(f"{name}: "), fields=(problem,)) from None
    return data


def _not_allowed(name: str, message: Text) -> UrlNotAllowed:
    return UrlNotAllowed(message, fields=(FieldProblem(name, message),))
