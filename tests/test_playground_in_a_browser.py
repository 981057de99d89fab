"""The playground in a real Chromium; the test plays the worker, so that every state holds still."""

from __future__ import annotations

import io
import re
import subprocess
from decimal import Decimal
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, expect

from safelight.jobs import Preview, Progress
from safelight.web import snippets
from tests.api_server import NEIGHBOUR_ID, NEIGHBOUR_KEY, OWNER_KEY, RunningServer, running_server
from tests.browser import (
    DESKTOP,
    PHONE,
    Watched,
    axe_violations,
    is_wider_than_its_window,
    left_in_english,
    left_in_korean,
    watched_page,
)
from tests.playground import CONTROLNET, INPAINTING, OVIS, WAN, Playground, log_in, picture_file


@pytest.fixture
def context(browser: Browser, server: RunningServer, request: pytest.FixtureRequest):
    """The owner's browser window."""
    chosen: dict[str, Any] = getattr(request, "param", DESKTOP)
    opened = browser.new_context(base_url=server.url, **chosen)
    opened.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(opened, server.url, OWNER_KEY)
    yield opened
    opened.close()


@pytest.fixture
def watched(context: BrowserContext):
    with watched_page(context) as opened:
        yield opened


@pytest.fixture
def playground(watched: Watched) -> Playground:
    return Playground(watched.page)


def png(colour: str, size: tuple[int, int] = (96, 96)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return data.getvalue()


def beat(server: RunningServer, job, step: int, preview: Preview | None = None) -> None:
    """Report a step as a worker."""
    server.do(
        server.services.store.heartbeat("worker-1", {job.id: (job.attempt, Progress(step, 8, preview))})
    )


PREVIEW = Preview(16, 16, bytes([200, 60, 60]) * 256)


def overlap(one: Locator, other: Locator) -> bool:
    """Whether one thing on the screen lies on another, here or below."""
    upper, lower = one.bounding_box(), other.bounding_box()
    beside = upper["x"] + upper["width"] <= lower["x"]
    return not beside and upper["y"] + upper["height"] > lower["y"]


# --- Every state, sound in both languages -----------------------------------------------------------------


@pytest.mark.parametrize("context", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_state_is_sound(watched, playground, server, language):
    page = playground.page
    left = left_in_english if language == "ko" else left_in_korean

    def look() -> None:
        assert axe_violations(page) == []
        assert left(page) == []
        assert not is_wider_than_its_window(page)

    playground.open(language=language)
    look()
    request_id = playground.run()
    expect(page.locator(".way")).to_be_in_viewport(ratio=1)
    assert not overlap(page.locator(".way"), page.locator(".run-bar"))
    look()
    job = server.claim(request_id)
    beat(server, job, 3, PREVIEW)
    page.wait_for_selector("img.preview")
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "3")
    look()
    server.finish(job, picture=png("red"), notes=("A note." if language == "en" else "참고 사항.",))
    page.wait_for_selector(".compare")
    page.locator(".outcome").get_by_role("button", name="As code" if language == "en" else "코드").click()
    look()
    job = server.claim(playground.run())
    server.fail(job, "invalid_image", "A sentence." if language == "en" else "한 문장.")
    page.wait_for_selector(".ended.bad")
    look()


# --- The mask ---------------------------------------------------------------------------------------------


def test_a_mask_is_painted_erased_undone_inverted_and_cleared(playground):
    playground.open()
    playground.tool("Clear").click()
    playground.stroke((0.2, 0.5), (0.8, 0.5))
    assert playground.painted(0.5, 0.5)
    assert not playground.painted(0.5, 0.9)
    playground.tool("Eraser").click()
    playground.stroke((0.5, 0.3), (0.5, 0.7))
    assert not playground.painted(0.5, 0.5)
    assert playground.painted(0.25, 0.5)
    playground.tool("Undo").click()
    assert playground.painted(0.5, 0.5)
    playground.tool("Redo").click()
    assert not playground.painted(0.5, 0.5)
    playground.tool("Invert").click()
    assert playground.painted(0.5, 0.5)
    assert playground.painted(0.5, 0.9)
    assert not playground.painted(0.25, 0.5)
    playground.tool("Clear").click()
    assert not playground.painted(0.5, 0.9)
    for _ in range(2):
        playground.tool("Undo").click()
    assert playground.painted(0.25, 0.5)


def test_a_mask_is_painted_with_keys_alone(playground):
    page = playground.page
    playground.open()
    page.locator(".easel").focus()
    page.keyboard.press("Delete")
    page.keyboard.down(" ")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.keyboard.up(" ")
    assert playground.painted(0.5, 0.5)
    assert playground.painted(0.6, 0.5)
    assert not playground.painted(0.4, 0.5)
    slider = page.get_by_role("slider", name="Brush size")
    before = float(slider.input_value())
    page.keyboard.press("]")
    assert float(slider.input_value()) > before
    page.keyboard.press("[")
    page.keyboard.press("[")
    assert float(slider.input_value()) < before
    page.keyboard.press("Control+z")
    assert not playground.painted(0.5, 0.5)
    page.keyboard.press("Control+Shift+Z")
    page.keyboard.press("i")
    assert not playground.painted(0.5, 0.5)


@pytest.mark.parametrize("context", [PHONE], ids=["phone"], indirect=True)
def test_fingers_paint_with_one_and_zoom_with_two(playground, context):
    playground.open()
    playground.tool("Clear").click()
    playground.sheet.scroll_into_view_if_needed()
    touches = context.new_cdp_session(playground.page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(places)]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", playground.place(0.3, 0.5))
    touch("touchMove", playground.place(0.5, 0.5))
    touch("touchMove", playground.place(0.7, 0.5))
    touch("touchEnd")
    assert playground.painted(0.5, 0.5)
    width = playground.sheet.bounding_box()["width"]
    touch("touchStart", playground.place(0.5, 0.2))
    touch("touchStart", playground.place(0.5, 0.2), playground.place(0.5, 0.3))
    touch("touchMove", playground.place(0.5, 0.1), playground.place(0.5, 0.5))
    touch("touchEnd")
    assert playground.sheet.bounding_box()["width"] > width * 2
    assert not playground.painted(0.5, 0.2)  # the first finger's dot was none


def test_a_mask_survives_typing_a_picture_of_the_same_size_and_another_language(playground, tmp_path):
    page = playground.page
    playground.open()
    playground.choose(picture_file(tmp_path, 320, 240, "first.png"))
    playground.stroke((0.2, 0.5), (0.8, 0.5))
    playground.prompt.fill("a red house on snow at night")
    page.get_by_label("Strength").last.fill("0.5")
    assert playground.painted(0.5, 0.5)
    playground.choose(picture_file(tmp_path, 320, 240, "second.png"))
    assert playground.painted(0.5, 0.5)
    playground.choose(picture_file(tmp_path, 200, 240, "third.png"))
    assert not playground.painted(0.5, 0.5)
    playground.stroke((0.2, 0.5), (0.8, 0.5))
    page.wait_for_function(_DRAFT_HAS_MASK)
    page.get_by_role("link", name="한국어").click()
    page.wait_for_selector(".mask-state.is-there")
    assert playground.mask_size() == (200, 240)
    assert playground.painted(0.5, 0.5)
    assert playground.prompt.input_value() == "a red house on snow at night"


_DRAFT_HAS_MASK = """() => Object.values(sessionStorage).some(
  (draft) => JSON.parse(draft).mask_image_url?.startsWith("data:image/png"))"""


def test_a_mask_goes_out_at_the_pictures_own_size_white_where_it_was_painted(playground, server, tmp_path):
    playground.open()
    playground.choose(picture_file(tmp_path, 1000, 300))
    playground.stroke((0.1, 0.5), (0.4, 0.5))
    job = server.claim(playground.run())
    stored = job.input["mask_image_url"].removeprefix("file:")
    mask = Image.open(server.services.files.path(stored)).convert("RGB")
    assert mask.size == (1000, 300)
    assert mask.getpixel((250, 150)) == (255, 255, 255)
    assert mask.getpixel((900, 150)) == (0, 0, 0)
    server.finish(job)


def test_a_mask_is_loaded_from_a_file(playground, tmp_path):
    playground.open()
    playground.tool("Clear").click()
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    mask.save(tmp_path / "mask.png")
    playground.page.get_by_label("Load a mask").set_input_files(tmp_path / "mask.png")
    playground.page.wait_for_selector(".mask-state.is-there")
    assert playground.painted(0.1, 0.5)
    assert not playground.painted(0.9, 0.5)


# --- The form ---------------------------------------------------------------------------------------------


def test_what_is_sent_is_what_the_code_shows_and_the_shell_sends_it_too(playground, server, tmp_path):
    page = playground.page
    playground.open()
    playground.prompt.fill('it\'s a "red" house; $HOME `ls` \\')
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("LoRA Path").fill("safelight/night-lights")
    page.get_by_role("slider", name="LoRA Scale").fill("0.5")
    page.get_by_label("jpeg").check(force=True)
    page.get_by_role("button", name="A new seed each time").click()
    code = playground.code()
    playground.run()
    url = f"{server.url}/v1/models/{INPAINTING}"
    written = {one.label: one.code for one in snippets.run(url, playground.sent)}
    assert code == written["curl"]
    for name in ("Python", "JavaScript"):
        page.locator("details.form-code").get_by_role("button", name=name).click()
        assert page.locator("details.form-code pre").inner_text() == written[name]
    page.locator("details.form-code").get_by_role("button", name="curl").click()
    page.locator("details.form-code").get_by_role("button", name="Copy").click()
    expect(page.locator("details.form-code")).to_contain_text("Copied")
    script = page.evaluate("navigator.clipboard.readText()")
    environment = {"YOUR_API_TOKEN": OWNER_KEY, "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "request_id" in answer.stdout, answer.stdout
    assert playground.sent["loras"] == [{"path": "safelight/night-lights", "scale": 0.5}]
    assert playground.sent["seed"] is None
    assert playground.sent["output_format"] == "jpeg"


def test_what_is_missing_is_said_at_its_field_and_nothing_is_sent(watched, playground):
    page = playground.page
    playground.open(CONTROLNET)
    playground.prompt.fill(" ")
    page.get_by_role("button", name="Remove this picture").click()
    page.locator("button.run").click()
    expect(playground.problem_of("prompt")).to_have_text("Write something here.")
    expect(playground.problem_of("image_url")).to_have_text("Choose a picture.")
    expect(playground.prompt).to_be_focused()
    assert page.locator(".way").count() == 0
    assert axe_violations(page) == []


def test_what_the_server_refuses_is_said_at_its_field_until_it_changes(watched, playground):
    watched.expected = ["422"]
    page = playground.page
    playground.open()
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("LoRA Path").fill("/etc/passwd")
    page.locator("button.run").click()
    problem = playground.problem_of("loras[0].path")
    expect(problem).to_be_visible()
    expect(page.get_by_label("LoRA Path")).to_be_focused()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("LoRA Path").fill("./fine.safetensors")
    expect(problem).to_have_count(0)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_picture_that_breaks_a_rule_is_told_before_it_is_sent(playground, tmp_path, language):
    sent = []
    playground.page.on(
        "request", lambda request: sent.append(request.url) if request.method == "POST" else None
    )
    playground.open(WAN, language)
    playground.choose(picture_file(tmp_path, 300, 600), "image_urls")
    rule = {"en": "at least 384 pixels", "ko": "최소 384픽셀"}[language]
    expect(playground.page.locator('[data-field="image_urls"] .problem').first).to_contain_text(rule)
    assert sent == []


def test_reference_pictures_have_an_order_that_changes(playground, tmp_path):
    page = playground.page
    playground.open(WAN)
    names = page.locator(".picture-name")
    expect(names).to_have_count(2)  # those of the model's example
    for left in (1, 0):
        page.get_by_role("button", name="Remove this picture").first.click()
        expect(names).to_have_count(left)
    for name in ("one.png", "two.png", "three.png"):
        playground.choose(picture_file(tmp_path, 400, 400, name), "image_urls")
    expect(names).to_have_text(["one.png", "two.png", "three.png"])
    expect(page.locator('[data-field="image_urls"] .chooser')).to_have_count(0)
    page.get_by_role("button", name="Move number 3 up").click()
    expect(names).to_have_text(["one.png", "three.png", "two.png"])
    page.get_by_role("button", name="Remove this picture").first.click()
    expect(names).to_have_text(["three.png", "two.png"])


def test_a_picture_can_be_pasted_and_dropped(playground):
    page = playground.page
    playground.open(CONTROLNET)
    for kind, name in (("paste", "pasted.png"), ("drop", "dropped.png")):
        page.evaluate(_BRING, [kind, name])
        expect(page.locator(".picture-name")).to_have_text(name)


_BRING = """async ([kind, name]) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 40;
  const blob = await new Promise((resolve) => canvas.toBlob(resolve));
  const data = new DataTransfer();
  data.items.add(new File([blob], name, { type: "image/png" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


# --- A request's way --------------------------------------------------------------------------------------


def test_a_request_is_left_and_found_again_and_its_settings_come_back(playground, server):
    page = playground.page
    playground.open()
    playground.prompt.fill("a blue tent on sand")
    request_id = playground.run()
    job = server.claim(request_id)
    beat(server, job, 2, PREVIEW)
    page.get_by_role("link", name="Models").click()
    page.evaluate("sessionStorage.clear()")
    playground.open()
    page.get_by_role("button", name=re.compile("Running|In the queue")).first.click()
    page.wait_for_selector("img.preview")
    server.finish(job, picture=png("red"))
    page.wait_for_selector(".compare")
    expect(playground.prompt).not_to_have_value("a blue tent on sand")
    page.get_by_role("button", name="Recall settings").click()
    expect(playground.prompt).to_have_value("a blue tent on sand")
    page.wait_for_selector(".mask-state.is-there")


def test_a_waiting_request_tells_its_place_and_is_cancelled(playground, server):
    page = playground.page
    playground.open()
    first = playground.run()
    second = playground.run()
    expect(page.locator(".way-words")).to_have_text(re.compile(r"\d+ ahead|Next"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".ended")).to_contain_text("Cancelled")
    assert page.url.endswith(second)
    with server.client() as client:
        assert client.get(f"/v1/requests/{second}/status").json()["status"] == "cancelled"
        client.post(f"/v1/requests/{first}/cancel")


def test_without_events_the_server_is_asked_instead(watched, playground, server):
    watched.expected = ["ERR_FAILED"]
    playground.page.route("**/events", lambda route: route.fulfill(status=503))
    watched.expected.append("503")
    playground.open()
    job = server.claim(playground.run())
    server.finish(job, picture=png("red"))
    playground.page.wait_for_selector(".compare")


def test_a_lost_connection_loses_nothing(watched, playground, context):
    watched.expected = ["ERR_INTERNET_DISCONNECTED"]
    page = playground.page
    playground.open()
    playground.prompt.fill("a yellow boat")
    context.set_offline(True)
    page.locator("button.run").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    context.set_offline(False)
    playground.run()
    assert playground.sent["prompt"] == "a yellow boat"


def test_a_result_is_compared_used_as_input_and_downloaded(playground, server):
    page = playground.page
    playground.open()
    job = server.claim(playground.run())
    server.finish(job, picture=png("red", (768, 768)))
    border = page.get_by_role("slider", name="Compare before and after")
    border.focus()
    page.keyboard.press("ArrowLeft")
    expect(border).to_have_attribute("aria-valuetext", "48 % before")
    before, after = (page.locator(f".compare .{name}").bounding_box() for name in ("before", "after"))
    assert before == after == pytest.approx(page.locator(".compare").bounding_box())
    assert after["width"] == pytest.approx(after["height"], abs=1)
    assert after["height"] == pytest.approx(page.locator(".spot").bounding_box()["height"], abs=1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Image.open(download.value.path()).getpixel((5, 5)) == (255, 0, 0)
    page.get_by_role("button", name="Use as input").click()
    page.wait_for_selector(".sheet")
    playground.run()
    assert playground.sent["image_url"].startswith(f"{server.url}/files/")


def test_an_expired_result_says_so(watched, playground, server):
    watched.expected = ["404", "410"]
    page = playground.page
    playground.open()
    job = server.claim(playground.run())
    for file_id in server.finish(job, picture=png("red")):
        server.do(server.services.files.delete(file_id))
    expect(page.locator(".ended")).to_contain_text("expired")
    assert axe_violations(page) == []


# --- Who is asking ----------------------------------------------------------------------------------------


def test_a_visitor_sees_everything_and_is_asked_to_log_in(browser, server):
    context = browser.new_context(base_url=server.url, **DESKTOP)
    with watched_page(context) as watched:
        playground = Playground(watched.page)
        playground.open()
        playground.stroke((0.1, 0.2), (0.3, 0.2))
        expect(watched.page.get_by_role("link", name="Log in to run")).to_have_attribute(
            "href", re.compile(r"/login\?next=")
        )
        assert axe_violations(watched.page) == []
    context.close()


def test_anothers_request_is_not_known_here(watched, playground, server):
    watched.expected = ["404"]
    with server.client(NEIGHBOUR_KEY) as neighbour:
        request_id = server.submit(neighbour)
    playground.page.goto(f"/models/{INPAINTING}#request={request_id}")
    expect(playground.page.locator(".ended")).to_contain_text("not known")


def test_the_price_is_told_before_and_a_lack_of_credits_too(browser, tmp_path):
    with running_server(tmp_path, pricing="default.usd = 0.5") as server:
        context = browser.new_context(base_url=server.url, **DESKTOP)
        log_in(context, server.url, NEIGHBOUR_KEY)
        with watched_page(context) as watched:
            watched.expected = ["402"]
            page = watched.page
            playground = Playground(page)
            playground.open()
            expect(page.locator(".price")).to_have_text("Price$0.50")
            expect(page.locator(".run-bar")).to_contain_text("balance of $0.00 does not cover")
            page.locator("button.run").click()
            expect(page.get_by_role("alert").get_by_role("link")).to_have_attribute("href", "/profile")
            assert axe_violations(page) == []
            server.do(server.services.ledger.grant(NEIGHBOUR_ID, Decimal(1)))
            playground.prompt.fill("a red balloon on sand")
            expect(page.locator(".run-bar")).not_to_contain_text("does not cover")
            job = server.claim(playground.run())
            server.finish(job, picture=png("red"))
            expect(page.locator(".facts-of-result")).to_contain_text("$0.50")
        context.close()


def test_a_result_of_a_model_without_pictures_goes_on_to_one_with(playground, server):
    page = playground.page
    page.goto(f"/models/{OVIS}")
    page.wait_for_selector("form.input")
    expect(page.locator(".nothing")).to_be_visible()
