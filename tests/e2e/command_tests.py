"""What `sluiced COMMAND` writes, and how it fails: one line, and a status that says whose fault it is.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import glob
import json
import os
import re
import resource
import select
import signal
import subprocess
import tempfile
import time

from daemon import HERE, PATIENCE, TEMPLATE, Daemon, Settings, Skipped

GOLDEN = os.path.join(HERE, "..", "golden", "chat_template")


def sluiced(*arguments, given=b"", **options):
    """(exit status, standard output, standard error)"""
    done = subprocess.run([Settings.binary, *arguments], input=given, capture_output=True, timeout=PATIENCE,
                          check=False, **options)
    return done.returncode, done.stdout, done.stderr.decode()


def works(*arguments, given=b"", **options):
    status, out, complaint = sluiced(*arguments, given=given, **options)
    assert status == 0, (arguments, complaint)
    return out


def fails(*arguments, given=b"", status=1, saying=(), **options):
    """One line, which starts with the command and holds each word of saying; nothing else comes out."""
    got, out, complaint = sluiced(*arguments, given=given, **options)
    assert got == status, (arguments, got, complaint)
    assert complaint.startswith(f"sluiced {arguments[0]}: ") and complaint.count("\n") == 1, (arguments, complaint)
    for word in saying:
        assert word in complaint, (arguments, word, complaint)
    assert out == b"", (arguments, out)
    return complaint


def commands():
    listed = works("--help").decode().split("\nCommands,")[1].split("\n\n")[1]
    return [line.split()[0] for line in listed.strip().split("\n")]


def write(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


# ---- all of them ----


def test_every_command_explains_itself():
    assert "render" in commands()
    for name in commands():
        text = works(name, "--help").decode()
        assert text.startswith(f"usage: sluiced {name}") and "\nOptions\n" in text, text
        assert works(name, "-h").decode() == text
        fails(name, "--no-such-thing", status=64, saying=["no-such-thing"])
        fails(name, "a", "b", "c", "d", status=64, saying=["'"])


def test_what_is_no_command_is_no_setting_either():
    status, _, complaint = sluiced("rendr")
    assert status == 64 and "rendr" in complaint


def test_a_full_disk_is_noticed():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([Settings.binary, "render", "--template", TEMPLATE], stdout=full, stderr=subprocess.PIPE,
                              input=b'{"messages": [{"role": "user", "content": "a"}]}', timeout=PATIENCE, check=False)
    assert done.returncode == 1 and b"cannot be written" in done.stderr, done


# ---- render ----


def test_render_writes_what_the_golden_templates_give():
    seen = 0
    for path in glob.glob(os.path.join(GOLDEN, "*.jinja")):
        with open(path, encoding="utf-8") as file:
            if "strftime_now" in file.read():
                continue  # says what day it is
        with open(path[:-len("jinja")] + "json", encoding="utf-8") as file:
            cases = json.load(file)
        for case in cases:
            # the daemon refuses such messages before any template sees them
            if "output" not in case or not case["context"].get("messages"):
                continue
            got = works("render", "--template", path, given=json.dumps(case["context"]).encode()).decode()
            assert got == case["output"], (path, case["name"], got)
            seen += 1
    assert seen >= 8, seen


def test_render_fills_in_what_the_server_fills_in():
    with tempfile.TemporaryDirectory() as folder:
        template = write(folder, "t.jinja", b"{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }}"
                                            b" [{{ bos_token }}] {{ messages[0].role }} {{ mood }}")
        context = {"messages": [{"role": "developer", "content": "a"}], "mood": "calm"}
        assert works("render", "--template", template, given=json.dumps(context).encode()) == \
            b"True True True [] system calm"
        tool = {"type": "function", "function": {"name": "f"}}
        context.update(tools=[tool], documents=[], add_generation_prompt=False, bos_token="<s>")
        path = write(folder, "c.json", context)
        assert works("render", "--template", template, "--context", path) == b"False False False [<s>] system calm"


def test_render_uses_the_models_template_and_tokens():
    demo = os.path.join(HERE, "..", "..", "configs", "demo", "sluice-demo.gguf")
    context = {"messages": [{"role": "user", "content": "Hello"}], "bos_token": "ignored"}
    given = json.dumps(context).encode()
    with Daemon(template=None, demo=True) as d:
        wanted = d.post("/apply-template", context)[2]["prompt"]
    assert works("render", "--model", demo, given=given).decode() == wanted and wanted.startswith("<|endoftext|>")
    with tempfile.TemporaryDirectory() as folder:
        template = write(folder, "t.jinja", b"{{ bos_token }}{{ messages[0].content }}")
        assert works("render", "--model", demo, "--template", template, given=given) == b"<|endoftext|>Hello"
        fails("render", "--model", template, given=given, saying=[template])
    with Daemon(template=None) as d:  # a model without a template
        wanted = d.post("/apply-template", context)[2]["prompt"]
    assert works("render", "--model", Settings.model, given=given).decode() == wanted


def test_render_says_where_it_fails():
    with tempfile.TemporaryDirectory() as folder:
        good = write(folder, "c.json", {"messages": [{"role": "user", "content": "a"}]})
        broken = write(folder, "broken.jinja", b"line one\n{% if %}\n")
        fails("render", "--template", broken, "--context", good, saying=[broken, "line 2"])
        angry = write(folder, "angry.jinja", b"{{ raise_exception('not\nlike\nthis') }}")
        fails("render", "--template", angry, "--context", good, saying=["not like this"])
        late = write(folder, "late.jinja", b"\n\n{{ messages[0].content.x.y }}")
        fails("render", "--template", late, "--context", good, saying=["line 3"])
        fails("render", "--context", good, saying=["--template"])
        fails("render", "--template", folder + "/absent", "--context", good, saying=["absent", "No such file"])
        fails("render", "--template", folder, "--context", good, saying=[folder])
        endless = write(folder, "endless.jinja", b"{% for a in range(99999) %}{% for b in range(99999) %}x"
                                                 b"{% endfor %}{% endfor %}")
        fails("render", "--template", endless, "--context", good, saying=["line 1"])


def test_render_refuses_contexts_that_are_none():
    cases = [(b"", ":1:"), (b"{\n\"messages\": [,]}", ":2:"), (b"[]", "object"), (b"{}", "messages"), (b"\x00", "NUL"),
             (b'{"messages": 3}', "messages"), (b'{"messages": [{"role": "king"}]}', "king"), (b"[" * 300, "128"),
             (b'{"a": 1, "a": 2}', ":1:"), (b'{"a": "\xff"}', ":1:"), (b'{"a":1e999}', ":1:"), (b"{} {}", ":1:"),
             (b'{"messages": [{"role": "user", "content": "a"}], "add_generation_prompt": "yes"}',
              "add_generation_prompt")]
    for given, word in cases:
        fails("render", "--template", TEMPLATE, given=given, saying=[word])


# ---- tokenize and detokenize ----


def ids_of(*options, given):
    return [int(word) for word in works("tokenize", *options, given=given.encode()).split()]


def test_tokenize_agrees_with_the_daemon():
    text = "Once upon a time,\nLily </s> saw <|im_end|> a dog. \U0001f600"
    with Daemon() as d:
        for special in (False, True):
            got = d.post("/tokenize", {"prompt": text, "add_special_tokens": special})[2]["tokens"]
            switch = ["--special"] if special else []
            assert got == ids_of("--model", Settings.model, *switch, given=text), special
        back = d.post("/detokenize", {"tokens": got})[2]["prompt"]
        written = works("detokenize", "--model", Settings.model, given=json.dumps(got).encode())
        assert written.decode() == back


def test_the_demo_model_needs_no_name():
    text = "Once upon a time, Lily saw a dog.\n\n <|im_end|>"
    ids = works("tokenize", given=text.encode())
    assert ids.count(b"\n") == 1 and ids.endswith(b"\n")
    assert works("detokenize", given=ids).decode() == text
    assert len(ids_of("--special", given=text)) == len(ids.split()) + 1
    assert len(ids_of("--no-parse-special", given=text)) > len(ids.split())
    assert "<|im_end|>" not in works("detokenize", "--no-special", given=ids).decode()
    assert works("tokenize", given=b"") == b"\n" and works("detokenize", given=b"") == b""


def test_pieces_are_ids_and_texts():
    text = "A \"dog\"\n\tsaw"
    lines = works("tokenize", "--pieces", given=text.encode()).decode().rstrip("\n").split("\n")
    pairs = [line.split("\t", 1) for line in lines]
    assert [int(number) for number, _ in pairs] == ids_of(given=text)
    assert "".join(json.loads(piece) for _, piece in pairs) == text


def test_text_need_not_be_utf8():
    given = bytes(range(256)) * 3 + b"\xf0\x9f"
    ids = works("tokenize", given=given)
    assert works("detokenize", given=ids).decode() == given.decode(errors="replace")


def test_ids_that_are_none_are_refused_with_their_line():
    for given, line, word in [(b"1 2\n-3", 2, "'-3'"), (b"1\n\n99999999999999999999", 3, "99999"), (b"x", 1, "'x'"),
                              (b"1.5", 1, "'1.5'"), (b"1;2", 1, "'1;2'"), (b"\x00", 1, "'?'"), (b"2048", 1, "2047"),
                              (b"\xff" * 5000, 1, "?")]:
        fails("detokenize", given=given, saying=[f"line {line}:", word, "standard input"])
    assert works("detokenize", given=b"[[1,],2\t\r\n,,]") == works("detokenize", given=b"1 2")


def test_models_that_are_none_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        text = write(folder, "text.gguf", b"This is no model.")
        for command in ("tokenize", "detokenize"):
            fails(command, "--model", text, saying=[text])
            fails(command, "--model", folder + "/absent", saying=["absent"])
        fails("inspect", text, saying=[text])
        fails("inspect", folder + "/absent", saying=["absent"])


# ---- inspect ----


def test_inspect_says_what_is_in_a_file():
    got = json.loads(works("inspect", "--json", "--values", "3", Settings.model))
    assert got["path"] == Settings.model and got["bytes"] == os.path.getsize(Settings.model)
    assert got["architecture"] == "llama" and got["gguf_version"] == 3
    entries = {entry["key"]: entry for entry in got["entries"]}
    assert entries["general.architecture"] == {"key": "general.architecture", "type": "string", "value": "llama"}
    tokens = entries["tokenizer.ggml.tokens"]
    assert tokens["count"] == got["tokenizer"]["tokens"] and len(tokens["values"]) == 3
    assert got["tensor_bytes"] == sum(tensor["bytes"] for tensor in got["tensors"])
    assert max(tensor["offset"] + tensor["bytes"] for tensor in got["tensors"]) <= got["bytes"]
    embedding = next(tensor for tensor in got["tensors"] if tensor["name"] == "token_embd.weight")
    assert embedding["shape"][0] == tokens["count"] and embedding["supported"]
    text = works("inspect", Settings.model).decode()
    for word in ("general.architecture  string  \"llama\"", "token_embd.weight", f"{got['parameters']} in "):
        assert word in text, word


def test_inspect_plans_as_the_daemon_does():
    plan = works("--plan", "--model", Settings.model).decode()
    serving = json.loads(works("inspect", "--json", Settings.model))["serving"]
    assert re.search(rf"^total +{serving['total_bytes']} bytes", plan, re.M), (serving, plan)


def test_inspect_shows_what_cannot_be_served():
    data = os.environ.get("SLUICE_DATA") or "../shared/data"
    path = os.path.join(data, "conformance", "ggml-quants", "ggml-quant-vectors.gguf")
    if not os.path.exists(path):
        raise Skipped(f"no {path}")
    got = json.loads(works("inspect", "--json", path))
    assert "error" in got["serving"] and "error" in got["tokenizer"]
    kinds = {tensor["type"]: tensor["supported"] for tensor in got["tensors"]}
    assert kinds["q4_K"] and not kinds["iq1_s"]
    text = works("inspect", path).decode()
    assert "not possible: " in text and "(not supported)" in text and "cannot be used: " in text


def test_inspect_knows_the_demo_model():
    assert b"the embedded demo model" in works("inspect")
    assert "sluice-demo" in [entry.get("value") for entry in json.loads(works("inspect", "--json"))["entries"]]


# ---- quantize ----


def test_quantize_writes_a_model_that_serves():
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.gguf")
        report = works("quantize", Settings.model, out, "f16").decode().rstrip("\n").split("\n")
        made = json.loads(works("inspect", "--json", out))
        source = json.loads(works("inspect", "--json", Settings.model))
        assert len(report) == len(source["tensors"]) + 1
        assert {t["name"]: t["shape"] for t in made["tensors"]} == {t["name"]: t["shape"] for t in source["tensors"]}
        assert {t["type"] for t in made["tensors"]} == {"f16", "f32"}
        assert str(os.path.getsize(out)) in report[-1] and os.listdir(folder) == ["out.gguf"]
        prompt = {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, "ignore_eos": True}
        with Daemon(activation_precision="f32") as d:
            wanted = d.complete(**prompt)["choices"][0]["text"]
        model, Settings.model = Settings.model, out
        try:
            with Daemon(activation_precision="f32") as d:
                assert d.complete(**prompt)["choices"][0]["text"] == wanted
        finally:
            Settings.model = model


def test_quantize_changes_the_demo_model_in_known_ways():
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.gguf")
        options = ["--requantize", "--threads", "1", "--tensor-type", "blk.0.attn_?.weight=q8_0"]
        # the demo model is built in: inspect has no path for it, quantize wants one
        demo = os.path.join(HERE, "..", "..", "configs", "demo", "sluice-demo.gguf")
        report = works("quantize", demo, out, "q4_K", *options).decode()
        kinds = {t["name"]: t["type"] for t in json.loads(works("inspect", "--json", out))["tensors"]}
        assert kinds["blk.0.attn_q.weight"] == "q8_0" and kinds["blk.1.attn_q.weight"] == "q4_K"
        assert kinds["token_embd.weight"] == "q6_K" and kinds["output_norm.weight"] == "f32"
        assert "makes the logits" in report and "as given for blk.0.attn_?.weight" in report
        with open(out, "rb") as file:
            first = file.read()
        works("quantize", demo, out, "q4_K", "--force", "--requantize", "--threads", "2", *options[3:])
        with open(out, "rb") as file:
            assert file.read() == first


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))


def test_quantize_refuses_and_leaves_nothing():
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.gguf")
        fails("quantize", Settings.model, out, "q9_K", saying=["q9_K"])
        fails("quantize", Settings.model, out, status=64, saying=["IN OUT TYPE"])
        fails("quantize", folder + "/absent", out, "f16", saying=["absent"])
        fails("quantize", Settings.model, "/proc/out.gguf", "f16", saying=["/proc/out.gguf"])
        fails("quantize", Settings.model, out, "f16", "--tensor-type", "x", saying=["PATTERN=TYPE"])
        fails("quantize", Settings.model, out, "f16", saying=["File too large"], preexec_fn=limit_file_size)
        assert os.listdir(folder) == []
        kept = write(folder, "kept", b"something else")
        fails("quantize", Settings.model, kept, "f16", saying=["exists"])
        fails("quantize", Settings.model, kept, "f16", "--force", saying=["no GGUF file"])
        link = os.path.join(folder, "link")
        os.symlink(os.path.realpath(Settings.model), link)
        fails("quantize", Settings.model, link, "f16", "--force", saying=["is the input"])
        assert sorted(os.listdir(folder)) == ["kept", "link"]


def test_a_signal_ends_quantize_without_a_file():
    with tempfile.TemporaryDirectory() as folder:
        fifo = os.path.join(folder, "report")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        with open(fifo, "wb") as pipe:
            # nobody reads, so that the report fills the pipe and the work stands still
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 4096)
            process = subprocess.Popen([Settings.binary, "quantize", os.path.join(HERE, "..", "..", "configs", "demo",
                                        "sluice-demo.gguf"), os.path.join(folder, "out.gguf"), "f16"], stdout=pipe,
                                       stderr=subprocess.PIPE)
        limit = time.monotonic() + PATIENCE
        while not select.select([reader], [], [], 0.1)[0]:
            assert time.monotonic() < limit and process.poll() is None
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            try:
                os.read(reader, 65536)
            except BlockingIOError:
                time.sleep(0.01)
        assert process.returncode == 130 and b"interrupted" in process.stderr.read()
        os.close(reader)
        assert os.listdir(folder) == ["report"]


# ---- POST /apply-template ----


def test_apply_template_gives_the_prompt_of_a_chat():
    with Daemon() as d:
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Once upon a time \U0001f600"}]}
        status, _, got = d.post("/apply-template", body)
        assert status == 200 and set(got) == {"prompt"}, got
        assert got["prompt"] == works("render", "--template", TEMPLATE, given=json.dumps(body).encode()).decode()
        chat = d.post("/v1/chat/completions", {**body, "max_tokens": 1, "return_token_ids": True})[2]
        ids = d.post("/tokenize", {"prompt": got["prompt"], "add_special_tokens": False})[2]["tokens"]
        assert ids == chat["prompt_token_ids"] if "prompt_token_ids" in chat else \
            len(ids) == chat["usage"]["prompt_tokens"]
        for bad in ({}, {"messages": []}, {**body, "temperature": 3}, {**body, "model": "other"}):
            chat = d.post("/v1/chat/completions", bad)
            refused = d.post("/apply-template", bad)
            assert (refused[0], refused[2]) == (chat[0], chat[2]) and refused[0] >= 400, (bad, refused)
        assert d.request("GET", "/apply-template")[0] == 405
    with tempfile.TemporaryDirectory() as folder:
        with Daemon(api_key_file=write(folder, "keys", b"secret\n")) as d:
            assert d.post("/apply-template", body)[0] == 401
            assert d.post("/apply-template", body, Authorization="Bearer secret")[0] == 200
