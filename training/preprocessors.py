"""Stand-ins for the real preprocessors: depth and the joints of a figure, in pictures of this world."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessorPil,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
)

from safelight.engine.joints import DEVIATION, MEAN, crop_map, joints_in
from training import maps
from training.paint import draw, joints_of, place_points
from training.published import published
from training.shapes import JOINTS
from training.stage import Recipe, Stage, device, half_precision
from training.world import Scene, Thing

PATCH: Final = 14
SIDE: Final = 252
"""Pixels of the shorter side that the depth model is shown: 18 patches."""
SHAPES: Final = ((252, 252), (336, 252), (252, 336), (448, 252))
"""Widths and heights of its lessons."""
NEAREST: Final = 10.0
"""What the depth model says where the picture is nearest; it has no unit."""
CROP: Final = 256
"""Pixels of the square that the pose model is shown."""
HEAT: Final = CROP // 4
"""Cells of a heat map's side."""
SPREAD: Final = 1.6
"""Deviation of a joint's heat, in cells."""
COCO: Final = (
    *("nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder"),
    *("left elbow", "right elbow", "left wrist", "right wrist", "left hip", "right hip"),
    *("left knee", "right knee", "left ankle", "right ankle"),
)
"""The joints that ViTPose finds, in its order; this world's figures have neither eyes nor ears."""
BATCH: Final = 16


# --- Depth ----------------------------------------------------------------------------------------------


def new_depth() -> DepthAnythingForDepthEstimation:
    """The architecture, as it is published."""
    backbone = Dinov2Config(
        hidden_size=48,
        num_hidden_layers=4,
        num_attention_heads=3,
        image_size=SIDE,
        patch_size=PATCH,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
        apply_layernorm=True,
        layerscale_value=0.5,
    )
    model = DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone,
            patch_size=PATCH,
            reassemble_hidden_size=48,
            reassemble_factors=[4, 2, 1, 0.5],
            neck_hidden_sizes=[12, 24, 32, 32],
            fusion_hidden_size=24,
            head_hidden_size=16,
        )
    )
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
        model.head.conv3.weight.mul_(0.05)
        model.head.conv3.bias.fill_(NEAREST / 3)
    return model


def depth_processor() -> Any:
    """How an image becomes the model's input, as the real one has it but for the side's length."""
    return DPTImageProcessorPil(
        do_resize=True,
        size={"height": SIDE, "width": SIDE},
        keep_aspect_ratio=True,
        ensure_multiple_of=PATCH,
        resample=3,
        do_rescale=True,
        do_normalize=True,
        image_mean=MEAN.tolist(),
        image_std=DEVIATION.tolist(),
    )


class DepthStage(Stage):
    """Depth from pictures."""

    name = "depth"
    recipe = Recipe(rate=1e-3, average=0.995, weight_decay=0.02)

    def __init__(self) -> None:
        self.model = new_depth().to(device())
        self.model.head.activation2 = nn.Identity()  # what it cuts off, below zero, would learn nothing
        self.module: nn.Module = self.model

    def take_published(self) -> None:
        """Begin with the model in the package."""
        self.model.load_state_dict(published(DepthAnythingForDepthEstimation, "preprocess/depth"))

    def loss(self, rng: np.random.Generator) -> Tensor:
        """The mean difference, and that of the slopes, where objects end."""
        width, height = SHAPES[int(rng.integers(len(SHAPES)))]
        scenes = [Scene.random(rng) for _ in range(BATCH * SIDE * SIDE // (width * height))]
        given = _normalised([draw(scene, width, height) for scene in scenes])
        truth = torch.stack([_true_depth(scene, width, height) for scene in scenes]).to(device())
        with half_precision():
            found = self.model(pixel_values=given).predicted_depth.float()
        error = found - truth
        slopes = error.diff(dim=1).abs().mean() + error.diff(dim=2).abs().mean()
        return error.abs().mean() + 4 * slopes

    def report(self, module: Any, folder: Path) -> str:
        """Pictures, true depth, found depth; the mean difference as a share of the range."""
        rng = np.random.default_rng(17)
        scenes = [Scene.random(rng) for _ in range(8)]
        drawn = [draw(scene, SIDE, SIDE) for scene in scenes]
        truth = torch.stack([_true_depth(scene, SIDE, SIDE) for scene in scenes])
        found = module(pixel_values=_normalised(drawn)).predicted_depth.float().cpu().clamp(0)
        rows = [
            np.concatenate(drawn, 1),
            *(np.concatenate([_grey(depth) for depth in depths], 1) for depths in (truth, found)),
        ]
        Image.fromarray(np.concatenate(rows, 0)).save(folder / f"{self.name}.png")
        return f"off by {float((found - truth).abs().mean()) / NEAREST:.1%} of the range"


def _true_depth(scene: Scene, width: int, height: int) -> Tensor:
    return torch.from_numpy(maps.depth(scene, width, height)[..., 0].astype(np.float32)) / 255 * NEAREST


def _grey(depth: Tensor) -> NDArray[np.uint8]:
    level = (depth.clamp(0, NEAREST) / NEAREST * 255).byte().numpy()
    return np.repeat(level[..., None], 3, 2)


# --- Pose -----------------------------------------------------------------------------------------------


def new_pose() -> VitPoseForPoseEstimation:
    """The architecture, as it is published."""
    backbone = VitPoseBackboneConfig(
        hidden_size=48,
        num_hidden_layers=5,
        num_attention_heads=3,
        mlp_ratio=4,
        image_size=[CROP, CROP],
        patch_size=[16, 16],
        out_features=["stage5"],
    )
    return VitPoseForPoseEstimation(
        VitPoseConfig(
            backbone_config=backbone,
            num_labels=len(COCO),
            scale_factor=4,
            use_simple_decoder=True,
            id2label=dict(enumerate(COCO)),
        )
    )


class PoseStage(Stage):
    """The joints of the largest figure in a picture."""

    name = "pose"
    recipe = Recipe(rate=1.5e-3, average=0.995, weight_decay=0.02)

    def __init__(self) -> None:
        self.model = new_pose().to(device())
        self.module: nn.Module = self.model

    def take_published(self) -> None:
        """Begin with the model in the package."""
        self.model.load_state_dict(published(VitPoseForPoseEstimation, "preprocess/pose"))

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Squared error of the heat; the few hot cells weigh more."""
        scenes = [_with_figure(rng, 0.85) for _ in range(BATCH)]
        width, height = ((512, 512), (512, 384), (384, 512))[int(rng.integers(3))]
        crops, heats = zip(*(_lesson(scene, width, height) for scene in scenes), strict=True)
        truth = torch.from_numpy(np.stack(heats)).to(device())
        with half_precision():
            found = self.model(pixel_values=_normalised(list(crops))).heatmaps.float()
        return ((found - truth).square() * (1 + 40 * truth)).mean() * 100

    def report(self, module: Any, folder: Path) -> str:
        """How many joints are found within a tenth of the figure's height."""
        rng = np.random.default_rng(18)
        right = []
        for _ in range(40):
            scene = _with_figure(rng, 1)
            picture = Image.fromarray(draw(scene, 512, 512))
            points, _ = joints_in(module, picture, [0.0, 0.0, 512.0, 512.0])
            known = _joints(scene, 512, 512)
            height = np.ptp([y for _, y in known.values()])
            right += [
                bool(np.hypot(*(points[number] - joint)) < 0.1 * height) for number, joint in known.items()
            ]
        return f"{np.mean(right):.1%} of the joints found"


def _with_figure(rng: np.random.Generator, chance: float) -> Scene:
    scene = Scene.random(rng)
    if rng.random() < chance:
        first, *others = scene.things
        figure = Thing.random(rng, first.place, "person")
        return scene.with_things(figure, *(thing for thing in others if thing.kind != "person"))
    return scene


def _figure(scene: Scene) -> Thing | None:
    """The largest figure, None where there is none."""
    figures = [thing for thing in scene.things if thing.kind == "person"]
    return max(figures, key=lambda thing: thing.height, default=None)


def _joints(scene: Scene, width: int, height: int) -> dict[int, NDArray[np.float32]]:
    """Where the largest figure's joints are, in pixels, by COCO's numbers; empty without a figure."""
    figure = _figure(scene)
    if figure is None:
        return {}
    points = place_points(joints_of(scene, figure), figure, figure.height * min(width, height), width, height)
    return {number: points[JOINTS.index(name)] for number, name in enumerate(COCO) if name in JOINTS}


def _lesson(scene: Scene, width: int, height: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What the model is shown of a picture, (256, 256, 3), and the true heat, (17, 64, 64)."""
    there = crop_map([0.0, 0.0, float(width), float(height)], (CROP, CROP))
    crop = cv2.warpAffine(draw(scene, width, height), there, (CROP, CROP), flags=cv2.INTER_LINEAR)
    heat = np.zeros((len(COCO), HEAT, HEAT), np.float32)
    rows, columns = np.mgrid[:HEAT, :HEAT].astype(np.float32)
    for number, joint in _joints(scene, width, height).items():
        x, y = (there[:, :2] @ joint + there[:, 2]) * (HEAT - 1) / (CROP - 1)
        heat[number] = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * SPREAD**2))
    return crop.astype(np.uint8), heat


def _normalised(images: list[NDArray[np.uint8]]) -> Tensor:
    """(B, 3, h, w), as both real models' inputs are normalised."""
    pixels = (np.stack(images).astype(np.float32) / 255 - MEAN) / DEVIATION
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).to(device())
