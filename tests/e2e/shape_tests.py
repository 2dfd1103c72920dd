"""The wire shapes that clients rely on, and the errors.

SPDX-License-Identifier: Apache-2.0
"""
import re

from daemon import Daemon, text_of


def open_shared():
    return Daemon()


CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Once upon a time"}]


def test_a_completion_has_the_documented_shape(d):
    status, headers, got = d.post("/v1/completions", {"model": "tiny", "prompt": "Once upon", "max_tokens": 5,
                                                      "temperature": 0})
    assert status == 200 and headers["x-request-id"] in got["id"] and got["id"].startswith("cmpl-")
    assert got["object"] == "text_completion" and got["model"] == "tiny"
    (choice,) = got["choices"]
    assert set(choice) == {"index", "text", "logprobs", "finish_reason"}
    assert choice["index"] == 0 and choice["logprobs"] is None
    usage = got["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] <= 5


def test_a_chat_has_the_documented_shape(d):
    status, _, got = d.post(CHAT, {"model": "tiny", "messages": HELLO, "max_tokens": 5, "temperature": 0})
    assert status == 200 and got["object"] == "chat.completion" and got["id"].startswith("chatcmpl-")
    (choice,) = got["choices"]
    assert set(choice) == {"index", "message", "logprobs", "finish_reason"}
    assert set(choice["message"]) == {"role", "content", "refusal"}
    assert choice["message"]["role"] == "assistant"


def test_a_chat_stream_names_the_role_once_and_ends_with_done(d):
    events = d.events(CHAT, {"messages": HELLO, "max_tokens": 6, "temperature": 0, "ignore_eos": True})
    assert events[-1] == "[DONE]"
    chunks = events[:-1]
    assert len({(c["id"], c["created"], c["model"], c["object"]) for c in chunks}) == 1
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all("role" not in c["choices"][0]["delta"] for c in chunks[1:])
    assert chunks[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert all(c["choices"][0]["finish_reason"] is None for c in chunks[:-1])
    assert all("usage" not in c for c in chunks)


def test_include_usage_puts_null_in_every_chunk_and_one_chunk_more(d):
    for path, body in ((CHAT, {"messages": HELLO}), ("/v1/completions", {"prompt": "Once"})):
        events = d.events(path, {**body, "max_tokens": 4, "temperature": 0, "ignore_eos": True,
                                 "stream_options": {"include_usage": True}})
        assert events[-1] == "[DONE]"
        assert all(c["usage"] is None and c["choices"] for c in events[:-2])
        last = events[-2]
        assert last["choices"] == [] and last["usage"]["completion_tokens"] == 4


def test_streamed_text_equals_whole_text(d):
    for n, body in enumerate(({"temperature": 0}, {"temperature": 0.9, "seed": 3}, {"temperature": 1.2, "seed": 4})):
        whole = d.complete(prompt="Once upon a time", max_tokens=60, **body)["choices"][0]["text"]
        events = d.events("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 60, **body})
        assert text_of(events) == whole, n


def test_n_choices_are_each_the_choice_that_the_seed_gives(d):
    body = {"prompt": "One day", "max_tokens": 12, "temperature": 1, "seed": 11, "n": 3}
    whole = d.complete(**body)
    assert [c["index"] for c in whole["choices"]] == [0, 1, 2]
    assert d.complete(**body)["choices"] == whole["choices"]
    events = d.events("/v1/completions", body)
    for index in range(3):
        text = "".join(c["text"] for e in events[:-1] for c in e["choices"] if c["index"] == index)
        ends = [c["finish_reason"] for e in events[:-1] for c in e["choices"]
                if c["index"] == index and c["finish_reason"]]
        assert text == whole["choices"][index]["text"] and len(ends) == 1


def test_several_prompts_make_prompts_times_n_choices(d):
    alone = [d.complete(prompt=p, max_tokens=8, temperature=0)["choices"][0]["text"] for p in ("Once", "One day")]
    both = d.complete(prompt=["Once", "One day"], max_tokens=8, temperature=0, n=2)
    assert [c["text"] for c in both["choices"]] == [alone[0], alone[0], alone[1], alone[1]]
    assert both["usage"]["completion_tokens"] == 4 * 8 or any(c["finish_reason"] == "stop" for c in both["choices"])


def test_token_ids_work_as_prompts(d):
    ids = d.post("/tokenize", {"model": "tiny", "prompt": "Once upon a time"})[2]["tokens"]
    text = d.complete(prompt="Once upon a time", max_tokens=8, temperature=0)
    by_ids = d.complete(prompt=ids, max_tokens=8, temperature=0)
    assert by_ids["choices"][0]["text"] == text["choices"][0]["text"]
    assert by_ids["usage"]["prompt_tokens"] == len(ids) == text["usage"]["prompt_tokens"]
    nested = d.complete(prompt=[ids, ids], max_tokens=8, temperature=0)
    assert [c["text"] for c in nested["choices"]] == [text["choices"][0]["text"]] * 2


def test_echo_repeats_the_prompt_with_its_logprobs(d):
    got = d.complete(prompt="Once upon a time", max_tokens=3, temperature=0, echo=True, logprobs=2, ignore_eos=True)
    choice = got["choices"][0]
    logprobs = choice["logprobs"]
    count = got["usage"]["prompt_tokens"] + 3
    assert choice["text"].startswith("Once upon a time")
    assert all(len(logprobs[k]) == count for k in ("tokens", "token_logprobs", "top_logprobs", "text_offset"))
    assert logprobs["token_logprobs"][0] is None and logprobs["top_logprobs"][0] is None
    assert all(p <= 0 for p in logprobs["token_logprobs"][1:])
    assert all(2 <= len(t) <= 3 for t in logprobs["top_logprobs"][1:])
    assert logprobs["text_offset"] == sorted(logprobs["text_offset"])
    plain = d.complete(prompt="Once upon a time", max_tokens=3, temperature=0, ignore_eos=True)
    assert choice["text"] == "Once upon a time" + plain["choices"][0]["text"]
    events = d.events("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 3, "temperature": 0,
                                          "echo": True, "logprobs": 2, "ignore_eos": True})
    streamed = [p for e in events[:-1] for c in e["choices"] if c["logprobs"] for p in c["logprobs"]["token_logprobs"]]
    assert streamed == logprobs["token_logprobs"] and text_of(events) == choice["text"]


def test_echo_without_output_gives_the_prompt_alone(d):
    got = d.complete(prompt="Once upon a time", max_tokens=0, echo=True, logprobs=0)
    assert got["choices"][0]["text"] == "Once upon a time"
    assert got["usage"]["completion_tokens"] == 0
    assert len(got["choices"][0]["logprobs"]["tokens"]) == got["usage"]["prompt_tokens"]


def test_chat_logprobs_have_bytes_that_join_to_the_text(d):
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 8, "temperature": 0, "logprobs": True,
            "top_logprobs": 3, "ignore_eos": True}
    choice = d.post(CHAT, body)[2]["choices"][0]
    entries = choice["logprobs"]["content"]
    assert len(entries) == 8 and choice["logprobs"]["refusal"] is None
    for entry in entries:
        assert set(entry) == {"token", "logprob", "bytes", "top_logprobs"} and len(entry["top_logprobs"]) == 3
        best = entry["top_logprobs"][0]
        assert best["token"] == entry["token"] and best["logprob"] == entry["logprob"]  # greedy
    joined = b"".join(bytes(e["bytes"]) for e in entries).decode(errors="replace")
    assert joined == choice["message"]["content"]


def printable(text, start):
    """A bit of the text behind start that can stand in JSON: random weights speak of NULs, too."""
    return re.search(r"[^\x00-\x1f\ufffd]{2,3}", text[start:]).group()


def test_a_stop_string_ends_the_text_in_front_of_it(d):
    full = d.complete(prompt="Once upon a time", max_tokens=40, temperature=0, ignore_eos=True)["choices"][0]["text"]
    stop = printable(full, len(full) // 2)
    at = full.index(stop)
    for stops in (stop, [stop], ["\x01never", stop]):
        choice = d.complete(prompt="Once upon a time", max_tokens=40, temperature=0, ignore_eos=True,
                            stop=stops)["choices"][0]
        assert choice["text"] == full[:at] and choice["finish_reason"] == "stop"
    kept = d.complete(prompt="Once upon a time", max_tokens=40, temperature=0, ignore_eos=True, stop=stop,
                      include_stop_str_in_output=True)["choices"][0]
    assert kept["text"] == full[:at] + stop
    events = d.events("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 40, "temperature": 0,
                                          "ignore_eos": True, "stop": stop})
    assert text_of(events) == full[:at]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    d.wait_metric("sluice:kv_blocks_used", 0)


def test_stop_token_ids_and_min_tokens_are_obeyed(d):
    got = d.complete(prompt="Once upon a time", max_tokens=20, temperature=0, ignore_eos=True, return_token_ids=True)
    ids = got["choices"][0]["token_ids"]
    assert len(ids) == 20 and got["choices"][0]["prompt_token_ids"]
    stop = ids[10]
    first = ids.index(stop)
    choice = d.complete(prompt="Once upon a time", max_tokens=20, temperature=0, ignore_eos=True, stop_token_ids=[stop],
                        return_token_ids=True)["choices"][0]
    assert choice["token_ids"] == ids[:first] and choice["finish_reason"] == "stop"
    long = d.complete(prompt="Once upon a time", max_tokens=20, temperature=0, stop_token_ids=[stop],
                      min_tokens=15, return_token_ids=True)
    assert long["usage"]["completion_tokens"] >= 15


def test_logit_bias_moves_the_choice(d):
    ids = d.complete(prompt="Once upon a time", max_tokens=1, temperature=0, return_token_ids=True)
    first = ids["choices"][0]["token_ids"][0]
    banned = d.complete(prompt="Once upon a time", max_tokens=1, temperature=0, return_token_ids=True,
                        logit_bias={str(first): -100})["choices"][0]["token_ids"]
    assert banned != [first]
    forced = d.complete(prompt="Once upon a time", max_tokens=3, temperature=1, seed=1, return_token_ids=True,
                        logit_bias={str(first): 100})["choices"][0]["token_ids"]
    assert forced == [first] * 3


def test_content_parts_are_joined_and_images_are_refused(d):
    parts = [{"type": "text", "text": "Once upon"}, {"type": "text", "text": "a time"}]
    body = {"model": "tiny", "max_tokens": 4, "temperature": 0}
    joined = d.post(CHAT, {**body, "messages": [{"role": "user", "content": parts}]})[2]
    same = d.post(CHAT, {**body, "messages": [{"role": "user", "content": "Once upon\na time"}]})[2]
    assert joined["choices"] == same["choices"]
    image = [{"type": "image_url", "image_url": {"url": "http://192.0.2.1/x.png"}}]
    status, _, got = d.post(CHAT, {**body, "messages": [{"role": "user", "content": image}]})
    assert status == 400 and got["error"]["code"] == "unsupported_content_part"


def test_the_final_message_can_be_continued(d):
    messages = [{"role": "user", "content": "Tell me."}, {"role": "assistant", "content": "Once upon a time"}]
    body = {"model": "tiny", "messages": messages, "max_tokens": 4, "temperature": 0}
    assert d.post(CHAT, {**body, "continue_final_message": True})[0] == 200
    status, _, got = d.post(CHAT, {**body, "continue_final_message": True, "add_generation_prompt": True})
    assert status == 400 and got["error"]["param"] == "continue_final_message"


def test_errors_have_the_envelope_with_a_string_code(d):
    cases = [
        ("/v1/completions", {"model": "other", "prompt": "a"}, 404, "model_not_found", "model"),
        ("/v1/completions", {"prompt": "a", "temperature": 3}, 400, "invalid_value", "temperature"),
        ("/v1/completions", {"max_tokens": 3}, 400, "missing_required_parameter", "prompt"),
        ("/v1/completions", {"prompt": "a", "best_of": 2}, 400, "unsupported_parameter", "best_of"),
        ("/v1/completions", {"prompt": "a", "max_tokens": 10**9}, 400, "context_length_exceeded", "prompt"),
        ("/v1/completions", {"prompt": "a " * 40000}, 400, "context_length_exceeded", "prompt"),
        (CHAT, {"messages": []}, 400, "invalid_value", "messages"),
        (CHAT, {"messages": [{"role": "king", "content": "a"}]}, 400, "invalid_value", "messages[0].role"),
        (CHAT, {"messages": [{"role": "user"}]}, 400, "invalid_value", "messages[0].content"),
        (CHAT, {"messages": HELLO, "response_format": {"type": "json_object"}}, 400, "unsupported_parameter",
         "response_format"),
        ("/detokenize", {"tokens": [-1]}, 400, "invalid_value", "tokens"),
        ("/tokenize", {}, 400, "missing_required_parameter", "prompt"),
    ]
    for path, body, status, code, param in cases:
        got_status, headers, got = d.post(path, body)
        error = got["error"]
        assert (got_status, error["code"], error["param"]) == (status, code, param), (path, str(body)[:80], got)
        assert set(error) == {"message", "type", "param", "code"} and headers["x-request-id"]
        assert isinstance(error["message"], str) and error["type"]


def test_bodies_that_are_not_json_objects_are_refused(d):
    bad = [b"", b" ", b"\xef\xbb\xbf{}", b"{", b"[]", b'"x"', b"5", b"null", b'{"prompt":"a"}x', b'{"a":1,"a":2}',
           b'{"a":"\\u0000"}', b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":1\x00}', b"[" * 100000, b"{}," * 500000,
           b'{"prompt":' + b"[" * 200 + b"]" * 200 + b"}", "{}".encode("utf-16")]
    for body in bad:
        status, _, got = d.post("/v1/completions", body)
        assert status == 400 and got["error"]["code"] == "invalid_json", (body[:40], status, got)


def test_tokenize_and_detokenize_are_inverse(d):
    text = "Once upon a time, Lily saw a dog."
    got = d.post("/tokenize", {"model": "tiny", "prompt": text, "add_special_tokens": False, "return_token_strs": True})[2]
    assert got["count"] == len(got["tokens"]) == len(got["token_strs"]) and got["max_model_len"] > 0
    back = d.post("/detokenize", {"tokens": got["tokens"]})[2]
    assert back["prompt"] == text
    chat = d.post("/tokenize", {"messages": HELLO})[2]
    assert chat["count"] > 0 and chat["token_strs"] is None


def test_models_are_listed_and_found(d):
    listed = d.request("GET", "/v1/models")[2]
    assert [m["id"] for m in listed["data"]] == ["tiny"] and listed["object"] == "list"
    assert d.request("GET", "/v1/models/tiny")[2] == listed["data"][0]
    status, _, got = d.request("GET", "/v1/models/other")
    assert status == 404 and got["error"]["code"] == "model_not_found"


def test_metrics_have_the_names_that_dashboards_know(d):
    d.complete(prompt="Once", max_tokens=4)
    status, headers, text = d.request("GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    for name in ("vllm:num_requests_running", "vllm:generation_tokens_total", "vllm:time_to_first_token_seconds_bucket",
                 "sluice:kv_blocks_used"):
        assert name.encode() in text, name


def test_a_model_without_a_template_still_answers_chats(_):
    with Daemon(template=None) as d:
        status, _, got = d.post(CHAT, {"messages": HELLO, "max_tokens": 2})
        assert status == 200 and got["usage"]["completion_tokens"] >= 1, got
        # like a plain prompt, it starts with BOS exactly where the model wants that
        texts = "\n".join(message["content"] for message in HELLO)
        _, _, chat = d.post("/tokenize", {"messages": HELLO})
        _, _, prompt = d.post("/tokenize", {"prompt": texts})
        if "no_chat_template" in d.log_text() and "ChatML" not in d.log_text():
            assert chat["tokens"] == prompt["tokens"], (chat, prompt)
