"""What a client of jumpstarter holds of a board: flash it, read it, erase it, from afar."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.parse import urlparse

from jumpstarter.streams.encoding import create_decompressor
from jumpstarter_driver_opendal.adapter import OpendalAdapter
from jumpstarter_driver_opendal.client import BytesIOStream, FlasherClient, operator_for_path

from esploader.chips.registry import chip_by_name
from esploader.classes import override
from esploader.commands.output_file import OutputFile
from esploader.errors import PlanError, ProtocolError
from esploader.flash.builds.choosing import (
    check_erasing,
    choose,
    named_chip,
    read_builds,
    warn_of,
)
from esploader.flash.source import read_source
from esploader.integrations.jumpstarter import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from jumpstarter.streams.encoding import Compression
    from opendal import Operator

    from esploader.flash.builds.build import Build
    from esploader.flash.builds.folder import Json
    from esploader.flash.erasure import EraseResult
    from esploader.flash.write_plan import RegionResult

    AnyPath: TypeAlias = str | os.PathLike[str]
    OnEvent: TypeAlias = Callable[[wire.Event], None]

_URL_SCHEMES: Final = ("http://", "https://")
"""What an exporter fetches by itself."""


def ignore_event(event: wire.Event) -> None:
    """Show nothing."""


class _File(NamedTuple):
    """What is to be sent, and where it goes."""

    target: str | None
    path: AnyPath
    operator: Operator | None = None
    content: bytes | None = None
    name: str | None = None
    encrypted: bool = False


class RemoteBoard(FlasherClient):
    """A board that an exporter has.

    What cannot be done with the files of the client is an
    :exc:`~esploader.errors.EsploaderError`. What the exporter cannot do is a ``DriverError`` of
    jumpstarter, whose text is the sentence that the library has for it; where the request was
    wrong, a ``DriverInvalidArgument``, which is a :exc:`ValueError`, too.

    ``on_event`` is called with :class:`~esploader.flash.progress.Progress` and its like, and with
    :class:`~esploader.integrations.jumpstarter.wire.Note`, as they happen. What it raises ends the
    operation, at the exporter, too.
    """

    @override
    def flash(
        self,
        path: AnyPath | Mapping[str, AnyPath],
        *,
        target: str | None = None,
        operator: Operator | Mapping[str, Operator] | None = None,
        compression: Compression | None = None,
        encrypt: bool = False,
        erase_all: bool = False,
        force: bool = False,
        on_event: OnEvent = ignore_event,
    ) -> tuple[RegionResult, ...]:
        """Write a file, several, or a build, and return what became of each region.

        ``path`` is a file, or files by their targets; or the folder of a build, or a file that
        describes one (:meth:`flash_build`). A target is an offset, such as ``0x10000``, or the name
        of a partition. What has none is all of the flash, from 0 on, or says itself where it
        belongs (Intel HEX, UF2). An ``http://`` or ``https://`` URL the exporter fetches itself.
        With an ``operator`` of opendal a path is one of its own. ``compression`` is how the file is
        compressed, for the exporter to undo that.
        """
        if isinstance(path, Mapping):
            if target is not None:
                raise PlanError("files that have their targets take no other one")
            operators = operator if isinstance(operator, Mapping) else {}
            files = [
                _File(where, file, operators.get(where) if operators else _single(operator))
                for where, file in path.items()
            ]
        elif target is None and operator is None and _is_build(path):
            return self.flash_build(
                path,
                compression=compression,
                encrypt=encrypt,
                erase_all=erase_all,
                force=force,
                on_event=on_event,
            )
        else:
            files = [_File(target, path, _single(operator))]
        return self._write(
            files,
            compression,
            on_event,
            wire.FlashRequest(uploads=(), encrypt=encrypt, erase_all=erase_all, force=force),
        )

    def flash_build(
        self,
        path: AnyPath,
        *,
        app_only: bool = False,
        partitions: Collection[str] = (),
        compression: Compression | None = None,
        encrypt: bool = False,
        erase_all: bool = False,
        force: bool = False,
        on_event: OnEvent = ignore_event,
    ) -> tuple[RegionResult, ...]:
        """Write what a build tool has left at ``path``, with its flash parameters.

        As :meth:`esploader.device.device.Device.flash_build` does; the parts are sent to the
        exporter, and the build is judged where it is.
        """
        check_erasing(erase_all=erase_all, is_partial=bool(app_only or partitions))
        builds = read_builds(path)
        chip = named_chip(builds) or chip_by_name(self.chip_info().chip)
        build = choose(builds, chip, app_only=app_only, names=partitions, force=force)
        warn_of(build, erase_all=erase_all)
        return self._write(
            _files_of(build),
            compression,
            on_event,
            wire.FlashRequest(
                uploads=(), build=build, encrypt=encrypt, erase_all=erase_all, force=force
            ),
        )

    @override
    def dump(
        self,
        path: AnyPath,
        *,
        target: str | None = None,
        operator: Operator | None = None,
        compression: Compression | None = None,
        on_event: OnEvent = ignore_event,
    ) -> wire.DumpResult:
        """Read what the flash holds into a file, and see that all of it is there.

        ``target`` is a region, such as ``0x9000:0x6000``, or the name of a partition; without it
        all of the flash is read, as large as it is. A file that is there already keeps its content
        until all is read. ``compression`` is how the file is to be compressed.
        """
        if operator is not None:
            with (
                _alone(),
                OpendalAdapter(
                    client=self,
                    operator=operator,
                    path=str(path),
                    mode="wb",
                    compression=compression,
                ) as sink,
            ):
                result = wire.read_dump_result(self._do("dump", on_event, sink, target))
            with operator.open(str(path), "rb") as written:
                _check_hash(_unpacked(written.read(), compression), result)
            return result
        with OutputFile.open(Path(path)) as file:
            buffer = io.BytesIO()
            with _alone(), self._stream(buffer, compression) as sink:
                result = wire.read_dump_result(self._do("dump", on_event, sink, target))
            data = buffer.getvalue()
            _check_hash(_unpacked(data, compression), result)
            file.write(data)
        return result

    def erase(
        self, *, target: str | None = None, force: bool = False, on_event: OnEvent = ignore_event
    ) -> EraseResult:
        """Erase all of the flash, a region or a partition (:meth:`dump`), and see it blank."""
        return wire.read_erase_result(self._do("erase", on_event, target, force))

    def chip_info(self, *, on_event: OnEvent = ignore_event) -> wire.ChipInfo:
        """Return who the device is."""
        return wire.read_chip_info(self._do("chip_info", on_event))

    def hard_reset(self, *, on_event: OnEvent = ignore_event) -> None:
        """Have the device run its application."""
        self._do("hard_reset", on_event)

    def enter_download_mode(self, *, on_event: OnEvent = ignore_event) -> None:
        """Leave the device in download mode, its loader listening."""
        self._do("enter_download_mode", on_event)

    # Within ---------------------------------------------------------------------------------

    def _do(self, operation: str, on_event: OnEvent, *arguments: Json) -> Json:
        """Have the exporter do something, and return what came of it.

        Raises:
            ProtocolError: it ended without saying that.
        """
        received: SimpleQueue[dict[str, Json] | None] = SimpleQueue()

        async def receive() -> None:
            async for message in self.streamingcall_async(operation, *arguments):
                received.put(message)

        # A task can be cancelled. To leave a stream alone ends it when garbage is collected.
        task = self.portal.start_task_soon(receive)
        task.add_done_callback(lambda _: received.put(None))
        try:
            for message in iter(received.get, None):
                if wire.RESULT in message:
                    result: Json = message[wire.RESULT]
                    return result
                on_event(wire.read_event(message))
            task.result()
        finally:
            task.cancel()
        raise ProtocolError("the exporter did not say what came of it")

    def _write(
        self,
        files: Sequence[_File],
        compression: Compression | None,
        on_event: OnEvent,
        request: wire.FlashRequest,
    ) -> tuple[RegionResult, ...]:
        with _alone(), contextlib.ExitStack() as stack:
            uploads = [self._upload(file, compression, stack) for file in files]
            document: dict[str, Json] = {
                **wire.request_document(request),
                "uploads": [wire.upload_document(upload) for upload in uploads],
            }
            return wire.read_regions(self._do("flash", on_event, document))

    def _upload(
        self, file: _File, compression: Compression | None, stack: contextlib.ExitStack
    ) -> wire.Upload:
        """Begin to send a file, until ``stack`` is closed."""
        name = file.name or Path(urlparse(os.fspath(file.path)).path).name
        url = os.fspath(file.path) if _is_url(file.path) else None
        sha256 = None
        if file.operator is None and url is None:
            content = read_source(file.path) if file.content is None else file.content
            sha256 = hashlib.sha256(_unpacked(content, compression)).hexdigest()
            source = self._stream(io.BytesIO(content), compression)
        else:
            path, operator, _ = (
                operator_for_path(url) if file.operator is None else (file.path, file.operator, "")
            )
            source = OpendalAdapter(
                client=self,
                operator=operator,
                path=os.fspath(path),
                mode="rb",
                compression=compression,
                original_url=None if compression or file.operator else url,
            )
        return wire.Upload(
            name=name,
            target=file.target,
            source=stack.enter_context(source),
            sha256=sha256,
            encrypted=file.encrypted,
        )

    @contextlib.contextmanager
    def _stream(self, buffer: io.BytesIO, compression: Compression | None) -> Iterator[Json]:
        """Yield what an exporter reads ``buffer`` by, or writes to it."""
        stream = BytesIOStream(buf=buffer)
        with self.portal.wrap_async_context_manager(
            self.resource_async(stream, content_encoding=compression)
        ) as handle:
            yield handle


def _is_url(path: AnyPath) -> bool:
    return isinstance(path, str) and path.startswith(_URL_SCHEMES)


def _is_build(path: AnyPath) -> bool:
    """Tell whether it is the folder of a build, or describes one."""
    return not _is_url(path) and (os.path.isdir(path) or Path(path).suffix == ".json")


def _single(operator: Operator | Mapping[str, Operator] | None) -> Operator | None:
    if isinstance(operator, Mapping):
        raise PlanError("operators by target are for files by target")
    return operator


def _files_of(build: Build) -> list[_File]:
    return [
        _File(
            target=f"{part.offset:#x}",
            path=part.path or "",
            content=part.content if part.path is None else None,
            name=part.name,
            encrypted=part.encrypted,
        )
        for part in build.parts
    ]


def _unpacked(data: bytes, compression: Compression | None) -> bytes:
    """Return what a compressed file holds, as the exporter will see it.

    Raises:
        PlanError: it is not compressed like that.
    """
    if compression is None:
        return data
    try:
        unpacked: bytes = create_decompressor(compression).decompress(data)
    except Exception as exc:  # each of them has errors of its own
        raise PlanError(f"a file is not compressed as {compression.value} does: {exc}") from exc
    return unpacked


def _check_hash(data: bytes, result: wire.DumpResult) -> None:
    """Refuse to call a dump what is not what the flash holds.

    Raises:
        ProtocolError: something of it was lost on its way.
    """
    if hashlib.sha256(data).hexdigest() != result.sha256:
        raise ProtocolError(
            f"of the {result.size} bytes that were read something was lost on the way here"
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Have an error come alone that streams of jumpstarter hand on in a group."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
