"""Texts that find differences between tokenizers: scripts, emoji, runs, code, white space.

Every text follows from its seed. SPDX-License-Identifier: Apache-2.0
"""
import random
import unicodedata

SCRIPTS = {
    "latin": (0x41, 0x24F), "ipa": (0x250, 0x2AF), "greek": (0x370, 0x3FF), "cyrillic": (0x400, 0x52F),
    "armenian": (0x531, 0x58A), "hebrew": (0x591, 0x5F4), "arabic": (0x600, 0x6FF), "syriac": (0x700, 0x74F),
    "thaana": (0x780, 0x7B1), "nko": (0x7C0, 0x7FA), "devanagari": (0x900, 0x97F), "bengali": (0x980, 0x9FE),
    "gurmukhi": (0xA01, 0xA76), "gujarati": (0xA81, 0xAFF), "oriya": (0xB01, 0xB77), "tamil": (0xB82, 0xBFA),
    "telugu": (0xC00, 0xC7F), "kannada": (0xC80, 0xCF2), "malayalam": (0xD00, 0xD7F), "sinhala": (0xD82, 0xDF4),
    "thai": (0xE01, 0xE5B), "lao": (0xE81, 0xEDF), "tibetan": (0xF00, 0xFDA), "myanmar": (0x1000, 0x109F),
    "georgian": (0x10A0, 0x10FF), "hangul jamo": (0x1100, 0x11FF), "ethiopic": (0x1200, 0x137C),
    "cherokee": (0x13A0, 0x13FD), "khmer": (0x1780, 0x17F9), "mongolian": (0x1800, 0x18AA),
    "greek extended": (0x1F00, 0x1FFE), "punctuation": (0x2010, 0x205E), "currency": (0x20A0, 0x20C0),
    "letterlike": (0x2100, 0x218B), "arrows": (0x2190, 0x23FF), "boxes": (0x2460, 0x26FF),
    "kana": (0x3041, 0x30FF), "han": (0x4E00, 0x9FA5), "hangul": (0xAC00, 0xD7A3), "compatible": (0xF900, 0xFB4F),
    "presentation": (0xFB50, 0xFDFB), "full width": (0xFF01, 0xFFEE), "gothic": (0x10330, 0x1034A),
    "mathematical": (0x1D400, 0x1D7FF), "combining": (0x300, 0x36F),
}
EMOJI = ["\U0001F600", "\U0001F44D\U0001F3FD", "\U0001F468‍\U0001F469‍\U0001F467", "❤️",
         "\U0001F1E9\U0001F1EA", "\U0001F3F4\U000E0067\U000E0062\U000E007F", "\U0001F9D1\U0001F3FF‍\U0001F680",
         "0️⃣", "‍", "️"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", " \t ", "\xa0", " ", "　", "​",
          "\u0085", " ", "\v", "\f", "▁", " ▁ ", "       ", "\t\t\t", "\r"]
WORDS = ["the", "The", "hello", "world", "I'm", "don't", "WE'LL", "it's", "they've", "o'clock", "naïve", "Straße",
         "HTTPServer", "snake_case", "camelCase", "x1y2", "1234567890", "3.14159", "1,000,000", "0xFF", "²³¹½", "Ⅻ",
         "а́", "é", "ſt", "'ſ", "'S", "ǅ", "...", "!!!", "?!", "--", "==", "=>", "//", "/*", "*/", "#include", "<b>", "</b>",
         "def f(x):\n    return x\n", "for (int i = 0; i < n; i++) {\n\tsum += a[i];\n}\n", "{\"key\": [1, 2]}",
         "https://example.com/a?b=c&d=%20", "a@b.co", "\\n", "$100", "€5", "™", "ﬁ", "Ⅷ", "①", "ﷺ", "한국어", "日本語", "中文。",
         "क्षि", "ก็", "مرحبا", "שלום", "İstanbul", "ΑΣ", "`code`", "~", "^", "|", "<|", "|>", "<0x0A>", "[PAD1]", "<unk>", "s", "</", "</s"]


def character(rng, script):
    low, high = SCRIPTS[script]
    while True:
        c = chr(rng.randint(low, high))
        # Marks, digits and signs that old Unicode does not know are nothing yet in some peers' tables.
        category = unicodedata.category(c)
        old = unicodedata.ucd_3_2_0.category(c) != "Cn"
        if category != "Cn" and (old or category.startswith("L")):
            return c


def piece(rng, special):
    kind = rng.random()
    if kind < 0.30:
        return rng.choice(WORDS)
    if kind < 0.50:
        return rng.choice(SPACES)
    if kind < 0.70:
        script = rng.choice(list(SCRIPTS))
        return "".join(character(rng, script) for _ in range(rng.randint(1, 8)))
    if kind < 0.76:
        return rng.choice(EMOJI)
    if kind < 0.80:
        return rng.choice([rng.choice(WORDS), rng.choice(SPACES), rng.choice(EMOJI),
                           character(rng, rng.choice(list(SCRIPTS)))]) * rng.randint(2, 40)
    if kind < 0.88 and special:
        token = rng.choice(special)
        return token if rng.random() < 0.8 else token[:rng.randint(1, len(token))]
    return "".join(chr(rng.randint(0x20, 0x7E)) for _ in range(rng.randint(1, 10)))


def make(count, seed, special):
    """count texts; special: tokens that may be in them."""
    rng = random.Random(seed)
    return ["".join(piece(rng, special) for _ in range(rng.randint(0, 12))) for _ in range(count)]
