"""Safe retries: who sends a submission again under its Idempotency-Key gets the job of the first one.

The key is recorded in the job's own transaction: whatever becomes of an answer, or of a commit's, either
both are there or neither is.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from safelight.api.services import Services
from safelight.errors import IdempotencyInProgress, IdempotencyMismatch
from safelight.jobs import Job
from safelight.queue.store import Receipt

INLINE_BYTES = 64 * 1024
"""What is hashed on the event loop; more would hold it up."""


@dataclass(frozen=True)
class Retry:
    """A submission under a key. sha256: of all that has to be the same when it is sent again."""

    services: Services
    account_id: str
    key: str
    sha256: bytes

    async def once(self, accept: Callable[[], Awaitable[Job | None]]) -> Job:
        """The job of this key: the first submission's, which `accept` makes.

        accept: returns None when another process has accepted one under the key meanwhile.
        Raises IdempotencyMismatch and IdempotencyInProgress.
        """
        earlier = await self._earlier()
        if earlier is not None:
            return earlier
        with self._under_way():
            job = await accept() or await self._earlier()
        assert job is not None  # noqa: S101 - the key is taken, so there is a job
        return job

    def receipt_of(self, job: Job) -> Receipt:
        """What is recorded with the job."""
        return Receipt(self.account_id, self.key, self.sha256, job.id)

    async def _earlier(self) -> Job | None:
        found = await self.services.store.receipt(self.account_id, self.key)
        if found is None:
            return None
        if found.sha256 != self.sha256:
            raise IdempotencyMismatch
        return await self.services.store.get(found.job_id, self.account_id)

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        under_way, this = self.services.keys_under_way, (self.account_id, self.key)
        if this in under_way:
            raise IdempotencyInProgress
        under_way.add(this)
        try:
            yield
        finally:
            under_way.discard(this)


async def digest_of(*parts: bytes) -> bytes:
    """The hash of what was submitted."""
    if sum(map(len, parts)) <= INLINE_BYTES:
        return _digest(parts)
    return await asyncio.to_thread(_digest, parts)


def _digest(parts: tuple[bytes, ...]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
