#!/usr/bin/env bash
# sluice-bench against its own mock server: counts must be exact, and latencies never below what
# the mock was told. A busy machine only makes things slower, so nothing is asserted from above.
# Usage: bench.sh BUILD_TREE
set -uo pipefail
bench=$1/sluice-bench
work=$(mktemp -d)
mocks=()
failed=0
# No run here is about speed: a late client is no failure.
lag=(--max-lag-ms 3600000 --quiet)

finish()
{
    for pid in "${mocks[@]}"; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    rm -rf "$work"
}
trap finish EXIT

# start_mock OPTION...: leaves its address in $url
start_mock()
{
    local log=$work/mock.${#mocks[@]}
    "$bench" mock --port 0 "$@" >"$log" &
    mocks+=($!)
    for _ in $(seq 200); do
        grep -q listening "$log" && break
        sleep 0.05
    done
    url=http://$(sed 's/.* on //' "$log")
}

# check NAME EXPRESSION [RESULT]: a Python expression over the result r
check()
{
    local name=$1 expression=$2 result=${3:-$work/result.json}
    if python3 -c "
import json, sys
r = json.load(open(sys.argv[1]))
sys.exit(0 if ($expression) else 1)" "$result"; then
        echo "[       OK ] $name"
    else
        echo "[  FAILED  ] $name: not ($expression)"
        head -c 3000 "$result"
        failed=1
    fi
}

# expect NAME STATUS COMMAND...: exit status, and the message in $said
expect()
{
    local name=$1 wanted=$2
    shift 2
    said=$("$@" 2>&1)
    local got=$?
    if [ "$got" -eq "$wanted" ]; then
        echo "[       OK ] $name"
    else
        echo "[  FAILED  ] $name: status $got, not $wanted: $said"
        failed=1
    fi
}

run()
{
    "$bench" run --url "$url" --output "$work/result.json" "${lag[@]}" "$@" ||
        { echo "[  FAILED  ] run $*: status $?"; failed=1; }
}

start_mock --ttft-ms 30 --itl-ms 2
steady=$url

run --concurrency 4 --num-requests 40 --input-len 10 --output-len 20
check closed_loop_counts_are_exact \
    "r['completed'] == 40 and r['failed'] == 0 and r['total_input_tokens'] == 400 and
     r['total_output_tokens'] == 800 and r['output_length_mismatches'] == 0"
check closed_loop_keeps_its_concurrency "r['max_concurrent_requests'] == 4"
check latencies_are_at_least_what_the_mock_waits \
    "r['mean_ttft_ms'] >= 30 and r['count_ttft'] == 40 and r['count_itl'] == 40 * 19 and
     r['mean_e2el_ms'] >= 30 + 19 * 2 and r['mean_tpot_ms'] >= 1"
check the_model_was_asked_for "r['model_id'] == 'mock'"

run --endpoint chat --rate 100 --num-requests 60 --input-len 7 --output-len 3 --save-detailed \
    --csv "$work/rows.csv" --html "$work/report.html" --slo ttft:3600000
check open_loop_sends_all_it_planned \
    "r['completed'] == 60 and r['total_input_tokens'] == 420 and len(r['ttfts']) == 60 and
     all(len(gaps) == 2 for gaps in r['itls']) and r['good_share'] == 1"
check open_loop_starts_as_planned \
    "r['start_times'] == sorted(r['start_times']) and abs(r['planned_request_rate'] - 100) < 10 and
     0.5 <= r['start_times'][-1] <= 0.6"
[ "$(wc -l <"$work/rows.csv")" -eq 61 ] && echo "[       OK ] csv_has_a_line_per_request" ||
    { echo "[  FAILED  ] csv_has_a_line_per_request"; failed=1; }
python3 - "$work/report.html" <<'PYTHON' || failed=1
import sys
from html.parser import HTMLParser

class Balance(HTMLParser):
    """Counts tags; every one that opens must close."""
    def __init__(self):
        super().__init__()
        self.open, self.charts = [], 0
    def handle_starttag(self, tag, attributes):
        self.charts += tag == "svg"
        if tag not in ("meta", "br", "p", "line", "polyline", "polygon"):
            self.open.append(tag)
    def handle_startendtag(self, tag, attributes):
        pass
    def handle_endtag(self, tag):
        if tag != "p":
            assert self.open.pop() == tag, tag

page = open(sys.argv[1]).read()
balance = Balance()
balance.feed(page)
assert not balance.open and balance.charts == 8, (balance.open, balance.charts)
assert "http://" not in page.replace("http://127.0.0.1", ""), "the page must need nothing else"
assert "nan" not in page.split("</style>")[1].replace("finance", ""), "not a number"
print("[       OK ] report_is_one_balanced_page")
PYTHON

run --turns 3 --concurrency 2 --num-requests 4 --input-len 5 --output-len 6
# The mock counts words: turn t sends 5 t of its own and 6 (t - 1) of the answers before, less the
# words that touch where an answer meets the next question.
check conversations_send_what_was_said \
    "r['completed'] == 12 and r['total_output_tokens'] == 72 and
     r['total_input_tokens'] > 4 * (5 + 15 + 25)"

run --concurrency 4 --num-requests 40 --output-len 30 --cancel-share 0.5 --cancel-after 3
check clients_that_leave_are_counted_apart \
    "r['cancelled'] > 5 and r['completed'] + r['cancelled'] == 40 and r['failed'] == 0 and
     r['total_output_tokens'] == 30 * r['completed']"

run --concurrency 3 --duration-s 0.5 --output-len 5
check duration_bounds_a_closed_loop "r['completed'] > 0 and r['duration'] >= 0.4"

run --concurrency 2 --num-requests 10 --output-len 2 --no-keep-alive --warmup 5
check connections_need_not_be_kept "r['completed'] == 10"

printf '%s\n' '{"start": 5.0, "input_tokens": 9, "output_tokens": 2, "group": 1}' \
    '{"start": 5.2, "input_tokens": 9, "output_tokens": 4, "group": 1}' >"$work/trace.jsonl"
run --trace "$work/trace.jsonl" --trace-speed 2
check a_trace_is_replayed \
    "r['completed'] == 2 and r['total_input_tokens'] == 18 and r['total_output_tokens'] == 6 and
     abs(r['planned_request_rate'] - 10) < 0.01"

printf '%s\n' '{"prompt": "one two three"}' '{"turns": ["four", "five"], "output_tokens": 1}' \
    >"$work/prompts.jsonl"
run --dataset jsonl --dataset-file "$work/prompts.jsonl" --num-requests 4 --output-len 2
check prompts_come_from_a_file "r['completed'] == 6 and r['total_output_tokens'] == 2*2 + 4*1"

start_mock --ttft-ms 1 --itl-ms 1 --fail-every 4 --break-every 5
run --concurrency 1 --num-requests 40 --output-len 10
check failures_are_classed \
    "r['error_classes'] == {'http_503': 10, 'truncated': 6} and r['completed'] == 24 and
     'asked to fail' in r['first_error']"

start_mock --ttft-ms 1 --itl-ms 1 --tokens-per-chunk 4
run --num-requests 5 --output-len 10
check tokens_are_counted_by_usage_not_by_chunks \
    "r['total_output_tokens'] == 50 and r['count_itl'] == 5 * 2 and r['tokens_per_chunk'] > 3.3"

start_mock --ttft-ms 3600000
expect a_silent_server_times_out 1 \
    "$bench" run --url "$url" --num-requests 2 --timeout-s 0.2 --output "$work/result.json" "${lag[@]}"
check timeouts_are_classed "r['error_classes'] == {'timeout': 2}"

# One request at a time, 20 ms each: 50 a second and no more.
start_mock --ttft-ms 20 --itl-ms 0 --parallel 1
# At twice that, the last of 100 requests waits a second.
"$bench" sweep --url "$url" --slo ttft:1000 --rate-min 25 --rate-max 400 --num-requests 100 \
    --output-len 2 --precision 0.3 --output "$work/sweep.json" "${lag[@]}" >/dev/null
check a_sweep_finds_no_more_than_the_server_has \
    "0 < r['highest_rate'] <= 125 and len(r['steps']) >= 3 and r['steps'][0]['passed']" \
    "$work/sweep.json"

url=$steady
run --num-requests 20 --output-len 20
cp "$work/result.json" "$work/before.json"
start_mock --ttft-ms 500 --itl-ms 2
run --num-requests 20 --concurrency 20 --output-len 20
expect compare_finds_what_got_worse 1 \
    "$bench" compare "$work/before.json" "$work/result.json" --fail-above 50
expect compare_finds_no_fault_with_itself 0 \
    "$bench" compare "$work/before.json" "$work/before.json" --fail-above 1

expect a_server_that_is_not_there_is_an_error 1 "$bench" run --url http://127.0.0.1:1
expect another_scheme_is_refused 1 "$bench" run --url https://127.0.0.1
expect a_wrong_option_is_a_usage_error 64 "$bench" run --concurrency none
expect a_late_client_invalidates_the_run 3 "$bench" run --url "$steady" --num-requests 5 \
    --output-len 2 --max-lag-ms 0.01 --rate 1000
for command in run sweep compare mock; do
    expect "help_of_$command" 0 "$bench" "$command" --help
done

exit "$failed"
