#!/usr/bin/env python3
"""OctoPrint's virtual printer behind a pseudo-terminal, with a record of every line that it accepts.

    virtual_printer.py --record FILE [--set KEY=JSON]... [--every LINES=COMMAND]... [--at LINE=COMMAND]... [--speed N]

It needs OctoPrint (`pip install OctoPrint==1.11.8`), says its device on standard output, and lives until its standard
input ends. KEY is a setting of the plug-in, COMMAND one of its `!!DEBUG:` commands, which is put between the lines of
the host: behind each LINES-th numbered one, or behind the LINE-th.

What counts as accepted is what the printer itself says with the number it expects next. The record has one line for each
change of it: `counter N` when the host set it, `accept N TEXT` when it took a line, `rewind N` when it went back behind
line N and wants everything after that again, `reset` when the board started anew.

Two things differ from the plug-in as it is, since no host could print with them: the number that it asks for after a
wrong checksum is the one behind the last line that it accepted (it keeps a second count, which runs ahead with each
repeated line), and a full buffer makes the host wait, as a terminal does, instead of ending the connection.
"""

import argparse
import json
import os
import pty
import sys
import tempfile
import threading
import tty
from types import SimpleNamespace

from octoprint.plugins.virtual_printer import VirtualPrinterPlugin, virtual


class Settings:
    """The plug-in's own defaults with a few values changed."""

    def __init__(self, changed, folder):
        self._values = {**VirtualPrinterPlugin().get_settings_defaults(), **changed}
        self._folder = folder

    def get(self, path, **_):
        value = self._values
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def get_int(self, path, **_):
        return int(self.get(path) or 0)

    def get_float(self, path, **_):
        return float(self.get(path) or 0.0)

    def get_boolean(self, path, **_):
        return bool(self.get(path))

    def global_get_basefolder(self, _name):
        return self._folder


class Board(virtual.VirtualPrinter):
    """The virtual printer, which writes down what becomes of its line counter."""

    def __init__(self, settings, folder, record):
        self._record, self._line, self._last = record, b"", 0
        # A full buffer is tried again soon: whoever waits holds a lock that a refusal needs.
        super().__init__(settings, None, folder, read_timeout=0.5, write_timeout=0.02)

    def _calculate_checksum(self, line):
        self._line = line
        return super()._calculate_checksum(line)

    def _reset(self):
        self._line = b""
        self._note("reset")
        super()._reset()

    @property
    def lastN(self):
        return self._last

    @lastN.setter
    def lastN(self, number):
        last, self._last = self._last, number
        if b"M110" in self._line:
            self._note(f"counter {number}")
        elif number == last + 1:
            text = self._line.decode("ascii", "replace").split(None, 1)[1]
            self._note(f"accept {number} {text}")
        elif number < last:
            self._note(f"rewind {number}")

    @property
    def current_line(self):
        return self._last

    @current_line.setter
    def current_line(self, _number):
        pass

    def _note(self, text):
        self._record.write(text + "\n")
        self._record.flush()

    def take(self, line):
        while line:
            try:
                line = line[self.write(line):]
            except virtual.SerialTimeoutException:
                continue


def parse():
    def pair(text):
        key, _, value = text.partition("=")
        return key, value

    parser = argparse.ArgumentParser()
    parser.add_argument("--record", required=True)
    parser.add_argument("--set", action="append", default=[], type=pair)
    parser.add_argument("--every", action="append", default=[], type=pair)
    parser.add_argument("--at", action="append", default=[], type=pair)
    parser.add_argument("--speed", type=float, default=100)
    return parser.parse_args()


def from_host(board, port, words):
    """Carries lines to the board, and puts debug commands between them."""
    pending, numbered = b"", 0
    while True:
        pending += os.read(port, 4096)
        *lines, pending = pending.split(b"\n")
        for line in lines:
            board.take(line + b"\n")
            if not line.startswith(b"N"):
                continue
            numbered += 1
            due = [command for lines, command in words.every if numbered % int(lines) == 0]
            due += [command for at, command in words.at if numbered == int(at)]
            for command in due:
                board.take(f"!!DEBUG:{command}\n".encode("ascii"))


def to_host(board, port):
    """Carries what the board says to the host."""
    while True:
        line = board.readline()
        if line:
            os.write(port, line.rstrip(b"\r\n") + b"\n")


def main():
    words = parse()
    virtual.plugin_manager = lambda: SimpleNamespace(get_hooks=lambda _name: {})
    with tempfile.TemporaryDirectory() as folder, open(words.record, "w", encoding="utf-8") as record:
        changed = {key: json.loads(value) for key, value in words.set}
        board = Board(Settings(changed, folder), folder, record)
        board._feedrate_multiplier = 100 * words.speed
        port, device = pty.openpty()
        tty.setraw(device)
        threading.Thread(target=from_host, args=(board, port, words), daemon=True).start()
        threading.Thread(target=to_host, args=(board, port), daemon=True).start()
        print(os.ttyname(device), flush=True)
        while sys.stdin.read(64):
            pass
    # Its threads wait for ever.
    os._exit(0)


main()
