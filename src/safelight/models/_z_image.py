"""What both Z-Image-Turbo models share: where their weights come from."""

from __future__ import annotations

from safelight.models.base import Part, Weights

_REAL = "Tongyi-MAI/Z-Image-Turbo"

Z_IMAGE_WEIGHTS = Weights(
    real={
        "transformer": Part(_REAL, "transformer"),
        "text_encoder": Part(_REAL, "text_encoder"),
        "tokenizer": Part(_REAL, "tokenizer"),
        "vae": Part(_REAL, "vae"),
        "scheduler": Part(_REAL, "scheduler"),
        "controlnet": Part("alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1", ""),
        "depth": Part("depth-anything/Depth-Anything-V2-Small-hf", ""),
        "pose": Part("usyd-community/vitpose-base-simple", ""),
        "person_detector": Part("PekingU/rtdetr_r50vd_coco_o365", ""),
    },
    nano={
        "transformer": Part("z-image", "transformer"),
        "text_encoder": Part("shared", "text_encoder"),
        "tokenizer": Part("shared", "tokenizer"),
        "vae": Part("shared", "vae"),
        "scheduler": Part("z-image", "scheduler"),
        "controlnet": Part("z-image", "controlnet"),
        "depth": Part("preprocess", "depth"),
        "pose": Part("preprocess", "pose"),
    },
    optional=frozenset({"depth", "pose"}),
)
