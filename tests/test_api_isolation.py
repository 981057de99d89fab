"""Two accounts: whatever one has, the other's key answers as if it were not there."""

from __future__ import annotations

import pytest

from tests.api_server import NEIGHBOUR_KEY, running_server


@pytest.mark.parametrize("state", ["in_queue", "in_progress", "completed", "failed", "cancelled"])
def test_another_accounts_request_is_like_an_unknown_one(database_url, tmp_path, state):
    with (
        running_server(tmp_path / "data", database_url=database_url) as server,
        server.client() as owner,
        server.client(NEIGHBOUR_KEY) as neighbour,
    ):
        request_id = bring_to(server, owner, state)
        before = owner.get(f"/v1/requests/{request_id}/result").json()
        for method, name in (("GET", "status"), ("GET", "result"), ("POST", "cancel"), ("HEAD", "status")):
            theirs = neighbour.request(method, f"/v1/requests/{request_id}/{name}")
            unknown = neighbour.request(method, f"/v1/requests/{'A' * 22}/{name}")
            assert theirs.status_code == unknown.status_code == 404
            assert theirs.content == unknown.content
        assert owner.get(f"/v1/requests/{request_id}/result").json() == before


def bring_to(server, client, state):
    request_id = server.submit(client)
    if state == "cancelled":
        client.post(f"/v1/requests/{request_id}/cancel")
    elif state != "in_queue":
        job = server.claim(request_id)
        if state == "completed":
            server.finish(job)
        elif state == "failed":
            server.fail(job, "internal_error", "It broke.")
    assert server.do(server.services.store.get(request_id, "owner")).status == state
    return request_id
