"""The playground as its users handle it: choose a picture, paint on it, run, look at what came out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, Request

from safelight.jobs import Json

INPAINTING = "tongyi-mai/z-image/turbo/inpainting/lora"
CONTROLNET = "tongyi-mai/z-image/turbo/controlnet/lora"
WAN = "wan-ai/wan-2-6/image-to-image"
OVIS = "aidc-ai/ovis-image"


def log_in(context: BrowserContext, url: str, key: str) -> None:
    """Log in without looking."""
    context.request.post(f"{url}/login", form={"key": key}, headers={"origin": url}, max_redirects=0)


def picture_file(folder: Path, width: int, height: int, name: str = "picture.png") -> Path:
    """A picture of one colour on the disk."""
    path = folder / name
    Image.new("RGB", (width, height), (90, 160, 220)).save(path)
    return path


@dataclass
class Playground:
    """A playground in a browser."""

    page: Page

    def open(self, model_id: str = INPAINTING, language: str = "en") -> None:
        """Go there and wait until the example has come."""
        self.page.goto(f"/models/{model_id}?lang={language}")
        self.page.wait_for_selector("form.input")
        if model_id == INPAINTING:
            self.page.wait_for_selector(".mask-state.is-there")

    def choose(self, path: Path, name: str = "image_url") -> None:
        """Choose a file for a field, and wait until it is shown."""
        self.page.locator(f'[data-field="{name}"] input[type=file]').set_input_files(path)
        self.page.locator(f'[data-field="{name}"]').get_by_text(path.name).wait_for()

    @property
    def prompt(self) -> Locator:
        return self.page.locator("#field-prompt")

    # --- The mask ---------------------------------------------------------------------------------------

    @property
    def sheet(self) -> Locator:
        return self.page.locator(".sheet")

    def tool(self, name: str) -> Locator:
        """A button of the easel."""
        return self.page.get_by_role("toolbar").get_by_role("button", name=name, exact=True)

    def brush_share(self, position: int) -> None:
        """Set the brush's slider."""
        self.page.get_by_role("slider", name="Brush size").fill(str(position))

    def stroke(self, *points: tuple[float, float]) -> None:
        """Draw with the mouse; points are shares of the picture's sides."""
        places = [self.place(*point) for point in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=8)
        self.page.mouse.up()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where on the screen a share of the picture's sides is."""
        box = self.sheet.bounding_box()
        return box["x"] + box["width"] * x, box["y"] + box["height"] * y

    def painted(self, x: float, y: float) -> bool:
        """Whether the mask covers a place."""
        return self.page.evaluate(_ALPHA_AT, [x, y]) > 127

    def mask_size(self) -> tuple[int, int]:
        """The painted canvas's own size."""
        return tuple(self.page.evaluate(_CANVAS_SIZE))

    # --- Running ----------------------------------------------------------------------------------------

    def run(self) -> str:
        """Send the form. Returns the request's id."""
        with self.page.expect_response(_is_submission) as answer:
            self.page.locator("button.run").click()
        self.sent: Json = json.loads(answer.value.request.post_data)
        return str(answer.value.json()["request_id"])

    def code(self) -> str:
        """The form as code, once everything in it is on the server."""
        self.page.locator("details.form-code summary").click()
        return str(self.page.locator("details.form-code pre").inner_text())

    def problem_of(self, name: str) -> Locator:
        """The message at a field."""
        return self.page.locator(f'[data-field="{name}"] > .problem')


def _is_submission(response: Any) -> bool:
    request: Request = response.request
    return request.method == "POST" and "/v1/models/" in request.url and "/quote" not in request.url


_ALPHA_AT = """([x, y]) => {
  const canvas = document.querySelector(".sheet canvas");
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.drawImage(canvas, -Math.floor(x * canvas.width), -Math.floor(y * canvas.height));
  return context.getImageData(0, 0, 1, 1).data[3];
}"""
_CANVAS_SIZE = """() => {
  const canvas = document.querySelector(".sheet canvas");
  return [canvas.width, canvas.height];
}"""
