"""Starting, keys, time limits, draining.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import socket
import subprocess
import tempfile
import time

from daemon import HERE, PATIENCE, Daemon, Settings

BIG = {"prompt": "Once upon a time", "max_tokens": 450, "temperature": 1, "seed": 1, "ignore_eos": True}

README = os.path.join(HERE, "..", "..", "README.md")


def run(*arguments):
    return subprocess.run([Settings.binary, *arguments], capture_output=True, text=True, timeout=PATIENCE)


def test_what_does_not_serve_prints_and_ends():
    assert "sluiced" in run("--version").stdout
    assert "--max-num-seqs" in run("--help").stdout
    plan = run("--plan", "--model", Settings.model)
    assert plan.returncode == 0 and "kv cache" in plan.stdout
    checked = run("--check-config", "--model", Settings.model)
    assert checked.returncode == 0 and "max-num-seqs" in checked.stdout


def test_settings_that_cannot_be_are_named():
    for arguments, word in ((["--model", "/nonexistent.gguf", "--port", "0"], "nonexistent"),
                            (["--model", Settings.model, "--host", "0.0.0.0", "--port", "0"], "--api-key-file"),
                            (["--model", Settings.model, "--no-such-option"], "no-such-option"),
                            (["--model", Settings.model, "--chat-template", "/nonexistent", "--port", "0"],
                             "nonexistent"),
                            (["--model", os.path.join(HERE, "daemon.py"), "--port", "0"], "daemon.py")):
        got = run(*arguments)
        assert got.returncode != 0 and word in got.stderr, (arguments, got)


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        got = run("--model", Settings.model, "--port", str(port))
        assert got.returncode == 1 and str(port) in got.stderr


def test_every_route_but_the_probes_needs_the_key():
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("# keys\n\nsecret-one\n  secret-two  \n")
        file.flush()
        with Daemon(api_key_file=file.name) as d:
            right = {"Authorization": "Bearer secret-two"}
            wrong = [{}, {"Authorization": "Bearer secret-on"}, {"Authorization": "Bearer secret-one2"},
                     {"Authorization": "Basic secret-one"}, {"Authorization": "secret-one"},
                     {"Authorization": "Bearer "}, {"Authorization": "Bearer # keys"}]
            routes = [("POST", "/v1/completions", {"prompt": "a", "max_tokens": 1}),
                      ("POST", "/v1/chat/completions",
                       {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}),
                      ("POST", "/tokenize", {"prompt": "a"}), ("POST", "/detokenize", {"tokens": [5]}),
                      ("GET", "/v1/models", None), ("GET", "/v1/models/tiny", None), ("GET", "/metrics", None),
                      ("GET", "/version", None)]
            for method, path, body in routes:
                for headers in wrong:
                    status, got_headers, got = d.request(method, path, body, headers)
                    assert status == 401 and got["error"]["code"] == "invalid_api_key", (path, headers, got)
                    assert got["error"]["type"] == "authentication_error" and got_headers["WWW-Authenticate"]
                assert d.request(method, path, body, right)[0] == 200, path
                assert d.request(method, path, body, {"Authorization": "bearer secret-one"})[0] == 200
            for path in ("/health", "/livez", "/readyz"):
                assert d.request("GET", path)[0] == 200
            assert d.request("GET", "/v1/models?api_key=secret-one")[0] == 401


def test_a_public_address_is_fine_with_a_key():
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("k\n")
        file.flush()
        with Daemon(api_key_file=file.name, host="0.0.0.0") as d:
            assert d.request("GET", "/livez")[0] == 200
    with tempfile.NamedTemporaryFile("w") as empty:
        got = run("--model", Settings.model, "--port", "0", "--api-key-file", empty.name)
        assert got.returncode != 0 and "key" in got.stderr


def read_all(sock):
    sock.settimeout(PATIENCE)
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def test_requests_that_never_become_whole_are_cut_at_their_deadline():
    with Daemon(header_timeout_ms=400, body_timeout_ms=600, idle_timeout_ms=60000) as d:
        silent = socket.create_connection(("127.0.0.1", d.port))
        slow_head = socket.create_connection(("127.0.0.1", d.port))
        slow_body = socket.create_connection(("127.0.0.1", d.port))
        slow_head.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        slow_body.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                          b"Content-Length: 1000\r\n\r\n{")
        # One byte now and then: never idle, never whole.
        try:
            for _ in range(40):
                slow_head.sendall(b"X")
                slow_body.sendall(b" ")
                time.sleep(0.05)
        except ConnectionError:
            pass
        assert b" 408 " in read_all(slow_head)
        assert b" 408 " in read_all(slow_body)
        assert b" 408 " in read_all(silent)
        assert d.complete(prompt="Once", max_tokens=1)["choices"]


def test_silence_is_filled_with_comments():
    with Daemon(keepalive_comment_ms=100, max_num_seqs=1) as d:
        busy = [d.open_stream("/v1/completions", {**BIG, "n": 1}).start() for _ in range(12)]
        waiting = d.open_stream("/v1/completions", BIG)
        lines = list(waiting.lines())
        for stream in busy:
            stream.close()
        assert lines[-2] == "data: [DONE]"
        # How long it waits depends on the machine; whatever came besides events was a comment.
        assert all(line == "" or line.startswith("data: ") or line == ": keep-alive" for line in lines)


def test_a_request_that_outlives_the_limit_is_told_so():
    with Daemon(request_timeout_ms=1, max_num_seqs=4) as d:
        status, headers, got = d.post("/v1/completions", {**BIG, "n": 4})
        assert status == 504 and got["error"]["code"] == "deadline_exceeded", (status, got)
        assert headers["x-should-retry"] == "false"
        events = d.events("/v1/completions", {**BIG, "n": 4})
        assert events[-1]["error"]["code"] == "deadline_exceeded" and "[DONE]" not in events
        d.wait_metric("sluice:kv_blocks_used", 0)


def test_sigterm_lets_streams_finish_and_refuses_new_work():
    d = Daemon(shutdown_timeout_ms=PATIENCE * 1000)
    stream = d.open_stream("/v1/completions", {**BIG, "n": 32})
    events = stream.events()
    next(events)
    d.terminate()
    d.wait_for("draining")
    status, headers, got = d.request("GET", "/readyz")
    assert status == 503 and got["error"]["code"] == "shutting_down"
    status, headers, got = d.post("/v1/completions", {"prompt": "a"})
    assert status == 503 and got["error"]["code"] == "shutting_down" and int(headers["Retry-After"]) >= 1
    assert d.request("GET", "/livez")[0] == 200
    rest = list(events)
    assert rest[-1] == "[DONE]"
    assert sum(1 for e in rest[:-1] for c in e["choices"] if c["finish_reason"] == "length") == 32
    stream.close()
    assert d.stop() == 0


def test_a_drain_that_takes_too_long_ends_streams_with_an_error():
    d = Daemon(shutdown_timeout_ms=0, max_num_seqs=64)
    # The second one waits in the queue for ever: all places are taken.
    streams = [d.open_stream("/v1/completions", {**BIG, "n": 64, "logprobs": 5}).start() for _ in range(2)]
    first = streams[0].events()
    next(first)
    d.terminate()
    for events in (first, streams[1].events()):
        rest = list(events)
        assert rest[-1]["error"]["code"] == "shutting_down" and "[DONE]" not in rest
    assert d.stop() == 0
    for stream in streams:
        stream.close()


def test_a_second_signal_ends_at_once():
    d = Daemon()
    stream = d.open_stream("/v1/completions", {**BIG, "n": 128})
    next(stream.events())
    d.terminate()
    d.wait_for("draining")
    d.terminate()
    assert d.stop() != 0
    stream.close()


def test_sleeping_connections_do_not_hold_up_the_end():
    d = Daemon(shutdown_timeout_ms=0, max_num_seqs=1)
    streams = [d.open_stream("/v1/completions", BIG) for _ in range(30)]
    streams[0].start()
    d.terminate()
    assert d.stop() == 0
    for stream in streams:
        stream.close()


def test_environment_and_file_configure_too():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "conf")
        with open(path, "w") as file:
            file.write("max-model-len = 64\n")
        with Daemon(config=path) as d:
            assert d.request("GET", "/v1/models")[2]["data"][0]["max_model_len"] == 64


def test_without_a_model_it_serves_the_embedded_one():
    with Daemon(demo=True, template=None) as daemon:
        assert "embedded demo model" in daemon.log_text()
        status, _, models = daemon.request("GET", "/v1/models")
        assert status == 200 and models["data"][0]["id"] == "sluice-demo", models
        body = {"messages": [{"role": "user", "content": "Who are you?"}], "temperature": 0, "max_tokens": 60}
        status, _, answer = daemon.post("/v1/chat/completions", body)
        choice = answer["choices"][0]
        assert status == 200 and "sluice" in choice["message"]["content"], answer
        assert choice["finish_reason"] == "stop", answer


def test_the_story_in_the_readme_is_what_it_tells():
    with open(README, encoding="utf-8") as readme:
        lines = readme.read().split("\n")
    first = lines.index("answers, on every machine and under any load, with")
    quoted = [line[2:] for line in lines[first:first + 12] if line.startswith(">")]
    request = json.loads(re.search(r"-d '(.*)'", lines[first - 2]).group(1))
    with Daemon(demo=True, template=None) as daemon:
        status, _, answer = daemon.post("/v1/completions", request)
    assert status == 200, answer
    assert answer["choices"][0]["text"].strip() == "\n".join(quoted).strip(), answer
