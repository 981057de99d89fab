"""A plot of one benchmark: a bar for each contestant, median and p90, as SVG."""

from __future__ import annotations

import statistics
from html import escape
from typing import Any

WIDTH, LEFT, ROW, TOP = 860, 230, 34, 56


def plot(report: dict[str, Any]) -> str:
    """Seconds for one picture, shorter is better; a line is where nine of ten pictures were done."""
    samples: dict[str, list[float]] = report["samples_s"]
    longest = max(max(values) for values in samples.values())
    height = TOP + ROW * len(samples) + 20
    rows = [_row(number, name, values, longest) for number, (name, values) in enumerate(samples.items())]
    title = f"{report['model']}{' (tiny)' if report['tiny'] else ''}, {report['machine']['device']}: seconds"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="16" y="28" font-size="16">{escape(title)}</text>{"".join(rows)}</svg>\n'
    )


def _row(number: int, name: str, values: list[float], longest: float) -> str:
    median, p90 = statistics.median(values), sorted(values)[int(len(values) * 0.9)]
    y, room = TOP + number * ROW, WIDTH - LEFT - 90
    end, far = (LEFT + room * seconds / longest for seconds in (median, p90))
    colour = "#2563eb" if name.startswith("ours") else "#9ca3af"
    return (
        f'<text x="{LEFT - 10}" y="{y + 17}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="24" fill="{colour}"/>'
        f'<line x1="{far:.1f}" x2="{far:.1f}" y1="{y}" y2="{y + 24}" stroke="black"/>'
        f'<text x="{max(end, far) + 8:.1f}" y="{y + 17}">{median:.3f}</text>'
    )
