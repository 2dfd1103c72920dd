/* bpe.c - symbols in a linked list, each knowing how well it would merge with the next.
 *
 * Short words look for the best pair by going through the list; that beats a heap up to some
 * dozens of symbols. Long ones keep a heap of (key, position); an entry is out of date, and
 * skipped, when the symbol's key has changed since. An entry whose key is right by chance is
 * right: the key is all that the order depends on.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/bpe.h"

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/tokenizer.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SHORT_WORD = 48,        /* symbols; also what the stack holds */
    WHOLE_BYTES_MAX = 1024, /* longer tokens are left to merging */
};

#define KEY_NONE    UINT32_MAX
#define SYMBOL_NONE UINT32_MAX

struct bpe_symbol {
    uint32_t begin; /* in the word; it ends where the next one begins */
    uint32_t prev;
    uint32_t next;
    uint32_t token;  /* TOKEN_NONE: a character that is no token by itself, or not looked up */
    uint32_t key;    /* of merging with next: smaller is earlier; KEY_NONE: cannot, or gone */
    uint32_t merged; /* the token that would make */
};

struct word {
    const struct vocabulary *vocabulary;
    const uint8_t *bytes;
    uint32_t byte_count;
    struct bpe_symbol *symbols;
    uint32_t symbol_count;
};

void bpe_release_scratch(struct bpe_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
    *scratch = (struct bpe_scratch){0};
}

void bpe_push(struct bpe_output *output, uint32_t id)
{
    if (output->count < output->max) {
        output->ids[output->count] = id;
    }
    output->count++;
    output->unknown_last = false;
}

static uint32_t symbol_end(const struct word *w, uint32_t i)
{
    uint32_t next = w->symbols[i].next;
    return next == SYMBOL_NONE ? w->byte_count : w->symbols[next].begin;
}

/* Finds out how symbol i would merge with the next. */
static void rank(const struct word *w, uint32_t i)
{
    struct bpe_symbol *s = &w->symbols[i];
    s->key = KEY_NONE;
    if (s->next == SYMBOL_NONE) {
        return;
    }
    const struct vocabulary *v = w->vocabulary;
    if (vocabulary_has_merges(v)) {
        uint32_t right = w->symbols[s->next].token;
        if (s->token == TOKEN_NONE || right == TOKEN_NONE) {
            return;
        }
        const struct merge *merge = merge_table_find(&v->merges, s->token, right);
        if (merge != NULL) {
            s->key = merge->rank;
            s->merged = merge->merged;
        }
        return;
    }
    uint32_t byte_count = symbol_end(w, s->next) - s->begin;
    if (byte_count <= v->token_bytes_max) {
        uint32_t id = string_table_find(&v->by_bytes, w->bytes + s->begin, byte_count);
        if (id != TOKEN_NONE) {
            s->key = v->score_keys[id];
            s->merged = id;
        }
    }
}

/* Merges symbol i with the next one. */
static void join(const struct word *w, uint32_t i)
{
    struct bpe_symbol *s = &w->symbols[i];
    struct bpe_symbol *gone = &w->symbols[s->next];
    s->token = s->merged;
    s->next = gone->next;
    gone->key = KEY_NONE;
    if (s->next != SYMBOL_NONE) {
        w->symbols[s->next].prev = i;
    }
    rank(w, i);
    if (s->prev != SYMBOL_NONE) {
        rank(w, s->prev);
    }
}

static void merge_short(const struct word *w)
{
    for (;;) {
        uint32_t best = SYMBOL_NONE;
        uint32_t best_key = KEY_NONE;
        for (uint32_t i = 0; i != SYMBOL_NONE; i = w->symbols[i].next) {
            if (w->symbols[i].key < best_key) {
                best_key = w->symbols[i].key;
                best = i;
            }
        }
        if (best == SYMBOL_NONE) {
            return;
        }
        join(w, best);
    }
}

static void sift_down(uint64_t *heap, size_t root, size_t count)
{
    uint64_t moving = heap[root];
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && heap[child + 1] < heap[child]) {
            child++;
        }
        if (moving <= heap[child]) {
            break;
        }
        heap[root] = heap[child];
        root = child;
    }
    heap[root] = moving;
}

static void heap_push(uint64_t *heap, size_t *count, const struct word *w, uint32_t i)
{
    if (i == SYMBOL_NONE || w->symbols[i].key == KEY_NONE) {
        return;
    }
    uint64_t entry = (uint64_t)w->symbols[i].key << 32 | i;
    size_t at = (*count)++;
    while (at > 0 && heap[(at - 1) / 2] > entry) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

/* A merge takes one entry and adds at most two, so 2 * symbol_count are enough. */
static void merge_long(const struct word *w, uint64_t *heap)
{
    size_t count = 0;
    for (uint32_t i = 0; i < w->symbol_count; i++) {
        if (w->symbols[i].key != KEY_NONE) {
            heap[count++] = (uint64_t)w->symbols[i].key << 32 | i;
        }
    }
    for (size_t i = count / 2; i-- > 0;) {
        sift_down(heap, i, count);
    }
    while (count > 0) {
        uint64_t top = heap[0];
        heap[0] = heap[--count];
        sift_down(heap, 0, count);
        uint32_t i = (uint32_t)top;
        if (w->symbols[i].key != (uint32_t)(top >> 32)) {
            continue;
        }
        join(w, i);
        heap_push(heap, &count, w, i);
        heap_push(heap, &count, w, w->symbols[i].prev);
    }
}

static bool reserve(struct bpe_scratch *scratch, size_t symbol_count)
{
    if (symbol_count <= scratch->capacity) {
        return true;
    }
    bpe_release_scratch(scratch);
    scratch->symbols = malloc(symbol_count * sizeof *scratch->symbols);
    scratch->heap = malloc(2 * symbol_count * sizeof *scratch->heap);
    if (scratch->symbols == NULL || scratch->heap == NULL) {
        bpe_release_scratch(scratch);
        return false;
    }
    scratch->capacity = symbol_count;
    return true;
}

/* The length of the symbol that starts at `at`: merging begins from bytes, or from characters. */
static inline uint32_t first_symbol_bytes(const struct vocabulary *v, const uint8_t *at,
                                          const uint8_t *end)
{
    if (vocabulary_is_byte_level(v) || *at < 128) {
        return 1;
    }
    uint32_t code;
    uint32_t bytes = char_class_utf8(at, end, &code);
    return bytes > 0 ? bytes : 1;
}

static uint32_t count_symbols(const struct vocabulary *v, const uint8_t *word, size_t word_bytes)
{
    if (vocabulary_is_byte_level(v)) {
        return (uint32_t)word_bytes;
    }
    uint32_t count = 0;
    for (const uint8_t *at = word, *end = word + word_bytes; at < end; count++) {
        at += first_symbol_bytes(v, at, end);
    }
    return count;
}

/* Merging by rank wants to know which token a symbol is; by score, only what two make. */
static uint32_t first_token(const struct vocabulary *v, const uint8_t *at, uint32_t byte_count)
{
    switch (v->kind) {
    case VOCABULARY_MERGES:
        return v->byte_ids[*at];
    case VOCABULARY_PAIRS:
        return string_table_find(&v->by_bytes, at, byte_count);
    default:
        return TOKEN_NONE;
    }
}

/* Bytes that a byte-level vocabulary has no token for, nor one for the unknown, are left out before
 * merging: their neighbours may merge. */
static void split_symbols(struct word *w, bool drop_unspelled)
{
    assert(w->symbol_count > 0);
    const struct vocabulary *v = w->vocabulary;
    const uint8_t *end = w->bytes + w->byte_count;
    const uint8_t *at = w->bytes;
    uint32_t count = 0;
    while (at < end) {
        uint32_t byte_count = first_symbol_bytes(v, at, end);
        uint32_t token = first_token(v, at, byte_count);
        if (token != TOKEN_NONE || !drop_unspelled) {
            w->symbols[count] = (struct bpe_symbol){.begin = (uint32_t)(at - w->bytes),
                                                    .prev = count - 1, /* of 0: SYMBOL_NONE */
                                                    .next = count + 1,
                                                    .token = token};
            count++;
        }
        at += byte_count;
    }
    w->symbol_count = count;
    if (count > 0) {
        w->symbols[count - 1].next = SYMBOL_NONE;
    }
    for (uint32_t i = 0; i < w->symbol_count; i++) {
        rank(w, i);
    }
}

static void push_unknown(struct bpe_output *output)
{
    if (output->unknown != TOKEN_NONE && !(output->unknown_last && output->fuse_unknown)) {
        bpe_push(output, output->unknown);
        output->unknown_last = true;
    }
}

/* A character that never merged: itself if it is a token, else its bytes, else unknown. */
static void push_unmerged(const struct word *w, uint32_t i, struct bpe_output *output)
{
    const struct vocabulary *v = w->vocabulary;
    uint32_t begin = w->symbols[i].begin;
    uint32_t end = symbol_end(w, i);
    uint32_t id = string_table_find(&v->by_bytes, w->bytes + begin, end - begin);
    if (id != TOKEN_NONE) {
        bpe_push(output, id);
    } else {
        bpe_push_unspelled(v, w->bytes + begin, end - begin, output);
    }
}

void bpe_push_unspelled(const struct vocabulary *vocabulary, const uint8_t *bytes,
                        size_t byte_count, struct bpe_output *output)
{
    for (size_t i = 0; i < byte_count; i++) {
        if (vocabulary->byte_ids[bytes[i]] == TOKEN_NONE) {
            push_unknown(output);
            return;
        }
    }
    for (size_t i = 0; i < byte_count; i++) {
        bpe_push(output, vocabulary->byte_ids[bytes[i]]);
    }
}

static enum status merge_word(const struct vocabulary *v, struct bpe_scratch *scratch,
                              const uint8_t *bytes, size_t byte_count, struct bpe_output *output,
                              struct error *err)
{
    struct bpe_symbol on_stack[SHORT_WORD];
    struct word w = {.vocabulary = v, .bytes = bytes, .byte_count = (uint32_t)byte_count};
    w.symbol_count = count_symbols(v, bytes, byte_count);
    w.symbols = on_stack;
    if (w.symbol_count > SHORT_WORD) {
        if (!reserve(scratch, w.symbol_count)) {
            return error_set(err, ERR_MEMORY, "no memory to tokenise a word of %zu bytes",
                             byte_count);
        }
        w.symbols = scratch->symbols;
    }
    split_symbols(&w, vocabulary_is_byte_level(v) && output->unknown == TOKEN_NONE);
    if (w.symbol_count == 0) {
        return OK;
    }
    if (w.symbol_count > SHORT_WORD) {
        assert(scratch->heap != NULL);
        merge_long(&w, scratch->heap);
    } else {
        merge_short(&w);
    }
    for (uint32_t i = 0; i != SYMBOL_NONE; i = w.symbols[i].next) {
        if (w.symbols[i].token != TOKEN_NONE) {
            bpe_push(output, w.symbols[i].token);
        } else {
            push_unmerged(&w, i, output);
        }
    }
    return OK;
}

enum status bpe_encode(const struct vocabulary *vocabulary, struct bpe_scratch *scratch,
                       const uint8_t *word, size_t word_bytes, struct bpe_output *output,
                       struct error *err)
{
    if (word_bytes <= vocabulary->token_bytes_max) {
        uint32_t id = string_table_find(&vocabulary->by_bytes, word, word_bytes);
        if (id != TOKEN_NONE && vocabulary->is_whole[id]) {
            bpe_push(output, id);
            return OK;
        }
    }
    return merge_word(vocabulary, scratch, word, word_bytes, output, err);
}

enum status bpe_mark_whole(struct vocabulary *vocabulary, bool always, struct error *err)
{
    struct bpe_scratch scratch = {0};
    enum status status = OK;
    for (uint32_t id = 0; id < vocabulary->count && status == OK; id++) {
        const uint8_t *bytes = vocabulary->bytes + vocabulary->bytes_at[id];
        uint32_t byte_count = vocabulary->bytes_at[id + 1] - vocabulary->bytes_at[id];
        if (!vocabulary_is_ordinary(vocabulary, id) || byte_count == 0) {
            continue;
        }
        if (always) {
            vocabulary->is_whole[id] = true;
        } else if (byte_count <= WHOLE_BYTES_MAX) {
            uint32_t first = TOKEN_NONE;
            struct bpe_output output = {.ids = &first, .max = 1, .unknown = TOKEN_NONE};
            status = merge_word(vocabulary, &scratch, bytes, byte_count, &output, err);
            vocabulary->is_whole[id] = output.count == 1 && first == id;
        }
    }
    bpe_release_scratch(&scratch);
    return status;
}
