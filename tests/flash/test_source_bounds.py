"""Inputs are bounded before they are read, and nobody at their other end holds anything up."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from esploader.cli import main
from esploader.errors import PlanError
from esploader.flash.inputs import read_pieces, settle_inputs
from esploader.flash.source import MAX_SOURCE_SIZE, is_lasting, open_source, read_source
from esploader.server.serve import Server
from esploader.simulator.url import open_served, parse

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.flash.source import Source

MIB = 1024 * 1024


class Untouched(io.BytesIO):
    """A file that nobody may read."""

    @override
    def read(self, _: int | None = -1) -> bytes:
        raise AssertionError


def huge(path: Path, size: int) -> Path:
    """Make a file that has a size and takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_inputs_that_no_flash_has_room_for_are_refused_unread(tmp_path: Path) -> None:
    files = [huge(tmp_path / f"{number}.bin", 100 * MIB) for number in range(5)]
    inputs: list[tuple[int, Source]] = [
        (0, Untouched()),
        *((number * 100 * MIB, file) for number, file in enumerate(files)),
    ]
    with pytest.raises(PlanError, match="the inputs have 524288000 bytes, and more than"):
        read_pieces(inputs)
    with pytest.raises(PlanError, match="the inputs have 524288000 bytes, and more than"):
        read_pieces(inputs[:3], inputs[3:])
    with pytest.raises(PlanError, match="the inputs have 524288000 bytes, and more than"):
        settle_inputs(inputs)


def test_views_count_as_many_bytes_as_they_have() -> None:
    view = memoryview(bytes(100 * MIB)).cast("I")
    with pytest.raises(PlanError, match="the inputs have 314572800 bytes"):
        read_pieces([(0, view), (0, view), (0, view)])


def test_what_shows_its_size_only_when_it_is_read_is_read_up_to_what_is_left() -> None:
    read = 0

    class Endless(io.BytesIO):
        @override
        def read(self, size: int | None = -1) -> bytes:
            nonlocal read
            part = bytes(min(size or 0, 16 * MIB))
            read += len(part)
            return part

    with pytest.raises(PlanError, match="an input has more than"):
        read_pieces([(0, bytes(MIB)), (MIB, Endless())])
    assert read <= MAX_SOURCE_SIZE


def test_the_text_of_a_hex_file_does_not_count_as_data(tmp_path: Path) -> None:
    path = huge(tmp_path / "x.hex", 2 * MAX_SOURCE_SIZE)
    with pytest.raises(PlanError, match=r"it does not begin with a colon|its lines do not end"):
        read_pieces([(0, path)])


def test_nor_does_that_of_one_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b":0100000001FE\n" * 400)
    huge_size = 2 * MAX_SOURCE_SIZE
    with path.open("r+b") as file:
        file.truncate(huge_size)
    with pytest.raises(PlanError, match=r"the Intel HEX file is damaged|its lines do not end"):
        read_pieces([(0, path)])


# Pipes ---------------------------------------------------------------------------------


@pytest.fixture(name="pipe")
def _pipe(tmp_path: Path) -> Path:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_pipe_that_nobody_writes_into_is_given_up(pipe: Path) -> None:
    with (
        pytest.raises(PlanError, match=r"nobody has written into it for 0\.01 seconds"),
        open_source(pipe, patience=0.01) as file,
    ):
        file.read(1)


def test_a_pipe_is_read_to_its_end(pipe: Path) -> None:
    writer = threading.Thread(target=lambda: pipe.write_bytes(bytes(300_000)))
    writer.start()
    assert not is_lasting(pipe)
    (piece,) = read_pieces(settle_inputs([(0x1000, pipe)]))
    writer.join()
    assert (piece.offset, piece.data) == (0x1000, bytes(300_000))
    assert [part.name for part in piece.inputs] == [str(pipe)]


def test_a_terminal_that_says_nothing_is_given_up() -> None:
    main_end, other_end = os.openpty()
    try:
        path = os.ttyname(other_end)
        with pytest.raises(PlanError, match="nobody"), open_source(path, patience=0.01) as file:
            file.read(1)
    finally:
        os.close(main_end)
        os.close(other_end)


def test_a_device_file_without_end_is_not_read_for_ever() -> None:
    with pytest.raises(PlanError, match="an input has more than 1048576 bytes"):
        read_source("/dev/zero", limit=MIB)


@pytest.mark.parametrize("command", ["write_flash", "verify_flash", "load_ram"])
def test_an_input_is_waited_for_before_there_is_a_port(command: str, pipe: Path) -> None:
    said = [command, str(pipe)] if command == "load_ram" else [command, "0x1000", str(pipe)]
    with open_served(parse("sim://esp32c3"), "sim://esp32c3") as port, Server(port) as server:
        url = server.listen_rfc2217()
        server.start()
        codes: list[int] = []
        program = threading.Thread(
            target=lambda: codes.append(main(["--port", url, "--no-stub", *said]))
        )
        program.start()
        # Opens once the program has opened the pipe: until now it wants nothing of the port.
        with pipe.open("wb") as file:
            assert main(["--port", url, "--no-stub", "--after", "no-reset", "chip_id"]) == 0
            assert program.is_alive()
            file.write(bytes(range(256)))
        program.join()
    assert codes == [2 if command != "write_flash" else 0]


def test_a_missing_input_is_said_before_there_is_a_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.bin"
    assert main(["--port", "/dev/no-such-port", "write_flash", "0", str(missing)]) == 2
    expected = f"an input cannot be read: No such file or directory: '{missing}'"
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("command", ["read_flash", "dump_mem"])
def test_an_output_pipe_that_nobody_reads_is_refused(
    command: str, pipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [command, "0x40000000" if command == "dump_mem" else "0", "16", str(pipe)]
    assert main(["--port", "sim://esp32c3", "--no-stub", *said]) == 2
    assert "cannot be written: nobody reads from it" in capsys.readouterr().err
    assert pipe.is_fifo()


def test_an_output_pipe_that_somebody_reads_is_written_to(pipe: Path) -> None:
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    reader.start()
    assert (
        main(["--port", "sim://esp32c3", "--no-stub", "read_flash", "0", "0x20000", str(pipe)]) == 0
    )
    reader.join()
    os.close(descriptor)
    assert b"".join(read) == b"\xff" * 0x2_0000
