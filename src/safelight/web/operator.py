"""For the owner of the server: its workers, its queue, what has failed, and everybody's accounts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.services import services
from safelight.queue.operations import Running
from safelight.web.rendering import render
from safelight.web.visit import operator_visit

FAILURES_SHOWN = 50


async def overview(request: Request) -> Response:
    """Show the workers, the queue and the last failures."""
    visit = await operator_visit(request)
    known = services(request)
    running = await known.operations.running()
    waiting = await known.operations.waiting()
    failures = await known.operations.failures(FAILURES_SHOWN)
    return render(
        visit,
        "operator.html",
        workers=await known.attendance.all(),
        running=running,
        running_by_worker=_by_worker(running),
        waiting=waiting,
        queued=sum(one.jobs for one in waiting),
        failures=failures,
        failure_codes=Counter(one.error.code for one in failures).most_common(),
        now=datetime.now(UTC),
    )


def _by_worker(running: list[Running]) -> dict[str, list[Running]]:
    found: dict[str, list[Running]] = {}
    for job in running:
        found.setdefault(job.worker_id, []).append(job)
    return found
