"""A server that has been used for a month: accounts, keys, credits, requests, for pictures of its pages."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from safelight.accounts.accounts import Accounts
from safelight.accounts.keys import Keys, NewKey
from safelight.callers import ALL_SCOPES, Account, Caller, Limits, Scope
from safelight.credits.ledger import Ledger
from safelight.credits.terms import terms_of
from safelight.db.database import Database
from safelight.db.wake import open_waker
from safelight.jobs import Job, JobError, JobStatus, Report, new_id
from safelight.queue.store import Store
from safelight.settings import Settings

KEYS = {"owner": "owner-of-the-screens-0123456789abcdef"}
"""Keys by who holds them; those of the others are made with their accounts."""

MODELS = ("tongyi-mai/z-image/turbo/inpainting/lora", "tongyi-mai/z-image/turbo/controlnet/lora")
COST = Decimal("0.01")
DAYS = 30
FAILURES = (
    JobError("invalid_image", "The mask has another aspect ratio than the image."),
    JobError("lora_incompatible", "The LoRA was made for another model: SDXL."),
    JobError("fetch_timeout", "The image took longer than 30 seconds to fetch."),
)


def make_past(settings: Settings) -> None:
    """Make the data folder of such a server."""
    settings.data_dir.mkdir(parents=True)
    asyncio.run(_make(settings))


async def _make(settings: Settings) -> None:
    database = await Database.open(settings.database)
    waker = open_waker(settings.database)
    accounts, keys = Accounts(database), Keys(database)
    await accounts.ensure_owner(KEYS["owner"])
    studio = await accounts.create("studio@example.org")
    limits = Limits(requests_per_minute=60, queued_jobs=100, running_jobs=4, monthly_credits=Decimal(20))
    studio = await accounts.set_limits(studio.id, limits)
    await Ledger(database).grant(studio.id, Decimal("12.50"), "Welcome")
    broke = await accounts.create("newcomer@example.org")
    users = [Caller(studio, await _key(keys, studio, "studio", "website"))]
    app = NewKey("phone app", frozenset({Scope.SUBMIT, Scope.READ}), expires_at=_ago(-60))
    users.append(Caller(studio, (await keys.create(studio.id, app))[0].id))
    old, _ = await keys.create(studio.id, NewKey("old laptop"))
    await keys.revoke(old.id)
    await _key(keys, broke, "newcomer", "first key")
    store = Store(database, waker)
    luck = random.Random(11)
    for ago in reversed(range(1, DAYS)):
        for _ in range(luck.choice((0, 1, 2, 2, 3, 5, 8)) if ago % 7 else 0):
            await _one_request(store, luck, luck.choice(users), _ago(ago))
    await waker.close()
    await database.close()


async def _key(keys: Keys, account: Account, who: str, name: str) -> str:
    key, KEYS[who] = await keys.create(account.id, NewKey(name, ALL_SCOPES))
    return key.id


async def _one_request(store: Store, luck: random.Random, caller: Caller, when: datetime) -> None:
    job = Job(
        id=new_id(),
        account_id=caller.account.id,
        model_id=luck.choice(MODELS),
        input={"prompt": "a red house on snow at night", "seed": 7},
        status=JobStatus.IN_QUEUE,
        attempt=0,
        created_at=when,
        cost=COST,
        key_id=caller.key_id,
    )
    await store.add(job, terms=terms_of(caller, job))
    claimed = await store.claim("studio.4711.x1", MODELS)
    assert claimed is not None
    if luck.random() < 0.08:
        await store.fail(claimed, luck.choice(FAILURES))
    else:
        await store.complete(claimed, [], [], Report(seed=7, weights="nano", timings={}, notes=()))


def _ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)
