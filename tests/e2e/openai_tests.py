"""What openai-python sees: it must work unchanged, and its exceptions must be the right ones.

SPDX-License-Identifier: Apache-2.0
"""
import concurrent.futures

from daemon import Daemon, Skipped

try:
    import openai
except ImportError:
    openai = None

HELLO = [{"role": "user", "content": "Once upon a time"}]


def open_shared():
    return Daemon(max_num_seqs=16) if openai else _Absent()


class _Absent:
    port = 0
    code = 0

    def stop(self):
        return 0


def client_of(d, **options):
    if openai is None:
        raise Skipped("the openai package could not be installed")
    options = {"api_key": "none", "max_retries": 0, "timeout": 120, **options}
    return openai.OpenAI(base_url=f"http://127.0.0.1:{d.port}/v1", **options)


def test_the_client_completes_and_chats(d):
    client = client_of(d)
    completion = client.completions.create(model="tiny", prompt="Once upon", max_tokens=8, temperature=0)
    assert completion.choices[0].finish_reason in ("length", "stop") and completion.usage.prompt_tokens > 0
    chat = client.chat.completions.create(model="tiny", messages=HELLO, max_completion_tokens=8, temperature=0)
    assert chat.choices[0].message.role == "assistant" and chat._request_id


def test_the_client_streams(d):
    client = client_of(d)
    chat = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=24, temperature=0)
    chunks = list(client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=24, temperature=0,
                                                 stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == chat.choices[0].message.content
    assert chunks[-1].usage == chat.usage or chunks[-1].usage.total_tokens == chat.usage.total_tokens
    pieces = list(client.completions.create(model="tiny", prompt="Once", max_tokens=5, stream=True))
    assert pieces[-1].choices[0].finish_reason


def test_the_client_lists_models(d):
    client = client_of(d)
    assert [m.id for m in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"


def test_the_client_raises_the_right_exceptions(d):
    client = client_of(d)
    for kind, call in (
            (openai.NotFoundError, lambda: client.models.retrieve("other")),
            (openai.NotFoundError, lambda: client.completions.create(model="other", prompt="a")),
            (openai.BadRequestError, lambda: client.completions.create(model="tiny", prompt="a", temperature=9)),
            (openai.BadRequestError, lambda: client.completions.create(model="tiny", prompt="a", max_tokens=10**6))):
        try:
            call()
        except kind as error:
            assert error.code and error.body["message"], error
        else:
            raise AssertionError(f"no {kind.__name__}")


def test_the_client_reads_logprobs(d):
    client = client_of(d)
    chat = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=4, logprobs=True, top_logprobs=2)
    assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in chat.choices[0].logprobs.content)
    completion = client.completions.create(model="tiny", prompt="Once", max_tokens=4, logprobs=2, echo=True)
    assert completion.choices[0].logprobs.token_logprobs[0] is None


def stream_text(client, number):
    """One of 32 different chats; odd ones are sampled with a seed, even ones are greedy."""
    starts = ("Once upon a time", "One day", "Lily saw a", "The dog was", "Tom and Mia")
    content = starts[number % len(starts)] + f" number {number}"
    stream = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": content}], max_tokens=20 + number * 3, stream=True,
        temperature=0.0 if number % 2 == 0 else 0.9, seed=number, extra_body={"ignore_eos": True})
    return "".join(c.choices[0].delta.content or "" for c in stream)


def test_32_parallel_chats_each_equal_their_solo_run(d):
    client = client_of(d)
    solo = [stream_text(client, number) for number in range(32)]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda number: stream_text(client, number), range(32)))
    assert together == solo
    d.wait_metric("sluice:kv_blocks_used", 0)


def test_half_of_32_clients_leave_and_the_others_do_not_notice(d):
    client = client_of(d)
    solo = [stream_text(client, number) for number in range(0, 32, 2)]

    def run(number):
        if number % 2 == 0:
            return stream_text(client, number)
        stream = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=400, stream=True, seed=number,
                                                extra_body={"ignore_eos": True})
        for seen, _ in enumerate(stream):
            if seen == 1 + number % 7:
                break
        stream.close()
        return None

    aborted = d.metric('vllm:request_success_total{model_name="tiny",engine="0",finished_reason="abort"}')
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        together = list(pool.map(run, range(32)))
    assert together[::2] == solo
    d.wait_metric("sluice:kv_blocks_used", 0)
    assert d.metric('vllm:request_success_total{model_name="tiny",engine="0",finished_reason="abort"}') > aborted
