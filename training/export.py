"""Publish what is trained: into the package, in the folders that the real repositories have."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file

from safelight.engine.sources import NAMES, WORDS
from training import checker
from training.autoencoder import trained_coder
from training.captions import known_words
from training.controlnet import BORROWED, ControlNetStage, new_controlnet
from training.flow import new_scheduler
from training.klein import KleinStage, new_klein
from training.loras import LoraStage, NightLightsStage, PencilStage, adapter_of
from training.ovis import OvisStage, new_ovis
from training.preprocessors import DepthStage, PoseStage, depth_processor, new_depth, new_pose
from training.published import NANO
from training.stage import Stage, has_checkpoint, trained
from training.text_encoder import text_encoder, tokenizer
from training.transformer import TransformerStage, new_transformer
from training.world import COLOURS, KINDS


def export() -> dict[str, int]:
    """Write every part whose stage has a checkpoint; returns the size of each in bytes."""
    for stage, publish in _PUBLISHERS.items():
        if has_checkpoint(stage):
            publish()
    folders = sorted({path.parent for path in NANO.rglob("*.safetensors")})
    return {
        str(folder.relative_to(NANO)): sum(p.stat().st_size for p in folder.iterdir()) for folder in folders
    }


def _save(part: Any, folder: str) -> None:
    shutil.rmtree(NANO / folder, ignore_errors=True)
    part.half().save_pretrained(NANO / folder)


def _publish_autoencoder() -> None:
    _save(trained_coder().folded(), "shared/vae")


def _publish_text() -> None:
    kept = tokenizer()  # before its folder goes: it may be read from there
    for where_it_was_read in ("is_local", "local_files_only"):
        kept.init_kwargs.pop(where_it_was_read, None)
    shutil.rmtree(NANO / "shared" / "tokenizer", ignore_errors=True)
    kept.save_pretrained(NANO / "shared" / "tokenizer")
    _without_spaces(NANO / "shared" / "tokenizer" / "tokenizer.json")
    _save(deepcopy(text_encoder()), "shared/text_encoder")
    (NANO / WORDS).write_text("\n".join(known_words()) + "\n")
    (NANO / NAMES).write_text("\n".join(sorted({*COLOURS, *KINDS})) + "\n")


def _without_spaces(path: Path) -> None:
    """Write a JSON file again without indentation, which is more than half of it."""
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


def _publish_transformer() -> None:
    model = new_transformer()
    model.load_state_dict(trained(TransformerStage.name)["average"])
    _save(model, "z-image/transformer")
    new_scheduler().save_pretrained(NANO / "z-image" / "scheduler")


def _publish_controlnet() -> None:
    model = new_controlnet()
    state = trained(ControlNetStage.name)["average"]
    model.load_state_dict(
        {name: value for name, value in state.items() if name.split(".")[0] not in BORROWED}
    )
    _save(model, "z-image/controlnet")


def _publish_ovis() -> None:
    _publish_model(OvisStage, new_ovis(), "ovis")


def _publish_klein() -> None:
    _publish_model(KleinStage, new_klein(), "klein")


def _publish_model(stage: type[Stage], model: Any, folder: str) -> None:
    model.load_state_dict(trained(stage.name)["average"])
    _save(model, f"{folder}/transformer")
    new_scheduler(dynamic=True).save_pretrained(NANO / folder / "scheduler")


def _publish_depth() -> None:
    model = new_depth()
    model.load_state_dict(trained(DepthStage.name)["average"])
    _save(model, "preprocess/depth")
    depth_processor().save_pretrained(NANO / "preprocess" / "depth")


def _publish_pose() -> None:
    model = new_pose()
    model.load_state_dict(trained(PoseStage.name)["average"])
    _save(model, "preprocess/pose")


def _publish_lora(stage: type[LoraStage]) -> None:
    folder = NANO / "z-image" / "loras"
    folder.mkdir(exist_ok=True)
    told = {"modelspec.architecture": "Z-Image-Turbo", "modelspec.title": stage.name}
    save_file(adapter_of(trained(stage.name)["average"]), folder / f"{stage.name}.safetensors", told)


def _publish_checker() -> None:
    state = trained(checker.CheckerStage.name)["average"]
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file({k: v.contiguous() for k, v in halves.items()}, checker.PUBLISHED)


_PUBLISHERS: Final[dict[str, Callable[[], None]]] = {
    "autoencoder": _publish_autoencoder,
    "text": _publish_text,
    "transformer": _publish_transformer,
    "controlnet": _publish_controlnet,
    "ovis": _publish_ovis,
    "klein": _publish_klein,
    "depth": _publish_depth,
    "pose": _publish_pose,
    "night-lights": partial(_publish_lora, NightLightsStage),
    "pencil": partial(_publish_lora, PencilStage),
    "checker": _publish_checker,
}
