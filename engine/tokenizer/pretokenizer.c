/* pretokenizer.c - which scanners, in which order, a name in tokenizer.ggml.pre stands for.
 *
 * Names and expressions are facts of the published models, as llama.cpp's converter names them.
 * A later stage works inside each piece of an earlier one, so stages may cut but never join.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/pretokenizer.h"

#include "engine/tokenizer/pretokenizer_scan.h"

#include <string.h>

static bool is_newline(struct character c)
{
    return (c.classes & CLASS_NEWLINE) != 0;
}

static bool is_number(struct character c)
{
    return (c.classes & CLASS_NUMBER) != 0;
}

static bool is_ascii_digit(struct character c)
{
    return c.code >= '0' && c.code <= '9';
}

static bool is_letter(struct character c)
{
    return (c.classes & CLASS_LETTER) != 0;
}

static bool is_punctuation(struct character c)
{
    return (c.classes & CLASS_PUNCTUATION) != 0;
}

/* [\p{P}$+<=>^~|] */
static bool is_default_sign(struct character c)
{
    return is_punctuation(c) ||
           (c.code < 128 && c.code > 0 && strchr("$+<=>^~|", (int)c.code) != NULL);
}

static bool is_falcon_sign(struct character c)
{
    return is_default_sign(c) || c.code == '`';
}

static bool is_within(uint32_t code, uint32_t first, uint32_t last)
{
    return code >= first && code <= last;
}

/* Where a step came behind the one that makes letters of bytes, it saw the letters: those of six
 * bytes beyond ASCII are superscripts and fractions, which are numbers. */
static bool is_number_letter(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || byte == 0xB2 || byte == 0xB3 || byte == 0xB9 ||
           (byte >= 0xBC && byte <= 0xBE);
}

/* A run of bytes that are number letters, or of ones that are not. */
static const uint8_t *scan_number_letters(const void *options, const uint8_t *at,
                                          const uint8_t *end)
{
    (void)options;
    bool numbers = is_number_letter(*at);
    do {
        at++;
    } while (at < end && is_number_letter(*at) == numbers);
    return at;
}

/* The ranges DeepSeek's first tokenizer calls CJK; they hold most scripts from U+0800 up. */
static bool is_deepseek_cjk(struct character c)
{
    return is_within(c.code, 0x0800, 0x9FA5) || is_within(c.code, 0xAC00, 0xD7FF);
}

static bool is_deepseek3_cjk(struct character c)
{
    return is_within(c.code, 0x4E00, 0x9FA5) || is_within(c.code, 0x3040, 0x30FF);
}

static bool is_deepseek_sign(struct character c)
{
    return is_within(c.code, 0x21, 0x2F) || is_within(c.code, 0x3A, 0x7E) ||
           is_within(c.code, 0xFF01, 0xFF0F) || is_within(c.code, 0xFF1A, 0xFF5E) ||
           is_within(c.code, 0x2018, 0x201F) || is_within(c.code, 0x3000, 0x3002);
}

/* Cased letters as of an old Unicode, spelled out in the model's expression. */
static const uint32_t deepseek_letters[][2] = {
    /* clang-format off */
    {0x0041, 0x005A}, {0x0061, 0x007A}, {0x00B5, 0x00B5}, {0x00C0, 0x00D6}, {0x00D8, 0x00F6},
    {0x00F8, 0x01BA}, {0x01BC, 0x01BF}, {0x01C4, 0x0293}, {0x0295, 0x02AF}, {0x0370, 0x0373},
    {0x0376, 0x0376}, {0x0377, 0x0377}, {0x037B, 0x037D}, {0x037F, 0x037F}, {0x0386, 0x0386},
    {0x0388, 0x038A}, {0x038C, 0x038C}, {0x038E, 0x03A1}, {0x03A3, 0x03F5}, {0x03F7, 0x0481},
    {0x048A, 0x052F}, {0x0531, 0x0556}, {0x10A0, 0x10C5}, {0x13A0, 0x13F5}, {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA}, {0x1CBD, 0x1CBF}, {0x1D00, 0x1D2B}, {0x1D6B, 0x1D77}, {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15}, {0x1F18, 0x1F1D}, {0x1F20, 0x1F45}, {0x1F48, 0x1F4D}, {0x1F50, 0x1F57},
    {0x1F59, 0x1F59}, {0x1F5B, 0x1F5B}, {0x1F5D, 0x1F5D}, {0x1F5F, 0x1F7D}, {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC}, {0x1FBE, 0x1FBE}, {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FCC}, {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB}, {0x1FE0, 0x1FEC}, {0x1FF2, 0x1FF4}, {0x1FF6, 0x1FFC}, {0x2102, 0x2102},
    {0x2107, 0x2107}, {0x210A, 0x2113}, {0x2115, 0x2115}, {0x2119, 0x211D}, {0x2124, 0x2124},
    {0x2126, 0x2126}, {0x2128, 0x2128}, {0x212A, 0x212D}, {0x212F, 0x2134}, {0x2139, 0x2139},
    {0x213C, 0x213F}, {0x2145, 0x2149}, {0x214E, 0x214E}, {0x2183, 0x2184}, {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4}, {0x2CEB, 0x2CEE}, {0x2CF2, 0x2CF2}, {0x2CF3, 0x2CF3}, {0xA640, 0xA66D},
    {0xA680, 0xA69B}, {0xA722, 0xA76F}, {0xA771, 0xA787}, {0xA78B, 0xA78E}, {0xAB70, 0xABBF},
    {0xFB00, 0xFB06}, {0xFB13, 0xFB17}, {0xFF21, 0xFF3A}, {0xFF41, 0xFF5A}, {0x10400, 0x1044F},
    {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2},
    {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
    /* clang-format on */
};

static bool is_deepseek_letter(struct character c)
{
    size_t low = 0;
    size_t high = sizeof deepseek_letters / sizeof deepseek_letters[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c.code > deepseek_letters[middle][1]) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < sizeof deepseek_letters / sizeof deepseek_letters[0] &&
           c.code >= deepseek_letters[low][0] && c.code <= deepseek_letters[low][1];
}

/* [^(\s|.,!?…。，、।۔،)] */
static bool is_bloom_word(struct character c)
{
    static const uint32_t outside[] = {'(',    '|',    '.',    ',',    '!',    '?',    ')',
                                       0x2026, 0x3002, 0xFF0C, 0x3001, 0x0964, 0x06D4, 0x060C};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        if (c.code == outside[i]) {
            return false;
        }
    }
    return c.bytes > 0 && (c.classes & CLASS_SPACE) == 0;
}

#define WITHOUT_END UINT32_MAX

static const struct scan_run one_newline = {.holds = is_newline, .count_max = 1};
static const struct scan_run one_number = {.holds = is_number, .count_max = 1};
static const struct scan_run three_numbers = {.holds = is_number, .count_max = 3};
static const struct scan_run numbers = {.holds = is_number, .count_max = WITHOUT_END};
static const struct scan_run three_digits = {
    .holds = is_ascii_digit, .count_min = 3, .count_max = 3};
static const struct scan_run default_signs = {.holds = is_default_sign, .count_max = WITHOUT_END};
static const struct scan_run falcon_signs = {.holds = is_falcon_sign, .count_max = WITHOUT_END};
static const struct scan_run spaced_letters = {
    .holds = is_letter, .count_max = WITHOUT_END, .after_space = true};
static const struct scan_run spaced_punctuation = {
    .holds = is_punctuation, .count_max = WITHOUT_END, .after_space = true};
static const struct scan_run deepseek_words = {
    .holds = is_deepseek_letter, .count_max = WITHOUT_END, .after_space = true};
static const struct scan_run deepseek_signs = {
    .holds = is_deepseek_sign, .count_max = WITHOUT_END, .after_space = true};
static const struct scan_run deepseek_cjk = {.holds = is_deepseek_cjk, .count_max = WITHOUT_END};
static const struct scan_run deepseek3_cjk = {.holds = is_deepseek3_cjk, .count_max = WITHOUT_END};
static const struct scan_run bloom_words = {
    .holds = is_bloom_word, .count_max = WITHOUT_END, .after_plain_space = true};

static const struct scan_words words_three_digits = {.word_classes = CLASS_LETTER,
                                                     .digits_max = 3,
                                                     .newlines_after_symbols = true,
                                                     .contractions = true};
static const struct scan_words words_one_digit = {.word_classes = CLASS_LETTER,
                                                  .digits_max = 1,
                                                  .newlines_after_symbols = true,
                                                  .contractions = true};
static const struct scan_words words_with_marks = {.word_classes = CLASS_LETTER | CLASS_MARK,
                                                   .digits_max = 1,
                                                   .newlines_after_symbols = true,
                                                   .contractions = true};
static const struct scan_words words_bare_symbols = {.word_classes = CLASS_LETTER,
                                                     .digits_max = 1,
                                                     .newlines_after_symbols = false,
                                                     .contractions = true};
static const struct scan_cased cased_contractions = {.digits_max = 3, .contractions = true};
static const struct scan_cased cased_plain = {.digits_max = 1, .contractions = false};

#define RUN(options)                                                                               \
    {                                                                                              \
        pretokenizer_scan_run, &(options)                                                          \
    }
#define WORDS(options)                                                                             \
    {                                                                                              \
        pretokenizer_scan_words, &(options)                                                        \
    }
#define GPT2                                                                                       \
    {                                                                                              \
        pretokenizer_scan_gpt2, NULL                                                               \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

static const struct pretokenizer_stage stages_gpt2[] = {GPT2, END};
static const struct pretokenizer_stage stages_llama3[] = {WORDS(words_three_digits), END};
static const struct pretokenizer_stage stages_qwen2[] = {WORDS(words_one_digit), END};
static const struct pretokenizer_stage stages_qwen35[] = {WORDS(words_with_marks), END};
static const struct pretokenizer_stage stages_seed[] = {WORDS(words_bare_symbols), END};
static const struct pretokenizer_stage stages_gpt4o[] = {
    {pretokenizer_scan_cased, &cased_contractions}, END};
static const struct pretokenizer_stage stages_tekken[] = {{pretokenizer_scan_cased, &cased_plain},
                                                          END};
static const struct pretokenizer_stage stages_starcoder[] = {RUN(one_number), GPT2, END};
static const struct pretokenizer_stage stages_falcon[] = {RUN(falcon_signs), GPT2,
                                                          RUN(three_digits), END};
static const struct pretokenizer_stage stages_falcon_letters[] = {
    RUN(falcon_signs), GPT2, {scan_number_letters, NULL}, RUN(three_digits), END};
static const struct pretokenizer_stage stages_default[] = {RUN(default_signs), GPT2, RUN(numbers),
                                                           RUN(three_digits), END};
static const struct pretokenizer_stage stages_deepseek_llm[] = {
    RUN(one_newline),
    RUN(deepseek_words),
    RUN(deepseek_signs),
    {pretokenizer_scan_trailing_space, NULL},
    RUN(deepseek_cjk),
    RUN(numbers),
    END};
static const struct pretokenizer_stage stages_deepseek_llm_digits[] = {
    RUN(one_newline),
    RUN(deepseek_words),
    RUN(deepseek_signs),
    {pretokenizer_scan_trailing_space, NULL},
    RUN(deepseek_cjk),
    RUN(one_number),
    END};
static const struct pretokenizer_stage stages_deepseek_coder[] = {
    RUN(one_newline),  RUN(spaced_letters), RUN(spaced_punctuation),
    RUN(deepseek_cjk), RUN(one_number),     END};
static const struct pretokenizer_stage stages_deepseek_v3[] = {
    RUN(three_numbers), RUN(deepseek3_cjk), {pretokenizer_scan_deepseek, NULL}, END};
static const struct pretokenizer_stage stages_bloom[] = {RUN(bloom_words), END};
static const struct pretokenizer_stage stages_viking[] = {RUN(bloom_words), RUN(one_number), END};

/* clang-format off */
static const struct pretokenizer pretokenizers[] = {
    {.name = "default",          .stages = stages_default},
    {.name = "llama-bpe",        .stages = stages_llama3, .whole_words = true, .begins_with_bos = true},
    {.name = "llama3",           .stages = stages_llama3, .whole_words = true, .begins_with_bos = true},
    {.name = "llama-v3",         .stages = stages_llama3, .whole_words = true, .begins_with_bos = true},
    {.name = "falcon3",          .stages = stages_llama3, .whole_words = true, .begins_with_bos = true},
    {.name = "falcon-h1",        .stages = stages_llama3, .whole_words = true, .begins_with_bos = true},
    {.name = "pixtral",          .stages = stages_llama3, .whole_words = true, .begins_with_bos = true},
    {.name = "lfm2",             .stages = stages_llama3, .whole_words = true, .begins_with_bos = true},
    {.name = "dbrx",             .stages = stages_llama3},
    {.name = "smaug-bpe",        .stages = stages_llama3},
    {.name = "glm4",             .stages = stages_llama3},
    {.name = "chatglm-bpe",      .stages = stages_llama3},
    {.name = "qwen2",            .stages = stages_qwen2, .nfc = true},
    {.name = "deepseek-r1-qwen", .stages = stages_qwen2, .nfc = true},
    {.name = "megrez",           .stages = stages_qwen2, .nfc = true},
    {.name = "qwen35",           .stages = stages_qwen35, .nfc = true},
    {.name = "stablelm2",        .stages = stages_qwen2},
    {.name = "hunyuan",          .stages = stages_qwen2},
    {.name = "solar-open",       .stages = stages_qwen2},
    {.name = "grok-2",           .stages = stages_qwen2},
    {.name = "bailingmoe",       .stages = stages_qwen2},
    {.name = "bailingmoe2",      .stages = stages_qwen2},
    {.name = "seed-coder",       .stages = stages_seed},
    {.name = "gpt-2",            .stages = stages_gpt2},
    {.name = "phi-2",            .stages = stages_gpt2},
    {.name = "mpt",              .stages = stages_gpt2, .nfc = true},
    {.name = "olmo",             .stages = stages_gpt2, .nfc = true},
    {.name = "gpt-neox",         .stages = stages_gpt2, .nfc = true},
    {.name = "jais",             .stages = stages_gpt2},
    {.name = "gigachat",         .stages = stages_gpt2},
    {.name = "a.x-4.0",          .stages = stages_gpt2},
    {.name = "mellum",           .stages = stages_gpt2},
    {.name = "modern-bert",      .stages = stages_gpt2, .nfc = true},
    {.name = "trillion",         .stages = stages_gpt2},
    {.name = "granite-docling",  .stages = stages_gpt2},
    {.name = "exaone4",          .stages = stages_gpt2},
    {.name = "starcoder",        .stages = stages_starcoder},
    {.name = "refact",           .stages = stages_starcoder},
    {.name = "command-r",        .stages = stages_starcoder, .nfc = true},
    {.name = "smollm",           .stages = stages_starcoder},
    {.name = "codeshell",        .stages = stages_starcoder},
    {.name = "exaone",           .stages = stages_starcoder},
    {.name = "minerva-7b",       .stages = stages_starcoder},
    {.name = "falcon",           .stages = stages_falcon},
    {.name = "falcon-letters",   .stages = stages_falcon_letters},
    {.name = "deepseek-llm",     .stages = stages_deepseek_llm},
    {.name = "deepseek-llm-digits", .stages = stages_deepseek_llm_digits},
    {.name = "deepseek-coder",   .stages = stages_deepseek_coder},
    {.name = "deepseek-v3",      .stages = stages_deepseek_v3},
    {.name = "hunyuan-dense",    .stages = stages_deepseek_v3},
    {.name = "joyai-llm",        .stages = stages_deepseek_v3},
    {.name = "gpt-4o",           .stages = stages_gpt4o},
    {.name = "llama4",           .stages = stages_gpt4o},
    {.name = "kanana2",          .stages = stages_gpt4o},
    {.name = "minimax-m2",       .stages = stages_gpt4o},
    {.name = "tekken",           .stages = stages_tekken, .whole_words = true, .begins_with_bos = true},
    {.name = "bloom",            .stages = stages_bloom},
    {.name = "gpt3-finnish",     .stages = stages_bloom},
    {.name = "poro-chat",        .stages = stages_bloom},
    {.name = "viking",           .stages = stages_viking},
};
/* clang-format on */

const struct pretokenizer *pretokenizer_find(const char *name, size_t name_bytes)
{
    for (size_t i = 0; i < sizeof pretokenizers / sizeof pretokenizers[0]; i++) {
        const char *known = pretokenizers[i].name;
        if (strlen(known) == name_bytes && memcmp(known, name, name_bytes) == 0) {
            return &pretokenizers[i];
        }
    }
    return NULL;
}

void pretokenizer_start(struct pretokenizer_cursor *cursor, const struct pretokenizer *pretokenizer,
                        const uint8_t *text, size_t text_bytes)
{
    cursor->stages = pretokenizer->stages;
    cursor->at = text;
    cursor->end = text + text_bytes;
    cursor->stage_count = 0;
    while (cursor->stages[cursor->stage_count].next != NULL) {
        cursor->piece_end[cursor->stage_count] = text;
        cursor->stage_count++;
    }
}

bool pretokenizer_next_word(struct pretokenizer_cursor *cursor, const uint8_t **begin,
                            const uint8_t **end)
{
    if (cursor->at == cursor->end) {
        return false;
    }
    const uint8_t *outer_end = cursor->end;
    for (uint32_t s = 0; s < cursor->stage_count; s++) {
        if (cursor->piece_end[s] == cursor->at) {
            const struct pretokenizer_stage *stage = &cursor->stages[s];
            cursor->piece_end[s] = stage->next(stage->options, cursor->at, outer_end);
        }
        outer_end = cursor->piece_end[s];
    }
    *begin = cursor->at;
    *end = outer_end;
    cursor->at = outer_end;
    return true;
}
