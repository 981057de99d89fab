"""The line to a Postgres server, which a test can cut, freeze and mend."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path

SOCKET = ".s.PGSQL.5432"


class Cable:
    """A relay between two Unix sockets. `url` leads through it."""

    def __init__(self, server: Path, folder: Path, url: str) -> None:
        self.url = url
        self._server = server
        self._folder = folder
        self._writers: list[asyncio.StreamWriter] = []
        self._frozen = False
        self._fatal: bytes | None = None
        self._until_fatal = 0

    @classmethod
    async def lay(cls, url: str, folder: Path) -> Cable:
        host = re.search(r"host=([^&]+)", url)[1]
        cable = cls(Path(host), folder, url.replace(host, str(folder)))
        await cable.mend()
        return cable

    async def mend(self) -> None:
        self._frozen = False
        self._relay = await asyncio.start_unix_server(self._connect, self._folder / SOCKET)

    def cut(self) -> None:
        self._relay.close()
        (self._folder / SOCKET).unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def cut_before(self, words: bytes, nth: int = 1) -> None:
        """Cut as soon as the server says this for the nth time, which nobody hears then."""
        self._fatal, self._until_fatal = words, nth

    @property
    def is_cut(self) -> bool:
        return not self._relay.is_serving()

    def freeze(self) -> None:
        """Let nothing through that was connected before, without a word: a firewall forgot it."""
        self._frozen = True

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._server / SOCKET)
        self._writers += [writer, back]
        new = self._frozen
        await asyncio.gather(self._pump(reader, back, new), self._pump(there, writer, new))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes_frost: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._fatal and self._fatal in data:
                    self._until_fatal -= 1
                    if not self._until_fatal:
                        self._fatal = None
                        self.cut()
                        return
                if passes_frost or not self._frozen:
                    writer.write(data)
            writer.close()
