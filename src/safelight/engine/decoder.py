"""The parent's side of decoding: give the process that decodes its images, and hear how large they are."""

from __future__ import annotations

import asyncio

from safelight.engine.pixels import Size
from safelight.engine.process import ChildDied, ChildProcess, Patience, failure
from safelight.engine.protocol import Decode, Decoded, Failed


class Decoder(ChildProcess):
    """The process that decodes images, and holds nothing else that one could take.

    It works one job ahead of the child that draws. An image that kills it costs its own job an attempt.
    """

    def __init__(self, patience: Patience | None = None) -> None:
        super().__init__("safelight.engine.decoding", patience=patience)
        self._turn = asyncio.Lock()  # it decodes one image at a time

    async def decode(self, request: Decode) -> Size:
        """Decode one image; a process is started where there is none. Returns the image's own size.

        Raises RunFailed, StorageFull, ChildDied or ChildNotStarted.
        """
        async with self._turn:
            try:
                await self.start()
                await self._begin(request)
                return await self._answer()
            except (ChildDied, asyncio.CancelledError):
                await self.kill()
                raise

    async def _answer(self) -> Size:
        match await self._receive(self._patience.decode_s):
            case Decoded() as decoded:
                return decoded.size
            case Failed() as failed:
                raise failure(failed)
            case _:
                raise ChildDied("it spoke out of turn")
