"""The plugin for pytest, as those see it who write tests with it: whole runs of pytest."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

# Runs in this process forget what they were the first to import.
from described_chips import DESCRIBED
from esploader.integrations import pytest_devices, pytest_plugin, pytest_report
from esploader.server import serve

pytest_plugins = ("pytester",)

ROOT = Path(__file__).parents[2]
PLUGIN = pytest_plugin.__name__
INI = """
[pytest]
addopts = --strict-markers --strict-config -p no:cacheprovider {options}
filterwarnings = error
"""
needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")


@pytest.fixture(autouse=True)
def _only_our_plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether it is installed or not must not matter.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini(INI.format(options=""))


def run_here(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run pytest in this process, which is quick."""
    return pytester.runpytest_inprocess(*options, plugins=[pytest_plugin])


def test_the_modules_behind_the_plugin_load_once() -> None:
    for module in (pytest_devices, pytest_report, serve):
        assert sys.modules[module.__name__] is module


def test_the_fixtures_of_a_test_are_about_one_device(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_write(esploader_device, esploader_transport, simulated_device):
            esploader_device.flash.write([(0x10000, b"hello")])
            assert simulated_device.nor.read(0x10000, 5) == b"hello"
            assert esploader_transport.device is simulated_device

        def test_nothing_is_left_of_that(esploader_device, simulated_device):
            assert simulated_device.nor.read(0x10000, 5) == b"\\xff" * 5
            assert esploader_device.chip.name == "ESP32-C3"
    """)
    run_here(pytester).assert_outcomes(passed=2)


def test_time_is_virtual(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_a_day(esploader_transport):
            esploader_transport.clock.sleep(86400.0)
            assert esploader_transport.read(2 * 86400.0) == b""
            assert esploader_transport.clock.now() == 2 * 86400.0
    """)
    run_here(pytester).assert_outcomes(passed=1)


def test_the_port_is_closed_after_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        from esploader.errors import TransportClosedError

        seen = []

        def test_first(esploader_device):
            seen.append(esploader_device)

        def test_second():
            with pytest.raises(TransportClosedError):
                seen[0].flash.id()
    """)
    run_here(pytester).assert_outcomes(passed=2)


def test_the_file_of_the_flash_is_free_after_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        pytestmark = pytest.mark.esploader_chip(flash="flash.bin")

        def test_first(simulated_device):
            simulated_device.nor.program(0, b"first")

        def test_second(simulated_device):
            assert simulated_device.flash.startswith(b"first")
    """)
    run_here(pytester).assert_outcomes(passed=2)


def test_a_mark_chooses_the_chip_and_what_it_is_like(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.esploader_chip("ESP32-S3", flash_size=8 << 20, revision=(0, 2))
        def test_marked(esploader_device, esploader_chip):
            assert esploader_chip == "esp32s3"
            assert esploader_device.chip.name == "ESP32-S3"
            assert esploader_device.flash.id().size == 8 << 20
            assert str(esploader_device.revision) == "v0.2"

        @pytest.mark.esploader_chip(revision=(1, 1))
        def test_only_options(esploader_device):
            assert esploader_device.chip.name == "ESP32-C3"
            assert str(esploader_device.revision) == "v1.1"
    """)
    run_here(pytester).assert_outcomes(passed=2)


def test_several_chips_make_several_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.esploader_chip("all")
        def test_all(esploader_device, esploader_chip):
            assert esploader_device.chip.key == esploader_chip

        @pytest.mark.esploader_chip(["esp32", "esp8266"])
        def test_list(esploader_device):
            pass

        @pytest.mark.esploader_chip("esp32", "esp8266")
        def test_no_need_of_a_device():
            pass
    """)
    result = run_here(pytester, "-v")
    result.assert_outcomes(passed=len(DESCRIBED) + 2 + 1)
    names = [f"*::test_all[[]{chip.key}] PASSED*" for chip in DESCRIBED]
    result.stdout.fnmatch_lines([*names, "*::test_list[[]esp32] *", "*::test_list[[]esp8266] *"])


def test_the_closest_mark_counts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        pytestmark = pytest.mark.esploader_chip("esp32", "esp32s2")

        def test_module(esploader_chip):
            assert esploader_chip in {"esp32", "esp32s2"}

        @pytest.mark.esploader_chip("esp8266")
        class TestClass:
            def test_class(self, esploader_chip):
                assert esploader_chip == "esp8266"

            @pytest.mark.esploader_chip("esp32s3")
            def test_function(self, esploader_chip):
                assert esploader_chip == "esp32s3"
    """)
    run_here(pytester).assert_outcomes(passed=4)


def test_a_parameter_may_bring_its_mark(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        def sized(megabytes):
            mark = pytest.mark.esploader_chip("esp32", flash_size=megabytes << 20)
            return pytest.param(megabytes, marks=mark)

        @pytest.mark.parametrize("megabytes", [sized(2), sized(16)])
        def test_size(esploader_device, megabytes):
            assert esploader_device.flash.id().size == megabytes << 20

        @pytest.mark.parametrize("esploader_chip", ["esp32", "esp32c3"])
        def test_chip(esploader_device, esploader_chip):
            assert esploader_device.chip.key == esploader_chip
    """)
    run_here(pytester).assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("mark", "fixture", "message"),
    [
        ('esploader_chip("esp99")', "simulated_device", "*chip 'esp99'*it is not known*esp32c3*"),
        (
            "esploader_chip(32)",
            "simulated_device",
            "*esploader_chip: 32 is not the name of a chip*",
        ),
        ("esploader_chip(['esp32', 3])", "simulated_device", "*esploader_chip: 3 is not the name*"),
        (
            "esploader_chip(speed=11)",
            "simulated_device",
            "*esploader_chip: no option is called 'speed', but flash_size, flash, *",
        ),
        (
            "esploader_chip(revision='3.1')",
            "simulated_device",
            "*esploader_chip: revision='3.1': (major, minor)*",
        ),
        ("esploader_chip(flash_size=3)", "simulated_device", "*esploader_chip:*3*"),
        ('esploader_faults("drop")', "esploader_device", "*esploader_faults: 'drop' is no fault*"),
        (
            "esploader_faults(sede=1)",
            "esploader_device",
            "*esploader_faults: no option is called 'sede', but seed*",
        ),
        ('esploader_url("usb")', "esploader_url", "*esploader_url: 'usb' is none of*pty*"),
        (
            "esploader_url(fast=True)",
            "esploader_url",
            "*esploader_url: no option is called 'fast', but served_as, realtime*",
        ),
        ('esploader_url("tcp", "pty")', "esploader_url", "*esploader_url: 2 ways*too many*"),
        ('esploader_url("tcp", served_as="pty")', "esploader_url", "*esploader_url: 2 ways*"),
    ],
)
def test_a_mark_that_makes_no_sense_is_an_error_in_one_sentence(
    pytester: pytest.Pytester, mark: str, fixture: str, message: str
) -> None:
    pytester.makepyfile(f"""
        import pytest

        @pytest.mark.{mark}
        def test_marked({fixture}):
            pass

        def test_another(simulated_device):
            pass
    """)
    result = run_here(pytester)
    # It is the error of that test, and no other has to suffer for it.
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([message])
    for word in ("*Traceback*", "*During handling*", "*_init_*", "*_checked*"):
        result.stdout.no_fnmatch_line(word)


def test_faults_happen_and_repeat_themselves(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        from esploader.simulator import Corrupt, Drop

        PAYLOAD = bytes(range(256)) * 128
        moments = []

        def write(device, transport):
            device.flash.write([(0x10000, PAYLOAD)], compress=False)
            moments.append(transport.clock.now())

        def test_good_line(esploader_device, esploader_transport):
            write(esploader_device, esploader_transport)

        @pytest.mark.parametrize("time", [1, 2])
        @pytest.mark.esploader_faults(Drop(rate=5e-5), Corrupt(rate=2e-5), seed=1)
        def test_bad_line(esploader_device, esploader_transport, simulated_device, time):
            write(esploader_device, esploader_transport)
            assert simulated_device.nor.read(0x10000, len(PAYLOAD)) == PAYLOAD

        def test_all(request):
            good, first, second = moments
            assert good < first == second
    """)
    run_here(pytester).assert_outcomes(passed=4)


@pytest.mark.parametrize("way", ["rfc2217", "tcp", pytest.param("pty", marks=needs_pty)])
def test_a_process_uses_the_device_that_the_test_looks_into(
    pytester: pytest.Pytester, way: str
) -> None:
    pytester.makepyfile(f"""
        import subprocess
        import sys

        import pytest

        @pytest.mark.esploader_chip("esp32")
        @pytest.mark.esploader_url({way!r})
        def test_write(esploader_url, simulated_device, tmp_path):
            (tmp_path / "app.bin").write_bytes(b"hello")
            before = [] if {way!r} == "rfc2217" else ["--before", "no-reset"]
            subprocess.run(
                [sys.executable, "-m", "esploader", "--port", esploader_url, *before,
                 "write-flash", "0x10000", str(tmp_path / "app.bin")],
                check=True,
            )
            assert simulated_device.nor.read(0x10000, 5) == b"hello"
    """)
    run_here(pytester).assert_outcomes(passed=1)


def test_realtime_takes_its_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.esploader_url("tcp", realtime=True)
        def test_paced(esploader_url, simulated_device):
            assert simulated_device.timings.uart_paced

        def test_unpaced(esploader_url, simulated_device):
            assert not simulated_device.timings.uart_paced
    """)
    run_here(pytester).assert_outcomes(passed=2)


def test_a_served_application_that_raises_does_not_go_unnoticed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("""
        import time

        import esploader
        import pytest
        from esploader.simulator import minimal_image

        def until(happened):
            deadline = time.monotonic() + 20.0
            while not happened():
                assert time.monotonic() < deadline
                time.sleep(0.01)

        def raises(runtime):
            runtime.send(b"so far")
            yield 0.01
            raise LookupError("a defect in the application")

        def fails(runtime):
            pytest.fail("the application does not like it")

        @pytest.mark.parametrize("application", [raises, fails])
        @pytest.mark.esploader_chip(flash=minimal_image("esp32c3"))
        def test_it(esploader_url, simulated_device, application):
            simulated_device.run(application)
            with esploader.connect(esploader_url, stub=False) as device:
                device.reset()
            until(lambda: len(simulated_device.history.boots) == 2)
            until(lambda: simulated_device.next_event_time() == float("inf"))
            # Another client can use it all the same.
            esploader.connect(esploader_url, stub=False).close()
    """)
    result = run_here(pytester)
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        ["*raise LookupError*", "*E * LookupError: a defect*", "*Failed: the application does not*"]
    )


def test_a_url_ends_with_its_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import esploader
        import pytest
        from esploader.errors import TransportError

        seen = []

        def test_served(esploader_url):
            with esploader.connect(esploader_url, stub=False) as device:
                assert device.chip.key == "esp32c3"
            seen.append(esploader_url)

        def test_no_longer():
            with pytest.raises(TransportError):
                esploader.connect(seen[0])
    """)
    run_here(pytester).assert_outcomes(passed=2)


def test_faults_happen_to_a_served_device_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import esploader
        import pytest
        from esploader.errors import ConnectError
        from esploader.simulator import Corrupt, Delay, Direction, Drop

        PAYLOAD = bytes(range(256)) * 128

        @pytest.mark.esploader_faults(
            Drop(rate=5e-5), Corrupt(rate=2e-5), Delay(rate=1e-4, seconds=0.001), seed=1
        )
        def test_bad_line(esploader_url, simulated_device, caplog):
            with esploader.connect(esploader_url) as device:
                device.flash.write([(0x10000, PAYLOAD)], compress=False)
            assert simulated_device.nor.read(0x10000, len(PAYLOAD)) == PAYLOAD
            assert "esploader.flash.write" in {record.name for record in caplog.records}

        @pytest.mark.esploader_faults(Drop(rate=0.5, direction=Direction.TO_DEVICE))
        def test_terrible_line(esploader_url):
            with pytest.raises(ConnectError):
                esploader.connect(esploader_url, attempts=1)
    """)
    run_here(pytester).assert_outcomes(passed=2)


def test_a_served_device_comes_back_under_its_url(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import contextlib
        import time

        import esploader
        import pytest
        from esploader.errors import EsploaderError
        from esploader.simulator import Cut

        def connect(url):
            deadline = time.monotonic() + 20.0
            while time.monotonic() < deadline:
                with contextlib.suppress(EsploaderError):
                    return esploader.connect(url, stub=False, attempts=1)
            pytest.fail("it did not come back")

        @pytest.mark.esploader_faults(Cut(positions={2000}, seconds=0.01))
        def test_cut(esploader_url, caplog):
            with esploader.connect(esploader_url, stub=False) as device:
                assert device.flash.read(0, 0x4000) == bytes([0xFF]) * 0x4000
            assert "the line was cut" in caplog.text

        def test_pulled_cable(esploader_url, simulated_device):
            with connect(esploader_url) as device:
                simulated_device.break_line()
                with pytest.raises(EsploaderError):
                    device.flash.id()
            with pytest.raises(EsploaderError):
                esploader.connect(esploader_url, stub=False, attempts=1)
            simulated_device.mend_line()
            with connect(esploader_url) as device:
                assert device.chip.key == "esp32c3"
    """)
    run_here(pytester).assert_outcomes(passed=2)


def test_virtual_and_real_time_do_not_mix(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_both(esploader_url, esploader_device):
            pass
    """)
    result = run_here(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*is in virtual time and esploader_url in real time*"])


FAILING = """
    import esploader
    import pytest

    def test_fails(esploader_device):
        esploader_device.flash.id()
        assert esploader_device.chip.name == "another"
"""


def test_a_failure_shows_what_the_device_has_been_through(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILING)
    result = run_here(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- simulated device -*",
            "ESP32-C3, 4096 KiB of flash, 115200 baud",
            "   0.000000 = DTR *, RTS *",
            "* [*] boots into download mode",
            "* > SYNC",
            "* < SYNC done",
            "* > SPI_ATTACH pins=0x0",
        ]
    )


def test_a_failure_shows_what_was_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.esploader_chip(state="download")
        def test_fails(esploader_transport):
            esploader_transport.write(bytes.fromhex("c0 00 ee 00 00 00 00 00 00 c0"))
            assert not esploader_transport.read(1.0)
    """)
    result = run_here(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- simulated device -*", "* > 0xee", "* refused: error 0x05"])


def test_of_a_long_history_a_failure_shows_the_end(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_fails(esploader_device):
            for _ in range(100):
                esploader_device.memory.read_register(0x6000_8840)
            assert esploader_device.chip is None
    """)
    result = run_here(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- simulated device -*", "ESP32-C3, *", "(* lines before these)"])
    shown = [line for line in result.outlines if "> READ_REG address=0x60008840" in line]
    assert len(shown) == pytest_report.MAX_EVENTS // 2


def test_a_success_shows_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILING.replace("==", "!="))
    result = run_here(pytester, "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*- simulated device -*")


def test_several_workers_do_not_get_in_each_others_way(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xdist")
    monkeypatch.syspath_prepend(str(ROOT / "src"))
    pytester.makepyfile(
        FAILING
        + """
    @pytest.mark.esploader_chip("esp8266", "esp32", "esp32c3", "esp32s3")
    def test_device(esploader_device, simulated_device, esploader_chip):
        esploader_device.flash.write([(0x10000, b"hello")])
        assert simulated_device.nor.read(0x10000, 5) == b"hello"

    @pytest.mark.esploader_chip("esp8266", "esp32", "esp32c3", "esp32s3")
    def test_url(esploader_url, esploader_chip):
        with esploader.connect(esploader_url, stub=False) as device:
            assert device.chip.key == esploader_chip
    """
    )
    pytester.makeini(INI.format(options=f"-p xdist.plugin -p {PLUGIN}"))
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=2 * 4, failed=1)
    result.stdout.fnmatch_lines(["*- simulated device -*", "ESP32-C3, *"])


def test_who_does_not_use_it_does_not_load_the_library(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_imports():
            ours = {name for name in sys.modules if name.partition(".")[0] == "esploader"}
            assert ours == {
                "esploader",
                "esploader.integrations",
                "esploader.integrations.pytest_plugin",
                "esploader.version",
            }
            assert not {"attr", "attrs", "serial", "asyncio"} & sys.modules.keys()
    """)
    pytester.runpytest_subprocess("-p", PLUGIN).assert_outcomes(passed=1)


def test_pytest_finds_the_plugin_by_its_entry_point(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (name, module), *others = project["entry-points"]["pytest11"].items()
    assert not others
    # As if it were installed, whether it is or not.
    metadata = pytester.mkdir("esploader-0.0.0.dist-info")
    metadata.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: esploader\nVersion: 0\n")
    metadata.joinpath("entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    pytester.makepyfile("""
        def test_device(esploader_device, request):
            assert esploader_device.chip.key == "esp32c3"
            explained = {line.partition("(")[0] for line in request.config.getini("markers")}
            assert {"esploader_chip", "esploader_faults", "esploader_url"} <= explained
    """)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    pytester.runpytest_subprocess("-p", f"no:{name}").assert_outcomes(errors=1)
