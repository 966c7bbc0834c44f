"""Putting a stub loader into a device: faster, and with more commands than the ROM.

The binaries are Espressif's (esp-flasher-stub, MIT or Apache-2.0) and are not part of this
package. They are JSON files, one a chip, as Espressif publishes them: segments for code
and data in base64, with their addresses and the entry. They are looked for

1. where the caller says;
2. in the directory that ``ESPLOADER_STUB_DIR`` names;
3. in the data folder of the user, where ``esploader stub install`` puts them;
4. in the package data of an installed ``esptool`` (extra ``[stub]``), in its folder of
   permissively licensed stubs; esptool itself is not imported.

Nothing is downloaded here.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.labels import MAJOR, MINOR
from esploader.chips.reading.identity import texts_of
from esploader.classes import frozen
from esploader.errors import CommandError, ProtocolError, StubError
from esploader.loader.stub_folders import DIRECTORY_VARIABLE, HOW_TO_INSTALL, stub_file
from esploader.protocol import dialect
from esploader.protocol.commands import ReadReg, RegisterWrite, WriteReg
from esploader.protocol.download_commands import MemBegin, MemData, MemEnd, MemStay
from esploader.protocol.flash_commands import CallHook
from esploader.session.confirming import read_words
from esploader.session.streams import end_stream, read_frame, start_stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.revision import Revision
    from esploader.protocol.commands import Command
    from esploader.session.session import Session

_log: Final = logging.getLogger(__name__)

MAX_FILE_SIZE: Final = 1024 * 1024
"""A stub is some 20 KB; anything beyond this is none."""

_GREETING: Final = b"OHAI"
_GREETING_TIMEOUT: Final = 3.0
_SMALL_PART_SIZE: Final = 0x400
_PART_ATTEMPTS: Final = 8
_ADDRESS_SPACE: Final = 1 << 32
_WORD_SIZE: Final = 4


def stub_name(chip: Chip, revision: Revision | None) -> str:
    """Return what the stub for devices of ``chip`` of that revision is called.

    The chip has one; where the revision is not known, that of the latest.
    """
    values = {} if revision is None else {MAJOR: revision.major, MINOR: revision.minor}
    (name,) = texts_of((chip.stub_files,), values, {})
    return name


@frozen
class MemorySegment:
    """Bytes and where they belong in the device's memory."""

    address: int = attrs.field(repr=hex)
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.address + len(self.data)

    def block_ends(self, block_size: int) -> list[int]:
        """Return the addresses of the first and the last word of each block."""
        starts = range(self.address, self.end, block_size)
        ends = (min(start + block_size, self.end) - 1 for start in starts)
        return sorted({address - address % _WORD_SIZE for address in (*starts, *ends)})

    def words(self) -> list[int]:
        """Return the addresses of all its words."""
        return list(range(self.address - self.address % _WORD_SIZE, self.end, _WORD_SIZE))

    def agrees_with(self, address: int, word: int) -> bool:
        """Tell whether the bytes of ``word`` at ``address`` are its own, as far as it has any."""
        first = max(self.address, address)
        last = min(self.end, address + _WORD_SIZE)
        found = word.to_bytes(_WORD_SIZE, "little")[first - address : last - address]
        return found == self.data[first - self.address : last - self.address]

    def overlaps(self, start: int, end: int) -> bool:
        """Tell whether any of its bytes lies from ``start`` up to ``end``."""
        return self.address < end and start < self.end


def reason_against_place(segment: MemorySegment, chip: Chip) -> str | None:
    """Return why ``chip`` cannot have ``segment`` in its RAM; ``None`` if it can."""
    for region in chip.memory:
        if not region.takes_programs and segment.overlaps(region.start, region.end):
            return f"in {chip.name} that is {region.name}, where nothing can be put"
    for address in (segment.address, segment.end - 1):
        if not any(region.start <= address < region.end for region in chip.memory):
            return f"{chip.name} has no RAM there"
    return None


@frozen
class StubImage:
    """The binary of a stub."""

    segments: tuple[MemorySegment, ...]
    entry: int = attrs.field(repr=hex)

    @classmethod
    def parse(cls, text: bytes, name: str) -> StubImage:
        """Return the stub in the content of a JSON file called ``name``.

        Raises:
            StubError: it is none.
        """
        try:
            content = json.loads(text)
            entry = content["entry"]
            segments = [
                MemorySegment(
                    content[f"{key}_start"], base64.b64decode(content[key], validate=True)
                )
                for key in ("text", "data")
                # Code there must be; data, or their address, may not be missing alone.
                if key == "text" or key in content or f"{key}_start" in content
            ]
        except (KeyError, TypeError, ValueError, RecursionError, binascii.Error) as exc:
            raise StubError(name, f"it is no stub: {exc}") from exc
        addresses = [entry, *(segment.address for segment in segments)]
        if not segments or not all(isinstance(address, int) for address in addresses):
            raise StubError(name, "it has no segments, or their addresses are no numbers")
        stub = cls(tuple(segments), entry)
        if not all(segment.address >= 0 and segment.end <= _ADDRESS_SPACE for segment in segments):
            raise StubError(name, "it does not fit the address space")
        code = segments[0]
        if not code.address <= entry < code.end:
            raise StubError(name, "its entry is outside its code")
        return stub


def find_stub(
    chip: Chip,
    location: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] = os.environ,
    *,
    revision: Revision | None = None,
) -> StubImage:
    """Return the stub for ``chip``, of that ``revision``: some have another one.

    ``location`` is a file, or a directory of files with the names in ``Chip.stub_files``.

    Raises:
        StubError: there is none to be had, or what there is cannot be used.
    """
    if not chip.stub_files:
        raise StubError("stub", f"there is none for the {chip.name}")
    name = f"{stub_name(chip, revision)}.json"
    if location is None and DIRECTORY_VARIABLE in environment:
        location = environment[DIRECTORY_VARIABLE]
    if location is not None:
        path = Path(location)
        return _load(path / name if os.path.isdir(path) else path, chip)
    found = stub_file(Path(name).stem, environment)
    if found is None:
        raise StubError(f"stub for the {chip.name}", f"it is not installed, {HOW_TO_INSTALL}")
    return _load(found, chip)


def _load(path: Path, chip: Chip) -> StubImage:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_SIZE + 1)
    except OSError as exc:
        raise StubError(str(path), exc.strerror or str(exc)) from exc
    if len(text) > MAX_FILE_SIZE:
        raise StubError(str(path), "it is too large for a stub")
    stub = StubImage.parse(text, path.name)
    for segment in stub.segments:
        reason = reason_against_place(segment, chip)
        if reason is not None:
            raise StubError(
                path.name,
                f"it is no stub for this chip: it belongs to {segment.address:#x}, and {reason}",
            )
    return stub


def start_stub(session: Session, stub: StubImage, hook: int | None = None) -> None:
    """Upload ``stub`` through the ROM loader and have the session talk to it.

    With a ``hook`` (:attr:`Chip.stub_hook`) the ROM loader does not jump to what was uploaded.
    It calls it, in place of what it would call to read flash.

    Raises:
        StubError: it was uploaded and did not start.
        CommandError: it could not be uploaded.
        ProtocolError: it could not be uploaded.
        TransportError: the port failed.
    """
    if hook is None:
        _start(session, stub, (), MemEnd(entry=stub.entry))
        return
    held = session.execute(ReadReg(hook))
    try:
        hooking = WriteReg((RegisterWrite(hook, stub.entry),))
        _start(session, stub, (MemStay(), hooking), CallHook())
    finally:
        # Whichever loader answers next: the ROM has to find its own function there again.
        session.defer(WriteReg((RegisterWrite(hook, held),)))


def _start(
    session: Session,
    stub: StubImage,
    preparation: Sequence[Command[None]],
    start: Command[None],
) -> None:
    is_started = _upload_and_start(session, stub, preparation, start)
    try:
        if not is_started:
            start_stream(session, start)
        greeting = read_frame(session, _GREETING_TIMEOUT)
    except (CommandError, ProtocolError) as exc:
        raise StubError("stub", f"it does not start: {exc}") from exc
    if greeting != _GREETING:
        raise StubError("stub", f"it greeted with {greeting[:16]!r}")
    end_stream(session)
    session.dialect = dialect.STUB


def _upload_and_start(
    session: Session,
    stub: StubImage,
    preparation: Sequence[Command[None]],
    start: Command[None],
) -> bool:
    """Upload ``stub`` and start it in one go, on a bad line in small parts.

    Returns whether it was told to start.

    Raises:
        StubError: the loader refused to start it.
        CommandError: it could not be uploaded.
        ProtocolError: it could not be uploaded.
        TransportError: the port failed.
    """
    block_size = session.dialect.ram_block_size
    commands: list[Command[object]] = []
    proofs: dict[int, tuple[MemorySegment, int]] = {}
    for segment in stub.segments:
        commands += _download_commands(segment, block_size)
        for address in segment.block_ends(block_size):
            proofs[len(commands)] = segment, address
            commands.append(ReadReg(address))
    commands += preparation
    done = 0
    try:
        for result in session.execute_ahead([*commands, start]):
            if done in proofs and isinstance(result, int):
                _require(*proofs[done], result)
            done += 1
    except (CommandError, ProtocolError) as exc:
        if done == len(commands):
            # It may run, whatever was heard of it.
            raise StubError("stub", f"it does not start: {exc}") from exc
        _log.warning("%s; uploading in small parts", exc)
        for segment in stub.segments:
            _upload_in_small_parts(session, segment)
        for command in preparation:
            session.execute(command)
        return False
    return True


def upload(session: Session, segment: MemorySegment) -> None:
    """Put a segment into the device's memory; on a bad line in small parts.

    Raises:
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    try:
        _download(session, segment, session.dialect.ram_block_size)
    except (CommandError, ProtocolError) as exc:
        _log.warning("%s; uploading in small parts", exc)
        _upload_in_small_parts(session, segment)


def _upload_in_small_parts(session: Session, segment: MemorySegment) -> None:
    for start in range(0, len(segment.data), _SMALL_PART_SIZE):
        part = segment.data[start : start + _SMALL_PART_SIZE]
        _upload_stubbornly(session, MemorySegment(segment.address + start, part))


def _upload_stubbornly(session: Session, part: MemorySegment) -> None:
    """Upload a part as often as needed: memory can be written again."""
    for _ in range(_PART_ATTEMPTS - 1):
        try:
            session.resynchronise()
            _download(session, part, _SMALL_PART_SIZE)
        except (CommandError, ProtocolError) as exc:
            _log.debug("%s", exc)
        else:
            return
    session.resynchronise()
    _download(session, part, _SMALL_PART_SIZE)


def _download(session: Session, segment: MemorySegment, block_size: int) -> None:
    for _ in session.execute_ahead(_download_commands(segment, block_size)):
        pass
    # Nothing protects the address in MEM_BEGIN.
    addresses = (
        segment.block_ends(block_size) if session.dialect.checks_ram_blocks else segment.words()
    )
    for address, word in read_words(session, addresses).items():
        _require(segment, address, word)


def _require(segment: MemorySegment, address: int, word: int) -> None:
    """Raise :exc:`~esploader.errors.ProtocolError` where the memory holds something else."""
    if not segment.agrees_with(address, word):
        raise ProtocolError(f"the memory at {address:#x} does not hold what was sent")


def _download_commands(segment: MemorySegment, block_size: int) -> list[Command[None]]:
    blocks = [
        segment.data[start : start + block_size]
        for start in range(0, len(segment.data), block_size)
    ]
    begin = MemBegin(
        size=len(segment.data),
        block_count=len(blocks),
        block_size=block_size,
        address=segment.address,
    )
    return [begin, *(MemData(sequence=index, data=block) for index, block in enumerate(blocks))]
