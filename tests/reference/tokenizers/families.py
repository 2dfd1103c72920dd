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
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼ"
    "\u1fbeῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻"
    "𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+")


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
    for scheme in ("first", "always", "never"):
        for words in (False, True):
            tree = copy.deepcopy(base)
            tree["normalizer"] = None
            tree["pre_tokenizer"] = {**METASPACE, "prepend_scheme": scheme, "split": words}
            tree["decoder"] = {**METASPACE, "prepend_scheme": scheme, "split": words}
            yield f"metaspace-{scheme}{'-words' if words else ''}", tree
    for fuse in (False, True):
        tree = copy.deepcopy(base)
        tree["model"].update(byte_fallback=False, fuse_unk=fuse)
        yield f"unknown{'-fused' if fuse else ''}", tree


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
        tree["added_tokens"] += added_with_flags(len(tree["model"]["vocab"]))
        yield f"{name}-flags", tree
    with open(f"{data}/tokenizers/hf/llama2/tokenizer.json", encoding="utf-8") as file:
        sentence = json.load(file)
    yield from of_characters(sentence)
    tree = copy.deepcopy(sentence)
    tree["added_tokens"] += added_with_flags(len(tree["model"]["vocab"]))
    yield "llama2-flags", tree
    yield from of_unigram()


def unigram_models(folder):
    """SentencePiece unigram models, trained here on what texts.py makes."""
    import io

    import sentencepiece

    import texts
    model = io.BytesIO()
    lines = [t.replace("\n", " ").replace("\r", " ").replace("\0", "") for t in texts.make(3000, 7, [])]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=8000, model_type="unigram",
        byte_fallback=True, normalization_rule_name="identity", hard_vocab_limit=False,
        character_coverage=0.98, minloglevel=2)
    path = f"{folder}/unigram.model"
    with open(path, "wb") as out:
        out.write(model.getvalue())
    yield path
