"""Reports of panic handlers are picked out of what a device says."""

from __future__ import annotations

from esploader.device.console.panics import MAX_REPORT_LINES, PanicCollector

REPORT = """\
Guru Meditation Error: Core  0 panic'ed (Illegal instruction). Exception was unhandled.

Core  0 register dump:
MEPC    : 0x420037ce  RA      : 0x42003a18  SP      : 0x3fc8cdec  GP      : 0x3fc887e0
MHARTID : 0x00000000

Stack memory:
3fc8cdec: 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5 0x42012ea6 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5 0x40384206
3fc8ce0c: 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5

Rebooting...
"""


def reports(text: str) -> list[str]:
    collector = PanicCollector()
    found = [collector.feed(line) for line in text.splitlines()]
    return [report for report in found if report is not None]


def test_registers_and_stack_are_a_report() -> None:
    (report,) = reports(f"noise\n{REPORT}more noise\n")
    lines = REPORT.splitlines()
    assert report.splitlines() == [*lines[2:9], ""]


def test_each_panic_is_one() -> None:
    assert len(reports(REPORT * 3)) == 3


def test_a_report_of_another_architecture_is_none() -> None:
    assert reports(REPORT.replace("MEPC    ", "PC      ")) == []


def test_a_report_without_an_end_is_not_kept_for_ever() -> None:
    head = "\n".join(REPORT.splitlines()[:6])
    assert reports(head + "\n" + "x\n" * (MAX_REPORT_LINES + 1) + "Stack memory:\nend\n") == []
