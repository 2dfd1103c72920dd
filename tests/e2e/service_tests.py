"""Plays the service manager: service_tests.py SLUICED MODEL.

Listens on NOTIFY_SOCKET, hands a listening socket over, stops the engine's thread behind the
daemon's back. Reports as cmocka does. SPDX-License-Identifier: Apache-2.0
"""
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PATIENCE = 120  # seconds before anything counts as hung; sanitizer builds are slow
BINARY, MODEL = sys.argv[1:3]
PTRACE_INTERRUPT, PTRACE_SEIZE = 0x4207, 0x4206


class Skipped(Exception):
    pass


class Service:
    """A sluiced under a manager that listens. A listener is handed over as descriptor 3."""

    def __init__(self, *options, listener=None, watchdog_us=None, command=(), **variables):
        self.folder = tempfile.TemporaryDirectory()
        self.peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.peer.bind(self.folder.name + "/notify")
        variables["NOTIFY_SOCKET"] = self.folder.name + "/notify"
        if watchdog_us:
            variables["WATCHDOG_USEC"] = str(watchdog_us)
        script = 'export LISTEN_PID=$$; exec "$0" "$@"'
        arguments = [BINARY, "--model", MODEL, "--served-model-name", "tiny", "--threads", "1", *options]
        if listener:
            variables["LISTEN_FDS"] = "1"
            arguments = ["bash", "-c", script + " 3<&%d" % listener.fileno(), *arguments]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*command, *arguments], env={**os.environ, **variables},
                                        stderr=self.log, pass_fds=[listener.fileno()] if listener else [])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.peer.close()
        self.folder.cleanup()

    def log_text(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def hear(self, seconds=PATIENCE):
        """The next message, or None where none came in time."""
        self.peer.settimeout(max(seconds, 0.001))
        try:
            return self.peer.recv(4096).decode().split("\n")
        except socket.timeout:
            return None

    def hear_until(self, word):
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            message = self.hear(1)
            if message and word in message:
                return message
            assert message or self.process.poll() is None, f"ended with {self.process.poll()}: {self.log_text()}"
        raise AssertionError(f"{word} was not said: {self.log_text()}")

    def drain_messages(self):
        while self.hear(0):
            pass

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def open_listener(address="127.0.0.1"):
    listener = socket.create_server((address, 0), backlog=64)
    return listener, listener.getsockname()[1]


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def generate(port, tokens):
    """Keeps the engine busy; what happens to the answer does not matter."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    body = {"model": "tiny", "prompt": "Once", "max_tokens": tokens, "temperature": 1, "ignore_eos": True}
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return None


def test_it_tells_when_it_loads_serves_and_stops():
    with Service("--port", "0", "--shutdown-timeout-ms", "7000") as service:
        assert service.hear() == ["STATUS=loading " + MODEL]
        message = service.hear()
        while message[0].startswith("STATUS=loading "):  # a word now and then, of a slow build
            assert re.match(r"STATUS=loading .*: [a-z ]+, \d+ %$", message[0]), message
            message = service.hear()
        assert message[0] == "READY=1" and message[1].startswith("STATUS=serving tiny on 127.0.0.1:"), message
        port = int(message[1].rsplit(":", 1)[1])
        assert get(port, "/readyz") == 200
        assert service.hear(0.2) is None  # no watchdog was asked for
        service.process.send_signal(signal.SIGTERM)
        message = service.hear()
        assert message[0] == "STOPPING=1", message
        extend = [int(line.split("=")[1]) for line in message if line.startswith("EXTEND_TIMEOUT_USEC=")]
        assert extend[0] > 7000000 + 5000000, message
        assert service.process.wait(PATIENCE) == 0


def test_it_says_how_far_it_is_while_it_loads():
    with tempfile.TemporaryDirectory() as folder:
        pipe = folder + "/template"
        os.mkfifo(pipe)  # which keeps it loading until somebody writes
        with Service("--port", "0", "--chat-template", pipe) as service:
            service.hear_until("STATUS=loading " + MODEL + ": chat template, 100 %")
            with open(pipe, "w", encoding="ascii") as template:
                template.write("{{ messages[0].content }}")
            service.hear_until("READY=1")
            assert service.stop() == 0


def test_what_cannot_be_loaded_is_never_ready():
    with tempfile.NamedTemporaryFile() as broken:
        broken.write(b"GGUF but not really, and long enough to be looked at")
        broken.flush()
        for model, code in ((broken.name, 65), ("/nonexistent.gguf", 1)):
            with Service("--port", "0", "--model", model) as service:
                assert service.process.wait(PATIENCE) == code, (model, service.log_text())
                assert service.hear(0.1)[0].startswith("STATUS=loading") and service.hear(0.1) is None
    for options in (["--port", "70000"], ["--host", "0.0.0.0", "--port", "0"]):
        with Service(*options) as service:
            assert service.process.wait(PATIENCE) == 64, (options, service.log_text())


def test_the_socket_passed_in_is_served_and_left_whole():
    listener, port = open_listener()
    with listener:
        for _ in range(2):
            # a port that cannot be had: nothing may try
            with Service("--port", "1", "--host", "192.0.2.1", listener=listener) as service:
                message = service.hear_until("READY=1")
                assert message[1].endswith(f"127.0.0.1:{port}"), message
                assert get(port, "/readyz") == 200
                assert service.stop() == 0


def test_what_is_no_tcp_port_is_refused():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(folder + "/api")
        listener.listen()
        with Service(listener=listener) as service:
            assert service.process.wait(PATIENCE) == 64 and "TCP" in service.log_text()


def test_a_public_socket_passed_in_needs_keys_too():
    listener, _ = open_listener("0.0.0.0")
    with listener:
        with Service(listener=listener) as service:
            assert service.process.wait(PATIENCE) == 64 and "--api-key-file" in service.log_text()
        with Service("--allow-public", listener=listener) as service:
            service.hear_until("READY=1")
            assert service.stop() == 0


def test_a_connection_made_before_the_start_is_answered():
    activate = shutil.which("systemd-socket-activate")
    if not activate:
        raise Skipped("no systemd-socket-activate here")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Service(command=[activate, "--listen", f"127.0.0.1:{port}", "--setenv=NOTIFY_SOCKET"]) as service:
        limit = time.monotonic() + PATIENCE
        while "Listening on" not in service.log_text() and time.monotonic() < limit:
            time.sleep(0.01)
        # this starts it; the port is open before the model is there
        assert get(port, "/livez") == 200
        service.hear_until("READY=1")
        assert get(port, "/readyz") == 200
        assert service.stop() == 0


def test_signs_of_life_come_while_idle_and_busy():
    listener, port = open_listener()
    with listener, Service(listener=listener, watchdog_us=200000) as service:
        service.hear_until("READY=1")
        for _ in range(3):
            service.hear_until("WATCHDOG=1")
        busy = threading.Thread(target=generate, args=(port, 300))
        busy.start()
        for _ in range(3):
            service.hear_until("WATCHDOG=1")
        assert service.stop() == 0
        busy.join()


def engine_thread(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as file:
            if file.read().strip() == "engine":
                return int(task)
    raise AssertionError("no thread is called engine")


def stop_in_a_step(service, task, watchdog_s):
    """Stops the thread until the signs of life end; between two steps it may hang as it likes."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(PTRACE_SEIZE, task, None, None) != 0:
        raise Skipped("ptrace: " + os.strerror(ctypes.get_errno()))
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        assert libc.ptrace(PTRACE_INTERRUPT, task, None, None) == 0
        os.waitpid(task, 0x40000000)  # __WALL
        time.sleep(2 * watchdog_s)
        service.drain_messages()
        if service.hear(3 * watchdog_s) is None:
            return libc
        assert libc.ptrace(7, task, None, None) == 0  # PTRACE_CONT
        time.sleep(0.01)
    raise AssertionError("signs of life go on although the engine stands still")


def test_no_sign_of_life_comes_from_a_stuck_engine():
    listener, port = open_listener()
    with listener, Service(listener=listener, watchdog_us=200000) as service:
        service.hear_until("READY=1")
        stop = threading.Event()

        def keep_busy():
            while not stop.is_set():
                generate(port, 400)

        busy = threading.Thread(target=keep_busy)
        busy.start()
        try:
            time.sleep(0.2)
            libc = stop_in_a_step(service, engine_thread(service.process.pid), 0.2)
            assert "stalled" in service.log_text()
            assert libc.ptrace(17, engine_thread(service.process.pid), None, None) == 0  # PTRACE_DETACH
            service.hear_until("WATCHDOG=1")
        finally:
            stop.set()
            service.stop()
            busy.join()


def ask_health(port, host="127.0.0.1"):
    return subprocess.run([BINARY, "--health-check"], env={**os.environ, "SLUICE_PORT": str(port), "SLUICE_HOST": host},
                          capture_output=True, text=True, timeout=PATIENCE)


def test_health_check_follows_readiness():
    listener, port = open_listener()
    with listener, Service(listener=listener) as service:
        service.hear_until("READY=1")
        assert ask_health(port).returncode == 0
        assert ask_health(port, "0.0.0.0").returncode == 0
        service.stop()
    got = ask_health(port)
    assert got.returncode == 1 and str(port) in got.stderr, got


def main():
    failed = 0
    for name, test in [item for item in globals().items() if item[0].startswith("test_")]:
        try:
            test()
            print(f"[       OK ] {name[5:]}", flush=True)
        except Skipped as reason:
            print(f"[  SKIPPED ] {name[5:]}: {reason}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"[  FAILED  ] {name[5:]}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
