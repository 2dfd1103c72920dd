/* vocab_files.c - readers just strict enough for the published files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vocab_files.h"

#include "tests/test.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    TOKENS_MAX = 1 << 18,
    TABLE_SLOTS = 1 << 20,
};

static void *take_memory(size_t count, size_t bytes)
{
    void *memory = count < SIZE_MAX && bytes > 0 ? calloc(count + 1, bytes) : NULL;
    if (memory == NULL) {
        abort();
    }
    return memory;
}

char *vocab_files_read(const char *path, size_t *byte_count)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *bytes = malloc((size_t)size + 1);
    assert_non_null(bytes);
    *byte_count = fread(bytes, 1, (size_t)size, file);
    assert_int_equal(*byte_count, size);
    bytes[*byte_count] = '\0';
    fclose(file);
    return bytes;
}

/* Strings being collected, found by content. */
struct token_list {
    struct gguf_string *tokens;
    uint32_t count;
    uint32_t *table; /* id + 1 */
    char *bytes;
    size_t byte_count;
};

static void list_init(struct token_list *list, size_t bytes_max)
{
    list->tokens = take_memory(TOKENS_MAX, sizeof *list->tokens);
    list->table = take_memory(TABLE_SLOTS, sizeof *list->table);
    list->bytes = take_memory(bytes_max, 1);
    list->count = 0;
    list->byte_count = 0;
}

static void list_release(struct token_list *list)
{
    free(list->tokens);
    free(list->table);
    free(list->bytes);
}

static uint32_t *list_slot(const struct token_list *list, const char *bytes, size_t byte_count)
{
    uint64_t slot = XXH3_64bits(bytes, byte_count) & (TABLE_SLOTS - 1);
    for (;; slot = (slot + 1) & (TABLE_SLOTS - 1)) {
        uint32_t entry = list->table[slot];
        if (entry == 0 || (list->tokens[entry - 1].byte_count == byte_count &&
                           memcmp(list->tokens[entry - 1].bytes, bytes, byte_count) == 0)) {
            return &list->table[slot];
        }
    }
}

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* Reads one line's token; returns what stands behind it. */
static const char *list_add_base64(struct token_list *list, const char *at)
{
    char *start = list->bytes + list->byte_count;
    size_t length = 0;
    uint32_t bits = 0;
    uint32_t bit_count = 0;
    for (; *at != ' ' && *at != '='; at++) {
        int value = base64_value(*at);
        assert_true(value >= 0);
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            start[length++] = (char)(bits >> bit_count);
        }
    }
    assert_true(list->count < TOKENS_MAX && length > 0);
    list->byte_count += length;
    list->tokens[list->count] = (struct gguf_string){start, length};
    uint32_t *slot = list_slot(list, start, length);
    assert_int_equal(*slot, 0);
    *slot = ++list->count;
    return at;
}

/* Bytes as a byte-level vocabulary spells them: one printable character a byte. */
static size_t spell(const char *bytes, size_t byte_count, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < byte_count; i++) {
        uint32_t byte = (unsigned char)bytes[i];
        uint32_t code = byte;
        if (byte <= 0x20) {
            code = 0x100 + byte;
        } else if (byte >= 0x7F && byte <= 0xA0) {
            code = 0x121 + byte - 0x7F;
        } else if (byte == 0xAD) {
            code = 0x143;
        }
        if (code >= 0x80) {
            out[written++] = (char)(0xC0 | code >> 6);
            out[written++] = (char)(0x80 | (code & 0x3F));
        } else {
            out[written++] = (char)code;
        }
    }
    return written;
}

static void add_tiktoken_merges(struct gguf_writer *writer, const struct token_list *list)
{
    size_t bytes_max = 0;
    size_t merges_max = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        size_t byte_count = list->tokens[i].byte_count;
        merges_max += byte_count - 1;
        bytes_max += (byte_count - 1) * (2 * byte_count + 1);
    }
    char *text = take_memory(bytes_max, 1);
    struct gguf_string *merges = take_memory(merges_max, sizeof *merges);
    size_t used = 0;
    uint64_t merge_count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const char *bytes = list->tokens[i].bytes;
        size_t byte_count = list->tokens[i].byte_count;
        for (size_t cut = 1; cut < byte_count; cut++) {
            if (*list_slot(list, bytes, cut) == 0 ||
                *list_slot(list, bytes + cut, byte_count - cut) == 0) {
                continue;
            }
            size_t start = used;
            used += spell(bytes, cut, text + used);
            text[used++] = ' ';
            used += spell(bytes + cut, byte_count - cut, text + used);
            merges[merge_count++] = (struct gguf_string){text + start, used - start};
        }
    }
    gguf_writer_add_strings(writer, "tokenizer.ggml.merges", merges, merge_count);
    free(merges);
    free(text);
}

bool vocab_files_add_tiktoken(struct gguf_writer *writer, const char *path, const char *pre)
{
    size_t byte_count = 0;
    char *file = vocab_files_read(path, &byte_count);
    if (file == NULL) {
        return false;
    }
    struct token_list list;
    list_init(&list, byte_count);
    for (const char *at = file; *at != '\0'; at++) {
        uint32_t rank = list.count;
        at = list_add_base64(&list, at);
        at += strspn(at, "= ");
        char *line_end = NULL;
        assert_int_equal(strtoul(at, &line_end, 10), rank);
        at = line_end;
        assert_int_equal(*at, '\n');
    }
    char *text = take_memory(2 * list.byte_count, 1);
    struct gguf_string *tokens = take_memory(list.count, sizeof *tokens);
    size_t used = 0;
    for (uint32_t i = 0; i < list.count; i++) {
        size_t spelled = spell(list.tokens[i].bytes, list.tokens[i].byte_count, text + used);
        tokens[i] = (struct gguf_string){text + used, spelled};
        used += spelled;
    }
    gguf_writer_add_string(writer, "tokenizer.ggml.model", "gpt2");
    gguf_writer_add_string(writer, "tokenizer.ggml.pre", pre);
    gguf_writer_add_bool(writer, "tokenizer.ggml.add_bos_token", false);
    gguf_writer_add_strings(writer, "tokenizer.ggml.tokens", tokens, list.count);
    add_tiktoken_merges(writer, &list);
    free(tokens);
    free(text);
    list_release(&list);
    free(file);
    return true;
}

/* One field of a protocol buffer message. */
struct field {
    uint32_t number;
    uint64_t value;   /* wire types 0 and 5 */
    const char *data; /* wire type 2 */
    size_t data_bytes;
};

static uint64_t read_varint(const char **at, const char *end)
{
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
        assert_true(*at < end);
        unsigned char byte = (unsigned char)*(*at)++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            break;
        }
    }
    return value;
}

static struct field read_field(const char **at, const char *end)
{
    uint64_t tag = read_varint(at, end);
    struct field field = {.number = (uint32_t)(tag >> 3)};
    uint32_t wire = tag & 7;
    if (wire == 0) {
        field.value = read_varint(at, end);
        return field;
    }
    assert_true(wire == 2 || wire == 5);
    field.data_bytes = wire == 2 ? (size_t)read_varint(at, end) : 4;
    assert_true(field.data_bytes <= (size_t)(end - *at));
    field.data = *at;
    *at += field.data_bytes;
    return field;
}

struct pieces {
    struct gguf_string *texts;
    float *scores;
    int32_t *types;
    uint64_t count;
    bool remove_extra_spaces;
};

static void read_piece(struct pieces *pieces, struct field message)
{
    enum {
        PIECE = 1,
        SCORE = 2,
        TYPE = 3,
    };
    assert_true(pieces->count < TOKENS_MAX);
    uint64_t i = pieces->count++;
    pieces->types[i] = 1;
    for (const char *at = message.data, *end = at + message.data_bytes; at < end;) {
        struct field field = read_field(&at, end);
        if (field.number == PIECE) {
            pieces->texts[i] = (struct gguf_string){field.data, field.data_bytes};
        } else if (field.number == SCORE && field.data != NULL) {
            memcpy(&pieces->scores[i], field.data, sizeof pieces->scores[i]);
        } else if (field.number == TYPE) {
            pieces->types[i] = (int32_t)field.value; /* GGUF took the numbers over */
        }
    }
}

static void read_normalizer(struct pieces *pieces, struct field message)
{
    enum {
        REMOVE_EXTRA_SPACES = 4
    };
    for (const char *at = message.data, *end = at + message.data_bytes; at < end;) {
        struct field field = read_field(&at, end);
        if (field.number == REMOVE_EXTRA_SPACES) {
            pieces->remove_extra_spaces = field.value != 0;
        }
    }
}

bool vocab_files_add_sentencepiece(struct gguf_writer *writer, const char *path)
{
    enum {
        PIECES = 1,
        NORMALIZER = 3,
    };
    size_t byte_count = 0;
    char *file = vocab_files_read(path, &byte_count);
    if (file == NULL) {
        return false;
    }
    struct pieces pieces = {.remove_extra_spaces = true};
    pieces.texts = take_memory(TOKENS_MAX, sizeof *pieces.texts);
    pieces.scores = take_memory(TOKENS_MAX, sizeof *pieces.scores);
    pieces.types = take_memory(TOKENS_MAX, sizeof *pieces.types);
    for (const char *at = file, *end = file + byte_count; at < end;) {
        struct field field = read_field(&at, end);
        if (field.number == PIECES) {
            read_piece(&pieces, field);
        } else if (field.number == NORMALIZER) {
            read_normalizer(&pieces, field);
        }
    }
    gguf_writer_add_string(writer, "tokenizer.ggml.model", "llama");
    gguf_writer_add_bool(writer, "tokenizer.ggml.remove_extra_whitespaces",
                         pieces.remove_extra_spaces);
    gguf_writer_add_strings(writer, "tokenizer.ggml.tokens", pieces.texts, pieces.count);
    gguf_writer_add_array(writer, "tokenizer.ggml.scores", GGUF_FLOAT32, pieces.scores,
                          pieces.count);
    gguf_writer_add_array(writer, "tokenizer.ggml.token_type", GGUF_INT32, pieces.types,
                          pieces.count);
    free(pieces.texts);
    free(pieces.scores);
    free(pieces.types);
    free(file);
    return true;
}
