"""Mistakes of who types: named as they were typed, in plain words, with what may stand there instead."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.__main__ import main
from gateway.chargers.commands.asked import Asked, checked
from gateway.chargers.commands.outcome import read_failure
from gateway.chargers.commands.spoken import _TYPED, allowed_values
from gateway.control.socket_path import SOCKET_NAME, reachable
from gateway.errors import CallFailed, CommandRefused, ConfigurationError
from gateway.wording import counted, reason
from tests.processes import SiteFolder
from wire.ocpp import v201

FOREIGN = ("Errno", "`str`", "(at $", "Expected", "truncated", "codec", "_ssl")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["start", "CP-1", "--token", "A" * 40], "--token: at most 36 characters"),
        (["start", "CP-1", "--token", "A", "--reference", "r" * 80], "--reference: at most 36 characters"),
        (["start", "", "--token", "A"], "CHARGER: must not be empty"),
        (["call", "CP-1", "Reset", '{"type":'], "PAYLOAD is no JSON: it ends too early"),
        (["call", "CP-1", "Reset", "@/nowhere.json"], "PAYLOAD @/nowhere.json: No such file or directory"),
        (["call", "CP-1", "a-b"], "ACTION: write letters and digits only"),
        (["tariff", "set", "CP-1", "--id", "x", "--currency", "euro"], "--currency: write three capital letters"),
        (["message", "show", "CP-1", "1", ""], "TEXT: must not be empty"),
        (["get", "CP-1", "V" * 60], "NAMES: at most 50 characters"),
        (["data-transfer", "CP-1", "v", "m" * 60], "MESSAGE_ID: at most 50 characters"),
    ],
)
def test_what_is_wrong_is_named_as_it_was_typed(arguments: list[str], said: str) -> None:
    found = CliRunner().invoke(main, ["command", *arguments])
    assert found.exit_code == 2
    assert f"pnc-gateway: {said}" in found.output
    assert not any(word in found.output for word in FOREIGN)


def test_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "root.pem"
    path.write_bytes(b"\xff\xfe")
    found = CliRunner().invoke(main, ["command", "certificates", "install", "CP-1", "MORootCertificate", str(path)])
    assert found.exit_code == 2
    assert f"{path} is no certificate in PEM" in found.output


def test_a_command_says_at_once_what_it_waits_for(tmp_path: Path, lab: Path) -> None:
    site = SiteFolder(folder=tmp_path, lab=lab)
    found = CliRunner().invoke(main, ["command", "clear-cache", "F-201", "--config", str(site.gateway_toml)])
    assert "waiting for F-201, up to 30 s" in found.output
    assert "no gateway runs here" in found.output


def test_values_that_are_allowed_are_listed() -> None:
    with pytest.raises(
        CommandRefused, match=r"requestedMessage 'Foo' is none of BootNotification, .*StatusNotification"
    ):
        checked("2.0.1", "TriggerMessage", {"requestedMessage": "Foo"})
    assert allowed_values(v201.TriggerMessage, "$.evse") == ()
    assert "SHA256" in allowed_values(v201.DeleteCertificate, "$.certificateHashData.hashAlgorithm")
    assert "Target" in allowed_values(v201.GetVariables, "$.getVariableData[...].attributeType")


def test_what_is_too_long_for_a_version_is_said_plainly() -> None:
    with pytest.raises(CommandRefused, match=r"^ChangeConfiguration for OCPP 1\.6: key: at most 50 characters$"):
        checked("1.6", "ChangeConfiguration", {"key": "k" * 60, "value": "1"})


def hears_ctrl_c() -> None:
    """As at a terminal: tests that run in the background were started with SIGINT ignored, and whom they start would
    ignore it, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_says_how_to_learn_what_came_of_it(tmp_path: Path, lab: Path) -> None:
    site = SiteFolder(folder=tmp_path, lab=lab)
    state = tmp_path / "gateway-state"
    state.mkdir()
    with socket.socket(socket.AF_UNIX) as gateway, reachable(state / SOCKET_NAME) as short:
        gateway.bind(short)
        gateway.listen()
        arguments = ["command", "clear-cache", "CP-1", "--config", str(site.gateway_toml)]
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments], stderr=subprocess.PIPE, preexec_fn=hears_ctrl_c
        )
        with gateway.accept()[0] as asking:
            request = b""
            while b"command_id" not in request:
                request += asking.recv(4096)
            process.send_signal(signal.SIGINT)
            told = process.communicate(timeout=60)[1].decode()
    command_id = json.loads(request.partition(b"\r\n\r\n")[2])["command_id"]
    assert process.returncode == 130
    assert told.splitlines()[0] == "waiting for CP-1, up to 30 s"
    assert f"the command goes on; `pnc-gateway command status {command_id}` says what came of it" in told


def test_every_command_is_called_as_it_is_typed() -> None:
    for name in _TYPED.values():
        at = main.get_command(click.Context(main), "command")
        for word in name.split():
            assert isinstance(at, click.Group)
            at = at.commands[word]


def test_no_word_is_said_twice() -> None:
    asked = Asked("TriggerMessage", b"{}")
    silent = CallFailed("call-timeout", "F-201: TriggerMessage: no answer within 30 s")
    assert read_failure(asked, silent)[1].count("TriggerMessage") == 1
    lost = CallFailed("connection-lost", "F-201: the connection has ended")
    assert read_failure(asked, lost)[1].startswith("TriggerMessage: F-201: the connection has ended")


@pytest.mark.parametrize("path", [(), ("command",)])
def test_first_sentences_of_the_help_are_whole(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*path, "--help"], terminal_width=80).output
    assert "..." not in shown.partition("Commands:")[2]


def test_numbers_and_reasons_read_well() -> None:
    assert [counted(number, "time") for number in (0, 1, 2)] == ["0 times", "1 time", "2 times"]
    assert counted(1, "entry", "entries") == "1 entry"
    assert reason(FileNotFoundError(2, os.strerror(2), "x")) == "No such file or directory"
    assert "Errno" not in str(ConfigurationError(reason(PermissionError(13, "Permission denied"))))
