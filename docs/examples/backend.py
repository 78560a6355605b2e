#!/usr/bin/env python3
"""A whole backend in one file: it has a file printed, once, and stores all that the agent says about it, once.

    backend.py https://relay.example.org:8443 farm.SECRET AGENT part.gcode [--ca ca.pem] [--store backend.db]

It needs Python 3.9 and nothing else. Relay, agent and this program may end at any moment: started again with the same
arguments it goes on. Exit code: 0 printed, 1 not printed, 64 wrong arguments.
"""

import argparse
import hashlib
import http.client
import json
import os
import sqlite3
import ssl
import sys
import threading
import time
import urllib.parse

SCHEMA = """
CREATE TABLE IF NOT EXISTS job (file TEXT PRIMARY KEY, id TEXT NOT NULL, seq INTEGER, result TEXT);
CREATE TABLE IF NOT EXISTS event (agent TEXT, epoch INTEGER, seq INTEGER, item TEXT, PRIMARY KEY (agent, epoch, seq));
"""
SILENCE_S = 150  # The relay says something at least every minute.


def uuid7():
    """A name whose first part is the time (RFC 9562, section 5.7): commands have such names."""
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
    text = f"{value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Relay:
    """HTTPS with a token: each request on a connection of its own."""

    def __init__(self, url, token, ca):
        self.at, self.token = urllib.parse.urlsplit(url), token
        self.tls = ssl.create_default_context(cafile=ca)

    def ask(self, method, path, body=None, headers=()):
        connection = http.client.HTTPSConnection(self.at.hostname, self.at.port or 443, timeout=SILENCE_S, context=self.tls)
        connection.request(method, path, body, {"authorization": f"Bearer {self.token}", **dict(headers)})
        return connection.getresponse()

    def frames(self):
        """All that agents say, until the stream ends."""
        answer = self.ask("GET", "/v1/events")
        if answer.status == 401:
            sys.exit("backend: the relay does not know this token")
        for line in answer:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


class Backend:
    def __init__(self, relay, agent, file, store):
        self.relay, self.agent, self.file = relay, agent, os.path.abspath(file)
        self.db = sqlite3.connect(store, check_same_thread=False, isolation_level=None)
        self.db.executescript(SCHEMA)
        # Written down before anything is said: the same file is the same job, however often this program is started.
        self.db.execute("INSERT OR IGNORE INTO job (file, id) VALUES (?, ?)", (self.file, uuid7()))
        self.id, self.seq, _ = self.job()
        self.is_up, self.is_over = threading.Event(), threading.Event()

    def job(self):
        return self.db.execute("SELECT id, seq, result FROM job WHERE file = ?", (self.file,)).fetchone()

    def listen(self):
        """Hears the agent for ever, and acknowledges what is stored."""
        while True:
            try:
                for frame in self.relay.frames():
                    body = frame["body"]
                    if frame["t"] == "presence" and body["agent"] == self.agent:
                        self.meet(body)
                    elif frame["t"] == "events" and frame["from"] == f"a:{self.agent}":
                        self.store(body["items"])
            except (OSError, http.client.HTTPException) as error:
                print(f"backend: {error}; once more in a second", file=sys.stderr)
            time.sleep(1)

    def meet(self, presence):
        if presence["state"] != "up":
            return self.is_up.clear()
        if self.seq is None:  # The number of the command: one more than the agent has of this backend.
            self.seq = presence.get("cmd_seq", 0) + 1
            self.db.execute("UPDATE job SET seq = ? WHERE file = ?", (self.seq, self.file))
        self.is_up.set()

    def store(self, items):
        """Stores what is new in one transaction, and says so only then. What is missing comes again by itself."""
        self.db.execute("BEGIN IMMEDIATE")
        for item in items:
            epoch, seq = item["epoch"], item["seq"]
            # A gap stands in the place of the last of the events that were dropped.
            spans = max(1, item["data"].get("dropped", 1)) if item["kind"] == "gap" else 1
            last = self.last(epoch)
            if last is None or seq - spans <= last < seq:
                self.db.execute("INSERT INTO event VALUES (?, ?, ?, ?)", (self.agent, epoch, seq, json.dumps(item)))
                self.notice(item)
        self.db.execute("COMMIT")
        for epoch in {item["epoch"] for item in items}:
            self.relay.ask("POST", f"/v1/agents/{self.agent}/ack", json.dumps({"epoch": epoch, "seq": self.last(epoch)}))
        if self.job()[2]:
            self.is_over.set()

    def last(self, epoch):
        return self.db.execute("SELECT max(seq) FROM event WHERE agent = ? AND epoch = ?", (self.agent, epoch)).fetchone()[0]

    def notice(self, item):
        kind, data = item["kind"], item["data"]
        if item.get("job_id") != self.id:
            return
        print(f"backend: {kind} {data.get('to', data.get('outcome', ''))}".rstrip())
        ended = data["outcome"] if kind == "job.result" else data["to"] if kind == "job.state" else None
        is_early = kind == "job.state" and not item.get("attempt") and ended in ("failed", "cancelled")
        if kind == "job.result" or is_early:
            self.db.execute("UPDATE job SET result = ? WHERE file = ?", (ended, self.file))

    def push(self):
        """Offers the job with its file, as often as it takes."""
        size, digest = os.path.getsize(self.file), hashlib.sha256()
        with open(self.file, "rb") as file:
            for piece in iter(lambda: file.read(1 << 20), b""):
                digest.update(piece)
        while not self.is_over.is_set():
            self.is_up.wait()
            query = {"cmd_id": self.id, "seq": self.seq, "sha256": digest.hexdigest(), "name": os.path.basename(self.file), "start": "when_ready"}
            try:
                with open(self.file, "rb") as file:
                    path = f"/v1/agents/{self.agent}/jobs/{self.id}?{urllib.parse.urlencode(query)}"
                    answer = self.relay.ask("PUT", path, file, {"content-length": str(size)})
                    told = answer.read().decode()
                if answer.status == 200:
                    return
                if answer.status not in (408, 429, 503):
                    return self.refused(told)
                wait_s = int(answer.headers.get("retry-after", "1"))
            except (OSError, http.client.HTTPException) as error:
                told, wait_s = error, 1
            print(f"backend: {told}; once more in {wait_s} s", file=sys.stderr)
            time.sleep(wait_s)

    def refused(self, why):
        print(f"backend: refused: {why}", file=sys.stderr)
        self.db.execute("UPDATE job SET result = 'refused' WHERE file = ?", (self.file,))
        self.is_over.set()

    def run(self):
        threading.Thread(target=self.listen, daemon=True).start()
        if not self.job()[2]:
            self.push()
            self.is_over.wait()
        print(f"backend: {self.job()[2]}")
        return 0 if self.job()[2] == "completed" else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("url", "token", "agent", "file"):
        parser.add_argument(name)
    parser.add_argument("--ca", help="the relay's own authority")
    parser.add_argument("--store", default="backend.db", help="where events and the job are kept")
    given = parser.parse_args()
    if not os.path.isfile(given.file):
        print(f"backend: there is no file {given.file}", file=sys.stderr)
        return 64
    return Backend(Relay(given.url, given.token, given.ca), given.agent, given.file, given.store).run()


if __name__ == "__main__":
    sys.exit(main())
