"""Publish what is trained: into the package, in the folders that the real repositories have."""

from __future__ import annotations

import shutil
from typing import Any, Final

from safetensors.torch import save_file

from training import checker
from training.autoencoder import trained_coder
from training.captions import known_words
from training.controlnet import BORROWED, ControlNetStage, new_controlnet
from training.flow import new_scheduler
from training.published import NANO
from training.stage import has_checkpoint, trained
from training.text_encoder import Reader, TextEncoderStage, tokenizer
from training.transformer import TransformerStage, new_transformer


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
    shutil.rmtree(NANO / "shared" / "tokenizer", ignore_errors=True)
    tokenizer().save_pretrained(NANO / "shared" / "tokenizer")
    reader = Reader()
    reader.load_state_dict(trained(TextEncoderStage.name)["average"])
    _save(reader.encoder, "shared/text_encoder")
    (NANO / "shared" / "words.txt").write_text("\n".join(known_words()) + "\n")


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


def _publish_checker() -> None:
    state = trained(checker.CheckerStage.name)["average"]
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file({k: v.contiguous() for k, v in halves.items()}, checker.PUBLISHED)


_PUBLISHERS: Final = {
    "autoencoder": _publish_autoencoder,
    "text": _publish_text,
    "transformer": _publish_transformer,
    "controlnet": _publish_controlnet,
    "checker": _publish_checker,
}
