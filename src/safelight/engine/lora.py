"""Apply a job's LoRAs to the loaded pipeline, tell what they matched, and take them off again to the bit.

The weights themselves are never touched: peft computes beside them. What was checked by its header in the
parent is checked here again by its bytes, and those very bytes are what is loaded.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from safelight.engine.compiling import is_compiled
from safelight.engine.control import WindowedControlNet
from safelight.engine.controlnet_file import NOT_FINITE, load_controlnet
from safelight.engine.lora_slot import in_one_slot
from safelight.errors import InvalidLora
from safelight.loras.keys import Fit, Kind, Targets, fit_lora
from safelight.loras.references import LoraFile, LoraUse
from safelight.loras.safetensors_header import LENGTH_BYTES, header_length, parse_header
from safelight.models.base import Run
from safelight.texts import Text

Tensors = dict[str, Tensor]


@contextmanager
def applied(pipeline: Any, run: Run) -> Iterator[float]:
    """Run a block with the job's LoRAs on the pipeline. Yields what multiplies the strength of control.

    Raises InvalidLora and LoraIncompatible, with the pipeline as it was.
    """
    own_controlnet, strength = pipeline.controlnet, 1.0
    targets = linear_modules(pipeline.transformer) if run.loras else {}
    found: list[tuple[Tensors, float]] = []
    try:
        for index, lora in enumerate(run.loras):
            if lora.kind == Kind.CONTROLNET:
                strength *= _use_controlnet(pipeline, run, index, lora, own_controlnet)
            elif weights := _read(targets, run, index, lora):
                found.append((weights, lora.scale))
        if found and is_compiled(pipeline.transformer):
            found = [(in_one_slot(found, pipeline.transformer), 1.0)]
        _load(pipeline, found)
        yield strength
    finally:
        # Also after half of one was loaded: what is left behind would show in the next job.
        if run.loras:
            pipeline.unload_lora_weights()
        pipeline.controlnet = own_controlnet


def _load(pipeline: Any, loras: Sequence[tuple[Tensors, float]]) -> None:
    """Put LoRAs beside the transformer's modules, each at its scale."""
    scales = {f"lora{index}": scale for index, (_, scale) in enumerate(loras)}
    for name, (weights, _) in zip(scales, loras, strict=True):
        with warnings.catch_warnings(
            action="ignore", category=UserWarning
        ):  # of a second one, which is meant
            pipeline.load_lora_weights(
                {f"transformer.{name}": tensor for name, tensor in weights.items()}, adapter_name=name
            )
    if scales:
        pipeline.set_adapters(list(scales), list(scales.values()))


def _read(targets: Targets, run: Run, index: int, lora: LoraFile) -> Tensors:
    """One LoRA's weights, and what it matches into the report; nothing where it has no say."""
    data = _checked_bytes(lora)
    length = header_length(data)
    header = parse_header(data[LENGTH_BYTES : LENGTH_BYTES + length])
    fit = fit_lora(header, targets)
    run.report.loras.append(LoraUse(lora.name, lora.kind, lora.scale, fit.matched, fit.expected))
    if fit.matched < fit.expected:
        missing = fit.expected - fit.matched
        run.note(f"loras[{index}]: {missing} of its {fit.expected} modules are not in this model.")
    return normalised(safetensors.torch.load(data), fit, targets) if lora.scale else {}


def _checked_bytes(lora: LoraFile) -> bytes:
    data = Path(lora.path).read_bytes()
    if hashlib.sha256(data).hexdigest() != lora.sha256:
        raise InvalidLora(Text("The file changed after it was checked.", "검사한 뒤에 파일이 바뀌었습니다."))
    return data


def linear_modules(model: torch.nn.Module) -> Targets:
    """The linear modules of a loaded model: (outputs, inputs)."""
    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }


def normalised(tensors: Tensors, fit: Fit, targets: Targets) -> Tensors:
    """A LoRA in diffusers' own names: `<module>.lora_A.weight` and `.lora_B.weight`.

    A is (rank, inputs), B is (outputs, rank). Alpha is multiplied in, and fused modules are taken apart.
    Raises InvalidLora for NaN and infinity.
    """
    found: Tensors = {}
    # Copies, because where a tensor begins in memory changes the last bits of what is computed with it.
    for modules, adapter in fit.adapters.items():
        down, up = (tensors[name].float().clone() for name in (adapter.down, adapter.up))
        if adapter.alpha:
            down = down * (tensors[adapter.alpha].float().reshape(()) / down.shape[0])
        if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
            raise InvalidLora(NOT_FINITE)
        rows: tuple[Tensor, ...] = torch.split(up, [targets[module][0] for module in modules])
        for module, part in zip(modules, rows, strict=True):
            found[f"{module}.lora_A.weight"] = down
            found[f"{module}.lora_B.weight"] = part.clone()
    return found


_ONE_CONTROLNET = Text(
    "a request can have one ControlNet.", "요청 하나에 ControlNet은 하나만 쓸 수 있습니다."
)


def _use_controlnet(
    pipeline: Any, run: Run, index: int, lora: LoraFile, own_controlnet: WindowedControlNet
) -> float:
    """Make a ControlNet in the LoRA slot the one of this run. Returns its scale."""
    if any(use.kind == Kind.CONTROLNET for use in run.report.loras):
        raise InvalidLora(_ONE_CONTROLNET.after(f"loras[{index}]: "))
    substituted = not lora.path and run.context.weights_name != "real"
    if lora.path:
        pipeline.controlnet = load_controlnet(_checked_bytes(lora), pipeline, own_controlnet)
    modules = len(linear_modules(pipeline.controlnet.control_layers))
    run.report.loras.append(LoraUse(lora.name, lora.kind, lora.scale, modules, modules, substituted))
    run.note(
        f"loras[{index}] is a ControlNet: it controls this request, and its scale multiplies control_scale."
        + (" The one that ships with Safelight took its place." if substituted else "")
    )
    return lora.scale
