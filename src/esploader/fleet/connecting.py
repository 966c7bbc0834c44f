"""Connecting to the board of a job, so that the work on it can be ended from outside."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import attrs

from esploader.device.connecting import ConnectOptions, connect_device
from esploader.errors import PortNotFoundError, TransportError
from esploader.fleet.results import Found
from esploader.fleet.watch import REAL_CLOCK, Watch, WatchedClock
from esploader.server.discovery import UsbIdentity
from esploader.transport.base import DEFAULT_BAUDRATE
from esploader.transport.patience import open_patiently
from esploader.transport.ports import described, list_ports
from esploader.urls import open_transport, reopen_transport

if TYPE_CHECKING:
    from esploader.device.device import Device
    from esploader.fleet.job import Job
    from esploader.transport.base import Transport
    from esploader.transport.ports import PortInfo


def connect_job(
    job: Job, watch: Watch, *, attempts: int | None = None, open_attempts: int | None = None
) -> Device:
    """Connect to the board of ``job``, ``watch``ed; other ``attempts`` than the job has it, if any.

    Raises as :func:`esploader.connect`.
    """
    options = ConnectOptions(
        chip=job.chip,
        baudrate=job.baudrate,
        before=job.before,
        attempts=job.attempts if attempts is None else attempts,
        open_attempts=job.open_attempts if open_attempts is None else open_attempts,
        reset_sequence=job.reset_sequence,
        hard_reset_sequence=job.hard_reset_sequence,
        reset_delay=job.reset_delay,
        stub=job.stub,
        on_attempt=None,
        chips=job.chips,
    )
    options.check()
    transport = open_patiently(
        functools.partial(open_job, job, watch, options.first_baudrate),
        options.open_attempts,
        WatchedClock(REAL_CLOCK, watch),
    )
    # Another simulated device would be another board.
    if not job.port_name.lower().startswith("sim:"):
        reopen = functools.partial(_reopen, job, watch, transport.usb_port)
        options = attrs.evolve(options, reopen=reopen)
    return connect_device(transport, options)


def open_job(job: Job, watch: Watch, baudrate: int = DEFAULT_BAUDRATE) -> Transport:
    """Open the port of ``job``, ``watch``ed. Raises as :func:`esploader.open_transport`."""
    port = job.port
    if isinstance(port, UsbIdentity):
        port = _device_of(port)
    if isinstance(port, str | os.PathLike):
        return watch.through(open_transport(port, baudrate=baudrate))
    return watch.through(port())


def fitting_ports(identity: UsbIdentity) -> list[PortInfo]:
    """Return the ports that are plugged in and fit."""
    return [port for port in list_ports() if identity.matches(port)]


def _device_of(identity: UsbIdentity) -> str:
    """Return the name of the one port that fits.

    Raises:
        PortNotFoundError: none is plugged in.
        TransportError: several are.
    """
    fitting = fitting_ports(identity)
    if not fitting:
        raise PortNotFoundError(str(identity), "no such USB port is plugged in")
    if len(fitting) > 1:
        several = ", ".join(map(described, fitting))
        raise TransportError(str(identity), f"more than one port fits: {several}")
    return fitting[0].device


def _reopen(job: Job, watch: Watch, usb_port: PortInfo | None) -> Transport:
    port = job.port
    if isinstance(port, UsbIdentity) and usb_port is not None:
        # Another program on the chip may have other ids.
        port = usb_port.device
    if isinstance(port, str | os.PathLike):
        return watch.through(reopen_transport(os.fspath(port), usb_port))
    return open_job(job, watch)


def found_of(device: Device, job: Job) -> Found:
    """Return which board has answered.

    Raises:
        EsploaderError: its flash cannot be asked who it is.
    """
    is_open = not device.is_in_secure_download_mode
    return Found(
        port=job.port_name,
        label=job.name,
        chip=device.chip,
        identity=device.identity,
        flash=device.flash.id() if is_open else None,
    )
