"""The database goes away and comes back: callers are told to wait, nothing is lost."""

from __future__ import annotations

import asyncio

import httpx2

from tests.api_server import OWNER_KEY, running_server
from tests.cable import Cable

SUBMIT = "/v1/models/test/instant"


async def test_without_its_database_the_api_says_when_to_try_again(postgres_url, tmp_path):
    cable = await Cable.lay(postgres_url, tmp_path)
    serving = running_server(tmp_path / "data", database_url=cable.url)
    server = await asyncio.to_thread(serving.__enter__)
    headers = {"authorization": f"Bearer {OWNER_KEY}"}
    try:
        async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
            request_id = (await client.post(SUBMIT, json={})).json()["request_id"]
            status = f"/v1/requests/{request_id}/status"

            cable.cut()
            for answer in (
                await client.get("/readyz"),
                await client.get(status),
                await client.post(SUBMIT, json={}),
                await client.get(f"/files/{'A' * 22}.png"),
            ):
                assert answer.status_code == 503
                assert answer.json()["error"]["code"] == "unavailable"
                assert int(answer.headers["retry-after"]) > 0
            assert (await client.get("/healthz")).status_code == 200

            await cable.mend()
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get(status)).json()["status"] == "in_queue"
            assert (await client.post(SUBMIT, json={})).status_code == 200
    finally:
        await asyncio.to_thread(serving.__exit__, None, None, None)
        cable.cut()
