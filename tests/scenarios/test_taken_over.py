"""Who loses its port to somebody else while it writes says so, and lets it be."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from esploader import connect
from esploader.errors import FlashError, PortTakenOverError
from esploader.server.config import PortConfig, ServerConfig
from esploader.transport.rfc2217 import Rfc2217Transport
from served import PATIENCE, serving

if TYPE_CHECKING:
    from pathlib import Path

    from esploader import Device
    from esploader.flash.progress import ProgressEvent

OFFSET, SIZE = 0x1000, 0x2_0000
SECRET = "0123456789abcdef"  # noqa: S105 - of nothing


def test_a_write_that_is_taken_over_from_ends_and_the_winner_writes_the_same_device(
    tmp_path: Path,
) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET)
    token.chmod(0o600)
    config = ServerConfig(
        ports=(PortConfig(source="sim://esp32c3"),), tcp_port=0, takeover=True, token_file=token
    )
    with serving(config) as places:
        (place,) = places.wait(1)
        force = f"{place.url}?takeover=force&token-file={token}"
        winner: list[Rfc2217Transport] = []
        taken = threading.Event()

        def take_over() -> None:
            winner.append(Rfc2217Transport.open(force))
            taken.set()

        def on_progress(_: ProgressEvent) -> None:
            if not winner and not taken.is_set():
                threading.Thread(target=take_over, daemon=True).start()
                assert taken.wait(PATIENCE)

        with connect(place.url, stub=False) as device:
            before = outside(device)
            image = bytes(range(256)) * (SIZE // 256)
            with pytest.raises((FlashError, PortTakenOverError)) as failure:
                device.flash.write([(OFFSET, image)], on_progress=on_progress)
        assert is_caused_by_takeover(failure.value)
        (transport,) = winner
        with transport, connect(transport, stub=False) as device:
            device.flash.write([(OFFSET, b"of the winner" * 100)])
            assert device.flash.read(OFFSET, 1300) == b"of the winner" * 100
            assert outside(device) == before


def outside(device: Device) -> bytes:
    """Return what stands in front of what is written, and behind it."""
    return device.flash.read(0, OFFSET) + device.flash.read(OFFSET + SIZE, 0x1000)


def is_caused_by_takeover(error: BaseException | None) -> bool:
    return error is not None and (
        isinstance(error, PortTakenOverError) or is_caused_by_takeover(error.__cause__)
    )
