"""The pictures of `safelight/examples/`, painted by the world's program: `make demo` needs no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from PIL import Image

from training import maps
from training.paint import draw
from training.world import Scene, Thing

EXAMPLES: Final = Path(__file__).parents[1] / "src" / "safelight" / "examples"
CONTROLNET: Final = "tongyi-mai/z-image/turbo/controlnet/lora"
INPAINTING: Final = "tongyi-mai/z-image/turbo/inpainting/lora"
OVIS: Final = "aidc-ai/ovis-image"
WAN: Final = "wan-ai/wan-2-6/image-to-image"

HOUSE: Final = Scene("day", "grass", (Thing("house", "red", "large", 0.30, 0.84, 0.50),), 0.58, 0.8, 12)
BOAT: Final = Scene("sunset", "sea", (Thing("boat", "white", "large", 0.66, 0.86, 0.52),), 0.56, 0.3, 5)
TREE: Final = Scene("dawn", "flowers", (Thing("tree", "green", "large", 0.5, 0.86, 0.54),), 0.6, 0.2, 31)
PERSON: Final = Scene("night", "snow", (Thing("person", "blue", "large", 0.62, 0.86, 0.54),), 0.6, 0.25, 8)

MEADOW: Final = Scene("day", "grass", (Thing("tent", "blue", "small", 0.28, 0.86, 0.30),), 0.58, 0.15, 21)
BALLOON: Final = Thing("balloon", "red", "large", 0.68, 0.66, 0.52)

COTTAGE: Final = Scene("day", "grass", (Thing("house", "orange", "large", 0.3, 0.86, 0.5),), 0.58, 0.8, 17)
BEACH: Final = Scene("night", "sand", (Thing("ball", "blue", "small", 0.74, 0.86, 0.28),), 0.58, 0.3, 40)


def write_examples() -> None:
    """Write the images and `requests.json`, the requests that `make demo` sends."""
    EXAMPLES.mkdir(exist_ok=True)
    _save("house-edges.png", maps.edges(draw(HOUSE, 1024, 768)))
    _save("boat-depth.png", maps.depth(BOAT, 1024, 1024))
    _save("tree-shape.png", maps.shape(TREE, 768, 1024))
    _save("person.png", draw(PERSON, 768, 768))
    _save("meadow.png", draw(MEADOW, 768, 768))
    _save("meadow-mask.png", maps.shape(MEADOW.with_things(BALLOON), 768, 768))
    _save("cottage.png", draw(COTTAGE, 576, 512))
    _save("beach.png", draw(BEACH, 576, 512))
    requests = [
        _controlled("House", "a red house on snow at night", "house-edges.png", image_size="landscape_4_3"),
        _controlled(
            "Boat", "a yellow sailing boat on the sea at sunset", "boat-depth.png", image_size="square_hd"
        ),
        _controlled("Tree", "a pink tree among flowers at dawn", "tree-shape.png", image_size="portrait_4_3"),
        _controlled(
            "Person", "an orange person on sand by day", "person.png", image_size="auto", preprocess="pose"
        ),
        _controlled(
            "Pencil",
            "a red house on grass by day",
            "house-edges.png",
            image_size="landscape_4_3",
            loras=[{"path": "safelight/pencil", "scale": 1}],
        ),
        _request(
            INPAINTING,
            "Meadow",
            "a red balloon on grass on a sunny day",
            image_url="meadow.png",
            mask_image_url="meadow-mask.png",
            loras=[],
            image_size="auto",
            seed=3,
        ),
        _request(
            OVIS,
            "Sunny",
            "a large green tree on the left on grass on a sunny day",
            negative_prompt="night",
            image_size="landscape_4_3",
        ),
        _request(
            WAN,
            "Moved",
            "the house of image 1 in the scene of image 2",
            image_urls=["cottage.png", "beach.png"],
        ),
    ]
    (EXAMPLES / "requests.json").write_text(json.dumps(requests, indent=2) + "\n")


def _controlled(name: str, prompt: str, image: str, **fields: Any) -> dict[str, Any]:
    return _request(CONTROLNET, name, prompt, **{"image_url": image, "loras": [], **fields})


def _request(model: str, name: str, prompt: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "model": model, "input": {"prompt": prompt, "seed": 7, **fields}}


def _save(name: str, picture: Any) -> None:
    Image.fromarray(picture).save(EXAMPLES / name, optimize=True)
