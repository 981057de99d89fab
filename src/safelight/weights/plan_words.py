"""A memory plan in plain words, with what it costs in time."""

from __future__ import annotations

from collections.abc import Sequence

from safelight.weights.memory_plan import MemoryPlan, PlannedPart

BUS_BYTES_PER_S = 12 * 10**9
"""What is reckoned for the way from main memory to a GPU: PCIe 3.0 on 16 lanes. Newer slots are faster."""

_NAMES = {"text_encoder": "text encoder", "controlnet": "ControlNet", "vae": "autoencoder"}
_WORTH_TELLING_BYTES = 10**8


def in_words(plan: MemoryPlan) -> str:
    """Say what stays on the device, what comes to it, and about how long that takes."""
    staying = [
        f"{_name(part)} {_gb(part.staying_bytes)}"
        for part in plan.parts
        if part.staying_bytes >= _WORTH_TELLING_BYTES
    ]
    room = plan.budget_bytes - (plan.peak_bytes - plan.working_bytes)
    sentences = [
        f"weights in {plan.precision}: "
        + (f"{_listed(staying)} stay on it" if staying else "none stay on it"),
        *[_cost(part) for part in plan.parts if part.streamed_bytes],
        f"{_gb(room)} are left to compute with",
    ]
    if plan.streamed_bytes:
        sentences.append(f"{_gb(plan.streamed_bytes)} of main memory are taken")
    return "; ".join(sentences)


def _cost(part: PlannedPart) -> str:
    seconds = part.streamed_bytes / BUS_BYTES_PER_S
    amount = "all" if not part.staying_bytes else _gb(part.streamed_bytes)
    what = f"{amount} of the {_name(part)} ({_gb(part.size.bytes)}) comes from main memory"
    if part.name == "text_encoder":
        return f"{what} for each prompt, about {seconds:.1f} s more"
    steps = "each controlled step" if part.name == "controlnet" else "each step"
    return f"{what} at {steps}, while it computes: no step takes less than {seconds:.1f} s"


def _name(part: PlannedPart) -> str:
    return _NAMES.get(part.name, part.name)


def _listed(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
