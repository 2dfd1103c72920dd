#!/usr/bin/env python3
"""Expected words of every pre-tokenizer, from the models' own regular expressions.

Usage: make_word_cases.py COUNT SEED > tests/golden/tokenizer/words.jsonl
Needs the package `regex`. The scanners in engine/tokenizer are written by hand; here the
expressions are run as they were published, stage after stage, on random texts made of the
characters that such expressions tell apart.
SPDX-License-Identifier: Apache-2.0
"""
import json
import random
import sys

import regex

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORDS = (SHORT + r"|[^\r\n\p{L}\p{N}]?%(word)s+|\p{N}%(digits)s"
         r"| ?[^\s\p{N}%(inner)s]+%(tail)s|\s*[\r\n]+|\s+(?!\S)|\s+")
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = (r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+%(suffix)s"
         r"|[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*%(suffix)s"
         r"|\p{N}%(digits)s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_LETTERS = """
0041-005A 0061-007A 00B5 00C0-00D6 00D8-00F6 00F8-01BA 01BC-01BF 01C4-0293 0295-02AF 0370-0373
0376 0377 037B-037D 037F 0386 0388-038A 038C 038E-03A1 03A3-03F5 03F7-0481 048A-052F 0531-0556
10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15
1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE
1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115
2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183-2184 2C00-2C7B
2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF
FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 104D8-104FB 10C80-10CB2
10CC0-10CF2 118A0-118DF 1E900-1E943
"""
DEEPSEEK_CJK = r"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
DEEPSEEK_V3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
               r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = r" ?[^(\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"


def letters_class():
    ranges = [r.split("-") for r in DEEPSEEK_LETTERS.split()]
    return "".join("-".join(f"\\U{int(code, 16):08x}" for code in r) for r in ranges)


def words(word, inner, digits, tail=r"[\r\n]*"):
    return WORDS % {"word": word, "inner": inner, "digits": digits, "tail": tail}


STAGES = {
    "gpt-2": [GPT2],
    "llama-bpe": [words(r"\p{L}", r"\p{L}", "{1,3}")],
    "qwen2": [words(r"\p{L}", r"\p{L}", "")],
    "qwen35": [words(r"[\p{L}\p{M}]", r"\p{L}\p{M}", "")],
    "seed-coder": [words(r"\p{L}", r"\p{L}\r\n", "", "")],
    "gpt-4o": [CASED % {"suffix": SHORT + "?", "digits": "{1,3}"}],
    "tekken": [CASED % {"suffix": "", "digits": ""}],
    "starcoder": [r"\p{N}", GPT2],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "deepseek-llm": [r"[\r\n]", r"\s?[" + letters_class() + "]+",
                     r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                     r"\s+\Z", DEEPSEEK_CJK, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_CJK, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK_V3],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
}

# Characters of every class the expressions tell apart, old enough for any Unicode version.
ALPHABET = (list(" \t\n\r\v\f  \n\r' '") + list("stmdrvelSTMDRVELaAbZz0123456789")
            + list("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~")
            + ["\u00a0", "\u2003", "\u3000", "\u0085", "\u2028", "\u00e9", "\u00c4", "\u017f",
               "\u01c5", "\u02b0", "\u0301", "\u0903", "\u20dd", "\u0915", "\u05d0", "\u0416",
               "\u0436", "\u4e2d", "\u3042", "\u30ab", "\uac00", "\u00b2", "\u2167", "\u0663",
               "\u00bd", "\u2014", "\u201c", "\u3002", "\uff0c", "\uff21", "\uff5e", "\u20ac",
               "\u2212", "\u00a6", "\u02c6", "\U0001f600", "\u200d", "\ufe0f", "\u0000", "\u001b",
               "\u0378", "\ufffd", "\u0e01", "\u0e33", "\ufb01", "\U00010400", "\u10d0"])
SNIPPETS = ["'s", "'Re", "'LL", "'ve", "  ", "\n\n", "\r\n", " \n ", "Hello", " world", "HTML",
            "camelCase", "12345", " 1,000", "...", "\u4f60\u597d", "e\u0301", " /\n", "don't"]


def split(stages, text):
    pieces = [text]
    for stage in stages:
        cut = []
        for piece in pieces:
            at = 0
            for match in regex.finditer(stage, piece):
                cut += [piece[at:match.start()], match.group()]
                at = match.end()
            cut.append(piece[at:])
        pieces = [piece for piece in cut if piece]
    assert "".join(pieces) == text
    return pieces


def random_text(rng):
    parts = []
    for _ in range(rng.randint(1, 14)):
        kind = rng.random()
        if kind < 0.3:
            parts.append(rng.choice(SNIPPETS))
        elif kind < 0.4:
            parts.append(rng.choice(ALPHABET) * rng.randint(2, 5))
        else:
            parts.append(rng.choice(ALPHABET))
    return "".join(parts)


def main():
    rng = random.Random(int(sys.argv[2]))
    for _ in range(int(sys.argv[1])):
        text = random_text(rng)
        found = {}
        for name, stages in STAGES.items():
            found[name] = [len(word.encode()) for word in split(stages, text)]
        print(json.dumps({"text": text, "word_bytes": found}, separators=(",", ":")))


main()
