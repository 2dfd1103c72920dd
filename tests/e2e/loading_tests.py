"""While the model is being loaded. A chat template that is a named pipe keeps the daemon there until the
test writes it.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time

from daemon import PATIENCE, TEMPLATE, Daemon, Settings

ROUTES = (("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
          ("POST", "/v1/completions", {"prompt": "a"}), ("POST", "/tokenize", {"prompt": "a"}),
          ("POST", "/detokenize", {"tokens": [5]}), ("POST", "/apply-template", {"messages": []}),
          ("GET", "/v1/models", None), ("GET", "/v1/models/tiny", None))


@contextlib.contextmanager
def loading_daemon(**options):
    """A daemon that loads until the pipe, which comes with it, is written."""
    with tempfile.TemporaryDirectory() as folder:
        pipe = os.path.join(folder, "template")
        os.mkfifo(pipe)
        daemon = Daemon(wait=False, template=pipe, **options)
        try:
            daemon.wait_for(r"listening: http://[^ ]*:(\d+), loading")
            daemon.port = int(daemon.found.group(1))
            yield daemon, pipe
        finally:
            if daemon.process.poll() is None:
                daemon.process.kill()
            daemon.process.wait(PATIENCE)


def finish(pipe):
    with open(TEMPLATE, encoding="utf-8") as template, open(pipe, "w", encoding="utf-8") as out:
        out.write(template.read())


def test_every_route_of_the_model_says_that_it_is_loaded_and_how_far():
    with loading_daemon() as (daemon, pipe):
        for method, path, body in ROUTES:
            status, headers, got = daemon.request(method, path, body)
            error = got["error"]
            assert status == 503 and error["code"] == "loading" and error["type"] == "server_error", (path, got)
            assert re.match(r"Loading model: [a-z ]+, \d+ % \(\d+ of \d+ bytes of weights\)\.$", error["message"])
            assert int(headers["Retry-After"]) >= 1, path
        finish(pipe)
        daemon.wait_for("ready: ")
        assert daemon.complete(prompt="a", max_tokens=1)["choices"]
        assert daemon.stop() == 0


def test_probes_and_metrics_know_that_it_loads():
    with loading_daemon() as (daemon, pipe):
        assert daemon.request("GET", "/livez")[0] == 200
        assert daemon.request("GET", "/version")[0] == 200
        for path in ("/readyz", "/health"):
            status, headers, got = daemon.request("GET", path)
            assert status == 503 and int(headers["Retry-After"]) >= 1
            assert got["error"] == {"code": 503, "message": "Loading model", "type": "unavailable_error"}, got
            assert got["status"] == "loading" and 0 <= got["percent"] <= 100 and got["phase"], got
            assert 0 <= got["bytes"] <= max(got["total_bytes"], 1), got
        limit = time.monotonic() + PATIENCE
        while (got := daemon.request("GET", "/readyz")[2])["phase"] != "chat template":
            assert time.monotonic() < limit, got
        assert got["percent"] == 100 and got["bytes"] == got["total_bytes"] > 0, got
        assert daemon.metric("sluice:model_loaded") == 0
        finish(pipe)
        daemon.wait_for("ready: ")
        assert daemon.metric("sluice:model_loaded") == 1
        assert daemon.metric("sluice:model_loaded_bytes") == daemon.metric("sluice:model_bytes") > 0
        assert daemon.request("GET", "/readyz")[0] == 200
        assert daemon.stop() == 0


def test_loading_is_not_ready_to_a_health_check():
    with loading_daemon() as (daemon, pipe):
        check = [Settings.binary, "--health-check", "--port", str(daemon.port)]
        got = subprocess.run(check, capture_output=True, text=True, timeout=PATIENCE)
        assert got.returncode == 1 and "503" in got.stderr, got
        finish(pipe)
        daemon.wait_for("ready: ")
        assert subprocess.run(check, timeout=PATIENCE).returncode == 0
        assert daemon.stop() == 0


def test_a_signal_ends_the_loading():
    for number in (signal.SIGTERM, signal.SIGINT):
        with loading_daemon() as (daemon, _):
            daemon.process.send_signal(number)
            assert daemon.process.wait(PATIENCE) == 0, daemon.log_text()


def test_a_model_that_cannot_be_loaded_ends_it_with_one_line():
    with tempfile.NamedTemporaryFile() as broken:
        with open(Settings.model, "rb") as model:
            broken.write(model.read()[:-100000])  # tensors that lie past the end
        broken.flush()
        got = subprocess.run([Settings.binary, "--model", broken.name, "--port", "0"], capture_output=True, text=True,
                             timeout=PATIENCE)
        failures = [line for line in got.stderr.splitlines() if "start_failed" in line]
        assert got.returncode == 65 and len(failures) == 1 and broken.name in failures[0], got
