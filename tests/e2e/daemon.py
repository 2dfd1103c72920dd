"""Starts and stops sluiced, and speaks plain HTTP to it.

SPDX-License-Identifier: Apache-2.0
"""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = os.path.join(HERE, "..", "golden", "chat", "plain.jinja")
PATIENCE = 120  # seconds before anything counts as hung; sanitizer builds are slow


class Settings:
    binary = None
    model = None


class Skipped(Exception):
    pass


class Daemon:
    """One running sluiced. Options are flags without dashes: max_num_seqs=2."""

    def __init__(self, wait=True, template=TEMPLATE, demo=False, **options):
        self.log = tempfile.TemporaryFile()
        options.setdefault("port", 0)
        arguments = [Settings.binary, "--threads", "1"]
        if not demo:
            arguments += ["--model", Settings.model, "--served-model-name", "tiny"]
        if template:
            arguments += ["--chat-template", template]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            arguments += [flag] if value is True else [flag, str(value)]
        self.process = subprocess.Popen(arguments, stderr=self.log, stdout=subprocess.DEVNULL)
        self.code = None
        self.terminated = False
        self.port = None
        if wait:
            self.wait_for(r"ready: http://[^ ]*:(\d+) ")
            self.port = int(self.found.group(1))

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        code = self.stop()
        assert failure or code == 0, f"sluiced ended with {code}: {self.log_text()}"

    def log_text(self):
        # pread, not seek: the daemon writes through the same offset
        return os.pread(self.log.fileno(), 1 << 24, 0).decode(errors="replace")

    def wait_for(self, pattern):
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            self.found = re.search(pattern, self.log_text())
            if self.found:
                return
            if self.process.poll() is not None and not re.search(pattern, self.log_text()):
                raise AssertionError(f"sluiced ended with {self.process.returncode}: {self.log_text()}")
            time.sleep(0.01)
        raise AssertionError(f"no {pattern!r} in {self.log_text()}")

    def departed(self):
        """How many requests ended because their client left."""
        return len(re.findall(r" status=499 ", self.log_text()))

    def wait_departed(self, count):
        limit = time.monotonic() + PATIENCE
        while self.departed() < count:
            assert time.monotonic() < limit, f"{self.departed()} of {count} departures were noticed"
            time.sleep(0.01)

    def terminate(self):
        self.terminated = True
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Ends it, once; returns the exit code."""
        if self.code is None:
            if self.process.poll() is None and not self.terminated:
                self.terminate()
            self.code = self.process.wait(PATIENCE)
        return self.code

    # ---- HTTP ----

    def request(self, method, path, body=None, headers=None):
        """(status, headers, parsed or raw body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        given = {"Content-Type": "application/json"} if body is not None else {}
        given.update(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, path, body, given)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        if response.headers.get("Content-Type") == "application/json" and data:
            data = json.loads(data)
        return response.status, response.headers, data

    def post(self, path, body, **headers):
        return self.request("POST", path, body, headers)

    def complete(self, **body):
        status, _, data = self.post("/v1/completions", {"model": "tiny", **body})
        assert status == 200, data
        return data

    def events(self, path, body):
        """All events of a stream, parsed; comments are left out, the end is '[DONE]'."""
        with self.open_stream(path, body) as stream:
            return list(stream.events())

    def open_stream(self, path, body):
        return Stream(self.port, path, {"model": "tiny", **body, "stream": True})

    def metric(self, name):
        _, _, text = self.request("GET", "/metrics")
        found = re.search(r"^" + re.escape(name) + r"(?:\{[^}]*\})? ([0-9.e+-]+)$", text.decode(), re.M)
        assert found, name
        return float(found.group(1))

    def wait_metric(self, name, value):
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            seen = self.metric(name)
            if seen == value:
                return
            time.sleep(0.01)
        raise AssertionError(f"{name} is {seen}, not {value}")


class Stream:
    """A streamed request over a socket of its own, so that it can be dropped at any point."""

    def __init__(self, port, path, body):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        self.response = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        if self.response is None:
            self.response = self.connection.getresponse()
            assert self.response.status == 200, self.response.read()
            assert self.response.headers["Content-Type"] == "text/event-stream"
        return self

    def lines(self):
        self.start()
        for line in self.response:
            yield line.decode().rstrip("\n")

    def events(self):
        for line in self.lines():
            if line.startswith("data: "):
                data = line[6:]
                yield data if data == "[DONE]" else json.loads(data)
            else:
                assert line == "" or line.startswith(":"), line

    def close(self):
        sock = self.connection.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.connection.close()


def text_of(events):
    """The text of choice 0 of a stream of either route."""
    parts = []
    for event in events:
        for choice in event["choices"] if event != "[DONE]" else []:
            if choice["index"] == 0:
                parts.append(choice.get("text") or choice.get("delta", {}).get("content") or "")
    return "".join(parts)
