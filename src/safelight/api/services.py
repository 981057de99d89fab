"""What the API works with, opened once per process, and what a request says about itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

from starlette.requests import Request

from safelight.accounts.accounts import Accounts
from safelight.accounts.device_logins import DeviceLogins
from safelight.accounts.keys import Keys
from safelight.accounts.passwords import Passwords
from safelight.accounts.rates import Rates, tightest
from safelight.accounts.sessions import Sessions
from safelight.callers import Account, Caller
from safelight.credits.ledger import Ledger
from safelight.credits.usage import Usage
from safelight.db.database import Database
from safelight.db.wake import open_waker
from safelight.errors import RateLimited
from safelight.files.files import FileStore, LocalFiles
from safelight.files.records import FileRecords
from safelight.models import Catalogue
from safelight.models.base import Model
from safelight.network.fetch import Fetcher
from safelight.prices import Price
from safelight.queue.attendance import Attendance
from safelight.queue.operations import Operations
from safelight.queue.store import Store
from safelight.queue.tally import Tally
from safelight.queue.webhooks import Webhooks
from safelight.settings import Settings
from safelight.texts import Language, choose_language
from safelight.weights.choice import open_catalogue

if TYPE_CHECKING:
    from safelight.figures import Figures


@dataclass(frozen=True)
class Services:
    """Everything an endpoint may use.

    stopping: set when the server takes no new work any more. keys_under_way: the idempotency keys, each with
    its account, whose submissions are being accepted right now.
    """

    settings: Settings
    database: Database
    store: Store
    accounts: Accounts
    keys: Keys
    passwords: Passwords
    sessions: Sessions
    attendance: Attendance
    operations: Operations
    device_logins: DeviceLogins
    ledger: Ledger
    usage: Usage
    rates: Rates
    files: FileStore
    records: FileRecords
    webhooks: Webhooks
    fetcher: Fetcher
    catalogue: Catalogue
    tally: Tally
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    keys_under_way: set[tuple[str, str]] = field(default_factory=set)

    @cached_property
    def figures(self) -> Figures:
        """What Prometheus is told."""
        from safelight.figures import Figures  # Late: to import it takes long, and few servers are asked.

        return Figures(self.tally)

    def price_of(self, model: Model) -> Price:
        """What a model costs here."""
        return self.settings.pricing.of(model.id, model.price)


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open the database (creating it where it is missing) and what stands on it; close it at the end."""
    catalogue = open_catalogue(settings)
    files = LocalFiles(settings.files_dir)
    settings.pricing.check(model.id for model in catalogue.all())
    async with AsyncExitStack() as opened:
        database = await Database.open(settings.database)
        opened.push_async_callback(database.close)
        waker = open_waker(settings.database)
        opened.push_async_callback(waker.close)
        keys = Keys(database)
        tally = Tally(database)
        await tally.begin()
        yield Services(
            settings=settings,
            database=database,
            store=Store(database, waker),
            accounts=Accounts(database),
            keys=keys,
            passwords=Passwords(database),
            attendance=Attendance(database),
            operations=Operations(database),
            sessions=Sessions(database, keys),
            device_logins=DeviceLogins(database),
            ledger=Ledger(database),
            usage=Usage(database),
            rates=Rates(),
            files=files,
            records=FileRecords(database),
            webhooks=Webhooks(database),
            fetcher=Fetcher(settings.fetch_allow),
            catalogue=catalogue,
            tally=tally,
        )


def services(request: Request) -> Services:
    """The process's services."""
    return cast(Services, request.scope["app"].services)


def caller(request: Request) -> Caller:
    """Who is asking; `Guards` has put it there."""
    return cast(Caller, request.scope["caller"])


def count_submission(request: Request) -> None:
    """Count one within the caller's requests per minute, and let the answer tell. Raises RateLimited."""
    rates, who = services(request).rates, caller(request)
    try:
        windows = rates.count(who)
    except RateLimited:
        windows = rates.windows(who)
        raise
    finally:
        window = tightest(windows)
        if window:
            told = {"limit": window.limit, "remaining": window.remaining, "reset": window.reset_s}
            request.scope["limit_headers"] = [
                (f"x-ratelimit-{name}".encode(), str(value).encode()) for name, value in told.items()
            ]


def account(request: Request) -> Account:
    """The account of who is asking."""
    return caller(request).account


def language(request: Request) -> Language:
    """The language of the answer."""
    asked = request.query_params.get("lang") if request.scope["query_string"] else None
    accepted = _header(request, b"accept-language")
    return choose_language(asked, accepted) if asked or accepted else Language.EN


def client_address(request: Request) -> str:
    """Where a request comes from; behind a proxy that the server trusts, what that says."""
    return request.client.host if request.client else ""


def base_url(request: Request) -> str:
    """What the URLs in an answer start with: the configured public URL, else the request's own host."""
    return services(request).settings.public_url or request_base_url(request)


def request_base_url(request: Request) -> str:
    """The address that this request came to."""
    host = _header(request, b"host")
    if not host:
        name, port = request.scope["server"]
        host = f"{name}:{port}"
    return f"{request.scope['scheme']}://{host}"


def _header(request: Request, wanted: bytes) -> str:
    """A header's first value, or nothing. Cheaper than `request.headers` where one is all that is read."""
    for name, value in request.scope["headers"]:
        if name == wanted:
            return cast(bytes, value).decode("latin-1")
    return ""
