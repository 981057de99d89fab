"""Wan 2.6 over its vendor's HTTP API: hand in a task, look after it until it has ended, copy the picture.

A picture's address works for 24 hours, and so does a task's number. The key goes into one header and nowhere
else. Protocol: https://www.alibabacloud.com/help/en/model-studio/wan-image-generation-api-reference
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from pydantic import SecretStr

from safelight.errors import JobFailure, StorageFull, UpstreamFailed, UrlNotAllowed
from safelight.images.codec import MAX_IMAGE_BYTES, content_type, identify
from safelight.jobs import Json
from safelight.network.fetch import Fetcher
from safelight.texts import Text
from safelight.worker.upstream import Order

MODEL = "wan2.6-image"
SUBMIT = "/services/aigc/image-generation/generation"
MAX_ANSWER_BYTES = 2**20
CALL_OFF_S = 10

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WanPace:
    """Seconds between looks at a task, for one answer, and from handing in to giving up."""

    poll_s: float = 2
    answer_s: float = 120
    total_s: float = 1200


class _Busy(Exception):
    """The vendor cannot answer right now; later it may."""


class WanApi:
    """The vendor's API, as an `Upstream`."""

    name = MODEL

    def __init__(self, base_url: str, key: SecretStr, fetcher: Fetcher, pace: WanPace | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._fetcher = fetcher
        self._pace = pace or WanPace()

    async def draw(self, order: Order, into: Path) -> None:
        """Have the order drawn and copy the picture's file to `into` at once. Raises UpstreamFailed."""
        try:
            async with asyncio.timeout(self._pace.total_s), self._session() as session:
                task = order.task
                if task is None:
                    task = await self._hand_in(session, await asyncio.to_thread(_body, order))
                    await order.remember(task)
                picture = await self._picture(session, task)
                await self._copy(picture, into)
        except TimeoutError:
            raise UpstreamFailed(_TOO_LONG) from None

    async def call_off(self, task: str) -> None:
        """Cancel a task. The vendor does so only before it has begun; a running one draws for nobody."""
        try:
            async with asyncio.timeout(CALL_OFF_S), self._session() as session:
                await self._ask(session, "POST", f"/tasks/{task}/cancel")
        except (_Busy, UpstreamFailed, aiohttp.ClientError, TimeoutError):
            log.info("upstream_task_runs_on", upstream=self.name)

    async def _hand_in(self, session: aiohttp.ClientSession, body: bytes) -> str:
        """The number of a new task. Only where the vendor surely took nothing is it tried again."""
        while True:
            try:
                answer = await self._ask(session, "POST", SUBMIT, body)
                break
            except (_Busy, aiohttp.ClientConnectorError):
                await asyncio.sleep(self._pace.poll_s)
            except (aiohttp.ClientError, TimeoutError):
                raise UpstreamFailed(_NO_ANSWER) from None
        return _text(answer, "output", "task_id")

    async def _picture(self, session: aiohttp.ClientSession, task: str) -> str:
        """Where the task's picture is, once it has been drawn."""
        while True:
            try:
                output = _at(await self._ask(session, "GET", f"/tasks/{task}"), "output")
            except (_Busy, aiohttp.ClientError, TimeoutError):
                output = {"task_status": "PENDING"}
            match output.get("task_status") if isinstance(output, dict) else None:
                case "PENDING" | "RUNNING" | "SUSPENDED":
                    await asyncio.sleep(self._pace.poll_s)
                case "SUCCEEDED":
                    return _address(output)
                case "UNKNOWN":
                    raise UpstreamFailed(_FORGOTTEN)
                case "CANCELED":
                    raise UpstreamFailed(_CANCELLED)
                case _:
                    raise _refusal(output)

    async def _copy(self, url: str, into: Path) -> None:
        """Copy the picture before its address expires; a hiccup is given two more chances."""
        for chance in (1, 2, 3):
            try:
                await self._fetcher.fetch(url, into, MAX_IMAGE_BYTES)
                return
            except (StorageFull, TimeoutError):
                raise
            except UrlNotAllowed:
                raise UpstreamFailed(_FORBIDDEN_ADDRESS) from None
            except JobFailure as error:
                log.warning("upstream_copy_failed", reason=error.code, chance=chance)
                await asyncio.sleep(self._pace.poll_s)
        raise UpstreamFailed(_NOT_COPIED)

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, path: str, body: bytes | None = None
    ) -> Any:
        """The JSON of an answer. Raises UpstreamFailed, _Busy, and what the connection raises."""
        async with session.request(
            method, self._base_url + path, data=body, allow_redirects=False
        ) as response:
            answer = await _json(response)
            if response.status == 200:
                return answer
            if response.status == 429 or (response.status >= 500 and method == "GET"):
                raise _Busy
            if response.status in {401, 403}:
                log.error("upstream_refused_the_key", status=response.status, code=_code(answer))
            raise _refusal(answer, response.status)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers={
                "Authorization": f"Bearer {self._key.get_secret_value()}",
                "Content-Type": "application/json",
                "X-DashScope-Async": "enable",
                "User-Agent": "safelight",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._pace.answer_s, connect=10),
            trust_env=False,
        )


# --- What is said ---------------------------------------------------------------------------------------


def _body(order: Order) -> bytes:
    """The task as JSON; images go along inside it, since what is stored here has no public address."""
    asked = order.input
    content: list[Json] = [{"text": asked["prompt"]}]
    content += [{"image": _data_uri(Path(path))} for path in order.images["image_urls"]]
    parameters = {
        "negative_prompt": asked["negative_prompt"],
        "size": asked["image_size"].split(" ")[0],
        "seed": asked["seed"],
        "prompt_extend": asked["prompt_extend"],
        "n": 1,  # the vendor's own default is 4, each charged
        "watermark": False,
        "enable_interleave": False,
    }
    message = {"role": "user", "content": content}
    return json.dumps({"model": MODEL, "input": {"messages": [message]}, "parameters": parameters}).encode()


def _data_uri(path: Path) -> str:
    data = path.read_bytes()
    return f"data:{content_type(identify(data))};base64,{base64.b64encode(data).decode()}"


# --- What is answered -----------------------------------------------------------------------------------


async def _json(response: aiohttp.ClientResponse) -> Any:
    """The answer's JSON; None where it is none, or too long to be one of the vendor's."""
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def _at(answer: Any, *path: str | int) -> Any:
    """What lies at a path of keys and indices. Raises UpstreamFailed where nothing does."""
    for key in path:
        try:
            answer = answer[key]
        except (KeyError, IndexError, TypeError):
            raise _strange() from None
    return answer


def _text(answer: Any, *path: str | int) -> str:
    found = _at(answer, *path)
    if not isinstance(found, str) or not re.fullmatch(r"[A-Za-z0-9_.:-]{1,200}", found):
        raise _strange()
    return found


def _address(output: Mapping[str, Any]) -> str:
    """The address of the first picture among the messages of an ended task."""
    choices: Sequence[Any] = _at(output, "choices")
    for choice in choices if isinstance(choices, list) else ():
        for part in _at(choice, "message", "content"):
            if isinstance(part, dict) and isinstance(part.get("image"), str):
                return str(part["image"])
    raise _strange()


def _strange() -> UpstreamFailed:
    return UpstreamFailed(_STRANGE)


_TOO_LONG = Text(
    "Wan's API took too long; try again later.",
    "Wan API가 너무 오래 걸렸습니다. 나중에 다시 시도해 주세요.",
)
_NO_ANSWER = Text(
    "Wan's API did not answer; the task may have been lost.",
    "Wan API가 응답하지 않았습니다. 작업이 사라졌을 수 있습니다.",
)
_FORGOTTEN = Text(
    "Wan's API no longer knows the task: it keeps one for 24 hours.",
    "Wan API에 작업이 더는 없습니다. 작업은 24시간 동안만 보관됩니다.",
)
_CANCELLED = Text("The task was cancelled at Wan's API.", "Wan API에서 작업이 취소되었습니다.")
_FORBIDDEN_ADDRESS = Text(
    "Wan's API names an address that this server may not fetch.",
    "Wan API가 알려 준 주소는 이 서버가 가져올 수 없습니다.",
)
_NOT_COPIED = Text(
    "The picture could not be copied from Wan's API; its address may have expired.",
    "Wan API에서 이미지를 가져오지 못했습니다. 주소가 만료되었을 수 있습니다.",
)
_STRANGE = Text("Wan's API gave an answer that is not understood.", "Wan API의 응답을 이해할 수 없습니다.")
_BAD_KEY = Text(
    "Wan's API refused this server's key; its operator must check it.",
    "Wan API가 이 서버의 키를 거부했습니다. 운영자가 확인해야 합니다.",
)

_SENTENCES = {
    "DataInspectionFailed": Text(
        "Wan's API refused the prompt or an image: its content filter objects.",
        "Wan API의 콘텐츠 필터가 프롬프트나 이미지를 거부했습니다.",
    ),
    "InvalidApiKey": _BAD_KEY,
    "AccessDenied": _BAD_KEY,
    "Arrearage": Text(
        "This server's account at Wan's API has no credit.", "이 서버의 Wan API 계정에 잔액이 없습니다."
    ),
    "Throttling": Text(
        "Wan's API is too busy; try again later.", "Wan API가 혼잡합니다. 나중에 다시 시도해 주세요."
    ),
}
"""By the beginning of the vendor's code: `Throttling.RateQuota`, `AccessDenied.Unpurchased` …"""


def _refusal(answer: Any, status: int | None = None) -> UpstreamFailed:
    """The failure that an answer stands for. The vendor's own words may quote anything: they stay here."""
    code = _code(answer)
    for beginning, sentence in _SENTENCES.items():
        if code.startswith(beginning):
            return UpstreamFailed(sentence)
    if status in {401, 403}:
        return UpstreamFailed(_BAD_KEY)
    named = f" ({code})" if code else f" (HTTP {status})" if status else ""
    return UpstreamFailed(
        Text(f"Wan's API could not draw this{named}.", f"Wan API가 그리지 못했습니다{named}.")
    )


def _code(answer: Any) -> str:
    code = answer.get("code") if isinstance(answer, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", code) else ""
