"""What a device's errors mean. Their words are torch's own, as its sources have them."""

import pytest

from safelight.engine.trouble import is_device_broken, is_out_of_memory, out_of_memory
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet

MEGAPIXEL = 1024 * 1024


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`",
        "CUDA driver error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "Triton Error [CUDA]: out of memory",
    ],
)
def test_no_memory_is_told_by_its_words_and_leaves_the_process_alive(words):
    assert is_out_of_memory(RuntimeError(words))
    assert not is_device_broken(RuntimeError(words))


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: device-side assert triggered",
        "CUDA error: an illegal memory access was encountered",
        "CUDA driver error: unspecified launch failure",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "Triton Error [CUDA]: an illegal memory access was encountered",
    ],
)
def test_what_breaks_the_device_ends_its_process(words):
    assert is_device_broken(RuntimeError(words))
    assert not is_out_of_memory(RuntimeError(words))


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 do not fit"), ValueError("CUDA error: x")])
def test_any_other_error_is_neither(error):
    assert not is_device_broken(error)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("model", "asked", "room", "fits"),
    [
        (OvisImage, (1024, 1024), MEGAPIXEL // 2, "512×512"),
        (OvisImage, (1024, 1024), MEGAPIXEL * 9, "768×1024"),
        (WanImageToImage, (1280, 960), int(MEGAPIXEL * 0.9), "720×1280"),
        (ZImageControlNet, None, MEGAPIXEL // 3, "512×512"),
    ],
)
def test_the_size_that_would_fit_is_one_that_the_model_takes(model, asked, room, fits):
    error = out_of_memory(model(), asked, room)
    assert f"{fits} would fit" in error.text.en
    assert fits in error.text.ko
    assert (asked is None) or "{}×{}".format(*asked) in error.text.en


def test_where_no_size_fits_that_is_told_and_where_nothing_is_known_a_smaller_one_is_asked_for():
    assert "no smaller size" in out_of_memory(OvisImage(), (512, 512), 1000).message
    assert "smaller image" in out_of_memory(OvisImage(), (512, 512), None).message
