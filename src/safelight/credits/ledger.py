"""Credits: a double-entry ledger. 1 credit = 1 US dollar.

Every entry takes an amount from one book of an account and gives it to another, and none is ever changed:

    grant       granted → free        withdrawal  free → granted
    hold        free → held           release     held → free
    charge      held → charged        waiver      waived → charged

A job's cost is held when it is submitted, charged when it is completed and released otherwise, each in the
transaction of the job's own transition. What an unmetered account uses is waived. An account's balance is the
sum of its entries in `free`; the database itself keeps the sums and lets none fall below zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.credits.audit import audit
from safelight.db.database import Database
from safelight.db.statements import Statement
from safelight.db.tables import BOOKS, accounts, balances, ledger
from safelight.errors import InsufficientCredits, NotFound
from safelight.texts import Text


@dataclass(frozen=True)
class Balance:
    """What an account has: free to spend, and held for requests under way."""

    free: Decimal = Decimal(0)
    held: Decimal = Decimal(0)


@dataclass(frozen=True)
class Entry:
    """One entry of the ledger."""

    seq: int
    account_id: str
    kind: str
    amount: Decimal
    job_id: str | None
    note: str
    created_at: datetime

    @property
    def change(self) -> Decimal:
        """What it does to the balance."""
        source, target = BOOKS[self.kind]
        return self.amount * ((target == "free") - (source == "free"))


class Ledger:
    """The ledger in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def balance(self, account_id: str) -> Balance:
        """What an account has."""
        rows = await self._database.rows(_BALANCE, {"account": account_id})
        return Balance(rows[0].free, rows[0].held) if rows else Balance()

    async def balances(self) -> dict[str, Balance]:
        """What every account has; those that never had anything are left out."""
        rows = await self._database.rows(_BALANCES, {})
        return {row.account_id: Balance(row.free, row.held) for row in rows}

    async def grant(self, account_id: str, amount: Decimal, note: str = "") -> Entry:
        """Give an account credits; a negative amount takes them back, as far as they are free.

        Raises NotFound and InsufficientCredits.
        """
        return await self._database.write(lambda connection: _grant(connection, account_id, amount, note))

    async def entries(self, account_id: str, limit: int, before: int | None = None) -> list[Entry]:
        """An account's entries, the newest first. before: a `seq`, for what follows a page."""
        query = sa.select(*_ENTRY).where(ledger.c.account_id == account_id)
        if before is not None:
            query = query.where(ledger.c.seq < before)
        page = query.order_by(ledger.c.seq.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(page).all())
        return [Entry(**row._mapping) for row in rows]

    async def audit(self) -> list[str]:
        """Prove the books. Returns what is wrong with them, nothing if nothing is."""
        return await self._database.study(audit)


_BALANCES = Statement(sa.select(balances))
_BALANCE = Statement(
    sa.select(balances.c.free, balances.c.held).where(
        balances.c.account_id == sa.bindparam("account", type_=sa.Text)
    )
)
_ENTRY = [ledger.c[name] for name in Entry.__dataclass_fields__]


_TOO_LITTLE = Text(
    "The account has less than that; what requests hold is not free.",
    "계정의 잔액이 그보다 적습니다. 요청에 잡혀 있는 금액은 쓸 수 없습니다.",
)


def _grant(connection: Connection, account_id: str, amount: Decimal, note: str) -> Entry:
    if connection.execute(sa.select(accounts.c.id).where(accounts.c.id == account_id)).first() is None:
        raise NotFound(Text("There is no such account.", "그런 계정이 없습니다."))
    if amount < 0:
        mine = sa.select(balances.c.free).where(balances.c.account_id == account_id)
        if (connection.scalar(mine.with_for_update(key_share=True)) or 0) < -amount:
            raise InsufficientCredits(_TOO_LITTLE)
    kind = "grant" if amount > 0 else "withdrawal"
    source, target = BOOKS[kind]
    row = {
        "account_id": account_id,
        "kind": kind,
        "source": source,
        "target": target,
        "amount": abs(amount),
        "note": note,
        "created_at": datetime.now(UTC),
    }
    written = connection.execute(sa.insert(ledger).values(row).returning(*_ENTRY)).one()
    return Entry(**written._mapping)
