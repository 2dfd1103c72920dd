/* hf_patterns.c - the pre-tokenizers that published models have, spelled as their files spell them.
 *
 * Facts of those files; the scanners behind the names are pretokenizer.c's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_patterns.h"

#include "engine/tokenizer/pretokenizer.h"

#include <string.h>

#define SHORT_FORMS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES      "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER       "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER       "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define NO_LETTER   "[^\\r\\n\\p{L}\\p{N}]?"
#define SIGNS       "| ?[^\\s\\p{L}\\p{N}]+"

#define LLAMA3 SHORT_FORMS "|" NO_LETTER "\\p{L}+|\\p{N}{1,3}" SIGNS "[\\r\\n]*" SPACES
#define QWEN2  SHORT_FORMS "|" NO_LETTER "\\p{L}+|\\p{N}" SIGNS "[\\r\\n]*" SPACES
#define QWEN35                                                                                     \
    SHORT_FORMS "|" NO_LETTER "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES
#define O200K                                                                                      \
    NO_LETTER UPPER "*" LOWER "+" SHORT_FORMS "?|" NO_LETTER UPPER "+" LOWER "*" SHORT_FORMS       \
                    "?|\\p{N}{1,3}" SIGNS "[\\r\\n/]*" SPACES
#define TEKKEN                                                                                     \
    NO_LETTER UPPER "*" LOWER "+|" NO_LETTER UPPER "+" LOWER "*|\\p{N}" SIGNS "[\\r\\n/]*" SPACES
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define DEEPSEEK3_CJK                                                                              \
    "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+"
#define DEEPSEEK3_WORDS                                                                            \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"           \
    "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACES
#define DEEPSEEK_CJK                                                                               \
    "[\xE4\xB8\x80-\xE9\xBE\xA5\xE0\xA0\x80-\xE4\xB8\x80\xEA\xB0\x80-\xED\x9F\xBF]+"
#define BLOOM                                                                                      \
    " ?[^(\\s|[.,!?\xE2\x80\xA6\xE3\x80\x82\xEF\xBC\x8C\xE3\x80\x81\xE0\xA5\xA4\xDB\x94\xD8\x8C])" \
    "]+"

/* Cased letters as of an old Unicode: pretokenizer.c has the same as ranges. */
#define DEEPSEEK_LETTERS                                                                           \
    "\\s?["                                                                                        \
    "A-Za-z\xC2\xB5\xC3\x80-\xC3\x96\xC3\x98-\xC3\xB6\xC3\xB8-\xC6\xBA\xC6\xBC-\xC6\xBF"           \
    "\xC7\x84-\xCA\x93\xCA\x95-\xCA\xAF\xCD\xB0-\xCD\xB3\xCD\xB6\xCD\xB7\xCD\xBB-\xCD\xBD"         \
    "\xCD\xBF\xCE\x86\xCE\x88-\xCE\x8A\xCE\x8C\xCE\x8E-\xCE\xA1\xCE\xA3-\xCF\xB5"                  \
    "\xCF\xB7-\xD2\x81\xD2\x8A-\xD4\xAF\xD4\xB1-\xD5\x96\xE1\x82\xA0-\xE1\x83\x85"                 \
    "\xE1\x8E\xA0-\xE1\x8F\xB5\xE1\x8F\xB8-\xE1\x8F\xBD\xE1\xB2\x90-\xE1\xB2\xBA"                  \
    "\xE1\xB2\xBD-\xE1\xB2\xBF\xE1\xB4\x80-\xE1\xB4\xAB\xE1\xB5\xAB-\xE1\xB5\xB7"                  \
    "\xE1\xB5\xB9-\xE1\xB6\x9A\xE1\xB8\x80-\xE1\xBC\x95\xE1\xBC\x98-\xE1\xBC\x9D"                  \
    "\xE1\xBC\xA0-\xE1\xBD\x85\xE1\xBD\x88-\xE1\xBD\x8D\xE1\xBD\x90-\xE1\xBD\x97"                  \
    "\xE1\xBD\x99\xE1\xBD\x9B\xE1\xBD\x9D\xE1\xBD\x9F-\xE1\xBD\xBD"                                \
    "\xE1\xBE\x80-\xE1\xBE\xB4\xE1\xBE\xB6-\xE1\xBE\xBC\xE1\xBE\xBE"                               \
    "\xE1\xBF\x82-\xE1\xBF\x84\xE1\xBF\x86-\xE1\xBF\x8C\xE1\xBF\x90-\xE1\xBF\x93"                  \
    "\xE1\xBF\x96-\xE1\xBF\x9B\xE1\xBF\xA0-\xE1\xBF\xAC\xE1\xBF\xB2-\xE1\xBF\xB4"                  \
    "\xE1\xBF\xB6-\xE1\xBF\xBC\xE2\x84\x82\xE2\x84\x87\xE2\x84\x8A-\xE2\x84\x93"                   \
    "\xE2\x84\x95\xE2\x84\x99-\xE2\x84\x9D\xE2\x84\xA4\xE2\x84\xA6\xE2\x84\xA8"                    \
    "\xE2\x84\xAA-\xE2\x84\xAD\xE2\x84\xAF-\xE2\x84\xB4\xE2\x84\xB9"                               \
    "\xE2\x84\xBC-\xE2\x84\xBF\xE2\x85\x85-\xE2\x85\x89\xE2\x85\x8E"                               \
    "\xE2\x86\x83-\xE2\x86\x84\xE2\xB0\x80-\xE2\xB1\xBB\xE2\xB1\xBE-\xE2\xB3\xA4"                  \
    "\xE2\xB3\xAB-\xE2\xB3\xAE\xE2\xB3\xB2\xE2\xB3\xB3\xEA\x99\x80-\xEA\x99\xAD"                   \
    "\xEA\x9A\x80-\xEA\x9A\x9B\xEA\x9C\xA2-\xEA\x9D\xAF\xEA\x9D\xB1-\xEA\x9E\x87"                  \
    "\xEA\x9E\x8B-\xEA\x9E\x8E\xEA\xAD\xB0-\xEA\xAE\xBF\xEF\xAC\x80-\xEF\xAC\x86"                  \
    "\xEF\xAC\x93-\xEF\xAC\x97\xEF\xBC\xA1-\xEF\xBC\xBA\xEF\xBD\x81-\xEF\xBD\x9A"                  \
    "\xF0\x90\x90\x80-\xF0\x90\x91\x8F\xF0\x90\x92\xB0-\xF0\x90\x93\x93"                           \
    "\xF0\x90\x93\x98-\xF0\x90\x93\xBB\xF0\x90\xB2\x80-\xF0\x90\xB2\xB2"                           \
    "\xF0\x90\xB3\x80-\xF0\x90\xB3\xB2\xF0\x91\xA2\xA0-\xF0\x91\xA3\x9F"                           \
    "\xF0\x9E\xA4\x80-\xF0\x9E\xA5\x83"                                                            \
    "]+"

#define DEEPSEEK_SIGNS                                                                             \
    "\\s?[!-/"                                                                                     \
    ":-~\xEF\xBC\x81-\xEF\xBC\x8F\xEF\xBC\x9A-\xEF\xBD\x9E\xE2\x80\x98-\xE2\x80\x9F\xE3\x80\x80-"  \
    "\xE3\x80\x82]+"

struct known {
    const char *items[HF_PATTERNS_ITEMS_MAX]; /* NULL after the last */
    bool covers;          /* its expression leaves no character out: keeping only matches is all */
    const char *names[3]; /* public names with those scanners; the first where none fits better */
    const char *exact;
};

static const struct known known[] = {
    {{LLAMA3, HF_PATTERNS_BYTES}, true, {"llama-bpe", "dbrx"}, NULL},
    {{QWEN2, HF_PATTERNS_BYTES}, true, {"qwen2", "stablelm2"}, NULL},
    {{QWEN35, HF_PATTERNS_BYTES}, true, {"qwen35"}, NULL},
    {{O200K, HF_PATTERNS_BYTES}, true, {"gpt-4o"}, NULL},
    {{TEKKEN, HF_PATTERNS_BYTES}, true, {"tekken"}, NULL},
    {{HF_PATTERNS_GPT2, HF_PATTERNS_BYTES}, true, {"gpt-2", "olmo"}, NULL},
    {{GPT2, HF_PATTERNS_BYTES}, true, {"gpt-2", "olmo"}, NULL},
    {{HF_PATTERNS_DIGITS, HF_PATTERNS_GPT2, HF_PATTERNS_BYTES},
     false,
     {"starcoder", "command-r"},
     NULL},
    {{HF_PATTERNS_PUNCTUATION, HF_PATTERNS_GPT2, HF_PATTERNS_BYTES, HF_PATTERNS_NUMBERS,
      "[0-9][0-9][0-9]"},
     false,
     {"falcon"},
     "falcon-letters"},
    {{"[\\r\\n]", DEEPSEEK_LETTERS, DEEPSEEK_SIGNS, "\\s+$", DEEPSEEK_CJK, HF_PATTERNS_DIGITS,
      HF_PATTERNS_BYTES},
     false,
     {"deepseek-llm"},
     "deepseek-llm-digits"},
    {{"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_CJK, HF_PATTERNS_DIGITS,
      HF_PATTERNS_BYTES},
     false,
     {"deepseek-coder"},
     NULL},
    {{"\\p{N}{1,3}", DEEPSEEK3_CJK, DEEPSEEK3_WORDS, HF_PATTERNS_BYTES},
     false,
     {"deepseek-v3"},
     NULL},
    {{BLOOM, HF_PATTERNS_BYTES}, false, {"bloom"}, NULL},
};

/* Files spell a line end in an expression as an escape or as itself. */
static bool same_item(const char *item, struct gguf_string text)
{
    uint64_t at = 0;
    for (; *item != '\0'; item++, at++) {
        if (at == text.byte_count) {
            return false;
        }
        char c = text.bytes[at];
        char escaped = c == '\n' ? 'n' : 'r';
        if ((c == '\n' || c == '\r') && item[0] == '\\' && item[1] == escaped) {
            item++;
        } else if (c != *item) {
            return false;
        }
    }
    return at == text.byte_count;
}

static bool same_items(const struct known *row, const struct hf_patterns_items *items)
{
    uint32_t i = 0;
    for (; i < HF_PATTERNS_ITEMS_MAX && row->items[i] != NULL; i++) {
        if (i == items->count || !same_item(row->items[i], items->texts[i])) {
            return false;
        }
    }
    return i == items->count && (row->covers || !items->matches_only);
}

static const char *choose_name(const struct known *row, bool nfc, bool whole_words)
{
    for (size_t i = 0; i < sizeof row->names / sizeof row->names[0]; i++) {
        const char *name = row->names[i];
        const struct pretokenizer *p = name == NULL ? NULL : pretokenizer_find(name, strlen(name));
        if (p != NULL && p->nfc == nfc && p->whole_words == whole_words) {
            return name;
        }
    }
    return row->names[0];
}

bool hf_patterns_find(const struct hf_patterns_items *items, bool nfc, bool whole_words,
                      struct hf_patterns_names *out)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (same_items(&known[i], items)) {
            *out = (struct hf_patterns_names){choose_name(&known[i], nfc, whole_words),
                                              known[i].exact};
            return true;
        }
    }
    return false;
}
