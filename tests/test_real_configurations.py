"""The full-size models without their files: counts on the meta device, ControlNets from sparse files."""

import json
from math import prod

import pytest
import torch
from diffusers import ZImageTransformer2DModel

from benchmarks.gpu.parts import makers
from safelight.engine.control import WindowedControlNet
from safelight.engine.controlnet_file import Look, config_of, shipped
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet


@pytest.mark.parametrize(
    ("model", "family", "name", "tensors"),
    [
        (ZImageControlNet, "z-image", "transformer", 521),
        (ZImageControlNet, "z-image", "text_encoder", None),
        (ZImageControlNet, "z-image", "vae", None),
        (OvisImage, "ovis", "transformer", 583),
        (OvisImage, "ovis", "text_encoder", None),
        (WanImageToImage, "klein", "transformer", 169),
        (WanImageToImage, "klein", "text_encoder", None),
        (WanImageToImage, "klein", "vae", None),
    ],
)
def test_what_the_gpu_benchmark_draws_with_has_exactly_the_published_counts(model, family, name, tensors):
    with torch.device("meta"):
        module = makers(family, tiny=False)[name]()
    assert sum(parameter.numel() for parameter in module.parameters()) == model.weights.real[name].parameters
    assert tensors in (None, len(module.state_dict()))


# --- ControlNets ----------------------------------------------------------------------------------------

COUNTS = {
    "v1": (1_550_778_368, 136),
    "2.0": (2_950_156_800, 259),
    "2.1": (3_356_225_792, 295),
    "2.1-lite": (1_008_308_480, 91),
}


def full_size(version):
    with torch.device("meta"):
        return WindowedControlNet(**shipped()[version])


@pytest.mark.parametrize("version", COUNTS)
def test_the_shipped_configurations_have_exactly_the_published_counts(version):
    tensors = full_size(version).state_dict()
    assert (sum(tensor.numel() for tensor in tensors.values()), len(tensors)) == COUNTS[version]


def test_the_one_that_is_pulled_is_2_1():
    assert ZImageControlNet.weights.real["controlnet"].parameters == COUNTS["2.1"][0]


def sparse_file(path, version):
    """A file of the full size that takes up no room: its numbers are holes, but for one that tells 2.1."""
    tensors = dict(full_size(version).state_dict())
    if version == "2.0":  # its file has the refiner of 2.1 too, with projections that are zero
        refiner = {name: t for name, t in full_size("2.1").state_dict().items() if "noise_refiner" in name}
        tensors |= refiner
    places = sparse_tensors(path, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if version.startswith("2.1"):
        with path.open("r+b") as file:
            file.seek(places["control_noise_refiner.0.before_proj.weight"])
            file.write(b"\x80\x3f")
    return path


def sparse_tensors(path, shapes):
    """Write zeros of these shapes as holes. Returns where each tensor begins."""
    header, places, at = {}, {}, 0
    for name, shape in (shapes or {"nothing": (0,)}).items():
        size = prod(shape) * 2
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        places[name] = at
        at += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    return {name: 8 + len(text) + place for name, place in places.items()}


@pytest.mark.parametrize("version", COUNTS)
def test_a_single_file_of_the_full_size_is_told_apart(version, tmp_path):
    path = sparse_file(tmp_path / "control.safetensors", version)
    with torch.device("meta"):
        base = ZImageTransformer2DModel()
    config = config_of(Look.into(path), base.config)
    assert config == shipped()[version]
    with torch.device("meta"):
        wanted = WindowedControlNet(**config).state_dict()
    shapes = Look.into(path).shapes
    assert {name: tuple(tensor.shape) for name, tensor in wanted.items()}.items() <= shapes.items()
