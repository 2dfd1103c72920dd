#!/usr/bin/env python3
"""The same GGUF file through sluice and through a build of llama.cpp, in turn, and the ratios.

    tests/bench/compare.py --sluice build/release --llama PATH/bin MODEL.gguf... [--turns 3]
        [--threads 2] [--server]

Needs bench_model, sluiced and sluice-bench of a release build (make all tests) and llama-bench and
llama-batched-bench, with --server also llama-server, in the folder that --llama names. Each turn runs
every program once, so that what else the machine does falls on all of them; figures are medians of
the turns. A ratio above 1 means that sluice is faster (for time to first token: waits less).

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import contextlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PROMPT, OUTPUT, STREAMS = 128, 64, 16
READY_S = 120


def output_of(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def sluice_rates(options, model):
    """{load: tokens/s} and the machine's ceilings, of one turn."""
    text = output_of([f"{options.sluice}/tests/bench_model", "--turns", "1", model, "--",
                      "--threads", str(options.threads)])
    rates, ceilings = {}, {}
    for line in text.splitlines():
        name, value, unit = line.split()
        if name.startswith("ceiling."):
            ceilings[f"{name} {unit}"] = float(value)
        elif unit == "tokens/s":
            rates[name.rsplit(".", 1)[1]] = float(value)
    return rates, ceilings


def llama_rates(options, model):
    threads = str(options.threads)
    rates = {}
    for run in json.loads(output_of([f"{options.llama}/llama-bench", "-m", model, "-t", threads,
                                     "-p", "512", "-n", "128", "-r", "1", "-o", "json"])):
        rates["prefill512" if run["n_prompt"] > 0 else "decode1"] = run["avg_ts"]
    text = output_of([f"{options.llama}/llama-batched-bench", "-m", model, "-t", threads, "-c", "4096",
                      "-npp", str(PROMPT), "-ntg", str(OUTPUT), "-npl", f"4,{STREAMS}",
                      "--output-format", "jsonl"])
    for line in text.splitlines():
        if line.startswith("{"):
            run = json.loads(line)
            rates[f"decode{run['pl']}"] = run["speed_tg"]
    return rates


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def served(command, port):
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        process = subprocess.Popen(command, stdout=nothing, stderr=nothing)
    try:
        for _ in range(READY_S * 10):
            if process.poll() is not None:
                sys.exit(f"{command[0]} ended with {process.returncode} before it was ready")
            if is_ready(port):
                break
            time.sleep(0.1)
        else:
            sys.exit(f"{command[0]} was not ready within {READY_S} s")
        yield
    finally:
        process.terminate()
        process.wait()


def server_rates(options, command, port):
    """What sluice-bench, the same client for both, measures: 16 clients, 128 tokens in, 64 out."""
    with served(command, port), tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder, "result.json")
        output_of([f"{options.sluice}/sluice-bench", "run", "--url", f"http://127.0.0.1:{port}",
                   "--concurrency", str(STREAMS), "--num-requests", str(4 * STREAMS),
                   "--input-len", str(PROMPT), "--output-len", str(OUTPUT), "--output", str(result)])
        figures = json.loads(result.read_text(encoding="utf-8"))
    return {"server": figures["output_throughput"], "server.p99_ttft_ms": figures["p99_ttft_ms"]}


def sluice_server(options, model):
    port = free_port()
    return server_rates(options, [f"{options.sluice}/sluiced", "--model", model, "--port", str(port),
                                  "--threads", str(options.threads), "--max-num-seqs", str(STREAMS),
                                  "--max-model-len", "1024"], port)


def llama_server(options, model):
    port = free_port()
    return server_rates(options, [f"{options.llama}/llama-server", "-m", model, "--port", str(port),
                                  "-t", str(options.threads), "-np", str(STREAMS), "-c",
                                  str(STREAMS * 1024)], port)


def note(table, rates):
    for name, value in rates.items():
        table.setdefault(name, []).append(value)


def compare(options, model):
    ours, theirs, ceilings = {}, {}, {}
    for _ in range(options.turns):
        rates, measured = sluice_rates(options, model)
        note(ours, rates)
        note(ceilings, measured)
        note(theirs, llama_rates(options, model))
        if options.server:
            note(ours, sluice_server(options, model))
            note(theirs, llama_server(options, model))
    print(f"{os.path.basename(model)}: {options.threads} threads, medians of {options.turns} turns")
    for name, values in ceilings.items():
        print(f"  {name.replace(' ', f' {statistics.median(values):.1f} ')}")
    print(f"  {'load':20} {'sluice':>10} {'llama.cpp':>10} {'ratio':>7}")
    for name, values in ours.items():
        if name in theirs:
            mine, other = statistics.median(values), statistics.median(theirs[name])
            ratio = other / mine if name.endswith("_ms") else mine / other
            print(f"  {name:20} {mine:10.1f} {other:10.1f} {ratio:7.2f}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf")
    parser.add_argument("--sluice", default="build/release", help="a release build's folder")
    parser.add_argument("--llama", required=True, help="the folder of llama.cpp's programs")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--server", action="store_true", help="also both servers, over HTTP")
    options = parser.parse_args()
    for model in options.models:
        compare(options, model)


if __name__ == "__main__":
    main()
