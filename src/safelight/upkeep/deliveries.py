"""Tell receivers what has become of their requests: signed, again and again for a day, in order per request.

It runs in the server's own process and never holds a worker. What is on its way when the server dies is sent
again by the next one: an event keeps its id, by which a receiver knows it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import Counter

import structlog

from safelight import __version__
from safelight.api.wire import result_of, status_of, timestamp, to_bytes
from safelight.db.clock import STEADY
from safelight.errors import SafelightError, StorageFull, Unavailable
from safelight.jobs import Json
from safelight.logs import whereabouts
from safelight.network.fetch import Fetcher
from safelight.queue.store import Standing, Store
from safelight.queue.webhooks import Event, Try, Webhooks
from safelight.upkeep.maintenance import repeat

TICK_S = 1.0
AT_ONCE = 16
PER_ACCOUNT = 4
"""Deliveries under way: one account's slow receivers leave room for the others'."""

log = structlog.get_logger()


class Deliveries:
    """Delivers events. Any number of processes may do so at once, the database decides who sends what."""

    def __init__(self, webhooks: Webhooks, store: Store, fetcher: Fetcher) -> None:
        self._webhooks = webhooks
        self._store = store
        self._fetcher = fetcher
        self._under_way: Counter[str] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; what is under way then is seen to its end."""
        async with asyncio.TaskGroup() as group:
            await repeat(lambda: self.tick(group), TICK_S, stop)

    async def tick(self, group: asyncio.TaskGroup) -> None:
        """Begin what is due, as far as there is room."""
        if self._under_way.total() >= AT_ONCE:
            return
        for event in await self._webhooks.due(PER_ACCOUNT):
            has_room = self._under_way[event.account_id] < PER_ACCOUNT
            if has_room and self._under_way.total() < AT_ONCE and await self._webhooks.begin(event):
                self._under_way[event.account_id] += 1
                group.create_task(self._deliver(event))

    async def _deliver(self, event: Event) -> None:
        try:
            attempt = await self._try(event)
            state = await self._webhooks.finish(event, attempt)
            log.info("webhook_tried", event_id=event.id, http_status=attempt.http_status, state=state)
        except (Unavailable, StorageFull) as error:  # The lease runs out, and it is tried again.
            log.warning("database_away", reason=str(error))
        except Exception as error:  # One event must not end the server.
            log.error("delivery_broke", event_id=event.id, **whereabouts(error))
        finally:
            self._under_way[event.account_id] -= 1

    async def _try(self, event: Event) -> Try:
        body = to_bytes(await self._content(event))
        secret = await self._webhooks.secret(event.account_id)
        started_s, at = time.monotonic(), STEADY.now()
        headers = signed_headers(event.id, str(int(time.time())), body, secret.secret)
        try:
            http_status = await self._fetcher.post(event.url, body, headers)
        except (Unavailable, StorageFull):
            raise
        except SafelightError:  # Why is not told: nobody shall scan ports with this server.
            http_status = None
        return Try(event.id, at, http_status, round(1000 * (time.monotonic() - started_s)))

    async def _content(self, event: Event) -> Json:
        """The event as the live ones of a request have it: `done` with its result, before that `status`."""
        if event.status.is_final:
            name, data = "done", await self._result(event)
        else:
            name, data = "status", status_of(event.job_id, Standing(event.status, None), event.base_url)
        return {
            "event_id": event.id,
            "event": name,
            "request_id": event.job_id,
            "created_at": timestamp(event.created_at),
            "data": data,
        }

    async def _result(self, event: Event) -> Json | None:
        job = await self._store.get(event.job_id, event.account_id)
        return result_of(job, event.base_url, include_cost=False) if job else None


def signed_headers(event_id: str, sent_at: str, body: bytes, secret: str) -> dict[str, str]:
    """The headers of a delivery. sent_at: in seconds since 1970; a receiver refuses what is old."""
    return {
        "Content-Type": "application/json",
        "User-Agent": f"safelight/{__version__}",
        "Safelight-Event-Id": event_id,
        "Safelight-Timestamp": sent_at,
        "Safelight-Signature": f"sha256={signature(sent_at, body, secret)}",
    }


def signature(sent_at: str, body: bytes, secret: str) -> str:
    """HMAC-SHA256 over the timestamp, a full stop and the body, in hexadecimal."""
    return hmac.new(secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()
