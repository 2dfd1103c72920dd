/* tool_synth_gguf OUT [--preset NAME] [--arch NAME] [--type T] [--output-type T] [--seed N] ...
 * writes a synthetic model: real dimensions and a working tokenizer, random weights. For
 * benchmarks and for trying the daemon where no trained model is at hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/quant.h"
#include "tests/support/synth_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum value_kind {
    VALUE_U32,
    VALUE_U64,
    VALUE_F32,
    VALUE_DTYPE,
    VALUE_BOOL,
    VALUE_ROPE,
    VALUE_TEXT,
};

static const struct option {
    const char *flag;
    enum value_kind kind;
    size_t offset;
    const char *help;
} option_table[] = {
    {"--arch", VALUE_TEXT, offsetof(struct synth_options, arch),
     "llama, qwen2, qwen3, qwen2moe or qwen3moe"},
    {"--type", VALUE_DTYPE, offsetof(struct synth_options, dtype), "of matrices: q4_0, q4_K, ..."},
    {"--output-type", VALUE_DTYPE, offsetof(struct synth_options, output_dtype),
     "of embedding and output; follows --type when that is given alone"},
    {"--seed", VALUE_U64, offsetof(struct synth_options, seed), "of the weights"},
    {"--layers", VALUE_U32, offsetof(struct synth_options, layer_count), NULL},
    {"--dim", VALUE_U32, offsetof(struct synth_options, dim), NULL},
    {"--heads", VALUE_U32, offsetof(struct synth_options, head_count), NULL},
    {"--kv-heads", VALUE_U32, offsetof(struct synth_options, kv_head_count), NULL},
    {"--head-dim", VALUE_U32, offsetof(struct synth_options, head_dim), NULL},
    {"--ffn-dim", VALUE_U32, offsetof(struct synth_options, ffn_dim), NULL},
    {"--experts", VALUE_U32, offsetof(struct synth_options, expert_count), NULL},
    {"--experts-used", VALUE_U32, offsetof(struct synth_options, expert_used_count), NULL},
    {"--expert-dim", VALUE_U32, offsetof(struct synth_options, expert_ffn_dim), NULL},
    {"--shared-dim", VALUE_U32, offsetof(struct synth_options, shared_ffn_dim),
     "of the expert that all rows use: qwen2moe"},
    {"--vocab", VALUE_U32, offsetof(struct synth_options, vocab_count), NULL},
    {"--context", VALUE_U32, offsetof(struct synth_options, context), NULL},
    {"--tied", VALUE_BOOL, offsetof(struct synth_options, tied), "0 or 1: no output matrix"},
    {"--spm", VALUE_BOOL, offsetof(struct synth_options, spm), "0 or 1: SentencePiece tokenizer"},
    {"--rope", VALUE_ROPE, offsetof(struct synth_options, rope), "plain, linear, yarn or llama3"},
    {"--rope-theta", VALUE_F32, offsetof(struct synth_options, rope_theta), NULL},
    {"--rope-factor", VALUE_F32, offsetof(struct synth_options, rope_factor), NULL},
    {"--rope-original", VALUE_U32, offsetof(struct synth_options, rope_original), NULL},
};

static const char *const rope_names[] = {"plain", "linear", "yarn", "llama3"};

static void print_usage(void)
{
    fprintf(stderr,
            "usage: tool_synth_gguf OUT [--preset NAME] [options]\n"
            "  --preset        micro, tiny, tiny-moe, qwen2.5-0.5b, qwen3-0.6b, "
            "llama-3.2-1b,\n                  qwen1.5-moe-a2.7b, olmoe-1b-7b or qwen3-30b-a3b\n");
    for (size_t i = 0; i < sizeof option_table / sizeof option_table[0]; i++) {
        const char *help = option_table[i].help;
        fprintf(stderr, "  %-15s %s\n", option_table[i].flag, help != NULL ? help : "a number");
    }
}

static bool read_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *out = value;
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && value <= max;
}

static bool read_dtype(const char *text, enum dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (strcasecmp(text, quant_format_get((enum dtype)i)->name) == 0) {
            *out = (enum dtype)i;
            return true;
        }
    }
    return false;
}

static bool read_rope(const char *text, enum synth_rope *out)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, rope_names[i]) == 0) {
            *out = (enum synth_rope)i;
            return true;
        }
    }
    return false;
}

static bool read_value(const struct option *option, const char *text, struct synth_options *options)
{
    void *field = (char *)options + option->offset;
    uint64_t number = 0;
    bool good = true;
    switch (option->kind) {
    case VALUE_U32:
        good = read_number(text, UINT32_MAX, &number);
        *(uint32_t *)field = (uint32_t)number;
        return good;
    case VALUE_U64:
        return read_number(text, UINT64_MAX, field);
    case VALUE_BOOL:
        good = read_number(text, 1, &number);
        *(bool *)field = number != 0;
        return good;
    case VALUE_F32:
        *(float *)field = strtof(text, NULL);
        return *(float *)field > 0.0f;
    case VALUE_DTYPE:
        return read_dtype(text, field);
    case VALUE_ROPE:
        return read_rope(text, field);
    case VALUE_TEXT:
        *(const char **)field = text;
        return true;
    }
    return false;
}

static bool read_option(const char *flag, const char *text, struct synth_options *options)
{
    if (strcmp(flag, "--preset") == 0) {
        return true; /* has been applied before all others */
    }
    for (size_t i = 0; i < sizeof option_table / sizeof option_table[0]; i++) {
        if (strcmp(flag, option_table[i].flag) == 0) {
            return read_value(&option_table[i], text, options);
        }
    }
    return false;
}

static const char *value_of(int count, char **arguments, const char *flag)
{
    for (int i = 2; i + 1 < count; i += 2) {
        if (strcmp(arguments[i], flag) == 0) {
            return arguments[i + 1];
        }
    }
    return NULL;
}

static bool read_arguments(int count, char **arguments, struct synth_options *options)
{
    const char *preset = value_of(count, arguments, "--preset");
    if (!synth_model_preset(options, preset != NULL ? preset : "tiny")) {
        fprintf(stderr, "unknown preset %s\n", preset);
        return false;
    }
    for (int i = 2; i < count; i += 2) {
        if (i + 1 == count || !read_option(arguments[i], arguments[i + 1], options)) {
            fprintf(stderr, "cannot use %s %s\n", arguments[i],
                    i + 1 < count ? arguments[i + 1] : "");
            return false;
        }
    }
    if (value_of(count, arguments, "--output-type") == NULL) {
        options->output_dtype =
            value_of(count, arguments, "--type") != NULL ? options->dtype : options->output_dtype;
    }
    return true;
}

int main(int count, char **arguments)
{
    struct synth_options options;
    if (count < 2 || arguments[1][0] == '-' || !read_arguments(count, arguments, &options)) {
        print_usage();
        return 2;
    }
    FILE *out = fopen(arguments[1], "wb");
    if (out == NULL) {
        fprintf(stderr, "%s: %s\n", arguments[1], strerror(errno));
        return 1;
    }
    bool good = synth_model_write(&options, out);
    good = fclose(out) == 0 && good;
    if (!good) {
        fprintf(stderr, "%s: not written\n", arguments[1]);
        remove(arguments[1]);
    }
    return good ? 0 : 1;
}
