#!/usr/bin/env python3
"""How long sluiced takes from its start to listening, to ready, and to the first token of an answer.

usage: bench_startup.py SLUICED MODEL [--runs N] [--cold] [-- OPTIONS OF SLUICED]

Each run starts the daemon anew and prints milliseconds since then, as 'name value unit' lines; the last
ones are the medians. --cold asks the kernel to drop the model from the page cache before each run.
Nothing here passes or fails: times belong to a machine.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import time

MARKS = ("listening", "ready", "first_token")


def files_of(model):
    if os.path.isdir(model):
        return [os.path.join(model, name) for name in sorted(os.listdir(model))]
    return [model]


def drop_from_cache(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def warm(path):
    with open(path, "rb") as file:
        while file.read(1 << 22):
            pass


def first_token(port):
    """Asks for one token, streamed, and returns when it is here."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    body = {"prompt": "Once upon a time", "max_tokens": 1, "temperature": 0, "stream": True, "ignore_eos": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    while not (line := response.readline()).startswith(b"data: {"):
        assert line, "the stream ended without a token"
    connection.close()


def start_once(binary, model, options):
    begun = time.monotonic()
    process = subprocess.Popen([binary, "--model", model, "--port", "0", *options], stderr=subprocess.PIPE, text=True)
    times = {}
    try:
        for line in process.stderr:
            if " listening" in line and "listening" not in times:
                times["listening"] = time.monotonic() - begun
            found = re.search(r"ready: http://[^ ]*:(\d+) ", line)
            if found:
                times["ready"] = time.monotonic() - begun
                first_token(int(found.group(1)))
                times["first_token"] = time.monotonic() - begun
                break
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        process.wait()
    assert "first_token" in times, rest
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("options", nargs="*", help="of sluiced, after --")
    arguments = parser.parse_args()
    kind = "cold" if arguments.cold else "warm"
    seen = []
    for run in range(arguments.runs):
        for path in files_of(arguments.model):
            drop_from_cache(path) if arguments.cold else warm(path)
        seen.append(start_once(arguments.binary, arguments.model, arguments.options))
        print(" ".join(f"run{run}_{kind}_{mark} {1000 * seen[-1][mark]:.0f} ms" for mark in MARKS), flush=True)
    for mark in MARKS:
        print(f"{kind}_{mark} {1000 * statistics.median(times[mark] for times in seen):.0f} ms")


if __name__ == "__main__":
    main()
