"""One model at its real size with random weights: ours against diffusers, and diffusers compiled.

    python -m benchmarks.gpu z-image-controlnet          # or z-image-inpainting, ovis, klein
    python -m benchmarks.gpu z-image-controlnet --tiny   # every path of it on a CPU, in a minute

First the card is calibrated, then everybody draws in turns. Each lever of ours that is not taken by itself is
a contestant too. What is printed is also written, with all samples, as JSON and as a plot.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.calibrate import best_product, calibrate, synchronize
from benchmarks.gpu.contest import JOBS, VERSIONS, WORDS, Contest
from benchmarks.gpu.plot import plot
from safelight.engine.compiling import prepare_compiler

ATTENTIONS = ("_native_cudnn", "_native_flash")
LIMIT_S = 8 * 60


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", choices=JOBS)
    parser.add_argument("--tiny", action="store_true", help="tiny weights, on the CPU too")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/figures"), help="where figures are written"
    )
    parser.add_argument(
        "--first", metavar="FOLDER", help=argparse.SUPPRESS
    )  # what a warm start calls itself with
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not arguments.tiny:
        parser.error("there is no GPU here; --tiny goes through everything on a CPU")
    torch.set_grad_enabled(False)
    if arguments.first:
        print(json.dumps(_first_picture(arguments.model, device, arguments.tiny, arguments.first)))
        return
    with TemporaryDirectory() as folder:
        report = _measure(arguments, device, folder)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"gpu-{arguments.model}{'-tiny' if arguments.tiny else ''}.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False))
    path.with_suffix(".svg").write_text(plot(report))
    print(f"\nwritten: {path} and {path.with_suffix('.svg').name}")


def _measure(arguments: argparse.Namespace, device: torch.device, folder: str) -> dict[str, Any]:
    began_s = time.perf_counter()
    prepare_compiler(Path(folder))
    report: dict[str, Any] = {"model": arguments.model, "tiny": arguments.tiny, "machine": _machine(device)}
    print(json.dumps(report["machine"]))
    report["calibration"] = rates = calibrate(JOBS[arguments.model].family, device, tiny=arguments.tiny)
    for name, rate in rates.items():
        print(f"{name:40} {rate:10.3f}")
    contest = Contest.of(arguments.model, device, tiny=arguments.tiny)
    contest.enter()
    report["left_out"] = _enter_levers(contest)
    report["flops"] = _flops(contest)
    report["first_picture_s"] = {name: _synchronized(contest, name, device) for name in list(contest.draw)}
    report["parity"] = _parity(contest, device)
    report["samples_s"], report["peak_gib"] = _in_turns(contest, arguments.rounds, device, began_s)
    report["warm_start_s"] = _warm_start(arguments, folder)
    report["took_s"] = time.perf_counter() - began_s
    _tell(report)
    return report


def _enter_levers(contest: Contest) -> dict[str, str]:
    """Let what is not taken by itself take part. Returns what cannot, and why."""
    left_out = {}
    for backend in ATTENTIONS:
        try:
            contest.with_attention(backend)
            contest.timed(f"ours, {backend}")
        except Exception as error:  # kernels that this card or build lacks are named by all kinds of errors
            contest.draw.pop(f"ours, {backend}", None)
            left_out[backend] = str(error)[:200]
    contest.with_fast_autoencoder()
    return left_out


def _flops(contest: Contest) -> dict[str, float]:
    """What a picture of diffusers and of ours takes, counted while it is drawn."""
    found = {}
    for name in ("diffusers", "ours, not compiled"):
        with FlopCounterMode(display=False) as counted:
            contest.timed(name)
        found[name] = float(counted.get_total_flops())
    return found


def _synchronized(contest: Contest, name: str, device: torch.device) -> float:
    seconds = contest.timed(name)
    synchronize(device)
    return seconds


def _parity(contest: Contest, device: torch.device) -> dict[str, float]:
    """How far from diffusers' picture each other one is: the mean over colours, of 255.

    Beside it how far diffusers' own is with another attention: on bf16 nobody is nearer than that.
    """
    expected = contest.draw["diffusers"](WORDS)
    contrast = float(np.asarray(expected, dtype=float).std())
    if not contrast > 1:
        raise ValueError(f"the pictures show nothing to compare: their contrast is {contrast} of 255")
    drawn = {name: draw(WORDS) for name, draw in contest.draw.items()}
    found = {name: _distance(picture, expected) for name, picture in drawn.items() if name != "diffusers"}
    # Inpainting is another picture with us: it follows no control image, and keeps latents outside the mask.
    plain = drawn["ours, not compiled"]
    found |= {
        f"{name}, from ours not compiled": _distance(picture, plain)
        for name, picture in drawn.items()
        if name.startswith("ours") and picture is not plain
    }
    other = SDPBackend.EFFICIENT_ATTENTION if device.type == "cuda" else SDPBackend.MATH
    with sdpa_kernel(other):
        found["diffusers, another attention"] = _distance(contest.draw["diffusers"](WORDS), expected)
    return found


def _distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


def _in_turns(
    contest: Contest, rounds: int, device: torch.device, began_s: float
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Draw A B A B …, as many rounds as there is time for."""
    samples: dict[str, list[float]] = {name: [] for name in contest.draw}
    peaks = {}
    for _ in range(rounds):
        if time.perf_counter() - began_s > LIMIT_S * 0.75:
            break
        for name in contest.draw:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            synchronize(device)
            samples[name].append(_synchronized(contest, name, device))
            peaks[name] = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    return samples, peaks


def _warm_start(arguments: argparse.Namespace, folder: str) -> dict[str, float]:
    """What the first pictures take in a new process that finds what this one compiled."""
    command = [sys.executable, "-m", "benchmarks.gpu", arguments.model, "--first", folder]
    command += ["--tiny"] if arguments.tiny else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _first_picture(model: str, device: torch.device, tiny: bool, folder: str) -> dict[str, float]:
    prepare_compiler(Path(folder))
    contest = Contest.of(model, device, tiny=tiny)
    contest.enter()
    names = ("diffusers, compiled", "ours")
    return {name: _synchronized(contest, name, device) for name in names}


def _machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    return {"device": name, "cuda": torch.version.cuda, "python": platform.python_version(), **VERSIONS}


def _tell(report: dict[str, Any]) -> None:
    best = best_product(report["calibration"])
    print(
        f"\n{'':32} {'median s':>9} {'p90 s':>8} {'× diffusers compiled':>21} {'TFLOP/s':>8} {'of card':>8}"
    )
    peer = statistics.median(report["samples_s"]["diffusers, compiled"])
    for name, samples in report["samples_s"].items():
        median, p90 = statistics.median(samples), sorted(samples)[int(len(samples) * 0.9)]
        flops = report["flops"]["ours, not compiled" if name.startswith("ours") else "diffusers"]
        rate = flops / median / 1e12
        print(f"{name:32} {median:9.3f} {p90:8.3f} {peer / median:21.2f} {rate:8.2f} {rate / best:8.0%}")
    for title in ("first_picture_s", "warm_start_s", "peak_gib", "parity", "left_out"):
        print(f"{title}: {json.dumps(report[title])}")
    print(f"took {report['took_s']:.0f} s of {LIMIT_S}")


if __name__ == "__main__":
    main()
