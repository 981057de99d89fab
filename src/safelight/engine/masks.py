"""Inpainting masks: white is repainted, black stays, grey blends."""

from __future__ import annotations

from PIL import Image
from PIL.Image import Resampling
from torch import Tensor
from torch.nn.functional import max_pool2d

from safelight.engine.canvas import Size
from safelight.errors import InvalidImage
from safelight.texts import Text

RATIO_TOLERANCE = 0.01
"""How far a mask's aspect ratio may be from the image's, as a part of it."""


def fit_mask(mask: Image.Image, image_size: Size, asked: Size) -> Image.Image:
    """A mask of any size, as grey in the size that is asked for.

    image_size: the size of the image that the mask belongs to. Raises InvalidImage when the mask's aspect
    ratio is not the image's.
    """
    (mask_width, mask_height), (width, height) = mask.size, image_size
    if abs(mask_width * height - width * mask_height) > RATIO_TOLERANCE * width * mask_height:
        raise InvalidImage(
            Text(
                f"The mask is {mask_width}×{mask_height} and the image {width}×{height}: "
                "give a mask with the image's aspect ratio.",
                f"마스크는 {mask_width}×{mask_height}, 이미지는 {width}×{height}입니다. "
                "이미지와 가로세로 비율이 같은 마스크를 사용해 주세요.",
            )
        )
    return mask.convert("L").resize(asked, Resampling.BILINEAR)


def is_black(mask: Image.Image) -> bool:
    """Whether a grey mask repaints nothing."""
    return mask.getextrema() == (0, 0)


def mask_to_latents(mask: Tensor, scale: int) -> Tensor:
    """Shrink a mask to the latents' resolution.

    mask: (B, 1, H, W) float in [0, 1]; 1 is repainted. Returns (B, 1, H // scale, W // scale).
    A latent takes the largest value of its pixels: what is repainted must be free to change as a whole, and
    what is not is put back pixel by pixel. Raises ValueError when H or W is no multiple of scale.
    """
    if mask.shape[-2] % scale or mask.shape[-1] % scale:
        raise ValueError(f"{tuple(mask.shape[-2:])} pixels are no multiple of {scale}")
    return max_pool2d(mask, scale)


def paste(drawn: Image.Image, original: Image.Image, mask: Image.Image) -> Image.Image:
    """The drawn image where the mask is white and the original, to the bit, where it is black."""
    return Image.composite(drawn, original, mask)
