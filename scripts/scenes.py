"""What is to be seen: every page, and every state that a page can be in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

from safelight.examples import examples_of
from scripts.examples import body
from scripts.past import KEYS, MODELS
from scripts.visitor import Visitor

INPAINTING, CONTROLNET = MODELS
PLAYGROUND = f"/models/{INPAINTING}"


@dataclass(frozen=True)
class Scene:
    """play: bring the page into the state. who: the account that is logged in; empty: none."""

    play: Callable[[Visitor], None]
    who: str = ""


def _page(path: str) -> Callable[[Visitor], None]:
    return lambda visitor: visitor.go(path)


def _refused_login(visitor: Visitor) -> None:
    visitor.go("/login")
    visitor.page.locator("#key").fill("sl_not-the-whole-key")
    visitor.press("login.submit_key")
    visitor.page.get_by_role("alert").wait_for()


def _menu(visitor: Visitor) -> None:
    visitor.go("/")
    menu = visitor.page.locator(".menu-button")
    if menu.is_visible():
        menu.click()


def _unavailable(visitor: Visitor) -> None:
    """The database is away: no page of ours can do that to itself, so its answer is put in its place."""
    visitor.go("/no-such-page")
    page = visitor.page.content()
    for part in ("title", "text"):
        missing, away = (visitor.words(f"errors.{status}_{part}") for status in (404, 503))
        page = page.replace(missing, away)
    visitor.page.route("**/away*", lambda route: route.fulfill(body=page.replace("404", "503")))
    visitor.go("/away")


# --- The playground -------------------------------------------------------------------------------------


def _open(visitor: Visitor, model: str = INPAINTING) -> None:
    visitor.go(f"/models/{model}")
    visitor.page.wait_for_selector("form.input")
    if model == INPAINTING:
        visitor.page.wait_for_selector(".mask-state.is-there")


def _run(visitor: Visitor) -> None:
    visitor.page.locator("button.run").click()


def _painting(visitor: Visitor) -> None:
    _open(visitor)


def _running(visitor: Visitor) -> None:
    """Catch it on its way: a fast machine may be done before it can be looked at."""
    preview = visitor.page.locator("img.preview")
    for _ in range(5):
        _open(visitor)
        _run(visitor)
        visitor.page.wait_for_selector("img.preview, .compare")
        if preview.is_visible():
            return


def _result(visitor: Visitor) -> None:
    _open(visitor)
    _run(visitor)
    visitor.page.wait_for_selector(".compare")


def _queued(visitor: Visitor) -> None:
    """Wait behind others: they come from the same account, straight to the API."""
    with _api(visitor) as api:
        for _ in range(3):
            sent = body(examples_of(CONTROLNET)[0])
            assert api.post(f"/v1/models/{CONTROLNET}", json=sent).status_code == 200
    _open(visitor)
    _run(visitor)
    visitor.page.wait_for_selector(".way")


def _failed(visitor: Visitor) -> None:
    with _api(visitor) as api:
        sent = body(examples_of(INPAINTING)[0])
        sent["mask_image_url"] = body(examples_of(CONTROLNET)[0])["image_url"]  # of another shape
        language = {"accept-language": visitor.view.language.value}
        answer = api.post(f"/v1/models/{INPAINTING}", json=sent, headers=language).json()
    visitor.go(f"{PLAYGROUND}#request={answer['request_id']}")
    visitor.page.wait_for_selector(".ended.bad")


def _as_code(visitor: Visitor) -> None:
    _open(visitor)
    visitor.page.locator("details.form-code summary").click()
    visitor.page.wait_for_selector("details.form-code pre")
    visitor.page.locator("details.form-code").scroll_into_view_if_needed()


def _offline(visitor: Visitor) -> None:
    _open(visitor)
    visitor.page.context.set_offline(True)
    _run(visitor)
    visitor.page.get_by_role("alert").first.wait_for()


def _poor(visitor: Visitor) -> None:
    _open(visitor)
    visitor.page.wait_for_load_state("networkidle")


def _api(visitor: Visitor) -> httpx2.Client:
    url = re.match(r"https?://[^/]+", visitor.page.context.request.get("/healthz").url)
    assert url is not None
    return httpx2.Client(base_url=url[0], headers={"authorization": f"Bearer {KEYS['owner']}"}, timeout=60)


# --- Profile and operator -------------------------------------------------------------------------------


def _new_key(visitor: Visitor) -> None:
    visitor.go("/profile")
    visitor.page.locator(".new-key > summary").click()


def _made_key(visitor: Visitor) -> None:
    _new_key(visitor)
    visitor.page.locator("#name").fill("website")
    visitor.press("profile.create")
    visitor.page.wait_for_selector(".made")


def _revoke(visitor: Visitor) -> None:
    visitor.go("/profile")
    visitor.press("profile.revoke")


def _password(visitor: Visitor) -> None:
    visitor.go("/profile#password")
    visitor.page.locator("#password summary").click()


def _busy(visitor: Visitor) -> None:
    with _api(visitor) as api:
        for model in MODELS:
            for _ in range(2):
                api.post(f"/v1/models/{model}", json=body(examples_of(model)[0]))
    visitor.go("/operator")


def _account(visitor: Visitor) -> None:
    visitor.go("/operator/accounts")
    visitor.page.get_by_role("link", name="studio@example.org").click()
    visitor.page.wait_for_selector("#credits")


SCENES = {
    "catalogue": Scene(_page("/")),
    "catalogue-nothing": Scene(_page("/?search=zeppelin")),
    "menu": Scene(_menu, "owner"),
    "docs": Scene(_page(f"{PLAYGROUND}/api")),
    "docs-schema": Scene(_page(f"{PLAYGROUND}/api#input-schema")),
    "login": Scene(_page("/login")),
    "login-refused": Scene(_refused_login),
    "device": Scene(_page("/device?code=KRTB-XWQZ"), "owner"),
    "not-found": Scene(_page("/no-such-page")),
    "unavailable": Scene(_unavailable),
    "playground": Scene(_painting, "owner"),
    "playground-signed-out": Scene(_painting),
    "playground-no-credits": Scene(_poor, "newcomer"),
    "playground-code": Scene(_as_code, "owner"),
    "playground-offline": Scene(_offline, "owner"),
    "profile": Scene(_page("/profile"), "studio"),
    "profile-usage": Scene(_page("/profile#credits"), "studio"),
    "profile-new-key": Scene(_new_key, "studio"),
    "profile-made-key": Scene(_made_key, "studio"),
    "profile-revoke": Scene(_revoke, "studio"),
    "profile-password": Scene(_password, "studio"),
    "profile-no-credits": Scene(_page("/profile#credits"), "newcomer"),
    "operator-accounts": Scene(_page("/operator/accounts"), "owner"),
    "operator-account": Scene(_account, "owner"),
    "playground-running": Scene(_running, "owner"),
    "playground-result": Scene(_result, "owner"),
    "playground-failed": Scene(_failed, "owner"),
    "playground-queued": Scene(_queued, "owner"),
    "operator": Scene(_busy, "owner"),
}
