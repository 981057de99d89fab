"""Login of a device: it starts and polls without a key, a person with one approves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from safelight.accounts.device_logins import EXPIRES_IN_S, POLL_INTERVAL_S, LoginStatus
from safelight.api.answers import JsonBytes, json_answer
from safelight.api.documentation import body_of, documented
from safelight.api.forms import read_form
from safelight.api.services import account, base_url, language, services
from safelight.api.shapes import DeviceLogin, LoginDecided, LoginState
from safelight.api.wire import error_content, to_bytes
from safelight.errors import Expired
from safelight.inputs import Body, PlainText
from safelight.jobs import Json
from safelight.texts import Text

router = APIRouter()


class PollForm(Body):
    """Which device asks."""

    device_code: Annotated[PlainText, Field(max_length=200)]


class DecisionForm(Body):
    """Which login is decided. approve: false denies it."""

    user_code: Annotated[PlainText, Field(max_length=40)]
    approve: bool = True


@router.post("/api/cli-auth/start", **documented(DeviceLogin, "account", needs_key=False))
async def start(request: Request) -> Response:
    """Begin a login; show its code, then poll."""
    login = await services(request).device_logins.start()
    answer = {
        "device_code": login.device_code,
        "user_code": login.user_code,
        "verify_url": f"{base_url(request)}/device?code={login.user_code}",
        "expires_in": EXPIRES_IN_S,
        "poll_interval": POLL_INTERVAL_S,
    }
    return json_answer(answer)


@router.post(
    "/api/cli-auth/poll", **documented(LoginState, "account", body=body_of(PollForm), needs_key=False)
)
async def poll(request: Request) -> Response:
    """Tell whether the login is approved; the first answer that says so brings the key. 410: it is over."""
    form = await read_form(request, PollForm)
    status, token = await services(request).device_logins.poll(form.device_code)
    if status in (LoginStatus.DENIED, LoginStatus.EXPIRED):
        over = Expired(_DENIED if status is LoginStatus.DENIED else _EXPIRED)
        return JsonBytes(
            to_bytes({"status": status.value, **error_content(over, language(request))}), over.http_status
        )
    answer: Json = {"status": status.value}
    return json_answer(answer | {"access_token": token} if token else answer)


_DENIED = Text("The login was denied.", "로그인이 거부되었습니다.")
_EXPIRED = Text(
    "The login expired, or its key was fetched already; start it again.",
    "로그인이 만료되었거나 키를 이미 가져갔습니다. 다시 시작해 주세요.",
)


@router.post("/api/cli-auth/approve", **documented(LoginDecided, "account", body=body_of(DecisionForm)))
async def approve(request: Request) -> Response:
    """Approve or deny the login that shows this code: its device gets a key of this account."""
    form = await read_form(request, DecisionForm)
    await services(request).device_logins.decide(form.user_code, account(request).id, approved=form.approve)
    return json_answer({"status": "authorized" if form.approve else "denied"})
