"""The driver that an exporter of jumpstarter loads: one board, behind any port of this library.

.. code-block:: yaml

    export:
      storage:
        type: esploader.integrations.jumpstarter.driver.EspLoader
        config: {url: /dev/ttyUSB0, chip: esp32c3, baudrate: 921600}

All operations are streaming calls: events on the way, and the result at the end. So a client sees
progress while it happens, and an error as the sentence that it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

from jumpstarter.common.exceptions import ConfigurationError
from jumpstarter.driver import Driver, export

from esploader.chips.registry import chip_by_name
from esploader.connector import DEFAULT_BAUDRATE
from esploader.errors import (
    EsploaderError,
    ImageError,
    PartitionTableError,
    PlanError,
    UnsupportedError,
    UrlError,
    WrongChipError,
)
from esploader.flash.source import MAX_SOURCE_SIZE
from esploader.integrations.jumpstarter import work
from esploader.integrations.jumpstarter.job import Worker
from esploader.integrations.jumpstarter.wire import (
    RESULT,
    event_document,
    read_request,
    read_target,
    result_document,
)
from esploader.loader.resetting import After
from esploader.numerals import shown
from esploader.urls import check_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from esploader.device.device import Device
    from esploader.flash.builds.folder import Json
    from esploader.integrations.jumpstarter.job import Job
    from esploader.integrations.jumpstarter.wire import FlashRequest

    Messages = AsyncGenerator[dict[str, Json], None]

T = TypeVar("T")

CONSOLE: Final = "serial"
"""The child that shares the port: jumpstarter's PySerial, or one that can be closed like it."""

AUTO: Final = "auto"
"""Any chip will do."""

MAX_NAME_SIZE: Final = 60
"""Characters of the name of a file that are kept, those at its end."""

PIECE_SIZE: Final = 0x1_0000
"""What goes to a client at once, in bytes."""

_WRONG_INPUT: Final = (
    ImageError,
    PartitionTableError,
    PlanError,
    UnsupportedError,
    UrlError,
    WrongChipError,
)
"""What a client has to change. jumpstarter tells it apart, if it is a ValueError here."""


@dataclass(kw_only=True)
class EspLoader(Driver):
    """Flashes, reads, erases, identifies and resets one board.

    Raises jumpstarter's ConfigurationError where its configuration makes no sense.
    """

    url: str | None = None
    """Name or URL of the port; ``None`` for that of the console."""
    chip: str = AUTO
    """The only chip that will do."""
    baudrate: int = DEFAULT_BAUDRATE
    """For everything after identification."""

    _worker: Worker = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        url, baudrate = self.url, self.baudrate
        if not url and CONSOLE not in self.children:
            raise ConfigurationError(
                f"EspLoader has no port: it takes a 'url', or a child {CONSOLE!r} that has one"
            )
        try:
            if url is not None:
                check_url(_checked(url, str, "url"))
            if self.chip != AUTO:
                chip_by_name(_checked(self.chip, str, "chip"))
        except EsploaderError as exc:
            # jumpstarter shows what causes it, too, and that is the same sentence.
            raise ConfigurationError(f"EspLoader: {exc}") from None
        if _checked(baudrate, int, "baudrate") <= 0:
            raise ConfigurationError(f"EspLoader: {baudrate} is no baud rate")
        self._worker = Worker(url or CONSOLE)

    @classmethod
    def client(cls) -> str:
        """Return the name of the class that clients load."""
        return "esploader.integrations.jumpstarter.client.EspLoaderClient"

    def close(self) -> None:
        """End what is being done, and free the port."""
        self._worker.close()
        super().close()

    @export
    async def flash(self, request: dict[str, Json]) -> Messages:
        """Write what a :class:`~esploader.integrations.jumpstarter.wire.FlashRequest` says."""
        with _told_apart(), tempfile.TemporaryDirectory(prefix="esploader-") as folder:
            wanted = read_request(request)
            files = await self._receive(wanted, Path(folder))

            def write(device: Device, job: Job[Json]) -> Json:
                regions = work.flash(device, wanted, files, job)
                return [result_document(region) for region in regions]

            async for message in self._do(write):
                yield message

    @export
    async def dump(self, sink: Json, target: Json = None) -> Messages:
        """Read all of the flash, a region or a partition, and send it to ``sink``."""
        contents: list[bytes] = []
        with _told_apart():
            where = read_target(target)

            def read(device: Device, job: Job[Json]) -> Json:
                result, data = work.dump(device, where, job)
                contents.append(data)
                return result_document(result)

            async for message in self._do(read):
                if RESULT in message:
                    # Whoever has the result has all of it, and can compare.
                    await self._send(contents.pop(), sink)
                yield message

    @export
    async def erase(self, target: Json = None, force: Json = None) -> Messages:
        """Erase all of the flash, a region or a partition."""
        with _told_apart():
            where = read_target(target)
            async for message in self._do(
                lambda device, job: result_document(
                    work.erase(device, where, job, force=force is True)
                )
            ):
                yield message

    @export
    async def chip_info(self) -> Messages:
        """Tell who the device is."""
        with _told_apart():
            async for message in self._do(
                lambda device, _: result_document(work.chip_info(device))
            ):
                yield message

    @export
    async def hard_reset(self) -> Messages:
        """Have the device run its application."""
        with _told_apart():
            async for message in self._do(lambda _device, _job: True, After.HARD_RESET):
                yield message

    @export
    async def enter_download_mode(self) -> Messages:
        """Leave the device in download mode, its loader listening."""
        with _told_apart():
            async for message in self._do(lambda _device, _job: True, After.NO_RESET):
                yield message

    async def _do(
        self, operation: Callable[[Device, Job[Json]], Json], after: After | None = None
    ) -> Messages:
        """Yield what an operation tells, and its result."""
        console = self.children.get(CONSOLE)
        # Only now: a reference to a console is followed when all drivers are there.
        url = self.url or str(console.url)
        chip = None if self.chip == AUTO else self.chip
        board = work.Board(url=url, chip=chip, baudrate=self.baudrate)
        hold, give_back = (getattr(console, name, _do_nothing) for name in ("hold", "give_back"))

        # It may have the port again as soon as the thread has it no more.
        hold()
        try:
            if console is not None:
                console.close()
                # It closes in the next turn of the loop.
                await asyncio.sleep(0)
        except BaseException:
            give_back()
            raise
        async with self._worker.doing(
            lambda job: board.visit(job, lambda device: operation(device, job), after), give_back
        ) as job:
            async for event in job.events():
                yield event_document(event)
            yield {RESULT: job.result()}

    async def _receive(self, request: FlashRequest, folder: Path) -> list[Path]:
        """Return files of what the client sends, each in a folder of its own."""
        files: list[Path] = []
        room = MAX_SOURCE_SIZE
        for number, upload in enumerate(request.uploads):
            # By its name a file may be known for what it is. No name is too long for a file.
            name = Path(upload.name).name[-MAX_NAME_SIZE:]
            path = folder / str(number) / f"{number}-{name}"
            digest = hashlib.sha256()
            async with self.resource(upload.source) as stream:
                with _keeping(upload.name), _create(path) as file:
                    async for piece in stream:
                        room -= len(piece)
                        if room < 0:
                            raise PlanError(f"the files have more than {MAX_SOURCE_SIZE} bytes")
                        digest.update(piece)
                        await asyncio.to_thread(file.write, piece)
            if upload.sha256 not in (None, digest.hexdigest()):
                raise PlanError(f"{upload.name} did not arrive as the client sent it")
            files.append(path)
        return files

    async def _send(self, data: bytes, sink: Json) -> None:
        async with self.resource(sink) as stream:
            for start in range(0, len(data), PIECE_SIZE):
                await stream.send(data[start : start + PIECE_SIZE])
            # Without it what compresses on the way keeps the rest for itself.
            await stream.send_eof()


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir()
    return path.open("wb")


@contextlib.contextmanager
def _keeping(name: str) -> Iterator[None]:
    """Say that there is no room for a file, or no right to keep one.

    Raises:
        PlanError: that is so.
    """
    try:
        yield
    except OSError as exc:
        raise PlanError(f"the exporter cannot keep {name}: {exc.strerror or exc}") from exc


def _do_nothing() -> None:
    """Stand in for what jumpstarter's own console does not have."""


def _checked(value: object, kind: type[T], name: str) -> T:
    """Return a value of the configuration, if it is of the kind that it has to be.

    Raises:
        ConfigurationError: it is not.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ConfigurationError(f"EspLoader: {shown(value)} is no {name}")
    return value


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Have clients see what is wrong with what they ask for, and what went wrong."""
    try:
        yield
    except _WRONG_INPUT as exc:
        raise ValueError(str(exc)) from exc
