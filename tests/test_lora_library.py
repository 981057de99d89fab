import asyncio
import json
import os
from pathlib import Path

import pytest

from safelight.errors import (
    FetchFailed,
    FileTooLarge,
    InvalidInput,
    InvalidLora,
    LoraIncompatible,
    LoraNotFound,
    PathNotAllowed,
    SafelightError,
)
from safelight.loras.references import Example, FromFolder, FromHub, FromUrl, source_of
from safelight.network.fetch import Fetcher
from safelight.worker.attempt import Attempt
from safelight.worker.lora_cache import LoraCache, hash_of
from safelight.worker.lora_library import LoraLibrary
from tests.jobs import new_job
from tests.lora_files import ab, pairs, raw, save
from tests.sites import Site, answer, redirect

TARGETS = {"layers.0.attention.to_q": (64, 64), "layers.0.feed_forward.w1": (170, 64)}
WIDE = {"layers.0.attention.to_q": (3840, 3840)}
COMMIT = "0123456789abcdef"


@pytest.fixture
async def site():
    site = Site()
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
def lora_dir(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


@pytest.fixture
def make_library(site, tmp_path, lora_dir):
    def make(limit_bytes=10**8):
        return LoraLibrary(
            LoraCache(tmp_path / "cache", limit_bytes),
            Fetcher(allow=[f"127.0.0.1:{site.port}"]),
            hub_url=site.url("").rstrip("/"),
            lora_dir=lora_dir,
            examples_dir=tmp_path / "examples",
        )

    return make


@pytest.fixture
def library(make_library):
    return make_library()


@pytest.fixture
def content(tmp_path):
    """A LoRA's bytes; another seed gives other bytes of the same length."""

    def make(seed=0, targets=TARGETS):
        path = save(tmp_path / "made.safetensors", ab(pairs(targets, seed=seed), "diffusion_model."))
        return path.read_bytes()

    return make


@pytest.fixture
def provide(library, tmp_path):
    numbers = iter(range(1000))

    async def provide(*paths, account="a", library=library, targets=TARGETS, scale=1):
        folder = tmp_path / f"attempt{next(numbers)}"
        folder.mkdir()
        attempt = Attempt(new_job(account_id=account), folder)
        return await library.provide(attempt, [{"path": path, "scale": scale} for path in paths], targets)

    return provide


def listing(*names):
    return answer(json.dumps({"sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}).encode())


def test_a_path_says_where_a_lora_comes_from(tmp_path):
    assert source_of("https://example.com/x.safetensors", None) == FromUrl(
        "https://example.com/x.safetensors"
    )
    assert source_of("owner/repo", None) == FromHub("owner/repo")
    assert source_of("owner/repo/sub/x.safetensors", None) == FromHub("owner/repo", "sub/x.safetensors")
    assert source_of("safelight/pencil", None) == Example("pencil")
    assert source_of("./x.safetensors", tmp_path) == FromFolder(tmp_path / "x.safetensors")
    assert source_of(f"{tmp_path}/a/x.safetensors", tmp_path) == FromFolder(tmp_path / "a/x.safetensors")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "./../x.safetensors",
        "../x.safetensors",
        "./a/../../x.safetensors",
        "/",
        ".",
        "./",
        "./x.bin",
        "~/x.safetensors",
        "C:\\x.safetensors",
        ".\\x.safetensors",
        "/proc/self/environ",
    ],
)
@pytest.mark.parametrize("configured", [True, False])
def test_a_local_path_outside_the_folder_is_not_allowed(tmp_path, path, configured):
    with pytest.raises(PathNotAllowed):
        source_of(path, tmp_path if configured else None)


@pytest.mark.parametrize(
    "path", ["x", "x.safetensors", "a/b/c", "a/b/x.bin", "a/../b", "a/b/../x.safetensors", "a//b"]
)
def test_what_is_no_path_is_refused_and_told_what_works(path):
    with pytest.raises(InvalidInput, match="owner/repo"):
        source_of(path, None)


# --- From an address ------------------------------------------------------------------------------------


async def test_a_lora_is_fetched_into_the_jobs_folder(provide, site, content):
    site.answers["/x.safetensors"] = answer(content())
    (lora,) = await provide(site.url("/x.safetensors"), scale=0.5)
    assert Path(lora.path).read_bytes() == content()
    assert (lora.kind, lora.scale, lora.sha256) == ("lora", 0.5, hash_of(Path(lora.path)))


async def test_a_query_is_not_told_again(provide, site, content):
    site.answers["/x?token=secret"] = answer(content())
    (lora,) = await provide(site.url("/x?token=secret"))
    assert lora.name == site.url("/x")


async def test_a_lora_of_another_base_is_refused_before_its_body_comes(provide, site, content):
    """The body never ends: who waits for it never answers."""
    whole = content(targets=WIDE)
    released = asyncio.Event()

    async def header_only(writer):
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(whole)}\r\n\r\n".encode() + whole[:4000])
        await writer.drain()
        await released.wait()

    site.answers["/x"] = header_only
    with pytest.raises(LoraIncompatible, match=r"loras\[0\]: The LoRA was made for Z-Image"):
        async with asyncio.timeout(4):
            await provide(site.url("/x"))
    released.set()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>not found</html>", InvalidLora),
        (b"", InvalidLora),
        (b"\x80\x02}q\x00.", InvalidLora),
        ((2**63).to_bytes(8, "little") + b"{}", InvalidLora),
        (
            raw({"layers.0.attention.to_q.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}),
            InvalidLora,
        ),
        (
            raw(
                {
                    f"layers.0.attention.to_q.lora_{half}.weight": {
                        "dtype": "F32",
                        "shape": shape,
                        "data_offsets": [begin, begin + 4 * shape[0] * shape[1]],
                    }
                    for half, shape, begin in (("A", (2**23, 64), 0), ("B", (64, 2**23), 2**31))
                }
            ),
            FileTooLarge,
        ),
    ],
)
async def test_what_is_no_lora_is_refused(provide, site, body, error):
    site.answers["/x"] = answer(body)
    with pytest.raises(error):
        await provide(site.url("/x"))


async def test_a_body_that_is_shorter_than_its_header_says_is_refused(provide, site, content):
    site.answers["/x"] = answer(content()[:-1])
    with pytest.raises(InvalidLora, match="cut off"):
        await provide(site.url("/x"))


async def test_a_version_that_is_here_already_is_not_fetched_again(provide, site, content):
    site.answers["/x"] = answer(content(), etag='"one"')
    (first,) = await provide(site.url("/x"))
    site.answers["/x"] = answer(status="304 Not Modified")
    (second,) = await provide(site.url("/x"))
    assert 'If-None-Match: "one"' in site.requests[1]
    assert Path(second.path).read_bytes() == content()
    assert first.sha256 == second.sha256


async def test_a_new_version_is_fetched(provide, site, content):
    site.answers["/x"] = answer(content(0), etag='"one"')
    (first,) = await provide(site.url("/x"))
    site.answers["/x"] = answer(content(1), etag='"two"')
    (second,) = await provide(site.url("/x"))
    assert first.sha256 != second.sha256
    assert Path(second.path).read_bytes() == content(1)


async def test_what_one_account_fetched_from_an_address_another_must_fetch_itself(provide, site, content):
    site.answers["/x"] = answer(content(), etag='"one"')
    await provide(site.url("/x"), account="a")
    site.answers["/x"] = answer(b"", "403 Forbidden")
    with pytest.raises(FetchFailed):
        await provide(site.url("/x"), account="b")
    assert "If-None-Match" not in site.requests[1]


# --- From the hub ---------------------------------------------------------------------------------------


async def test_a_repositorys_only_file_is_meant(provide, site, content):
    site.answers["/api/models/me/repo"] = listing("README.md", "other.bin", "my-lora.safetensors")
    site.answers[f"/me/repo/resolve/{COMMIT}/my-lora.safetensors"] = answer(content())
    (lora,) = await provide("me/repo")
    assert Path(lora.path).read_bytes() == content()


async def test_the_conventional_name_is_meant_among_several(provide, site, content):
    site.answers["/api/models/me/repo"] = listing("a.safetensors", "pytorch_lora_weights.safetensors")
    site.answers[f"/me/repo/resolve/{COMMIT}/pytorch_lora_weights.safetensors"] = answer(content())
    assert await provide("me/repo")


async def test_among_several_files_one_must_be_named(provide, site, content):
    site.answers["/api/models/me/repo"] = listing("a.safetensors", "sub/b.safetensors")
    site.answers[f"/me/repo/resolve/{COMMIT}/sub/b.safetensors"] = answer(content())
    with pytest.raises(InvalidLora, match=r"name one of: a.safetensors, sub/b.safetensors"):
        await provide("me/repo")
    assert await provide("me/repo/sub/b.safetensors")
    with pytest.raises(LoraNotFound):
        await provide("me/repo/c.safetensors")


async def test_an_unknown_repository_is_not_found(provide):
    with pytest.raises(LoraNotFound, match=r"loras\[0\]: The hub does not know"):
        await provide("nobody/nothing")


@pytest.mark.parametrize("body", [b"[]", b"{}", b"nonsense", b'{"sha": "../..", "siblings": []}'])
async def test_a_hub_that_talks_nonsense_is_not_believed(provide, site, body):
    site.answers["/api/models/me/repo"] = answer(body)
    with pytest.raises(LoraNotFound):
        await provide("me/repo")


async def test_a_commit_that_is_here_already_is_not_fetched_again_by_anybody(provide, site, content):
    site.answers["/api/models/me/repo"] = listing("x.safetensors")
    site.answers[f"/me/repo/resolve/{COMMIT}/x.safetensors"] = answer(content())
    await provide("me/repo", account="a")
    await provide("me/repo", account="b")
    assert site.paths.count(f"/me/repo/resolve/{COMMIT}/x.safetensors") == 1


async def test_a_hub_that_sends_us_on_is_followed(provide, site, content):
    site.answers["/api/models/me/repo"] = listing("x.safetensors")
    site.answers[f"/me/repo/resolve/{COMMIT}/x.safetensors"] = redirect("/cdn/x")
    site.answers["/cdn/x"] = answer(content())
    assert await provide("me/repo")


async def test_no_token_is_sent_to_the_hub(provide, site, content, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    site.answers["/api/models/me/repo"] = listing("x.safetensors")
    site.answers[f"/me/repo/resolve/{COMMIT}/x.safetensors"] = answer(content())
    await provide("me/repo")
    assert "authorization" not in "".join(site.requests).lower()


async def test_a_known_controlnet_is_not_fetched_at_all(provide, site):
    (lora,) = await provide("alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union", scale=0.7)
    assert (lora.kind, lora.scale, lora.path) == ("controlnet", 0.7, "")
    assert site.requests == []


# --- On this machine ------------------------------------------------------------------------------------


async def test_a_file_of_the_folder_is_taken(provide, lora_dir, content):
    (lora_dir / "x.safetensors").write_bytes(content())
    for path in ("./x.safetensors", str(lora_dir / "x.safetensors")):
        (lora,) = await provide(path)
        assert lora.sha256 == hash_of(lora_dir / "x.safetensors")


async def test_what_is_no_plain_file_inside_the_folder_is_not_found(provide, lora_dir, tmp_path, content):
    (tmp_path / "outside.safetensors").write_bytes(content())
    (lora_dir / "link.safetensors").symlink_to(tmp_path / "outside.safetensors")
    (lora_dir / "folder.safetensors").mkdir()
    os.mkfifo(lora_dir / "fifo.safetensors")
    messages = set()
    for name in ("link", "folder", "fifo", "absent"):
        with pytest.raises(LoraNotFound) as caught:
            await provide(f"./{name}.safetensors")
        messages.add(caught.value.message)
    assert messages == {"loras[0]: There is no such file in the LoRA folder of this server."}


async def test_an_example_ships_with_safelight(provide, tmp_path, content):
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "pencil.safetensors").write_bytes(content())
    (lora,) = await provide("safelight/pencil")
    assert lora.name == "safelight/pencil"
    with pytest.raises(LoraNotFound, match="there are: safelight/pencil"):
        await provide("safelight/brush")


# --- The cache ------------------------------------------------------------------------------------------


async def test_equal_bytes_are_kept_once(provide, site, content, tmp_path):
    for path in ("/x", "/y"):
        site.answers[path] = answer(content())
        await provide(site.url(path), account=path)
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1


async def test_the_least_recently_used_leaves_first(provide, make_library, site, content, tmp_path):
    size = len(content())
    library = make_library(limit_bytes=int(size * 2.5))
    hashes = {}
    for name in ("x", "y"):
        site.answers[f"/{name}"] = answer(content(ord(name)), etag=f'"{name}"')
        (lora,) = await provide(site.url(f"/{name}"), library=library)
        hashes[name] = lora.sha256
    kept = site.answers["/x"]
    site.answers["/x"] = answer(status="304 Not Modified")
    (used,) = await provide(site.url("/x"), library=library)
    site.answers["/z"] = answer(content(ord("z")))
    (newest,) = await provide(site.url("/z"), library=library)
    found = {path.stem for path in (tmp_path / "cache").glob("*.safetensors")}
    assert found == {hashes["x"], newest.sha256}
    # What has left is asked for without a condition.
    (again,) = await provide(site.url("/y"), library=library)
    assert again.sha256 == hashes["y"]
    assert "If-None-Match" not in site.requests[-1]
    assert Path(used.path).read_bytes() in kept


async def test_what_a_job_holds_survives_its_eviction(provide, make_library, site, content):
    library = make_library(limit_bytes=int(len(content()) * 1.5))
    site.answers["/x"], site.answers["/y"] = answer(content(1)), answer(content(2))
    (first,) = await provide(site.url("/x"), library=library)
    await provide(site.url("/y"), library=library)
    assert Path(first.path).read_bytes() == content(1)


async def test_a_file_larger_than_the_cache_is_refused(provide, make_library, site, content):
    site.answers["/x"] = answer(content())
    with pytest.raises(FileTooLarge):
        await provide(site.url("/x"), library=make_library(limit_bytes=100))


async def test_every_failure_says_which_lora_it_was(provide, site, content):
    site.answers["/x"] = answer(content())
    with pytest.raises(SafelightError, match=r"^loras\[1\]: "):
        await provide(site.url("/x"), "nobody/nothing")
