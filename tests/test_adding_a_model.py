"""The example of `docs/adding-a-model.md` works as it stands there."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image

from tests.serving import served

PAGE = Path(__file__).parents[1] / "docs" / "adding-a-model.md"


def test_the_example_is_a_model_that_draws(tmp_path):
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    models = tmp_path / "models"
    models.mkdir()
    (models / "gradient.py").write_text(example, "utf-8")
    with served(tmp_path / "data", models_dir=models) as server, server.client() as client:
        entry = client.model("examples/gradient")
        assert (entry["display_name"], entry["ready"]) == ("Gradient", True)
        assert list(entry["input_schema"]["properties"]) == ["prompt", "width", "seed", "output_format"]
        result = client.run("examples/gradient", {"prompt": "dusk", "width": 64, "output_format": "webp"})
        image = Image.open(io.BytesIO(client.download(result["output"]["image"])))
    assert (image.size, image.format) == ((64, 64), "WEBP")
    assert image.getpixel((32, 1)) != image.getpixel((32, 62))
