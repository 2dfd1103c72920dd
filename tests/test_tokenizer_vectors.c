/* test_tokenizer_vectors.c - equal to the reference tokenizers, text by text.
 *
 * The vectors and vocabularies are in the data folder; test_tokenizer.c has what needs neither.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/gguf.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/vocab_files.h"

#include <jansson.h>

enum {
    PATH_BYTES = 4096,
    IDS_MAX = 1 << 16,
};

/* A tokenizer and what it was opened from. */
struct opened {
    struct gguf file;
    uint8_t *bytes; /* NULL when the file was opened by name */
    struct tokenizer *tokenizer;
};

static void open_parsed(struct opened *opened)
{
    struct error err = {0};
    if (tokenizer_open(&opened->tokenizer, &opened->file, &err) != OK) {
        fail_msg("%s", err.message);
    }
}

static bool open_gguf(struct opened *opened, const char *path)
{
    *opened = (struct opened){0};
    struct error err = {0};
    enum status status = gguf_open(&opened->file, path, &err);
    if (status == ERR_NOT_FOUND) {
        return false;
    }
    if (status != OK) {
        fail_msg("%s", err.message);
    }
    open_parsed(opened);
    return true;
}

static void open_written(struct opened *opened, struct gguf_writer *writer)
{
    *opened = (struct opened){0};
    struct error err = {0};
    uint64_t byte_count = 0;
    opened->bytes = gguf_writer_finish(writer, &byte_count);
    gguf_writer_release(writer);
    if (gguf_parse(&opened->file, opened->bytes, byte_count, "written", &err) != OK) {
        fail_msg("%s", err.message);
    }
    open_parsed(opened);
}

static void close_opened(struct opened *opened)
{
    tokenizer_close(opened->tokenizer);
    gguf_close(&opened->file);
    free(opened->bytes);
}

/* Opens the vocabulary that vectors name; false when it is not in the folder. */
static bool open_named(struct opened *opened, const char *folder, const char *file, const char *pre)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    size_t length = strlen(file);
    if (length > 5 && strcmp(file + length - 5, ".gguf") == 0) {
        return open_gguf(opened, path);
    }
    struct gguf_writer writer;
    gguf_writer_init(&writer);
    bool found = pre != NULL ? vocab_files_add_tiktoken(&writer, path, pre)
                             : vocab_files_add_sentencepiece(&writer, path);
    if (!found) {
        gguf_writer_release(&writer);
        return false;
    }
    open_written(opened, &writer);
    return true;
}

/* Streamed and whole text of ids must be the same; byte-level text must be the input. */
static void check_text_of(const struct opened *opened, const uint32_t *ids, size_t id_count,
                          const char *text, size_t text_bytes)
{
    char *streamed = malloc(4 * text_bytes + 64);
    char *whole = malloc(4 * text_bytes + 64);
    size_t streamed_bytes = 0;
    size_t whole_bytes = 0;
    struct detokenizer detokenizer;
    detokenizer_init(&detokenizer, opened->tokenizer, true, true);
    for (size_t i = 0; i < id_count; i++) {
        char piece[4096];
        size_t written = detokenizer_feed(&detokenizer, ids[i], piece, sizeof piece);
        memcpy(streamed + streamed_bytes, piece, written);
        streamed_bytes += written;
        size_t byte_count = 0;
        const char *bytes = tokenizer_token_bytes(opened->tokenizer, ids[i], true, &byte_count);
        memcpy(whole + whole_bytes, bytes, byte_count);
        whole_bytes += byte_count;
    }
    char rest[16];
    assert_int_equal(detokenizer_finish(&detokenizer, rest, sizeof rest), 0);
    assert_int_equal(streamed_bytes, whole_bytes);
    assert_memory_equal(streamed, whole, whole_bytes);
    bool normalised = strcmp(tokenizer_info(opened->tokenizer)->pre_name, "qwen2") == 0;
    if (strcmp(tokenizer_info(opened->tokenizer)->model_name, "gpt2") == 0 && !normalised) {
        assert_int_equal(whole_bytes, text_bytes);
        assert_memory_equal(whole, text, text_bytes);
    }
    free(streamed);
    free(whole);
}

/* Whether the ids of text are the expected ones; says where they are not. */
static bool is_equal(const struct opened *opened, const char *name, const char *text,
                     size_t text_bytes, const uint32_t *expected, size_t expected_count)
{
    static uint32_t ids[IDS_MAX];
    size_t id_count = 0;
    struct error err = {0};
    if (tokenizer_encode(opened->tokenizer, text, text_bytes, 0, ids, IDS_MAX, &id_count, &err) !=
        OK) {
        fail_msg("%s: %s", name, err.message);
    }
    check_text_of(opened, ids, id_count, text, text_bytes);
    size_t i = 0;
    while (i < id_count && i < expected_count && ids[i] == expected[i]) {
        i++;
    }
    if (i == id_count && i == expected_count) {
        return true;
    }
    print_message("%s: '%.60s': id %zu of %zu is %d, expected %d of %zu\n", name, text, i, id_count,
                  i < id_count ? (int)ids[i] : -1, i < expected_count ? (int)expected[i] : -1,
                  expected_count);
    return false;
}

struct llama_vectors {
    const char *name;
    const char *vocabulary; /* relative to tokenizers/ */
    const char *pre;        /* of a tiktoken file, else NULL */
};

static size_t read_ids(const char *line, const char *line_end, uint32_t *ids)
{
    size_t count = 0;
    while (line < line_end && count < IDS_MAX) {
        char *after = NULL;
        unsigned long id = strtoul(line, &after, 10);
        if (after == line) {
            break;
        }
        ids[count++] = (uint32_t)id;
        line = after + strspn(after, " ");
    }
    return count;
}

static void check_llama_vectors(const char *folder, const struct llama_vectors *v)
{
    static uint32_t expected[IDS_MAX];
    static const char marker[] = "\n__ggml_vocab_test__\n";
    char path[PATH_BYTES];
    struct opened opened;
    if (!open_named(&opened, folder, v->vocabulary, v->pre)) {
        print_message("%s: no vocabulary\n", v->name);
        return;
    }
    size_t text_bytes = 0;
    size_t ids_bytes = 0;
    snprintf(path, sizeof path, "%s/ggml-vocab/ggml-vocab-%s.gguf.inp", folder, v->name);
    char *texts = vocab_files_read(path, &text_bytes);
    snprintf(path, sizeof path, "%s/ggml-vocab/ggml-vocab-%s.gguf.out", folder, v->name);
    char *lines = vocab_files_read(path, &ids_bytes);
    if (texts == NULL || lines == NULL) {
        fail_msg("no vectors for %s", v->name);
        abort();
    }
    const char *text = texts;
    const char *line = lines;
    uint32_t count = 0;
    uint32_t equal = 0;
    for (;;) {
        const char *stop = strstr(text, marker);
        const char *line_end = strchr(line, '\n');
        if (stop == NULL || line_end == NULL) {
            break;
        }
        size_t expected_count = read_ids(line, line_end, expected);
        count++;
        equal += is_equal(&opened, v->name, text, (size_t)(stop - text), expected, expected_count);
        text = stop + strlen(marker);
        line = line_end + 1;
    }
    free(texts);
    free(lines);
    close_opened(&opened);
    print_message("%s: %u of %u vectors equal\n", v->name, equal, count);
    assert_true(count > 40);
    assert_int_equal(equal, count);
}

static void equal_to_the_vectors_of_llama_cpp(void **state)
{
    (void)state;
    static const struct llama_vectors vectors[] = {
        {"deepseek-llm", "ggml-vocab/ggml-vocab-deepseek-llm.gguf", NULL},
        {"falcon", "ggml-vocab/ggml-vocab-falcon.gguf", NULL},
        {"gpt-2", "ggml-vocab/ggml-vocab-gpt-2.gguf", NULL},
        {"llama-spm", "ggml-vocab/ggml-vocab-llama-spm.gguf", NULL},
        {"mpt", "ggml-vocab/ggml-vocab-mpt.gguf", NULL},
        {"phi-3", "ggml-vocab/ggml-vocab-phi-3.gguf", NULL},
        {"starcoder", "ggml-vocab/ggml-vocab-starcoder.gguf", NULL},
        {"llama-bpe", "tiktoken/llama3.tokenizer.model", "llama-bpe"},
        {"qwen2", "tiktoken/qwen.tiktoken", "qwen2"},
        {"deepseek-r1-qwen", "tiktoken/qwen.tiktoken", "deepseek-r1-qwen"},
    };
    const char *data = test_data_folder();
    if (data == NULL) {
        skip();
    }
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s/tokenizers", data);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        check_llama_vectors(folder, &vectors[i]);
    }
}

/* Which lines of vectors.jsonl a file of a model can meet. */
enum which_texts {
    ALL_TEXTS,
    SINGLE_SPACED, /* the file does not say that the model drops extra spaces */
};

struct json_vectors {
    const char *name;
    const char *vocabulary; /* relative to the data folder */
    const char *pre;
    enum which_texts which;
};

static bool is_single_spaced(const char *text, size_t text_bytes)
{
    if (text_bytes == 0 || text[0] == ' ' || text[text_bytes - 1] == ' ') {
        return text_bytes == 0;
    }
    return strstr(text, "  ") == NULL;
}

/* One line of vectors.jsonl: 1 equal, 0 different, -1 not for this tokenizer. */
static int check_line(const struct opened *opened, const struct json_vectors *v, const char *line,
                      size_t line_bytes)
{
    static uint32_t expected[IDS_MAX];
    json_t *root = json_loadb(line, line_bytes, JSON_ALLOW_NUL, NULL);
    assert_non_null(root);
    json_t *text_json = json_object_get(root, "text");
    const char *text = json_string_value(text_json);
    size_t text_bytes = json_string_length(text_json);
    json_t *ids = json_object_get(json_object_get(root, "ids"), v->name);
    assert_non_null(text);
    int result = -1;
    if (ids != NULL && (v->which == ALL_TEXTS || is_single_spaced(text, text_bytes))) {
        size_t count = json_array_size(ids);
        assert_true(count <= IDS_MAX);
        for (size_t i = 0; i < count; i++) {
            expected[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
        }
        result = is_equal(opened, v->name, text, text_bytes, expected, count);
    }
    json_decref(root);
    return result;
}

static void check_json_vectors(const char *folder, const char *lines, const struct json_vectors *v)
{
    struct opened opened;
    if (!open_named(&opened, folder, v->vocabulary, v->pre)) {
        print_message("%s: no vocabulary\n", v->name);
        return;
    }
    uint32_t count = 0;
    uint32_t equal = 0;
    for (const char *line = lines; *line != '\0';) {
        const char *line_end = strchr(line, '\n');
        assert_non_null(line_end);
        int result = check_line(&opened, v, line, (size_t)(line_end - line));
        count += result >= 0;
        equal += result > 0;
        line = line_end + 1;
    }
    close_opened(&opened);
    print_message("%s (%s): %u of %u vectors equal\n", v->name, v->vocabulary, equal, count);
    assert_true(count > 50);
    assert_int_equal(equal, count);
}

static void equal_to_the_vectors_of_the_reference_tokenizers(void **state)
{
    (void)state;
    static const struct json_vectors vectors[] = {
        {"llama3", "tokenizers/tiktoken/llama3.tokenizer.model", "llama-bpe", ALL_TEXTS},
        {"qwen2", "tokenizers/tiktoken/qwen.tiktoken", "qwen2", ALL_TEXTS},
        {"gpt2", "tokenizers/tiktoken/r50k_base.tiktoken", "gpt-2", ALL_TEXTS},
        {"gpt2", "tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf", NULL, ALL_TEXTS},
        {"cl100k_base", "tokenizers/tiktoken/cl100k_base.tiktoken", "dbrx", ALL_TEXTS},
        {"o200k_base", "tokenizers/tiktoken/o200k_base.tiktoken", "gpt-4o", ALL_TEXTS},
        {"llama2", "tokenizers/sentencepiece/llama2.tokenizer.model", NULL, ALL_TEXTS},
        {"llama2", "tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf", NULL, ALL_TEXTS},
        {"mistral-v1", "tokenizers/sentencepiece/mistral-v1.tokenizer.model", NULL, ALL_TEXTS},
        {"mistral-v3", "tokenizers/sentencepiece/mistral-v3.tokenizer.model", NULL, ALL_TEXTS},
        {"open_llama_3b", "tokenizers/sentencepiece/open_llama_3b.tokenizer.model", NULL,
         ALL_TEXTS},
        {"stories260K-tok512", "models/stories260K/tok512.model", NULL, ALL_TEXTS},
        {"stories260K-tok512", "models/stories260K/derived/stories260K-F32.gguf", NULL,
         SINGLE_SPACED},
        {"tinystories-656k", "models/tinystories-656k/derived/tinystories-656k-F32.gguf", NULL,
         ALL_TEXTS},
    };
    const char *folder = test_data_folder();
    if (folder == NULL) {
        skip();
    }
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/tokenizers/vectors.jsonl", folder);
    size_t byte_count = 0;
    char *lines = vocab_files_read(path, &byte_count);
    assert_non_null(lines);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        check_json_vectors(folder, lines, &vectors[i]);
    }
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_the_vectors_of_llama_cpp),
        cmocka_unit_test(equal_to_the_vectors_of_the_reference_tokenizers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
