"""Hashing is done where it costs less than the writing it can save."""

from __future__ import annotations

import pytest

from esploader.flash.delta import CostModel

FAST = CostModel(baudrate=921600, round_trip=0.001, turnaround=0.001, compression=0.55)
SLOW_NETWORK = CostModel(baudrate=921600, round_trip=2.0, turnaround=2.0, compression=0.55)


def test_writing_costs_the_wire_or_the_flash_whichever_is_slower() -> None:
    wire_bound = CostModel(baudrate=9600, round_trip=0.0, turnaround=0.0)
    assert wire_bound.writing(0, 0x10000) == pytest.approx(0x10000 * 10 / 9600)
    flash_bound = CostModel(baudrate=10**9, round_trip=0.0, turnaround=0.0)
    assert flash_bound.writing(0, 0x10000) == pytest.approx(0.150 + 256 * 0.0004)
    assert flash_bound.writing(0, 0x1000) == pytest.approx(0.045 + 16 * 0.0004)
    assert flash_bound.writing(0xF000, 0x12000) == pytest.approx(2 * 0.045 + 0.150 + 288 * 0.0004)


def test_hashing_costs_a_round_trip_and_the_reading() -> None:
    assert SLOW_NETWORK.hashing(4 << 20) == pytest.approx(2.0 + 600 / 921600 + 1.0)
    assert FAST.hashing(0x1000) < 0.01
