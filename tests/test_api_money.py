"""Money over HTTP: prices, quotes, balances, the ledger, usage, and who has too little."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.api_server import NEIGHBOUR_ID, NEIGHBOUR_KEY, OWNER_KEY, PNG, running_server

PRICES = {
    "models": {
        "test/instant": {"usd": 0.25},
        "test/slow": {"usd": 0.001, "per": "second", "most_seconds": 100},
        "test/album": {"usd": 0.1},
    }
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server with prices, the test is its worker."""
    with running_server(tmp_path_factory.mktemp("shop"), pricing=PRICES) as server:
        yield server


@pytest.fixture
def owner(shop):
    with shop.client(OWNER_KEY) as client:
        yield client


@pytest.fixture
def buyer(shop, owner):
    """A metered account with one credit."""
    made = owner.post("/v1/admin/accounts", json={"email": "buyer@example.org"}).json()
    grant(owner, made["id"], 1)
    with shop.client(made["key"]) as client:
        client.account_id = made["id"]
        yield client
    assert owner.get("/v1/admin/audit").json() == {"ok": True, "findings": []}


def grant(owner, account_id, amount, **fields):
    address = f"/v1/admin/accounts/{account_id}/grants"
    return owner.post(address, json={"amount_usd": amount, **fields}).json()


def balance(client):
    found = client.get("/v1/balance").json()
    assert found == client.get("/prod/v2/balance").json()
    return found


def cost_of(client, request_id):
    return client.get(f"/v1/requests/{request_id}/result?include_cost=true").json()["cost"]


def test_the_catalogue_tells_the_price(shop, owner):
    entry = owner.get("/v1/models/test/slow").json()
    assert (entry["base_price_usd"], entry["price_unit"]) == (0.001, "second")
    assert entry["pricing_note"] == "0.001 credits per second of drawing."


def test_a_request_is_held_for_then_charged(shop, buyer):
    assert balance(buyer) == {"balance_usd": 1.0, "currency": "USD", "held_usd": 0.0}
    request_id = shop.submit(buyer)
    assert balance(buyer) == {"balance_usd": 0.75, "currency": "USD", "held_usd": 0.25}
    shop.finish(shop.claim(request_id))
    assert balance(buyer) == {"balance_usd": 0.75, "currency": "USD", "held_usd": 0.0}
    assert cost_of(buyer, request_id) == 0.25
    cancelled = shop.submit(buyer)
    buyer.post(f"/v1/requests/{cancelled}/cancel")
    assert (balance(buyer)["balance_usd"], cost_of(buyer, cancelled)) == (0.75, 0)
    page = buyer.get("/v1/ledger").json()
    assert [(entry["kind"], entry["usd"], entry["balance_change_usd"]) for entry in page["entries"]] == [
        ("release", 0.25, 0.25),
        ("hold", 0.25, -0.25),
        ("charge", 0.25, 0),
        ("hold", 0.25, -0.25),
        ("grant", 1, 1),
    ]
    assert [entry.get("request_id") for entry in page["entries"][1:4]] == [cancelled, request_id, request_id]


def test_who_has_too_little_is_told_and_nothing_is_kept(shop, buyer):
    for _ in range(4):
        shop.submit(buyer)
    files = shop.services.settings.files_dir
    before = {path.name for path in files.rglob("*") if path.is_file()}
    image = "data:image/png;base64," + __import__("base64").b64encode(PNG).decode()
    refused = buyer.post("/v1/models/test/album", json={"image_urls": [image]})
    assert refused.status_code == 402
    assert refused.json()["error_code"] == 400002
    assert refused.json()["error"]["code"] == "insufficient_credits"
    assert "up to 0.1 credits" in refused.json()["error"]["message"]
    assert {path.name for path in files.rglob("*") if path.is_file()} == before


def test_a_price_by_the_second_is_at_most_and_then_exact(shop, buyer):
    quoted = buyer.post("/v1/models/test/slow/quote", json={})
    assert quoted.json() == {
        "cost": 0.1,
        "at_most": True,
        "balance_usd": 1.0,
        "currency": "USD",
        "held_usd": 0.0,
    }
    request_id = shop.submit(buyer, "test/slow")
    assert cost_of(buyer, request_id) == 0.1
    shop.finish(shop.claim(request_id))  # It says that it drew for a quarter of a second.
    assert cost_of(buyer, request_id) == 0.00025
    assert balance(buyer)["balance_usd"] == 0.99975


def test_a_quote_submits_nothing_and_refuses_what_a_submission_would(shop, buyer):
    assert buyer.post("/v1/models/test/instant/quote", json={}).json()["cost"] == 0.25
    assert buyer.post("/v1/models/test/instant/quote", json={"x": 1}).status_code == 422
    assert buyer.post("/v1/models/test/nothing/quote", json={}).json()["error"]["code"] == "model_not_found"
    assert balance(buyer)["balance_usd"] == 1
    assert buyer.get("/v1/usage").json()["usage"] == []


def test_the_owner_pays_nothing_and_sees_what_it_would_have_been(shop, owner):
    request_id = shop.submit(owner)
    shop.finish(shop.claim(request_id))
    assert cost_of(owner, request_id) == 0.25
    assert balance(owner) == {"balance_usd": 0, "currency": "USD", "unmetered": True}
    assert owner.get("/v1/ledger?limit=1").json()["entries"][0]["kind"] == "waiver"
    assert owner.post("/v1/models/test/instant/quote", json={}).json()["unmetered"] is True


def test_usage_is_told_by_day_key_and_model(shop, owner, buyer):
    made = buyer.post("/v1/keys", json={"name": "second"}).json()
    with shop.client(made["key"]) as second:
        for client, model_id in ((buyer, "test/instant"), (second, "test/instant"), (second, "test/slow")):
            shop.finish(shop.claim(shop.submit(client, model_id)))
        waiting = shop.submit(second)
    report = buyer.get("/v1/usage").json()
    today = datetime.now(UTC).date().isoformat()
    lines = {(line["key_name"], line["model_id"]): line for line in report["usage"]}
    assert {line["day"] for line in report["usage"]} == {today}
    counts = {name: (line["requests"], line["completed"], line["cost_usd"]) for name, line in lines.items()}
    assert counts == {
        ("first key", "test/instant"): (1, 1, 0.25),
        ("second", "test/instant"): (2, 1, 0.5),
        ("second", "test/slow"): (1, 1, 0.00025),
    }
    assert report["total"] == {"requests": 4, "completed": 3, "cost_usd": 0.75025}
    assert owner.get(f"/v1/admin/accounts/{buyer.account_id}/usage").json() == report
    assert buyer.get("/v1/usage?to=2020-01-01").json()["usage"] == []
    assert buyer.get("/v1/usage?from=2020-13-01").json()["error"]["fields"][0]["field"] == "from"
    buyer.post(f"/v1/requests/{waiting}/cancel")


def test_a_ledger_is_read_page_by_page(shop, owner, buyer):
    for note in ("one", "two"):
        grant(owner, buyer.account_id, 1, note=note)
    first = buyer.get("/v1/ledger?limit=2").json()
    rest = buyer.get(f"/v1/ledger?limit=2&cursor={first['next_cursor']}").json()
    assert [entry["note"] for entry in first["entries"]] == ["two", "one"]
    assert (len(rest["entries"]), rest["next_cursor"]) == (1, None)
    theirs = owner.get(f"/v1/admin/accounts/{buyer.account_id}/ledger").json()
    assert theirs["entries"] == first["entries"] + rest["entries"]


def test_a_grant_that_makes_no_sense_is_refused(owner, buyer):
    for body in ({}, {"amount_usd": 0}, {"amount_usd": "1"}, {"amount_usd": 1e-7}, {"amount_usd": 1e10}):
        answer = owner.post(f"/v1/admin/accounts/{buyer.account_id}/grants", json=body)
        assert answer.json()["error"]["fields"][0]["field"] == "amount_usd"
    assert owner.post("/v1/admin/accounts/nobody/grants", json={"amount_usd": 1}).status_code == 404
    taken = owner.post(f"/v1/admin/accounts/{buyer.account_id}/grants", json={"amount_usd": -2})
    assert taken.status_code == 402
    assert grant(owner, buyer.account_id, -1)["balance_usd"] == 0


def test_one_accounts_money_is_not_anothers(shop, owner, buyer):
    with shop.client(NEIGHBOUR_KEY) as neighbour:
        assert balance(neighbour)["balance_usd"] == 0
        assert neighbour.get("/v1/ledger").json()["entries"] == []
        assert neighbour.post("/v1/models/test/instant", json={}).status_code == 402
        assert neighbour.post("/v1/models/test/echo", content=json.dumps({})).status_code in (415, 422)
    assert NEIGHBOUR_ID in owner.get("/v1/admin/accounts").text
