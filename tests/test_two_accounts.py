"""Two accounts hammer one server and send everything twice: neither sees, starves or pays for the other."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from tests.serving import Served, served

MANY, FEW = 30, 5
PRICE = Decimal("0.01")
RUNS_AHEAD = 4
"""How many of a flood may go first that were claimed already, or whose turn it was."""


@pytest.fixture
def at(tmp_path):
    with served(tmp_path / "data", pricing=f"default.usd = {PRICE}") as server:
        yield server


class Tenant:
    """An account with credits for what it sends, and its client."""

    def __init__(self, at: Served, name: str, number: int) -> None:
        with at.http() as owner:
            made = owner.post("/v1/admin/accounts", json={"email": f"{name}@example.org"}).json()
            grants = f"/v1/admin/accounts/{made['id']}/grants"
            owner.post(grants, json={"amount_usd": float(number * PRICE)})
        self.number = number
        headers = {"authorization": f"Bearer {made['key']}"}
        self.client = httpx2.AsyncClient(base_url=at.url, headers=headers, timeout=120)

    async def send_all(self) -> list[str]:
        """Send every request twice at once. Returns their ids."""
        twice = (self._send(n) for n in range(self.number) for _ in range(2))
        return sorted(set(await asyncio.gather(*twice)))

    async def _send(self, number: int) -> str:
        body, key = {"num_inference_steps": 1, "seed": number}, {"Idempotency-Key": f"number {number}"}
        while (answer := await self.client.post("/v1/models/test/slow", json=body, headers=key)).is_error:
            assert answer.json()["error"]["code"] == "idempotency_in_progress", answer.text
        return str(answer.json()["request_id"])

    async def ended(self, request_id: str) -> dict[str, Any]:
        """The result, once there is one."""
        async with self.client.stream("GET", f"/v1/requests/{request_id}/events") as events:
            await events.aread()
        answer = await self.client.get(f"/v1/requests/{request_id}/result?include_cost=true")
        return dict(answer.json())


async def test_neither_sees_starves_or_pays_for_the_other(at):
    flood, few = Tenant(at, "flood", MANY), Tenant(at, "few", FEW)
    async with flood.client, few.client:
        sent = {flood: await flood.send_all(), few: await few.send_all()}
        ended = {
            tenant: await asyncio.gather(*(tenant.ended(i) for i in ids)) for tenant, ids in sent.items()
        }
        for tenant, other in ((flood, few), (few, flood)):
            assert len(sent[tenant]) == tenant.number
            assert {result["status"] for result in ended[tenant]} == {"succeeded"}
            balance = (await tenant.client.get("/v1/balance")).json()
            assert balance == {"balance_usd": 0, "held_usd": 0, "currency": "USD"}
            seen = (await tenant.client.get("/v1/requests?limit=100")).json()["requests"]
            assert sorted(request["request_id"] for request in seen) == sent[tenant]
            for request_id in sent[other]:
                assert (await tenant.client.get(f"/v1/requests/{request_id}/status")).status_code == 404
    came = min(result["created_at"] for result in ended[few])
    left = max(result["finished_at"] for result in ended[few])
    before = sum(came < result["finished_at"] <= left for result in ended[flood])
    assert before <= FEW + RUNS_AHEAD
    assert left < max(result["finished_at"] for result in ended[flood])  # The flood was not over yet.
    with at.http() as owner:
        assert owner.get("/v1/admin/audit").json() == {"ok": True, "findings": []}
