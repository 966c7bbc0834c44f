"""Comparing a simulated device with a recording: what counts, and what does not."""

from __future__ import annotations

import attrs
import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.simulator import SimulatedDevice
from esploader.simulator.recordings.check import CheckedRow, check_recording
from esploader.simulator.recordings.recording import FlashNeed, LineChange, Needs, Recording, Row
from simulated import READ_MAGIC, request, words

ANSWER = bytes.fromhex("c0010a04006f50311b00000000c0")
INTO_DOWNLOAD = (
    LineChange(seconds=0.0, dtr=False, rts=True),
    LineChange(seconds=0.1, dtr=True, rts=False),
)
BOOT_LOG = b"waiting for download\r\n"


NOTHING = Needs()


def check(*rows: Row, loader: str = "rom", baudrate: int | None = None) -> list[bool]:
    return [row.agrees for row in checked(*rows, loader=loader, baudrate=baudrate)]


def checked(*rows: Row, loader: str = "rom", baudrate: int | None = None) -> tuple[CheckedRow, ...]:
    recording = Recording(chip=ESP32_C3, loader=loader, baudrate=baudrate, rows=rows)
    return check_recording(recording)


def row(sent: bytes, received: bytes, *, name: str = "a row", needs: Needs = NOTHING) -> Row:
    return Row(name=name, sent=sent, received=received, needs=needs)


def boot_log() -> bytes:
    """Return what an ESP32-C3 prints on its way into download mode."""
    port = SimulatedDevice("esp32c3").open_transport()
    for change in INTO_DOWNLOAD:
        port.clock.sleep(change.seconds)
        port.set_lines(dtr=change.dtr, rts=change.rts)
    port.clock.sleep(1)
    return port.read(port.clock.now())


def test_every_byte_of_an_answer_counts() -> None:
    wrong = bytes((*ANSWER[:-2], 1, 0xC0))
    assert check(row(READ_MAGIC, ANSWER), row(READ_MAGIC, wrong)) == [True, False]
    assert check(row(READ_MAGIC, ANSWER[:-1])) == [False]
    assert check(row(READ_MAGIC, ANSWER + b"\x00")) == [False]
    assert check(row(READ_MAGIC, b"")) == [False]


def test_a_difference_is_shown_with_its_place() -> None:
    rows = checked(row(READ_MAGIC, ANSWER), row(READ_MAGIC, b"\x01", name="  indented"))
    assert rows[1] == CheckedRow(index=1, name="indented", expected="01", actual=ANSWER.hex())


def test_an_answer_that_the_host_did_not_wait_for_may_end_in_the_next_row() -> None:
    assert check(row(READ_MAGIC, ANSWER[:5]), row(READ_MAGIC, ANSWER[5:] + ANSWER)) == [True] * 2
    assert check(row(READ_MAGIC, ANSWER[:5]), row(READ_MAGIC, ANSWER)) == [False, True]
    # However many rows it takes.
    rate = Row(name="baud rate", baudrate=115200)
    three = (row(READ_MAGIC, ANSWER[:5]), rate, row(READ_MAGIC, ANSWER[5:] + ANSWER))
    assert check(*three, baudrate=115200) == [True] * 3


def test_nobody_waits_for_the_end_of_a_boot_log() -> None:
    log = boot_log()
    assert log.endswith(BOOT_LOG)
    reset = Row(name="lines", lines=INTO_DOWNLOAD)
    assert check(attrs.evolve(reset, received=log)) == [True]
    assert check(attrs.evolve(reset, received=log[:7]), row(READ_MAGIC, ANSWER)) == [True, True]
    assert check(attrs.evolve(reset, received=b"another log")) == [False]


def test_the_rate_of_the_host_counts_where_it_had_one() -> None:
    heard, other_rate = row(READ_MAGIC, ANSWER), Row(name="baud rate", baudrate=921600)
    unheard = row(READ_MAGIC, b"")
    assert check(heard, other_rate, unheard, baudrate=115200) == [True] * 3
    assert check(heard, heard) == [True] * 2


def test_what_comes_at_a_new_rate_is_heard_when_the_host_has_set_it() -> None:
    # The ROM sends an empty frame behind its response, at the new rate already.
    change = row(request(0x0F, words(921600, 0)), bytes.fromhex("c0010f04000000000000000000c0"))
    rate = Row(name="baud rate", baudrate=921600, received=b"\xc0\xc0")
    assert check(change, rate, row(READ_MAGIC, ANSWER), baudrate=115200) == [True] * 3


def test_the_device_has_the_efuses_that_the_recording_reads() -> None:
    efuse = ESP32_C3.efuse_blocks[0].address
    read = request(0x0A, words(efuse))
    value = bytes.fromhex("c0010a0400efbeadde00000000c0")
    assert check(row(read, value)) == [True]
    # Of other words the simulated device has its own.
    read_ram = request(0x0A, words(0x3FC9_0000))
    assert check(row(read_ram, value)) == [False]


@pytest.mark.parametrize(
    ("sent", "recovery"),
    [(READ_MAGIC, "answers at once"), (b"\xc0\xdb\x00\xc0", "only after a hardware reset")],
    ids=["alive", "broken"],
)
def test_what_it_takes_to_get_an_answer_counts(sent: bytes, recovery: str) -> None:
    rows = checked(row(sent, b"any"), Row(name="alive?", recovery=recovery))
    assert rows[1].agrees
    rows = checked(row(sent, b"any"), Row(name="alive?", recovery="in other words"))
    assert rows[1].actual == recovery


def test_what_a_row_needs_is_there() -> None:
    flash = FlashNeed(offset=0x1000, size=0x300)
    read_flash = request(0x0E, words(0x1100, 64))
    (read,) = checked(row(read_flash, b"", needs=Needs(flash=flash)))
    assert bytes(range(64)) in bytes.fromhex(read.actual).replace(b"\xdb\xdc", b"\xc0")
    memory = Needs(memory={0x6000_0000: 0x1B31506F})
    assert check(row(request(0x0A, words(0x6000_0000)), ANSWER, needs=memory)) == [True]
    # The value word of the last READ_REG is in every later response.
    attach = request(0x0D, words(0, 0))
    attached = bytes.fromhex("c0010d04006f50311b00000000c0")
    assert check(row(attach, attached, needs=Needs(sent=(READ_MAGIC,)))) == [True]
    assert check(row(attach, attached)) == [False]


def test_a_row_that_needs_a_larger_flash_is_left_out_and_says_so() -> None:
    too_large = Needs(flash=FlashNeed(offset=4 << 20, size=1))
    left_out, other = checked(row(READ_MAGIC, ANSWER, needs=too_large), row(READ_MAGIC, ANSWER))
    assert left_out.problem == "its flash is larger than the simulated one"
    assert not left_out.agrees
    assert other.agrees
