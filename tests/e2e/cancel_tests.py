"""Clients that leave: queued, reading their prompt, in the middle of a stream, waiting for a whole answer.

SPDX-License-Identifier: Apache-2.0
"""
import concurrent.futures
import http.client
import json
import socket
import time

from daemon import PATIENCE, Daemon
from shape_tests import printable

LONG = {"prompt": "Once upon a time", "max_tokens": 400, "temperature": 0, "ignore_eos": True}


def open_shared():
    return Daemon(max_num_seqs=2, max_waiting=20)


def generated(d):
    return d.metric("vllm:generation_tokens_total")


def test_a_streaming_client_that_leaves_frees_its_blocks(d):
    before, departed = generated(d), d.departed()
    stream = d.open_stream("/v1/completions", {**LONG, "n": 2, "seed": 1}).start()
    next(stream.events())
    stream.close()
    d.wait_departed(departed + 1)
    d.wait_metric("sluice:kv_blocks_used", 0)
    d.wait_metric("vllm:num_requests_running", 0)
    assert generated(d) - before <= 800


def test_queued_clients_that_leave_cost_nothing_and_disturb_nobody(d):
    alone = d.events("/v1/completions", LONG)
    before = generated(d)
    first = d.open_stream("/v1/completions", LONG)
    queued = [d.open_stream("/v1/completions", {**LONG, "prompt": f"One day {n}"}) for n in range(12)]
    for stream in queued:
        stream.close()
    events = list(first.events())
    assert [e["choices"] for e in events[:-1]] == [e["choices"] for e in alone[:-1]]
    first.close()
    d.wait_metric("vllm:num_requests_waiting", 0)
    d.wait_metric("vllm:num_requests_running", 0)
    d.wait_metric("sluice:kv_blocks_used", 0)
    assert generated(d) - before < 13 * 400, "requests of clients that had left were computed to the end"


def ask_and_leave(d):
    connection = http.client.HTTPConnection("127.0.0.1", d.port)
    connection.request("POST", "/v1/completions", json.dumps({**LONG, "n": 2, "seed": 5}),
                       {"Content-Type": "application/json"})
    time.sleep(0.002)
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


def test_a_client_that_awaits_a_whole_answer_can_leave(d):
    """Who leaves before the daemon has read the request never was a client, so it takes some tries."""
    before, departed = generated(d), d.departed()
    limit = time.monotonic() + 20
    while d.departed() < departed + 4:
        assert time.monotonic() < limit, "departures are not noticed"
        ask_and_leave(d)
        d.wait_metric("vllm:num_requests_running", 0)
    d.wait_metric("vllm:num_requests_waiting", 0)
    d.wait_metric("sluice:kv_blocks_used", 0)
    assert generated(d) - before < (d.departed() - departed) * 2 * 400


def test_a_full_queue_refuses_with_a_time_to_come_back(d):
    streams = [d.open_stream("/v1/completions", {**LONG, "n": 2, "seed": n}) for n in range(30)]
    refused = [s for s in streams if answer_status(s) == 503]
    assert refused, "30 requests of two choices fit a queue of 20"
    for stream in refused:
        headers = stream.response.headers
        error = json.loads(stream.response.read())["error"]
        assert error["code"] == "server_overloaded" and error["type"] == "server_error"
        assert 1 <= int(headers["Retry-After"]) <= 120 and int(headers["retry-after-ms"]) >= 1000
    for stream in streams:
        stream.close()
    d.wait_metric("sluice:kv_blocks_used", 0)
    assert d.complete(prompt="Once", max_tokens=2)["choices"]


def answer_status(stream):
    stream.response = stream.connection.getresponse()
    return stream.response.status


def test_impatient_clients_do_not_hold_up_a_patient_one(d):
    for _ in range(50):
        d.open_stream("/v1/completions", LONG).close()
    limit = time.monotonic() + PATIENCE
    while (status := d.post("/v1/completions", {"prompt": "Once", "max_tokens": 2})[0]) == 503:
        assert time.monotonic() < limit, "the queue stays full of clients that have left"
    assert status == 200
    d.wait_metric("sluice:kv_blocks_used", 0)


def test_a_stop_string_ends_the_work_too(d):
    text = d.complete(**{**LONG, "max_tokens": 20})["choices"][0]["text"]
    before = generated(d)
    for _ in range(8):
        got = d.complete(**LONG, stop=printable(text, 2))
        assert got["choices"][0]["finish_reason"] == "stop"
    d.wait_metric("sluice:kv_blocks_used", 0)
    assert generated(d) - before < 8 * 400, "the engine went on after the stop string"


def test_no_wake_up_is_lost(_):
    # Without ticks, a connection that missed its one wake-up would sleep for ever.
    with Daemon(keepalive_comment_ms=3600000, http_threads=4) as d:
        def run(number):
            for count in range(1, 60):
                body = {"prompt": f"One day {number}", "max_tokens": 1 + count % 9, "temperature": 0, "ignore_eos": True}
                if number % 2:
                    assert d.events("/v1/completions", body)[-1] == "[DONE]"
                else:
                    assert d.complete(**body)["choices"]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(run, range(16)))


def test_a_client_that_never_reads_is_let_go(_):
    with Daemon(idle_timeout_ms=2000, max_num_seqs=2) as d:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", d.port))
        body = json.dumps({**LONG, "n": 64, "stream": True, "logprobs": 5, "temperature": 1, "seed": 1})
        sock.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        d.wait_for(r"request_done: .* status=499 ")
        d.wait_metric("sluice:kv_blocks_used", 0)
        sock.close()
