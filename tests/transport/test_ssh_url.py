"""What ``ssh://`` URLs mean, and that nothing in them becomes more than the word that it is."""

from __future__ import annotations

import subprocess
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import UnknownSchemeError, UrlError
from esploader.transport.rfc2217_url import NEGOTIATION_TIMEOUT
from esploader.transport.ssh_url import SshUrl, parse_ssh_url
from esploader.urls import check_url, open_transport

OF_SHELLS = "'\"`$(){}[];&|<>*?~# \t\n\r\x00\x1b-@!\\%=/:.,ab\u00e9"
"""What means something to a shell, to us or to a URL, and a little that does not."""

hostile = st.text(st.sampled_from(OF_SHELLS) | st.characters(exclude_categories=["Cs"]))


def parse_rest(rest: str) -> SshUrl:
    return parse_ssh_url(f"ssh://{rest}")


def test_all_that_a_url_can_say() -> None:
    parsed = parse_rest(
        "me@Bench-1:2222/dev/ttyUSB0?command=venv/bin/esploader&timeout=5&logging=info"
        "&ign_set_control&poll_modem"
    )
    assert parsed == SshUrl(
        url=parsed.url,
        user="me",
        host="Bench-1",
        tcp_port=2222,
        far_port="/dev/ttyUSB0",
        command="venv/bin/esploader",
        timeout=5.0,
        log_level=20,
    )
    assert parsed.destination == ["-l", "me", "-p", "2222", "--", "Bench-1"]


def test_what_a_url_leaves_to_ssh() -> None:
    parsed = parse_rest("bench/COM3")
    assert parsed.destination == ["--", "bench"]
    assert (parsed.timeout, parsed.log_level) == (NEGOTIATION_TIMEOUT, None)


@pytest.mark.parametrize(
    ("path", "port"),
    [
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
        ("//dev/ttyUSB0", "/dev/ttyUSB0"),
        ("/COM3", "COM3"),
        ("/hwgrep://CP210", "hwgrep://CP210"),
        ("/sim://esp32c3%3Fflash=8MB", "sim://esp32c3?flash=8MB"),
        ("/rfc2217://127.0.0.1:2217", "rfc2217://127.0.0.1:2217"),
        ("/%2Fport", "/port"),
        ("/dev/with%20blank", "/dev/with blank"),
        ("/dev/-x", "/dev/-x"),
    ],
)
def test_the_port_at_the_far_end(path: str, port: str) -> None:
    assert parse_rest(f"bench{path}").far_port == port


@pytest.mark.parametrize(
    ("place", "destination"),
    [
        ("[::1]", ["--", "::1"]),
        ("[fe80::1%eth0]:22", ["-p", "22", "--", "fe80::1%eth0"]),
        ("me%40example.org@bench", ["-l", "me@example.org", "--", "bench"]),
        ("under_score.example", ["--", "under_score.example"]),
    ],
)
def test_places(place: str, destination: list[str]) -> None:
    assert parse_rest(f"{place}/COM3").destination == destination


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        ("", "the host is missing"),
        ("/dev/ttyUSB0", "the host is missing"),
        ("me@/dev/ttyUSB0", "the host is missing"),
        ("bench", "the port at the far end is missing"),
        ("bench/", "the port at the far end is missing"),
        ("bench:0/x", "0 is not between 1 and 65535"),
        ("bench:/x", "'' is not a number"),
        ("bench:ssh/x", "'ssh' is not a number"),
        ("me:secret@bench/x", "passwords are not supported"),
        ("-oProxyCommand=x/x", "'-oProxyCommand=x' is no name of a host"),
        ("-l@bench/x", "'-l' is no name of a user"),
        ("%2Dl@bench/x", "'-l' is no name of a user"),
        ("@bench/x", "'' is no name of a user"),
        ("$(x)@bench/x", "is no name of a user"),
        ("a@b@bench/x", "'b@bench' is no name of a host"),
        ("b;x/x", "'b;x' is no name of a host"),
        ("[::1]x/x", "no name of a host|Invalid|missing"),
        ("bench/-x", "begins with '-'"),
        ("bench/@file", "begins with '@'"),
        ("bench/%2Dx", "begins with '-'"),
        ("bench/a%0Ab", "no shell is trusted with"),
        ("bench/a%00b", "no shell is trusted with"),
        ("bench/a%5Cb", "no shell is trusted with"),
        ("bench/a!b", "no shell is trusted with"),
        ("bench/%FF", "is no text"),
        ("bench/x?command=", "command is missing"),
        ("bench/x?command=-x", "begins with '-'"),
        ("bench/x?ca=x", "unknown option 'ca'"),
        ("bench/x?timeout=0", "a positive number of seconds"),
        ("bench/x?poll_modem=1", "takes no value"),
        ("bench/x#y", "unexpected fragment"),
        ("bench/x y", "blanks or control characters"),
    ],
)
def test_what_is_refused(rest: str, complaint: str) -> None:
    with pytest.raises(UrlError, match=complaint):
        parse_rest(rest)
    # Before anything is run, and by whoever serves such a port, before it is looked for.
    with pytest.raises(UrlError, match=complaint):
        open_transport(f"ssh://{rest}")
    with pytest.raises(UrlError, match=complaint):
        check_url(f"ssh://{rest}")


def test_another_scheme_is_another_matter() -> None:
    with pytest.raises(UnknownSchemeError, match="expected ssh://HOST/dev/ttyUSB0"):
        parse_ssh_url("socket://bench:1")


@pytest.mark.parametrize(
    ("query", "commands"),
    [
        ("", ["esploader serve --stdio -- COM3", "python3 -m esploader serve --stdio -- COM3"]),
        ("?command=/opt/x/esploader", ["/opt/x/esploader serve --stdio -- COM3"]),
        ("?command=py/bin/python3.12", ["py/bin/python3.12 -m esploader serve --stdio -- COM3"]),
        # One word, whatever is in it.
        ("?command=sudo+reboot", ["'sudo reboot' serve --stdio -- COM3"]),
        ("?command=a;reboot", ["'a;reboot' serve --stdio -- COM3"]),
    ],
)
def test_what_is_run_at_the_far_end(query: str, commands: list[str]) -> None:
    assert parse_rest(f"bench/COM3{query}").commands() == commands


@given(user=hostile, host=hostile, port=hostile)
def test_ssh_is_given_no_option_that_is_not_ours(user: str, host: str, port: str) -> None:
    try:
        parsed = parse_rest(f"{user}@{host}/{port}")
    except UrlError:
        return
    *options, end, there = parsed.destination
    assert end == "--"
    assert not there.startswith("-")
    assert options[:1] == ([] if parsed.user is None else ["-l"])
    # The commands of a configuration get both through a shell.
    for word in (there, parsed.user or "x"):
        assert not set(word) & set("'\"`$(){}[];&|<>*?~# \t\n\r\x00\x1b!\\=/,")


@given(port=hostile, program=hostile)
def test_a_shell_makes_of_each_word_what_it_was_or_never_sees_it(port: str, program: str) -> None:
    url = f"bench/{quote(port, safe='')}?command={quote('./' + program, safe='')}"
    try:
        parsed = parse_rest(url)
    except UrlError:
        return
    assert parsed.far_port == port
    (command,) = parsed.commands()
    shown = subprocess.run(
        ["sh", "-c", f"show() {{ printf '%s\\0' \"$@\"; }}; show {command}"],
        check=True,
        capture_output=True,
    ).stdout
    *words, nothing = shown.decode().split("\0")
    expected = [f"./{program}", "serve", "--stdio", "--", port]
    assert nothing == ""
    assert [word for word in words if word not in {"-m", "esploader"}] == expected
