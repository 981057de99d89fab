import base64
import socket

import pytest
from aiohttp import web
from PIL import Image
from pydantic import SecretStr
from structlog.testing import capture_logs

from safelight.errors import UpstreamFailed
from safelight.network.fetch import Fetcher
from safelight.worker.upstream import Order
from safelight.worker.wan_api import WanApi, WanPace
from tests.wan_vendor import KEY, refusal, running_vendor, task_answer

KEY_REFUSED = "Wan's API refused this server's key; its operator must check it."
NOT_UNDERSTOOD = "Wan's API gave an answer that is not understood."
FILTERED = "Wan's API refused the prompt or an image: its content filter objects."
ELSEWHERE = {"Location": "http://127.0.0.1:1/"}
QUICK = WanPace(poll_s=0.01, answer_s=5, total_s=10)
INPUT = {
    "prompt": "이미지 1의 공",
    "negative_prompt": "blurry",
    "image_size": "1344*576 (21:9)",
    "seed": 7,
    "prompt_extend": False,
}


@pytest.fixture
async def vendor():
    async with running_vendor() as running:
        yield running


class Client:
    """One order to a vendor, and what came of it."""

    def __init__(self, vendor, folder, key=KEY, pace=QUICK):
        fetcher = Fetcher(allow=[f"127.0.0.1:{vendor.port}"])
        self.api = WanApi(vendor.url + "/api/v1", SecretStr(key), fetcher, pace)
        self.into = folder / "drawn"
        self.remembered = []
        self._folder = folder

    async def draw(self, task=None, **values):
        paths = []
        for number, format in enumerate(("PNG", "JPEG")):
            paths.append(self._folder / f"{number}")
            Image.new("RGB", (384, 384), (number, 0, 0)).save(paths[-1], format)

        async def remember(begun):
            self.remembered.append(begun)

        await self.api.draw(
            Order(INPUT | values, {"image_urls": list(map(str, paths))}, task, remember), self.into
        )

    async def failure(self, **values):
        with pytest.raises(UpstreamFailed) as caught:
            await self.draw(**values)
        assert not self.into.exists()
        assert caught.value.code == "upstream_failed"
        return caught.value.message


@pytest.fixture
def client(vendor, tmp_path):
    return Client(vendor, tmp_path)


async def test_the_picture_is_copied_as_soon_as_it_is_drawn(vendor, client):
    vendor.pending = 3
    await client.draw()
    assert Image.open(client.into).getpixel((0, 0)) == (128, 0, 128)
    assert vendor.looks == ["task-1"] * 4
    assert vendor.copies == 1


async def test_every_field_reaches_the_vendor(vendor, client):
    await client.draw()
    (task,) = vendor.tasks
    assert task["model"] == "wan2.6-image"
    assert task["parameters"] == {
        "negative_prompt": "blurry",
        "size": "1344*576",
        "seed": 7,
        "prompt_extend": False,
        "n": 1,
        "watermark": False,
        "enable_interleave": False,
    }
    (message,) = task["input"]["messages"]
    assert message["role"] == "user"
    text, *pictures = message["content"]
    assert text == {"text": "이미지 1의 공"}
    kinds = [picture["image"].split(",")[0] for picture in pictures]
    assert kinds == ["data:image/png;base64", "data:image/jpeg;base64"]
    sent = base64.b64decode(pictures[0]["image"].split(",")[1])
    assert sent == (client.into.parent / "0").read_bytes()


async def test_the_task_is_remembered_before_it_is_waited_for(vendor, client):
    vendor.end = {"task_status": "FAILED", "code": "InternalError"}
    await client.failure()
    assert client.remembered == ["task-1"]


async def test_a_task_that_was_begun_is_not_paid_twice(vendor, client):
    await client.draw(task="task-of-before")
    assert vendor.tasks == []
    assert set(vendor.looks) == {"task-of-before"}
    assert client.remembered == []
    assert client.into.exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            refusal(400, "DataInspectionFailed"),
            FILTERED,
        ),
        (refusal(400, "InvalidParameter"), "Wan's API could not draw this (InvalidParameter)."),
        (refusal(400, "Arrearage"), "This server's account at Wan's API has no credit."),
        (
            refusal(403, "AccessDenied.Unpurchased"),
            KEY_REFUSED,
        ),
        (refusal(500, "InternalError"), "Wan's API could not draw this (InternalError)."),
        (refusal(400, "x\n<script>"), "Wan's API could not draw this (HTTP 400)."),
        (
            web.Response(status=302, headers=ELSEWHERE),
            "Wan's API could not draw this (HTTP 302).",
        ),
        (web.Response(text="<html>"), NOT_UNDERSTOOD),
        (web.json_response({"output": {}}), NOT_UNDERSTOOD),
        (
            web.json_response({"output": {"task_id": "../../x"}}),
            NOT_UNDERSTOOD,
        ),
        (web.Response(text="[" * 2**21), NOT_UNDERSTOOD),
    ],
)
async def test_a_refused_task_fails_in_our_words(vendor, client, answer, message):
    vendor.submit_answers = [answer]
    assert await client.failure() == message
    assert vendor.tasks == []


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            {"task_status": "FAILED", "code": "DataInspectionFailed", "message": "secret"},
            FILTERED,
        ),
        (
            {"task_status": "FAILED", "code": "InternalError.Timeout"},
            "Wan's API could not draw this (InternalError.Timeout).",
        ),
        ({"task_status": "CANCELED"}, "The task was cancelled at Wan's API."),
        ({"task_status": "UNKNOWN"}, "Wan's API no longer knows the task: it keeps one for 24 hours."),
        ({"task_status": "SUCCEEDED", "choices": []}, NOT_UNDERSTOOD),
        ({"task_status": "SUCCEEDED", "choices": [{}]}, NOT_UNDERSTOOD),
        (None, "Wan's API could not draw this."),
    ],
)
async def test_a_failed_task_fails_in_our_words(vendor, client, output, message):
    vendor.task_answers = [task_answer(output)]
    assert await client.failure() == message


async def test_a_wrong_key_is_told_without_telling_it(vendor, tmp_path):
    client = Client(vendor, tmp_path, key="sk-a-wrong-key")
    with capture_logs() as logs:
        message = await client.failure()
    assert message == KEY_REFUSED
    assert [log["event"] for log in logs] == ["upstream_refused_the_key"]
    assert "wrong-key" not in repr(logs) + repr(vars(client.api))


async def test_a_busy_vendor_is_asked_again(vendor, client):
    vendor.submit_answers = [refusal(429, "Throttling.RateQuota") for _ in range(2)]
    vendor.task_answers = [refusal(429, "Throttling"), refusal(503, "x"), refusal(500, "x")]
    await client.draw()
    assert len(vendor.tasks) == 1
    assert client.into.exists()


async def test_a_task_whose_answer_was_lost_is_not_handed_in_twice(vendor, client):
    vendor.hangs_up = True
    assert await client.failure() == "Wan's API did not answer; the task may have been lost."
    assert len(vendor.tasks) == 1


async def test_a_vendor_that_cannot_be_reached_is_tried_until_the_time_is_up(tmp_path, vendor):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = Client(vendor, tmp_path, pace=WanPace(poll_s=0.01, answer_s=1, total_s=0.3))
        client.api._base_url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert await client.failure() == "Wan's API took too long; try again later."


async def test_a_task_that_never_ends_is_given_up(vendor, tmp_path):
    vendor.pending = 10**9
    client = Client(vendor, tmp_path, pace=WanPace(poll_s=0.01, answer_s=1, total_s=0.3))
    assert await client.failure() == "Wan's API took too long; try again later."
    assert len(vendor.looks) > 2


async def test_a_picture_whose_address_has_expired_fails(vendor, client):
    vendor.picture_status = 403
    expected = "The picture could not be copied from Wan's API; its address may have expired."
    assert await client.failure() == expected
    assert vendor.copies == 3


async def test_a_picture_is_fetched_through_the_guarded_door_alone(vendor, client):
    vendor.picture_host = "http://127.0.0.1:9"
    assert await client.failure() == "Wan's API names an address that this server may not fetch."
    vendor.picture_host, vendor.pending = "https://169.254.169.254", 0
    assert await client.failure() == "Wan's API names an address that this server may not fetch."


@pytest.mark.parametrize("pending", [10**9, 1])
async def test_a_task_is_called_off_or_runs_on(vendor, client, pending):
    vendor.pending = pending
    await client.api.call_off("task-1")
    assert vendor.called_off == ["task-1"]


async def test_calling_off_at_a_vendor_that_is_away_raises_nothing(client, vendor):
    vendor.hangs_up = True
    await WanApi("http://127.0.0.1:1/api/v1", SecretStr(KEY), Fetcher(), QUICK).call_off("task-1")
