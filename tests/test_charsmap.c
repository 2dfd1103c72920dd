/* A table of a few characters, made by hand: both ways through it, how much it makes of a text, and what
 * is no table. Tables of the real rules are for tests/e2e/tokenizers.sh.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/base64.h"
#include "engine/formats/gguf_builder.h"
#include "engine/tokenizer/charsmap.h"

/* Keys: "A" -> "a", "Ab" -> "xyz" (offset 2), "\t" -> " " (offset 6), "q" -> "" (offset 8). */
static const char texts[] = "a\0xyz\0 \0";

enum {
    UNITS = 512
};

static uint32_t node(uint8_t label, bool has_leaf, uint32_t offset)
{
    return label | (has_leaf ? 0x100u : 0) | offset << 10;
}

/* The children of the root at 256 ^ byte; those of "A" at 128 ^ byte; leaves apart. */
static void fill(uint32_t units[UNITS])
{
    memset(units, 0xFF, UNITS * sizeof *units);
    units[0] = node(0, false, 256);
    units[256 ^ 'A'] = node('A', true, (256 ^ 'A') ^ 128);
    units[128] = 0x80000000u | 0;
    units[128 ^ 'b'] = node('b', true, (128 ^ 'b') ^ 5);
    units[5] = 0x80000000u | 2;
    units[256 ^ '\t'] = node('\t', true, (256 ^ '\t') ^ 6);
    units[6] = 0x80000000u | 6;
    units[256 ^ 'q'] = node('q', true, (256 ^ 'q') ^ 7);
    units[7] = 0x80000000u | 8;
}

static enum status load(struct charsmap *map, const uint32_t *units, uint32_t trie_bytes,
                        size_t byte_count, struct error *err)
{
    uint8_t bytes[4 + UNITS * 4 + sizeof texts];
    memcpy(bytes, &trie_bytes, 4);
    memcpy(bytes + 4, units, UNITS * sizeof *units);
    memcpy(bytes + 4 + UNITS * sizeof *units, texts, sizeof texts);
    struct gguf_builder builder;
    struct gguf file;
    gguf_builder_init(&builder, "m");
    gguf_builder_set_u8s(&builder, CHARSMAP_KEY, bytes, byte_count);
    assert_int_equal(gguf_builder_finish(&builder, &file, err), OK);
    enum status status = charsmap_load(map, &file, err);
    gguf_close(&file);
    return status;
}

enum {
    TRIE_BYTES = UNITS * 4,
    ALL_BYTES = 4 + TRIE_BYTES + sizeof texts
};

static void expect(const struct charsmap *map, enum charsmap_way way, const char *text,
                   const char *wanted)
{
    struct error err;
    uint8_t *out = NULL;
    size_t out_bytes = 0;
    assert_int_equal(
        charsmap_apply(map, way, (const uint8_t *)text, strlen(text), &out, &out_bytes, &err), OK);
    assert_int_equal(out_bytes, strlen(wanted));
    assert_memory_equal(out, wanted, out_bytes);
    assert_true(out_bytes <= map->growth * strlen(text));
    free(out);
}

static void the_longest_key_or_the_shortest_of_a_grapheme(void **state)
{
    (void)state;
    uint32_t units[UNITS];
    struct charsmap map;
    struct error err;
    fill(units);
    assert_int_equal(load(&map, units, TRIE_BYTES, ALL_BYTES, &err), OK);
    assert_int_equal(map.growth, 2); /* three bytes of two */
    expect(&map, CHARSMAP_LONGEST, "", "");
    expect(&map, CHARSMAP_LONGEST, "AbA\tzqb\xFF", "xyza zb\xFF");
    expect(&map, CHARSMAP_GRAPHEMES, "AbA\tzqb\xFF", "aba zb\xFF");
    /* A with a mark is one grapheme, which the key A stands for; with many it is too long. */
    expect(&map, CHARSMAP_GRAPHEMES, "A\u0301b", "ab");
    expect(&map, CHARSMAP_GRAPHEMES, "A\u0301\u0301\u0301b", "a\u0301\u0301\u0301b");
    expect(&map, CHARSMAP_LONGEST, "A\u0301b", "a\u0301b");
    charsmap_release(&map);
}

/* A megabyte that is one grapheme, and one of characters that begin keys: what is not linear does not
 * end. */
static void long_texts_are_linear(void **state)
{
    (void)state;
    enum {
        RUN_BYTES = 1 << 20
    };
    uint32_t units[UNITS];
    struct charsmap map;
    struct error err;
    fill(units);
    units[256 ^ 'q'] = node('q', false, 'q'); /* runs of q are walked for as long as a key may be */
    assert_int_equal(load(&map, units, TRIE_BYTES, ALL_BYTES, &err), OK);
    char *text = calloc(RUN_BYTES + 1, 1);
    for (size_t i = 0; i < RUN_BYTES; i += 2) {
        text[i] = '\xCC'; /* U+0301 */
        text[i + 1] = '\x81';
    }
    expect(&map, CHARSMAP_LONGEST, text, text);
    expect(&map, CHARSMAP_GRAPHEMES, text, text);
    memset(text, 'q', RUN_BYTES);
    expect(&map, CHARSMAP_LONGEST, text, text);
    expect(&map, CHARSMAP_GRAPHEMES, text, text);
    free(text);
    charsmap_release(&map);
}

static void an_empty_table_is_none(void **state)
{
    (void)state;
    uint32_t units[UNITS];
    struct charsmap map;
    struct error err;
    fill(units);
    assert_int_equal(load(&map, units, TRIE_BYTES, 0, &err), OK);
    assert_null(map.units);
}

static void what_is_no_table_is_refused(void **state)
{
    (void)state;
    uint32_t units[UNITS];
    struct charsmap map;
    struct error err;
    fill(units);
    const struct {
        uint32_t trie_bytes;
        size_t byte_count;
    } cases[] = {
        {TRIE_BYTES, 3},
        {TRIE_BYTES, 4},
        {0, ALL_BYTES},
        {TRIE_BYTES - 2, ALL_BYTES},
        {TRIE_BYTES, ALL_BYTES - sizeof texts},
        {UINT32_MAX - 3, ALL_BYTES},
        {TRIE_BYTES, ALL_BYTES - sizeof texts + 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(load(&map, units, cases[i].trie_bytes, cases[i].byte_count, &err),
                         ERR_FORMAT);
        assert_non_null(strstr(err.message, CHARSMAP_KEY));
        assert_null(map.units);
    }
}

/* Offsets beyond the trie, values beyond the texts, and nodes that lead back to themselves. */
static void a_hostile_trie_leads_nowhere(void **state)
{
    (void)state;
    uint32_t units[UNITS];
    struct charsmap map;
    struct error err;
    fill(units);
    units[256 ^ 'A'] = node('A', true, 0x3FFFF);
    units[6] = 0x80000000u | 4000;
    units[256 ^ 'q'] = node('q', false, 'q'); /* its children are those of the root */
    assert_int_equal(load(&map, units, TRIE_BYTES, ALL_BYTES, &err), OK);
    expect(&map, CHARSMAP_LONGEST, "A\tqqqq", "A\tqqqq");
    units[0] = node(0, false, 0x3FFFFF);
    charsmap_release(&map);
    assert_int_equal(load(&map, units, TRIE_BYTES, ALL_BYTES, &err), OK);
    expect(&map, CHARSMAP_LONGEST, "Ab", "Ab");
    charsmap_release(&map);
}

static void base64_is_exact(void **state)
{
    (void)state;
    uint8_t out[16];
    size_t count = 0;
    assert_true(base64_decode("", 0, out, &count) && count == 0);
    assert_true(base64_decode("AP8+/w==", 8, out, &count) && count == 4);
    assert_memory_equal(out, "\x00\xFF\x3E\xFF", 4);
    assert_true(base64_decode("QUI=", 4, out, &count) && count == 2);
    static const char *const bad[] = {"A", "AAA", "A===", "=AAA", "AA=A", "AA==AAAA", "AA-_"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(base64_decode(bad[i], strlen(bad[i]), out, &count));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_key_or_the_shortest_of_a_grapheme),
        cmocka_unit_test(long_texts_are_linear),
        cmocka_unit_test(an_empty_table_is_none),
        cmocka_unit_test(what_is_no_table_is_refused),
        cmocka_unit_test(a_hostile_trie_leads_nowhere),
        cmocka_unit_test(base64_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
