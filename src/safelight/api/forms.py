"""What may be sent to manage keys, accounts and credits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from starlette.requests import Request

from safelight.accounts.keys import NewKey
from safelight.accounts.passwords import MAX_CHARACTERS, MIN_CHARACTERS, normalized
from safelight.api.body import parse_json, read_json_body
from safelight.api.services import language
from safelight.callers import Limits, Scope
from safelight.complaints import Refused
from safelight.inputs import Body, Integer, PlainText
from safelight.texts import Text

MAX_USD = MAX_COUNT = 10**9

Form = TypeVar("Form", bound=Body)


async def read_form(request: Request, form: type[Form]) -> Form:
    """Read and validate a body. Raises what the caller shall be told."""
    return form.parse(parse_json(await read_json_body(request)), language(request))


def _amount(value: object) -> Decimal:
    """US dollars, exactly as they were written; JSON numbers have a short decimal form."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_USD:
        raise Refused(Text("must be a number of US dollars", "미국 달러 금액(숫자)이어야 합니다"))
    amount = Decimal(str(value))
    if amount != round(amount, 6):
        raise Refused(Text("must have at most 6 decimals", "소수점 이하 6자리까지 가능합니다"))
    return amount


def _not_negative(value: Decimal) -> Decimal:
    if value < 0:
        raise Refused(Text("must not be negative", "음수일 수 없습니다"))
    return value


def _not_zero(value: Decimal) -> Decimal:
    if value == 0:
        raise Refused(Text("must not be 0", "0일 수 없습니다"))
    return value


def _named(value: str) -> str:
    if not value.strip():
        raise Refused(Text("must not be empty", "비워 둘 수 없습니다"))
    return value


def _address(value: str) -> str:
    name, _, host = value.partition("@")
    if not name or not host or set(value) & set(" \t\r\n"):
        raise Refused(Text("must be an e-mail address", "이메일 주소여야 합니다"))
    return value


def _password(value: object) -> str:
    """A new password. What refuses it shows nothing of what was sent."""
    if not isinstance(value, str):
        raise Refused(Text("must be a string", "문자열이어야 합니다"))
    password = normalized(value)
    if len(password) < MIN_CHARACTERS:
        raise Refused(
            Text(f"must have at least {MIN_CHARACTERS} characters", f"{MIN_CHARACTERS}자 이상이어야 합니다")
        )
    if len(password) > MAX_CHARACTERS:
        raise Refused(
            Text(f"must have at most {MAX_CHARACTERS} characters", f"{MAX_CHARACTERS}자까지 가능합니다")
        )
    return password


Amount = Annotated[Decimal, BeforeValidator(_amount)]
Credits = Annotated[Amount, AfterValidator(_not_negative)]
ScopeName = Literal["submit", "read", "admin"]
Password = Annotated[
    PlainText, BeforeValidator(_password), Field(min_length=MIN_CHARACTERS, max_length=MAX_CHARACTERS)
]
Name = Annotated[PlainText, AfterValidator(_named), Field(max_length=100)]


class LimitsForm(Body):
    """Limits; null, or left out: none."""

    requests_per_minute: Integer | None = Field(None, ge=1, le=MAX_COUNT)
    queued_jobs: Integer | None = Field(None, ge=1, le=MAX_COUNT)
    running_jobs: Integer | None = Field(None, ge=1, le=MAX_COUNT)
    monthly_credits: Credits | None = None

    def limits(self) -> Limits:
        """The limits that were sent."""
        return Limits(**{name: getattr(self, name) for name in vars(Limits())})


class KeyForm(LimitsForm):
    """A key to make. Whoever wants one that manages others must say so."""

    name: Name
    scopes: Annotated[list[ScopeName], Field(min_length=1, max_length=3)] = Field(["submit", "read"])
    expires_in_days: Integer | None = Field(None, ge=1, le=3650)

    def key(self) -> NewKey:
        """The key that is asked for."""
        days = self.expires_in_days
        expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
        return NewKey(self.name, frozenset(map(Scope, self.scopes)), self.limits(), expires_at)


class GrantForm(Body):
    """Credits to give; a negative amount takes them back."""

    amount_usd: Annotated[Amount, AfterValidator(_not_zero)]
    note: Annotated[PlainText, Field(max_length=500)] = ""


class AccountForm(LimitsForm):
    """An account to make."""

    email: Annotated[PlainText, AfterValidator(_address), Field(max_length=254)]
    unmetered: bool = False


class PasswordForm(Body):
    """The password that an account shall have; null: none."""

    password: Password | None
