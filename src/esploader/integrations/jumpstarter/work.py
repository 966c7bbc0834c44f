"""What is done to a board, on the machine that has it; nothing here knows of jumpstarter."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from esploader.classes import frozen
from esploader.connector import connect
from esploader.errors import EsploaderError, PlanError
from esploader.flash.builds.build import BuildPart
from esploader.flash.builds.choosing import check_encryption, choose
from esploader.integrations.destinations import destination_of, place_on
from esploader.integrations.jumpstarter.wire import ChipInfo, DumpResult, Note
from esploader.loader.resetting import After
from esploader.numerals import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from esploader.device.device import Device
    from esploader.flash.builds.build import Build
    from esploader.flash.erasure import EraseResult
    from esploader.flash.place import Offset
    from esploader.flash.write_plan import RegionResult
    from esploader.integrations.jumpstarter.job import Job
    from esploader.integrations.jumpstarter.wire import FlashRequest, Upload

T = TypeVar("T")
JobT = TypeVar("JobT")

OPEN_ATTEMPTS: Final = 50
"""How often to try to open the port, 0.1 seconds apart: a console closes it in its own time, and so
does an exporter that ends."""

_MAX_OFFSET: Final = 0xFFFF_FFFF


@frozen(kw_only=True)
class Board:
    """How a device is reached."""

    url: str
    chip: str | None
    """The only chip that will do."""
    baudrate: int
    """For everything after identification."""

    def visit(self, job: Job[JobT], work: Callable[[Device], T], after: After | None = None) -> T:
        """Do ``work`` with the device, and leave it as ``after`` says, also after an error.

        Without ``after`` it is reset, where the port can do that.

        Raises:
            EsploaderError: it cannot be reached, or the work failed.
            GivenUpError: nobody waits for it any more.
        """
        with connect(
            self.url,
            chip=self.chip,
            baudrate=self.baudrate,
            open_attempts=OPEN_ATTEMPTS,
            on_attempt=lambda _: job.check(),
        ) as device:
            try:
                found = work(device)
            except BaseException:
                # What went wrong before is what counts.
                with contextlib.suppress(EsploaderError):
                    _leave(device, after, job)
                raise
            _leave(device, after, job)
            return found


def _leave(device: Device, after: After | None, job: Job[JobT]) -> None:
    way = after or device.way_to_reset(After.HARD_RESET)
    has_lines = device.session.transport.capabilities.set_lines
    if after is None and way is After.HARD_RESET and not has_lines:
        job.post(Note("this port has no DTR and RTS: the device stays in download mode"))
        way = After.NO_RESET
    device.reset(way)


def flash(
    device: Device, request: FlashRequest, files: Sequence[Path], job: Job[JobT]
) -> tuple[RegionResult, ...]:
    """Write ``files``, which are those of the uploads of ``request``, in the same order.

    Raises:
        EsploaderError: as :meth:`~esploader.device.flash.DeviceFlash.write`.
    """
    if request.build is not None:
        return _flash_build(device, request.build, request, files, job)
    inputs = [
        (_place(device, upload, path), path)
        for upload, path in zip(request.uploads, files, strict=True)
    ]
    return device.flash.write(
        () if request.encrypt else inputs,
        encrypted_inputs=inputs if request.encrypt else (),
        erase_all=request.erase_all,
        force=request.force,
        on_progress=job.tell,
    )


def _flash_build(
    device: Device, build: Build, request: FlashRequest, files: Sequence[Path], job: Job[JobT]
) -> tuple[RegionResult, ...]:
    parts = tuple(
        BuildPart(
            name=upload.name, offset=_offset(upload.target), path=path, encrypted=upload.encrypted
        )
        for upload, path in zip(request.uploads, files, strict=True)
    )
    # The client has looked at the folder; what it says of the chip counts for this one.
    build = choose([attrs.evolve(build, parts=parts)], device.chip, force=request.force)
    if not (request.encrypt or request.force):
        check_encryption(build, device.security.state())
    return device.flash.write(
        build.inputs(encrypt=request.encrypt),
        encrypted_inputs=build.encrypted_inputs(encrypt=request.encrypt),
        parameters=build.parameters,
        erase_all=request.erase_all,
        force=request.force,
        on_progress=job.tell,
    )


def dump(device: Device, target: str | None, job: Job[JobT]) -> tuple[DumpResult, bytes]:
    """Return what the flash holds: all of it, a region, or a partition.

    Raises:
        EsploaderError: as :meth:`~esploader.device.flash.DeviceFlash.read`.
    """
    offset, size = _region(device, target)
    data = device.flash.read(offset, size, on_progress=job.tell)
    digest = hashlib.sha256(data).hexdigest()
    return DumpResult(offset=offset, size=size, sha256=digest), data


def erase(device: Device, target: str | None, job: Job[JobT], *, force: bool) -> EraseResult:
    """Erase the whole flash, a region, or a partition.

    Raises:
        EsploaderError: as :meth:`~esploader.device.flash.DeviceFlash.erase` and its like.
    """
    if target is None:
        return device.flash.erase(force=force, on_progress=job.tell)
    if _is_region(target):
        offset, size = _region(device, target)
        return device.flash.erase_region(offset, size, force=force, on_progress=job.tell)
    return device.partitions[target].erase(force=force, on_progress=job.tell)


def chip_info(device: Device) -> ChipInfo:
    """Return who the device is."""
    identity = device.identity
    revision = None if identity is None else identity.revision
    return ChipInfo(
        chip=device.chip.name,
        description=None if identity is None else identity.description,
        revision=None if revision is None else str(revision),
        features=() if identity is None else identity.features,
        mac=None if identity is None else identity.mac,
        flash_size=None if identity is None else device.flash.id().size,
        secure_download_mode=device.is_in_secure_download_mode,
    )


def _place(device: Device, upload: Upload, path: Path) -> Offset:
    """Return where a file goes: where the client says, or else the file itself."""
    target = upload.target
    if target is None:
        return place_on(device, destination_of(str(path), name=upload.name))
    try:
        return _offset(target)
    except PlanError:
        if target[:1].isdigit():
            raise
        return device.partitions[target].place


def _offset(target: str | None) -> int:
    try:
        return whole(target or "", 0, _MAX_OFFSET)
    except ValueError as exc:
        raise PlanError(f"{exc}, where an offset in flash belongs") from None


def _is_region(target: str) -> bool:
    return target[:1].isdigit()


def _region(device: Device, target: str | None) -> tuple[int, int]:
    """Return offset and size of what ``target`` names; of the whole flash for ``None``."""
    if target is None:
        size = device.flash.id().size
        if size is None:
            raise PlanError("the flash does not tell how large it is: name an offset and a size")
        return 0, size
    if not _is_region(target):
        entry = device.partitions[target].entry
        return entry.offset, entry.size
    offset, separator, size_text = target.partition(":")
    if not separator:
        raise PlanError(f"{target!r} is no region: OFFSET:SIZE is one, such as 0x9000:0x6000")
    return _offset(offset), _offset(size_text)
