"""The Python client: submit a request, wait for it, fetch its images."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from safelight import __version__
from safelight.jobs import Json

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
FIRST_POLL_S = 0.05
SLOWEST_POLL_S = 1.0
TIMEOUT_S = 30

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class APIError(Exception):
    """The server refused: a stable `code`, a sentence, and the fields it names."""

    def __init__(self, http_status: int, code: str, message: str, fields: list[Json]) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.message = message
        self.fields = fields


class ConnectionFailed(Exception):
    """No server answered at the base URL."""


class RequestFailed(Exception):
    """The request was accepted and failed; `code` and the message say why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class RequestCancelled(Exception):
    """The request was cancelled."""


@dataclass(frozen=True)
class Submitted:
    """An accepted request."""

    request_id: str


class Client:
    """Talks to one server with one API key; both default to the environment."""

    def __init__(self, base_url: str | None = None, api_key: str | None = None) -> None:
        self.base_url = (base_url or os.environ.get("SAFELIGHT_BASE_URL") or DEFAULT_BASE_URL).rstrip("/")
        key = api_key or os.environ.get("SAFELIGHT_API_KEY") or ""
        # What is on this machine is reached without a proxy, whatever the environment says.
        is_local = urlsplit(self.base_url).hostname in _LOOPBACK
        agent = {"User-Agent": f"safelight/{__version__}"}
        self._anyone = httpx2.Client(
            base_url=self.base_url, headers=agent, timeout=TIMEOUT_S, trust_env=not is_local
        )
        self._http = httpx2.Client(
            base_url=self.base_url,
            headers=agent | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=TIMEOUT_S,
            trust_env=not is_local,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._anyone.close()

    def models(self) -> list[Json]:
        """The catalogue's entries, without their schemas; as many as one page holds."""
        return list(self.ask("GET", "/v1/models?limit=100")["models"])

    def model(self, model_id: str) -> Json:
        """One entry of the catalogue, with its schemas."""
        return self.ask("GET", f"/v1/models/{model_id}")

    def balance(self) -> Json:
        """What the account has left."""
        return self.ask("GET", "/v1/balance")

    def ask(self, method: str, path: str, **options: Any) -> Json:
        """Send anything to the API under the key. options: `json`, `params`."""
        answer: Json = self._send(self._http, method, path, **options).json()
        return answer

    def submit(self, model_id: str, input: Json) -> Submitted:
        """Send a request; it waits in the server's queue from here on."""
        return Submitted(self.ask("POST", f"/v1/models/{model_id}", json=input)["request_id"])

    def status(self, request_id: str) -> Json:
        """Where the request is."""
        return self.ask("GET", f"/v1/requests/{request_id}/status")

    def result(self, request_id: str) -> Json:
        """The result record, whatever the state."""
        return self.ask("GET", f"/v1/requests/{request_id}/result")

    def cancel(self, request_id: str) -> Json:
        """Cancel a request that is still queued."""
        return self.ask("POST", f"/v1/requests/{request_id}/cancel")

    def wait(self, request_id: str, on_update: Callable[[Json], None] | None = None) -> Json:
        """Poll until the request has ended; returns its result.

        Raises RequestFailed or RequestCancelled when it did not succeed.
        """
        pause_s = FIRST_POLL_S
        while True:
            status = self.status(request_id)
            if on_update:
                on_update(status)
            if status["status"] in {"completed", "cancelled"}:
                return self._outcome(request_id)
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, SLOWEST_POLL_S)

    def run(self, model_id: str, input: Json) -> Json:
        """Submit and wait."""
        return self.wait(self.submit(model_id, input).request_id)

    def download(self, url: str) -> bytes:
        """The bytes of an output. Its URL is enough: whatever host it names is not shown the key."""
        return self._send(self._anyone, "GET", url).content

    def _outcome(self, request_id: str) -> Json:
        result = self.result(request_id)
        if result["status"] == "failed":
            raise RequestFailed(result["error"]["code"], result["error"]["message"])
        if result["status"] == "cancelled":
            raise RequestCancelled(f"{request_id} was cancelled.")
        return result

    def _send(self, http: httpx2.Client, method: str, url: str, **options: Any) -> httpx2.Response:
        try:
            response = http.request(method, url, **options)
        except httpx2.TransportError as error:
            raise ConnectionFailed(
                f"No server answers at {self.base_url} ({type(error).__name__})."
            ) from error
        if response.is_error:
            raise _refusal(response)
        return response


def _refusal(response: httpx2.Response) -> APIError:
    try:
        error = response.json()["error"]
        return APIError(response.status_code, error["code"], error["message"], error.get("fields", []))
    except (ValueError, KeyError, TypeError):
        return APIError(response.status_code, "unknown", f"The server answered {response.status_code}.", [])
