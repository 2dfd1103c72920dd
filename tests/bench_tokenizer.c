/* bench_tokenizer.c - megabytes of text a second, one thread.
 *
 * Usage: bench_tokenizer VOCABULARY TEXT [PRE]: a GGUF file, or a tiktoken rank file with its
 * pre-tokenizer's name. Without arguments: long runs, which must not cost more than plain text,
 * and plain text, on whatever vocabularies the data folder has.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/gguf.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/vocab_files.h"

#include <time.h>

enum {
    PATH_BYTES = 4096,
    RUN_BYTES = 1 << 20,
    REPEATS = 5,
};

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* The vocabulary stays open to the end of the program. */
static struct tokenizer *open_vocabulary(const char *path, const char *pre)
{
    static struct gguf files[16];
    static size_t file_count;
    struct gguf *file = &files[file_count++];
    struct error err = {0};
    if (pre == NULL) {
        if (gguf_open(file, path, &err) != OK) {
            fprintf(stderr, "%s\n", err.message);
            return NULL;
        }
    } else {
        struct gguf_writer writer;
        gguf_writer_init(&writer);
        if (!vocab_files_add_tiktoken(&writer, path, pre)) {
            return NULL;
        }
        uint64_t byte_count = 0;
        uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
        gguf_writer_release(&writer);
        if (gguf_parse(file, bytes, byte_count, path, &err) != OK) {
            fprintf(stderr, "%s\n", err.message);
            return NULL;
        }
    }
    struct tokenizer *tokenizer = NULL;
    double start = now_s();
    if (tokenizer_open(&tokenizer, file, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        return NULL;
    }
    printf("%-50.50s open: %6.1f ms\n", strrchr(path, '/') ? strrchr(path, '/') + 1 : path,
           (now_s() - start) * 1e3);
    return tokenizer;
}

static void measure(const struct tokenizer *tokenizer, const char *what, const char *text,
                    size_t text_bytes)
{
    uint32_t *ids = malloc((text_bytes + 16) * sizeof *ids);
    size_t id_count = 0;
    double best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        double start = now_s();
        if (tokenizer_encode(tokenizer, text, text_bytes, 0, ids, text_bytes + 16, &id_count,
                             NULL) != OK) {
            fprintf(stderr, "%s: failed\n", what);
            break;
        }
        double took = now_s() - start;
        best = took < best ? took : best;
    }
    printf("  %-30s %7.1f MB/s  %7.3f s  %zu bytes, %zu tokens\n", what,
           (double)text_bytes / 1e6 / best, best, text_bytes, id_count);
    free(ids);
}

static void measure_run(const struct tokenizer *tokenizer, const char *what, const char *unit)
{
    char *text = malloc(RUN_BYTES + 16);
    size_t unit_bytes = strlen(unit);
    size_t text_bytes = 0;
    while (text_bytes < RUN_BYTES || text_bytes % unit_bytes != 0) {
        text[text_bytes] = unit[text_bytes % unit_bytes];
        text_bytes++;
    }
    measure(tokenizer, what, text, text_bytes);
    free(text);
}

static void measure_all(const struct tokenizer *tokenizer, const char *text, size_t text_bytes)
{
    static const char *const runs[][2] = {
        {"run of a letter", "a"},
        {"run of spaces", " "},
        {"run of digits", "7"},
        {"run of signs", "!"},
        {"run of line ends", "\n"},
        {"run of CJK", "\xE4\xB8\xAD"},
        {"run of two marks", "\xCC\x81\xCC\xA3"},
        {"run of joined emoji", "\xF0\x9F\x91\xA9\xE2\x80\x8D"},
        {"letters and signs", "a!"},
        {"letters and spaces", "a "},
        {"upper and lower case", "aB"},
        {"bytes that are not UTF-8", "\xFF\xC3"},
        {"openings of special tokens", "<|"},
    };
    if (text != NULL) {
        measure(tokenizer, "text", text, text_bytes);
    }
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        measure_run(tokenizer, runs[i][0], runs[i][1]);
    }
}

static void measure_data_folder(const char *folder)
{
    static const char *const vocabularies[][2] = {
        {"tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf", NULL},
        {"tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf", NULL},
        {"tokenizers/ggml-vocab/ggml-vocab-deepseek-llm.gguf", NULL},
        {"tokenizers/ggml-vocab/ggml-vocab-gpt-neox.gguf", NULL},
        {"tokenizers/tiktoken/llama3.tokenizer.model", "llama-bpe"},
        {"tokenizers/tiktoken/qwen.tiktoken", "qwen2"},
        {"tokenizers/tiktoken/o200k_base.tiktoken", "gpt-4o"},
        {"models/tinystories-656k/derived/tinystories-656k-Q8_0.gguf", NULL},
    };
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "xz -dc %s/corpora/war-and-peace.txt.xz", folder);
    FILE *pipe = popen(path, "r");
    char *text = malloc(8u << 20);
    size_t text_bytes = pipe != NULL && text != NULL ? fread(text, 1, 8u << 20, pipe) : 0;
    if (pipe != NULL) {
        pclose(pipe);
    }
    for (size_t i = 0; i < sizeof vocabularies / sizeof vocabularies[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, vocabularies[i][0]);
        struct tokenizer *tokenizer = open_vocabulary(path, vocabularies[i][1]);
        if (tokenizer != NULL) {
            measure_all(tokenizer, text_bytes > 0 ? text : NULL, text_bytes);
            tokenizer_close(tokenizer);
        }
    }
    free(text);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        const char *folder = test_data_folder();
        if (folder != NULL) {
            measure_data_folder(folder);
        }
        return 0;
    }
    size_t text_bytes = 0;
    char *text = vocab_files_read(argv[2], &text_bytes);
    struct tokenizer *tokenizer = open_vocabulary(argv[1], argc > 3 ? argv[3] : NULL);
    if (text == NULL || tokenizer == NULL) {
        return 1;
    }
    measure_all(tokenizer, text, text_bytes);
    tokenizer_close(tokenizer);
    free(text);
    return 0;
}
