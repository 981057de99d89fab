"""Remove what is past its time. Running it twice is safe."""

from __future__ import annotations

import asyncio

from safelight.maintenance import repeat
from safelight.store import Store

TICK_S = 60.0


class Sweep:
    """Looks for what may go."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, stop: asyncio.Event) -> None:
        """Look every minute until `stop` is set."""
        await repeat(self.tick, TICK_S, stop)

    async def tick(self) -> None:
        """Remove what may go now."""
        await self._store.forget_receipts()
