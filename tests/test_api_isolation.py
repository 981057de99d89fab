"""Two accounts, every route, every id: whatever one has, the other's key answers as if it were not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from safelight.accounts.accounts import OWNER_ID
from tests.api_server import OWNER_KEY, PNG, RunningServer, running_server

STATES = ("in_queue", "in_progress", "completed", "failed", "cancelled")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
UNKNOWN = "A" * 22
HOOK = "https://hooks.example.org/safelight"
KNOWN = {"request_id", "key_id", "account_id", "event_id", "file_id"}
LISTS = ("balance", "ledger", "keys", "usage", "files", "webhooks/deliveries", "webhooks/secret")

pytestmark = pytest.mark.proof


@dataclass
class Tenant:
    """An account with something of everything, and its client."""

    client: httpx2.Client
    account_id: str
    requests: dict[str, str]
    key_id: str
    event_id: str
    image_url: str
    upload_url: str

    @property
    def ids(self) -> dict[str, list[str]]:
        """What stands in addresses, by the name it has there."""
        return {
            "request_id": list(self.requests.values()),
            "key_id": [self.key_id],
            "account_id": [self.account_id],
            "event_id": [self.event_id],
            "file_id": [_file_id(self.image_url), _file_id(self.upload_url)],
        }

    def sees(self) -> list[Any]:
        """Everything that it has, as it is told."""
        client = self.client
        results = [
            client.get(f"/v1/requests/{i}/result?include_cost=1").json() for i in self.requests.values()
        ]
        lists = [client.get(f"/v1/{name}").json() for name in LISTS]
        files = [client.get(url).content for url in (self.image_url, self.upload_url)]
        return [*results, *lists, *files]


@pytest.fixture
def server(database_url, tmp_path):
    prices = {"default": {"usd": 0.01}}
    with running_server(tmp_path / "data", database_url=database_url, pricing=prices) as running:
        yield running


@pytest.fixture
def tenants(server):
    """Two metered accounts."""
    with server.client(OWNER_KEY) as owner:
        ann, bob = (settle_in(server, owner, name) for name in ("ann", "bob"))
        yield ann, bob
        ann.client.close()
        bob.client.close()
        assert owner.get("/v1/admin/audit").json()["ok"]


def settle_in(server: RunningServer, owner: httpx2.Client, name: str) -> Tenant:
    made = owner.post("/v1/admin/accounts", json={"email": f"{name}@example.org"}).json()
    owner.post(f"/v1/admin/accounts/{made['id']}/grants", json={"amount_usd": 1, "note": f"for {name}"})
    client = server.client(made["key"])
    key_id = client.post("/v1/keys", json={"name": f"{name}'s spare"}).json()["id"]
    requests = {state: bring_to(server, client, made["id"], state) for state in reversed(STATES)}
    image_url = client.get(f"/v1/requests/{requests['completed']}/result").json()["output"]["image"]
    upload_url = client.post("/v1/files", content=PNG, headers={"content-type": "image/png"}).json()["url"]
    return Tenant(client, made["id"], requests, key_id, hear_of_one(client), image_url, upload_url)


def hear_of_one(client: httpx2.Client) -> str:
    """Have a webhook told of a request's end. Returns the event's id."""
    sent = client.post("/v1/models/test/instant", json={}, params={"webhook": HOOK})
    client.post(f"/v1/requests/{sent.json()['request_id']}/cancel")
    (event,) = client.get("/v1/webhooks/deliveries").json()["deliveries"]
    return str(event["event_id"])


def bring_to(server: RunningServer, client: httpx2.Client, account_id: str, state: str) -> str:
    request_id = server.submit(client)
    if state == "cancelled":
        client.post(f"/v1/requests/{request_id}/cancel")
    elif state != "in_queue":
        job = server.claim(request_id)
        if state == "completed":
            server.finish(job)
        elif state == "failed":
            server.fail(job, "internal_error", "It broke.")
    found = server.do(server.services.store.get(request_id, account_id))
    assert found is not None
    assert found.status == state
    return request_id


def test_whatever_one_account_has_is_not_there_for_the_other(server, tenants):
    for mine, other in (tenants, reversed(tenants)):
        before = other.sees()
        tried = 0
        for method, path in routes_with_ids(server):
            for address, unknown in addresses(path, other):
                answers = [mine.client.request(method, at, json={"name": "x"}) for at in (address, unknown)]
                statuses = {answer.status_code for answer in answers}
                assert statuses <= {403, 404, 405}, (method, address, statuses)
                assert answers[0].content == answers[1].content, (method, address)
                assert len(statuses) == 1
                tried += 1
        assert tried > 100
        assert other.sees() == before


def test_no_list_shows_what_is_anothers(server, tenants):
    for mine, other in (tenants, reversed(tenants)):
        secrets = [other.account_id, other.key_id, other.image_url, *other.requests.values()]
        for path in sorted({route.path for route in routes_of(server) if "{" not in route.path}):
            for method in ("GET", "POST"):
                told = mine.client.request(method, path, json={}).text
                assert not [secret for secret in secrets if secret in told], (method, path)


def test_anothers_picture_is_no_input(tenants):
    for mine, other in (tenants, reversed(tenants)):
        unknown = re.sub(r"/files/[^.]+", f"/files/{UNKNOWN}", other.image_url)
        urls = (other.image_url, unknown)
        tries = [mine.client.post("/v1/models/test/echo", json={"image_url": url}) for url in urls]
        assert [answer.status_code for answer in tries] == [422, 422]
        assert tries[0].content == tries[1].content
        own = mine.client.post("/v1/models/test/echo", json={"image_url": mine.image_url})
        assert own.status_code == 200


def test_the_owner_has_no_way_into_a_request_but_an_accounts_own_key(server, tenants):
    with server.client(OWNER_KEY) as owner:
        assert owner.get("/api/auth/me").json()["id"] == OWNER_ID
        for request_id in tenants[0].requests.values():
            assert owner.get(f"/v1/requests/{request_id}/result").status_code == 404


def routes_of(server: RunningServer) -> list[Route]:
    return [route for route in server.app.router.routes if isinstance(route, Route)]


def routes_with_ids(server: RunningServer) -> list[tuple[str, str]]:
    """Every method on every address that names something of an account's."""
    others = {"model_id", "name"}  # Models are everybody's; a file's name is its own key.
    paths = {route.path for route in routes_of(server) if "{" in route.path}
    names = {name.split(":")[0] for path in paths for name in re.findall(r"{([^}]+)}", path)}
    assert names - others <= KNOWN, "an id that this test does not know"
    with_ids = sorted(path for path in paths if not re.search(r"{(model_id|name)\b", path))
    return [(method, path) for path in with_ids for method in METHODS]


def _file_id(url: str) -> str:
    return url.rpartition("/")[2].partition(".")[0]


def addresses(path: str, other: Tenant) -> list[tuple[str, str]]:
    """The address with each id of the other's, beside the same with an unknown one."""
    [name] = re.findall(r"{([^}]+)}", path)
    known = [path.replace(f"{{{name}}}", found) for found in other.ids[name]]
    return [(address, path.replace(f"{{{name}}}", UNKNOWN)) for address in known]
