"""What a simulated device is made of: a chip, its flash and its reset circuit, and a UART.

It does no I/O and has no clock: bytes go in with the time at which they are sent, and
come out with the time at which they have been received.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

from esploader.classes import define
from esploader.simulator.config import InitialState, PortKind
from esploader.simulator.flash.nor import EverBusyError, NorFlash, PowerLostError
from esploader.simulator.flash.timings import Timings
from esploader.simulator.history import Boot, History, SeenLines
from esploader.simulator.personality import Personality, ResetCause, Rom, personality_of
from esploader.simulator.rom.boot import BOOT_LOOP_TIME, load_image, rom_log
from esploader.simulator.rom.loader import RomLoader
from esploader.simulator.soc.application import Application, ApplicationProgram, Runtime, hello
from esploader.simulator.soc.crystal import SimulatedCrystal
from esploader.simulator.soc.efuses import build_efuses, readable_words
from esploader.simulator.soc.flash_socket import put_flash_in
from esploader.simulator.soc.flash_supply import FlashSupply
from esploader.simulator.soc.flash_wiring import finds_flash
from esploader.simulator.soc.host_port import Effect, HostPort, host_port
from esploader.simulator.soc.memory import Memory
from esploader.simulator.soc.program import NEVER, USUAL_PINS, Deaf, InterruptionError, Program
from esploader.simulator.soc.spi import SpiPeripheral
from esploader.simulator.soc.straps import Straps
from esploader.simulator.soc.uart import Receiver, Transmitter, rates_match, resample
from esploader.simulator.soc.watchdogs import Watchdogs
from esploader.transport.base import DEFAULT_BAUDRATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esploader.chips.model.chip import Chip
    from esploader.simulator.config import DeviceConfig
    from esploader.simulator.flash.chip import FlashChip


@define(eq=False)
class Hardware:
    """One device. Moments must not go back from one call to the next.

    Raises:
        ValueError: the configuration asks for what the chip cannot have.
        OSError: the file of the flash cannot be had.
    """

    config: DeviceConfig
    """What it was made from."""
    timings: Timings = attrs.field(factory=Timings)
    """How long things take."""
    application: Application | None = hello
    """What runs when an intact image has been booted; ``None``: it is silent."""

    memory: Memory = attrs.field(init=False)
    """RAM, ROM and registers."""
    efuses: Mapping[int, int] = attrs.field(init=False, repr=False)
    """All words of eFuses by address, those that cannot be read included."""
    nor: NorFlash = attrs.field(init=False)
    """The cells of the flash."""
    flash_chip: FlashChip = attrs.field(init=False)
    """What is around them: status registers, id, SFDP."""
    personality: Personality = attrs.field(init=False)
    """What its ROM says."""
    rom: Rom = attrs.field(init=False)
    """That of its revision."""
    crystal: SimulatedCrystal = attrs.field(init=False)
    """The crystal that it has, and what its ROM takes it for."""
    port: HostPort = attrs.field(init=False)
    """What the host is connected to."""
    baudrate: int = attrs.field(default=DEFAULT_BAUDRATE, init=False)
    """The device's own rate in baud."""
    boot_count: int = attrs.field(default=0, init=False)
    """How often it has booted since it was made."""
    moment: float = attrs.field(default=0.0, init=False)
    """The time at which the program does what it is doing."""
    flash_pins: int | None = attrs.field(default=None, init=False)
    """Where a loader last looked for the flash, as SPI_ATTACH has it; ``None``: nowhere yet."""
    unheard_until: float = attrs.field(default=float("-inf"), init=False)
    """Until then nothing that it sends reaches anybody."""
    history: History = attrs.field(factory=History, init=False)
    """What it has seen and done."""
    is_acting: bool = attrs.field(default=False, init=False)
    """It is doing what is due, and :attr:`moment` is the time of that."""
    is_powered: bool = attrs.field(default=True, init=False)
    """It has power."""

    _program: Program = attrs.field(init=False)
    _transmitter: Transmitter = attrs.field(init=False)
    _receiver: Receiver = attrs.field(init=False)
    _watchdogs: Watchdogs = attrs.field(init=False)
    _supply: FlashSupply = attrs.field(init=False)
    _straps: Straps = attrs.field(init=False)
    _settled_at: float | None = attrs.field(default=None, init=False)
    """When all was done that was due, and nothing has come in since."""
    _boot_at: float = attrs.field(default=NEVER, init=False)
    _boot_cause: ResetCause = attrs.field(default=ResetCause.POWER_ON, init=False)

    def __attrs_post_init__(self) -> None:
        chip = self.config.chip
        self.personality = personality_of(chip)
        self.rom = self.personality.rom_of(self.config.revision)
        self.port = host_port(self.config.port, chip)
        self.nor, self.flash_chip = put_flash_in(self.config, self.timings)
        self.memory = Memory((*chip.memory, *self.personality.more_ram))
        self.memory.fix(self.rom.words)
        self.efuses = build_efuses(self.config, self.personality)
        self.memory.fix(readable_words(chip, self.efuses))
        self.crystal = SimulatedCrystal.put_into(self.config, self.personality, self.memory)
        self.memory.hook(chip.uart_clock_divider.address, read=self._read_clock_divider)
        SpiPeripheral(chip.spi, self.memory, self.flash_chip, self._now)
        if self.config.flash_file is not None:
            self.nor.keep_in(self.config.flash_file)
        self._watchdogs = Watchdogs(chip, self.memory, self._now)
        self._supply = FlashSupply(chip, self.memory)
        self.flash_chip.has_power = self._has_flash_power
        self.flash_chip.is_connected = self._is_flash_connected
        if self.config.state is InitialState.STUB:
            self._supply.turn_on()
            self.flash_pins = USUAL_PINS
        self._transmitter = Transmitter(self.timings.uart_paced)
        self._receiver = Receiver(self.timings.uart_paced)
        downloads = self.config.state is not InitialState.APPLICATION
        self._straps = Straps(
            chip, self.personality, self.memory, self.port, self.config.port, downloads
        )
        self._program = self._first_program()

    @property
    def chip(self) -> Chip:
        """The model."""
        return self.config.chip

    # What the host does.

    def receive(self, data: bytes, start: float, baudrate: int | None) -> float:
        """Take bytes that the host sends from ``start`` on; return when the last has arrived.

        ``baudrate`` is the host's rate; ``None`` always suits the device.
        """
        self._settled_at = None
        return self._receiver.receive(data, start, baudrate, self.baudrate)

    @property
    def dtr(self) -> bool:
        """DTR is asserted."""
        return self.port.dtr

    @property
    def rts(self) -> bool:
        """RTS is asserted."""
        return self.port.rts

    def set_lines(self, *, dtr: bool, rts: bool, now: float) -> None:
        """Assert (``True``) or release DTR and RTS, with what that does at this port."""
        self.advance(now)
        self.history.note(SeenLines(moment=now, dtr=dtr, rts=rts))
        effect = self.port.set_lines(dtr=dtr, rts=rts)
        if effect in (Effect.HOLD, Effect.RESTART):
            self._stop(now)
        if effect in (Effect.RELEASE, Effect.RESTART) and self.is_powered:
            cause = ResetCause.EXTERNAL if effect is Effect.RELEASE else ResetCause.USB
            self._schedule_boot(cause, now + self.timings.enable_rise)

    # What happens to it.

    def pulse_reset(self, now: float, seconds: float) -> None:
        """Hold it in reset for some time; it boots unless the lines hold it there longer."""
        self.advance(now)
        self._end_program(partial(self._reset, now, seconds))

    def hold_boot(self, now: float, *, held: bool) -> None:
        """Pull the boot strap, or release it; only the chip that boots looks at it."""
        self.advance(now)
        self._straps.is_held = held

    def break_wires(self, now: float, until: float) -> None:
        """Lose what is on the wire and what it sends until then, and release the lines."""
        self.set_lines(dtr=False, rts=False, now=now)
        self._transmitter.forget()
        self._receiver.forget()
        self.unheard_until = until

    def lose_power(self, now: float) -> None:
        """Cut the power: RAM is lost, flash and eFuses stay.

        What the flash is doing it ends; see :meth:`cut_power_at` for the other case.
        """
        self.advance(now)
        self._end_program(partial(self._lose_power, now))

    def gain_power(self, now: float) -> None:
        """Give it power again; it boots unless it is held in reset."""
        self.advance(now)
        if not self.is_powered:
            self.is_powered = True
            self.nor.fails_after = None
            if not self.port.holds_reset:
                self._schedule_boot(ResetCause.POWER_ON, now + self.timings.enable_rise)

    def cut_power_at(self, operation_count: int) -> None:
        """Let the power fail in the middle of a flash operation, the n-th from now on.

        An operation is a page that is programmed, or a sector or block that is erased. It is
        left half done, and the device is silent until it is given power again.

        Raises:
            ValueError: there is no operation before the first.
        """
        if operation_count < 1:
            raise ValueError(f"operation {operation_count}: the first is 1")
        self.nor.fails_after = self.nor.operation_count + operation_count - 1

    # What the host gets of it.

    def take_output(self, until: float, baudrate: int | None, *, in_pieces: bool = False) -> bytes:
        """Return what a host that listens at ``baudrate`` has got by ``until``.

        ``in_pieces`` leaves what an adapter would not have handed over yet.
        """
        if until != self._settled_at:
            self.advance(until)
        return self._transmitter.take(until, baudrate, in_pieces=in_pieces)

    def next_event_time(self) -> float:
        """Return when there may be something new; infinity when only input changes that."""
        return min(
            self._boot_at,
            self._watchdogs.due,
            self._receiver.next_heeded_time(self.baudrate, self._program.next_heeded),
            self._program.next_event_time(self._receiver.next_byte_time()),
            self._transmitter.next_time(),
        )

    def advance(self, now: float) -> None:
        """Do what is due by ``now``."""
        if self.is_acting:
            return
        self.is_acting = True
        try:
            while self._step(now):
                pass
        finally:
            self.is_acting = False
        self._settled_at = now

    def close(self) -> None:
        """Write what of the flash is not in its file, and leave that to others.

        Only a device whose flash is kept in a file needs it. Nothing that happens afterwards
        gets into the file.

        Raises:
            OSError: the file cannot be written; the device keeps it.
        """
        self.nor.leave_file()

    # What the program in it does (:class:`~esploader.simulator.soc.program.Machine`).

    def send(self, data: bytes, at: float) -> float:
        """Send bytes from ``at`` on; return when the last one is out."""
        self._transmitter.send(data, at, self.baudrate)
        if at < max(self.unheard_until, self.port.absent_until):
            self._transmitter.forget()
        return max(self._transmitter.free_at, at)

    def set_baudrate(self, baudrate: int) -> None:
        """Set the device's own rate, for what is sent and received from now on."""
        self.baudrate = baudrate

    def halt(self) -> None:
        """Stop the program; only a reset brings the device back."""
        self._program = Deaf()

    def restart(self, cause: ResetCause, at: float) -> None:
        """Stop the program, and boot anew at ``at``."""
        self._watchdogs.stop()
        self._program = Deaf()
        self._schedule_boot(cause, at)

    def run_application(self, at: float) -> None:
        """Stop the program, and run the application in flash from ``at`` on."""
        self._watchdogs.stop()
        self._load(at, ResetCause.SOFTWARE)

    def execute(self, entry: int, at: float) -> None:
        """Stop the program, and run what is in RAM from ``at`` on: the stub, or nothing."""
        has_code = self.memory.was_written(entry)
        # A stub attaches the flash itself.
        self.flash_pins = USUAL_PINS if has_code else None
        self._program = _stub(self, at) if has_code else Deaf()

    # What the hardware does.

    def _end_program(self, action: Callable[[], None]) -> None:
        """Do what ends the program, which may be what calls this: by way of a listener."""
        if self.is_acting:
            raise InterruptionError(action)
        action()

    def _step(self, now: float) -> bool:
        """Do the next thing that is due by ``now``; tell whether there may be more."""
        limit = min(now, self._boot_at, self._watchdogs.due)
        try:
            if self._deliver(limit):
                return True
            self._program.advance(limit)
            if self._watchdogs.due <= limit:
                self._bite()
            elif self._boot_at > now:
                return False
            elif self._boot_at <= limit:
                self._boot()
        except PowerLostError as loss:
            self._lose_power(self.moment + loss.elapsed)
        except EverBusyError:
            self.halt()
        except InterruptionError as interruption:
            interruption.action()
        return True

    def _first_program(self) -> Program:
        match self.config.state:
            case InitialState.DOWNLOAD:
                return RomLoader(self)
            case InitialState.STUB:
                return _stub(self)
            case InitialState.APPLICATION:
                # That one has said what it has to say.
                if self.application is hello:
                    return Deaf()
                if not load_image(self.nor, self.chip, self.personality.load_log).succeeded:
                    return Deaf()
                return self._application_program(ResetCause.POWER_ON, self.moment)

    def _now(self) -> float:
        return self.moment

    def _has_flash_power(self) -> bool:
        return self._supply.is_on

    def _is_flash_connected(self) -> bool:
        return finds_flash(self.flash_pins, self.config, self.personality, self.memory)

    def _read_clock_divider(self) -> int:
        """Return the divider that the ROM has set for the rate in use."""
        return self.crystal.uart_divider_for(self.baudrate, self.chip)

    def _deliver(self, limit: float) -> bool:
        """Give the program what has arrived by ``limit``; tell whether there was anything."""
        stretch = self._receiver.first
        if stretch is None:
            return False
        start, count = stretch.taken, stretch.complete_count(limit)
        if count <= start:
            return False
        # It may be about to change the rate that decides what it understands.
        self._program.advance(stretch.time_of(start))
        data = stretch.data[start:count]
        if stretch.baudrate is None or rates_match(stretch.baudrate, self.baudrate):
            offset = stretch.start + start * stretch.byte_time
            stretch.taken += self._program.feed(data, offset, stretch.byte_time)
        elif count < len(stretch.data):
            return False
        elif self._program.detect_rate(stretch.baudrate):
            self.baudrate = stretch.baudrate
            stretch.taken = count
        else:
            garbled = resample(data, stretch.baudrate, self.baudrate)
            # Their number is another one, but they come in the same span of time.
            span = (count - start) * stretch.byte_time
            self._program.feed(garbled, stretch.end - span, span / max(len(garbled), 1))
            stretch.taken = count
        self._receiver.drop_taken()
        return True

    def _reset(self, at: float, seconds: float) -> None:
        self._stop(at)
        if self.is_powered and not self.port.holds_reset:
            self._schedule_boot(ResetCause.EXTERNAL, at + seconds + self.timings.enable_rise)

    def _lose_power(self, at: float) -> None:
        self.is_powered = False
        self._stop(at)
        self.memory.forget()

    def _stop(self, now: float) -> None:
        self._boot_at = NEVER
        self._program = Deaf()
        self._transmitter.cut_off(now)
        self._watchdogs.stop()

    def _bite(self) -> None:
        """Reset the chip for a watchdog, which resets all of it."""
        at = self._watchdogs.due
        self._stop(at)
        self._schedule_boot(ResetCause.RTC_WATCHDOG, at)

    def _schedule_boot(self, cause: ResetCause, at: float) -> None:
        self._boot_cause, self._boot_at, self._settled_at = cause, at, None
        if self.timings.enumeration and not self.port.outlasts(cause):
            self.port.leave(at + self.timings.enumeration)

    def _boot(self) -> None:
        """Read the strap, and start what it says."""
        at, self._boot_at = self._boot_at + self.timings.boot, NEVER
        self.moment = at
        self.flash_pins = None
        self._supply.forget()
        self.boot_count += 1
        download = self._straps.decide(self._boot_cause)
        self.baudrate = self.personality.boot_baudrate or DEFAULT_BAUDRATE
        self.history.note(Boot(moment=at, cause=self._boot_cause, download=download))
        log = rom_log(self.personality, self._boot_cause, download=download)
        printed_at = self.send(log, at)
        if not download:
            self._load(printed_at, self._boot_cause)
        self.baudrate = DEFAULT_BAUDRATE
        if download:
            self._program = RomLoader(self, listening_from=at)
            if self._boot_cause is ResetCause.USB and self.config.port is PortKind.USB_SERIAL_JTAG:
                self._watchdogs.start(at)

    def _load(self, at: float, cause: ResetCause) -> None:
        """Load what the flash holds, and let it run."""
        self._program = Deaf()
        loading = load_image(self.nor, self.chip, self.personality.load_log)
        loaded_at = self.send(loading.log, at)
        if loading.succeeded:
            self._program = self._application_program(cause, loaded_at)
        elif self.timings.watchdog is not None or self.config.boot_loop:
            wait = self.timings.watchdog or BOOT_LOOP_TIME
            self._schedule_boot(ResetCause.WATCHDOG, loaded_at + wait)

    def _application_program(self, cause: ResetCause, at: float) -> Program:
        if self.application is None:
            return Deaf()
        return ApplicationProgram(self, self.application, Runtime(self, cause), starts_at=at)


def _stub(hardware: Hardware, starts_at: float | None = None) -> Program:
    from esploader.simulator.stub.loader import StubLoader

    return StubLoader(hardware, starts_at=starts_at)
