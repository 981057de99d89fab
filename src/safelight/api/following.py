"""Following a job: the database is asked a few times a second, so that it does not matter who runs the job.

No connection is held in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request

from safelight.api.services import services
from safelight.jobs import Job
from safelight.queue.store import Store

POLL_S = 0.25


async def looks(store: Store, job: Job) -> AsyncIterator[Job]:
    """The job as it is now, and again after every POLL_S until it has ended."""
    while True:
        yield job
        if job.status.is_final:
            return
        await asyncio.sleep(POLL_S)
        found = await store.get(job.id, job.account_id)
        if found is None:
            return
        job = found


async def ended_within(request: Request, job: Job, wait_s: float) -> Job | None:
    """The job, once it has ended; None when it takes longer, its sender has left, or the server stops."""
    known = services(request)
    clock = asyncio.get_running_loop().time
    give_up_s = clock() + wait_s
    while True:
        standing = await known.store.standing(job.id, job.account_id)
        if standing is None or standing.status.is_final:
            return await known.store.get(job.id, job.account_id)
        rest_s = give_up_s - clock()
        if rest_s <= 0 or known.stopping.is_set() or await request.is_disconnected():
            return None
        await asyncio.sleep(min(POLL_S, rest_s))
