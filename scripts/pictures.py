"""Draw the catalogue's example pictures: the first example of every ready model, small, as WebP.

python -m scripts.pictures [MODEL …]
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps
from rich.console import Console

from safelight.client import Client
from safelight.examples import examples_of
from safelight.settings import read_settings
from safelight.web.static_files import picture_name
from scripts.examples import body
from scripts.server import free_port, server

FOLDER = Path(__file__).parents[1] / "src" / "safelight" / "web" / "static"
SIZE = (640, 480)
QUALITY = 82


def main(wanted: list[str]) -> None:
    """Draw them; wanted: only these models, or all."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(data_dir=Path(folder) / "data", port=free_port())
        with server(settings, Path(folder) / "log") as url, Client(url, settings.saved_key) as client:
            ready = [model["model_id"] for model in client.models() if model["ready"]]
            for model_id in wanted or ready:
                for example in examples_of(model_id)[:1]:
                    result = client.run(model_id, body(example))
                    path = FOLDER / picture_name(model_id)
                    _save(client.download(result["output"]["image"]), path)
                    console.print(f"{path.name}  {path.stat().st_size // 1024} KB")


def _save(drawn: bytes, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with Image.open(io.BytesIO(drawn)) as image:
        ImageOps.fit(image.convert("RGB"), SIZE).save(path, "WEBP", quality=QUALITY, method=6)


if __name__ == "__main__":
    main(sys.argv[1:])
