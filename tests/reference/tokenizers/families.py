"""tokenizer.json files of public families' shapes around small vocabularies.

Normalizer, pre-tokenizer and decoder are spelled as the families' own files spell them; the vocabulary
is one of the test data's, or trained here. SPDX-License-Identifier: Apache-2.0
"""
import copy
import json

SHORT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = (SHORT + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = f"{UPPER}*{LOWER}+{SHORT}?|{UPPER}+{LOWER}*{SHORT}?|" + r"\p{N}{1,3}|" + TAIL
TEKKEN = f"{UPPER}*{LOWER}+|{UPPER}+{LOWER}*|" + r"\p{N}|" + TAIL
DEEPSEEK3 = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
             "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
CJK = "[一-龥ࠀ-一가-퟿]+"
DEEPSEEK_LETTERS = (
    "\\s?["
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
    "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
    "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
    "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
    "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102"
    "\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183-\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
    "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943"
    "]+")


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def byte_level(use_regex, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def digits(individual):
    return {"type": "Digits", "individual_digits": individual}


NFC = {"type": "NFC"}
BYTE_LEVEL = {
    "llama3": (None, sequence(split(LLAMA3), byte_level(False)), {"ignore_merges": True}),
    "cl100k": (None, sequence(split(LLAMA3, "Removed", True), byte_level(False)), {}),
    "qwen2": (NFC, sequence(split(QWEN2), byte_level(False)), {}),
    "qwen35": (NFC, sequence(split(QWEN35), byte_level(False)), {}),
    "gpt2": (None, byte_level(True), {}),
    "gpt2-prefix": (None, byte_level(True, True), {}),
    "gpt-neox": (NFC, byte_level(True), {}),
    "starcoder": (None, sequence(digits(True), byte_level(True)), {}),
    "command-r": (NFC, sequence(digits(True), byte_level(True)), {}),
    "o200k": (None, sequence(split(O200K), byte_level(False)), {}),
    "tekken": (None, sequence(split(TEKKEN), byte_level(False)), {"ignore_merges": True}),
    "deepseek-v3": ({"type": "Sequence", "normalizers": []},
                    sequence(split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK3),
                             byte_level(False)), {}),
    "deepseek-coder": (None, sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(CJK),
                                      digits(True), byte_level(False)), {}),
    "deepseek-llm": (None, sequence(split("[\r\n]"), split(DEEPSEEK_LETTERS),
                                    split("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), split("\\s+$"), split(CJK),
                                    digits(True), byte_level(False)), {}),
    "bloom": (None, sequence(split(" ?[^(\\s|[.,!?…。，、।۔،])]+"), byte_level(False)), {}),
    "nfkc-lower": ({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
                   byte_level(True), {}),
    "nfd-strip": ({"type": "Sequence", "normalizers": [
        {"type": "NFD"}, {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Replace", "pattern": {"String": "the"}, "content": "a THE"}]}, byte_level(True), {}),
    "nfkd": ({"type": "NFKD"}, byte_level(True), {}),
}
FLAGS = ["lstrip", "rstrip", "single_word", "normalized"]


def added_with_flags(first_id):
    """A token for each set of flags, special and not."""
    tokens = []
    for bits in range(32):
        flags = {name: bool(bits >> i & 1) for i, name in enumerate(FLAGS)}
        word = chr(ord("a") + bits) if bits < 26 else chr(ord("A") + bits - 26)
        content = f"<{word}é>" if bits % 3 == 0 else f"q{word * 2}q"
        tokens.append({"id": first_id + bits, "content": content, "special": bits >= 16, **flags})
    return tokens


def add_flagged(tree):
    ids = list(tree["model"]["vocab"].values()) + [t["id"] for t in tree["added_tokens"]]
    tree["added_tokens"] += added_with_flags(max(ids) + 1)


def of_byte_level(base, shape):
    normalizer, pre_tokenizer, model = shape
    tree = copy.deepcopy(base)
    tree["normalizer"] = normalizer
    tree["pre_tokenizer"] = pre_tokenizer
    tree["model"].update(model)
    return tree


METASPACE = {"type": "Metaspace", "replacement": "▁"}
SPACE_SIGN = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
SENTENCE_DECODER = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                    {"type": "Fuse"}]


def of_characters(base):
    """Ways of the families with SentencePiece vocabularies to treat spaces."""
    gemma = copy.deepcopy(base)
    gemma["normalizer"] = SPACE_SIGN
    gemma["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                              "invert": False}
    gemma["decoder"] = {"type": "Sequence", "decoders": SENTENCE_DECODER}
    yield "gemma", gemma
    stripped = copy.deepcopy(base)
    stripped["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": "▁"},
        SPACE_SIGN]}
    yield "phi3-stripped", stripped
    for scheme in ("first", "always", "never"):
        for words in (False, True):
            tree = copy.deepcopy(base)
            tree["normalizer"] = None
            tree["pre_tokenizer"] = {**METASPACE, "prepend_scheme": scheme, "split": words}
            tree["decoder"] = {"type": "Sequence", "decoders": [
                {"type": "ByteFallback"}, {**METASPACE, "prepend_scheme": scheme, "split": words}]}
            yield f"metaspace-{scheme}{'-words' if words else ''}", tree
    for fuse in (False, True):
        tree = copy.deepcopy(base)
        tree["model"].update(byte_fallback=False, fuse_unk=fuse)
        yield f"unknown{'-fused' if fuse else ''}", tree


def message_field(message, wanted):
    """The first field of that number of a protocol buffer message, which is bytes."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (message[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if message[at - 1] < 128:
                return value, at
    at = 0
    while at < len(message):
        key, at = varint(at)
        if key & 7 == 2:
            size, at = varint(at)
            if key >> 3 == wanted:
                return message[at:at + size]
            at += size
        elif key & 7 == 0:
            _, at = varint(at)
        else:
            at += 8 if key & 7 == 1 else 4
    raise KeyError(wanted)


def charsmap(rule):
    """The table that SentencePiece compiles for a rule, from a model trained for its sake."""
    import base64
    normalizer_spec = message_field(train("unigram", rule, 300), 3)
    return base64.b64encode(message_field(normalizer_spec, 2)).decode()


def normalizers(*steps):
    return {"type": "Sequence", "normalizers": list(steps)}


def of_charsmaps(base):
    """Tables of characters in front of what the conversion of SentencePiece models puts behind them."""
    squeeze = {"type": "Replace", "pattern": {"Regex": " {2,}"}}
    for rule in ("nmt_nfkc", "nmt_nfkc_cf", "nfkc", "nfkc_cf"):
        mapped = {"type": "Precompiled", "precompiled_charsmap": charsmap(rule)}
        yield f"unigram-{rule}", {**base, "normalizer": normalizers(mapped, {**squeeze, "content": " "})}
        yield f"unigram-{rule}-strip", {**base, "normalizer": normalizers(
            mapped, {"type": "Strip", "strip_left": False, "strip_right": True}, {**squeeze, "content": "▁"})}
    yield "unigram-squeezed", {**base, "normalizer": {**squeeze, "content": "▁"}}


def of_unigram():
    """A Unigram model of pieces with made-up scores."""
    import random
    rng = random.Random(5)
    pieces = {"▁": -3.0, "▁the": -4.0, "the": -5.0, "é": -6.5}
    letters = "abcdefghijklmnopqrstuvwxyz▁0123456789.,'\"()-ABCDEàß中日ния"
    for letter in letters:
        pieces.setdefault(letter, -8.0 - rng.random())
    for _ in range(3000):
        text = "".join(rng.choice(letters) for _ in range(rng.randint(2, 4)))
        pieces.setdefault(text, -6.0 - 6 * rng.random())
    vocab = [["<unk>", 0.0]] + [[text, score] for text, score in pieces.items()]
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [
        {"id": 0, "content": "<unk>", "special": True, "lstrip": False, "rstrip": False, "single_word": False,
         "normalized": False}], "normalizer": None, "post_processor": None}
    for words in (False, True):
        yield f"unigram{'-words' if words else ''}", {
            **base, "pre_tokenizer": {**METASPACE, "prepend_scheme": "always", "split": words},
            "decoder": {**METASPACE, "prepend_scheme": "always", "split": words},
            "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": vocab}}


def pipelines(data):
    """(name, tree of a tokenizer.json)"""
    with open(f"{data}/tokenizers/hf/minimind/tokenizer.json", encoding="utf-8") as file:
        small = json.load(file)
    for name, shape in BYTE_LEVEL.items():
        yield name, of_byte_level(small, shape)
    for name in ("qwen2", "nfkc-lower", "gpt2-prefix"):
        tree = of_byte_level(small, BYTE_LEVEL[name])
        add_flagged(tree)
        yield f"{name}-flags", tree
    with open(f"{data}/tokenizers/hf/phi-3-mini/tokenizer.json", encoding="utf-8") as file:
        sentence = json.load(file)
    yield from of_characters(sentence)
    tree = copy.deepcopy(sentence)
    add_flagged(tree)
    yield "phi3-flags", tree
    for name, tree in of_unigram():
        yield name, tree
    yield from of_charsmaps(tree)


def train(kind, rule, count):
    """The bytes of a SentencePiece model, trained here on what texts.py makes."""
    import io

    import sentencepiece

    import texts
    model = io.BytesIO()
    lines = [t.replace("\n", " ").replace("\r", " ").replace("\0", "") for t in texts.make(count, 7, [])]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=8000 if count > 1000 else 2000,
        model_type=kind,
        byte_fallback=True, normalization_rule_name=rule, hard_vocab_limit=False,
        character_coverage=0.98, minloglevel=2)
    return model.getvalue()


def unigram_models(folder):
    """SentencePiece models in files."""
    kinds = [("unigram", rule) for rule in ("identity", "nmt_nfkc", "nmt_nfkc_cf", "nfkc", "nfkc_cf")]
    for kind, rule in kinds + [("bpe", "nmt_nfkc")]:
        path = f"{folder}/{kind}-{rule}.model"
        with open(path, "wb") as out:
            out.write(train(kind, rule, 3000))
        yield path
