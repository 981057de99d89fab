"""The line to a Postgres server, which a test can cut and mend."""

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

    @classmethod
    async def lay(cls, url: str, folder: Path) -> Cable:
        host = re.search(r"host=([^&]+)", url)[1]
        cable = cls(Path(host), folder, url.replace(host, str(folder)))
        await cable.mend()
        return cable

    async def mend(self) -> None:
        self._relay = await asyncio.start_unix_server(self._connect, self._folder / SOCKET)

    def cut(self) -> None:
        self._relay.close()
        (self._folder / SOCKET).unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._server / SOCKET)
        self._writers += [writer, back]
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
