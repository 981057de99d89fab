"""What this very card reaches: products at the models' shapes, attention by backend, copies."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

RUNS = 10
BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
}


@dataclass(frozen=True)
class Shapes:
    """A model's own. products: (rows, inputs, outputs). attention: (heads, length, head dim)."""

    products: tuple[tuple[int, int, int], ...]
    attention: tuple[int, int, int]
    copied_bytes: int

    @classmethod
    def of(cls, family: str, *, tiny: bool) -> Shapes:
        """Those of a step at the size that is measured: 1024², or 1024×768 for Ovis."""
        if tiny:
            return cls(((64, 64, 64),), (4, 64, 16), 2**20)
        return {
            "z-image": cls(
                ((4224, 3840, 3840), (4224, 3840, 10240), (4224, 10240, 3840)), (30, 4224, 128), 2**32
            ),
            "ovis": cls(
                ((3328, 3072, 3072), (3328, 3072, 24576), (3328, 15360, 3072)), (24, 3328, 128), 2**32
            ),
            "klein": cls(
                ((12800, 3072, 3072), (12800, 3072, 27648), (12800, 12288, 3072)), (24, 12800, 128), 2**32
            ),
        }[family]


def calibrate(family: str, device: torch.device, *, tiny: bool) -> dict[str, float]:
    """Rates by name: TFLOP/s of products and attention, TB/s of copies (read and written bytes)."""
    shapes = Shapes.of(family, tiny=tiny)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    found = {}
    for rows, inputs, outputs in shapes.products:
        a, b = (torch.randn(size, device=device, dtype=dtype) for size in ((rows, inputs), (inputs, outputs)))
        seconds = _median_s(partial(torch.matmul, a, b), device)
        found[f"product {rows}×{inputs}×{outputs}, TFLOP/s"] = 2e-12 * rows * inputs * outputs / seconds
    heads, length, dim = shapes.attention
    query, key, value = (torch.randn((1, heads, length, dim), device=device, dtype=dtype) for _ in range(3))
    for name, backend in BACKENDS.items() if device.type == "cuda" else (("math", SDPBackend.MATH),):
        with sdpa_kernel(backend):
            try:
                seconds = _median_s(partial(scaled_dot_product_attention, query, key, value), device)
            except RuntimeError:  # this card or build has no such kernel
                continue
        found[f"attention {name}, TFLOP/s"] = 4e-12 * heads * length * length * dim / seconds
    source = torch.randint(0, 255, (shapes.copied_bytes,), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    found["copy, TB/s"] = 2e-12 * shapes.copied_bytes / _median_s(lambda: target.copy_(source), device)
    return found


def best_product(rates: dict[str, float]) -> float:
    """The fastest product, TFLOP/s."""
    return max(rate for name, rate in rates.items() if name.startswith("product"))


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _median_s(run: Callable[[], object], device: torch.device) -> float:
    samples = []
    for number in range(RUNS + 3):
        synchronize(device)
        started_s = time.perf_counter()
        run()
        synchronize(device)
        if number >= 3:
            samples.append(time.perf_counter() - started_s)
    return statistics.median(samples)
