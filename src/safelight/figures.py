"""Figures for Prometheus, true whichever process is asked: they come from the database.

What waits and runs is read at each scrape. What has ended is counted since this process started, whoever ran
it; several API processes show the same jobs, so take one of them, or the maximum.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, Summary
from prometheus_client import generate_latest as as_text
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from safelight import __version__
from safelight.queue.tally import Ended, Running, Tally, Waiting

WAIT_BUCKETS_S = (0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 900, 3600)
STAGE_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)


class Figures:
    """The figures of one process."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._now = _Now()
        known = self._registry = CollectorRegistry()
        known.register(self._now)
        ProcessCollector(registry=known)
        Info("safelight", "This server.", registry=known).info({"version": __version__})
        self._jobs = Counter(
            "safelight_jobs",
            "Jobs that have ended; code says why they failed.",
            ["model", "outcome", "code"],
            registry=known,
        )
        self._wait = Histogram(
            "safelight_wait_seconds",
            "From a job's submission to the start of its last attempt.",
            ["model"],
            buckets=WAIT_BUCKETS_S,
            registry=known,
        )
        self._stages = Histogram(
            "safelight_stage_seconds",
            "Seconds per stage of completed jobs.",
            ["model", "stage"],
            buckets=STAGE_BUCKETS_S,
            registry=known,
        )
        self._by_worker = Summary(
            "safelight_worker_stage_seconds",
            "The same by worker.",
            ["worker", "model", "stage"],
            registry=known,
        )

    async def text(self) -> bytes:
        """What Prometheus reads. Raises Unavailable when the database is away."""
        self._now.waiting, self._now.running = await self._tally.waiting(), await self._tally.running()
        for job in await self._tally.ended():
            self._count(job)
        return as_text(self._registry)

    def _count(self, job: Ended) -> None:
        self._jobs.labels(job.model_id, job.status.value, job.code).inc()
        if job.wait_s is not None:
            self._wait.labels(job.model_id).observe(job.wait_s)
        for stage, seconds in job.timings.items():
            self._stages.labels(job.model_id, stage).observe(seconds)
            self._by_worker.labels(job.worker_id or "", job.model_id, stage).observe(seconds)


class _Now(Collector):
    """What waits and runs at this moment."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.running: list[Running] = []

    def collect(self) -> Iterator[Metric]:
        """Turn it into gauges."""
        now = datetime.now(UTC)
        depth = GaugeMetricFamily("safelight_queue_jobs", "Jobs in the queue.", labels=["model"])
        age = GaugeMetricFamily(
            "safelight_queue_oldest_seconds",
            "How long the oldest job has been in the queue.",
            labels=["model"],
        )
        for queue in self.waiting:
            depth.add_metric([queue.model_id], queue.count)
            age.add_metric([queue.model_id], (now - queue.oldest_at).total_seconds())
        held = GaugeMetricFamily(
            "safelight_running_jobs", "Jobs that workers hold.", labels=["model", "worker"]
        )
        for part in self.running:
            held.add_metric([part.model_id, part.worker_id], part.count)
        yield from (depth, age, held)
