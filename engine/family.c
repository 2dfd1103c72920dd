/* family.c - the rows. SPDX-License-Identifier: Apache-2.0 */
#include "engine/family.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_BYTES = 96,
    LIST_BYTES = 224 /* of all names: a message has 256 */
};

static const struct family families[] = {
    {.architecture = "llama",
     .rope_style = ROPE_NEIGHBOURS,
     .experts = EXPERTS_MAYBE,
     .expert_normalize = true,
     .expert_whole = true,
     .window_period = 1},
    {.architecture = "qwen2", .rope_style = ROPE_HALVES, .qkv_bias = true},
    {.architecture = "qwen3", .rope_style = ROPE_HALVES, .qk_norm = QK_NORM_HEAD},
    {.architecture = "qwen2moe",
     .rope_style = ROPE_HALVES,
     .qkv_bias = true,
     .experts = EXPERTS_ALWAYS,
     .shared_expert = true},
    {.architecture = "qwen3moe",
     .rope_style = ROPE_HALVES,
     .qk_norm = QK_NORM_HEAD,
     .experts = EXPERTS_ALWAYS,
     .expert_normalize = true},
    {.architecture = "olmo2",
     .rope_style = ROPE_HALVES,
     .norm_place = NORMS_AFTER,
     .qk_norm = QK_NORM_ROW,
     .window_period = 4,
     .window_rope_plain = true},
    {.architecture = "olmoe",
     .rope_style = ROPE_HALVES,
     .qk_norm = QK_NORM_ROW,
     .experts = EXPERTS_ALWAYS,
     .expert_whole = true},
    {.architecture = "phi3", .rope_style = ROPE_HALVES, .ffn = FFN_GATED_FUSED, .window_period = 1},
    {.architecture = "granite", .rope_style = ROPE_NEIGHBOURS, .logit_divided = true},
    {.architecture = "smollm3", .rope_style = ROPE_NEIGHBOURS, .no_rope_period = 4},
    {.architecture = "gemma2",
     .rope_style = ROPE_HALVES,
     .norm_place = NORMS_AROUND,
     .activation = ACTIVATION_GELU_TANH,
     .embedding_root = true,
     .window_period = 2,
     .window_default = 4096,
     .scale_by_dim_layers = 46,
     .attention_softcap_default = 50.0f,
     .logit_softcap_default = 30.0f},
    {.architecture = "gemma3",
     .rope_style = ROPE_HALVES,
     .norm_place = NORMS_AROUND,
     .qk_norm = QK_NORM_HEAD,
     .activation = ACTIVATION_GELU_TANH,
     .embedding_root = true,
     .window_period = 6,
     .window_rope_plain = true,
     .window_rope_theta = 10000.0f,
     .scale_by_dim_layers = 62},
    {.architecture = "glm4",
     .rope_style = ROPE_NEIGHBOURS,
     .norm_place = NORMS_AROUND,
     .ffn = FFN_GATED_FUSED},
    {.architecture = "stablelm",
     .rope_style = ROPE_HALVES,
     .norm = NORM_LAYER,
     .qk_norm_each = true,
     .norm_bias = true,
     .parallel_by_file = true,
     .shared_norm = true},
    {.architecture = "starcoder2",
     .rope_style = ROPE_HALVES,
     .norm = NORM_LAYER,
     .norm_bias = true,
     .ffn = FFN_PLAIN,
     .activation = ACTIVATION_GELU_TANH,
     .window_period = 1},
    {.architecture = "command-r",
     .rope_style = ROPE_NEIGHBOURS,
     .norm = NORM_LAYER,
     .qk_norm_each = true,
     .parallel = true,
     .shared_norm = true},
    {.architecture = "gptneox",
     .rope_style = ROPE_HALVES,
     .norm = NORM_LAYER,
     .norm_bias = true,
     .ffn = FFN_PLAIN,
     .activation = ACTIVATION_GELU,
     .parallel = true,
     .parallel_by_file = true},
    {.architecture = "gpt2",
     .norm = NORM_LAYER,
     .norm_bias = true,
     .qkv_bias = true,
     .ffn = FFN_PLAIN,
     .activation = ACTIVATION_GELU_TANH,
     .learned_positions = true},
    {.architecture = "falcon",
     .rope_style = ROPE_HALVES,
     .norm = NORM_LAYER,
     .norm_bias = true,
     .ffn = FFN_PLAIN,
     .activation = ACTIVATION_GELU,
     .parallel = true,
     .shared_norm = true,
     .parallel_by_file = true,
     .second_norm = true},
    {.architecture = "gpt-oss",
     .rope_style = ROPE_HALVES,
     .activation = ACTIVATION_SWIGLU_CLAMPED,
     .qkv_bias = true,
     .experts = EXPERTS_ALWAYS,
     .expert_normalize = true,
     .expert_bias = true,
     .window_period = 2,
     .sinks = true,
     .post_named_norm = true,
     .yarn_exact = true},
    {.architecture = "deepseek2",
     .rope_style = ROPE_NEIGHBOURS,
     .latent = true,
     .experts = EXPERTS_MAYBE,
     .leading_dense = true,
     .routed_by_file = true,
     .shared_plain = true,
     .next_layers = true},
};

enum {
    FAMILY_COUNT = sizeof families / sizeof families[0]
};

const char *family_printable(char *out, size_t out_bytes, struct gguf_string text)
{
    size_t used = 0;
    while (used < text.byte_count && used + 4 < out_bytes) {
        unsigned char byte = (unsigned char)text.bytes[used];
        out[used++] = isprint(byte) ? (char)byte : '?';
    }
    out[used] = '\0';
    if (used < text.byte_count) {
        memcpy(out + used, "...", 4);
    }
    return out;
}

enum status family_find(const struct family **out, const struct gguf *file, struct error *err)
{
    struct gguf_string name;
    enum status status = gguf_get_string(file, "general.architecture", true, &name, err);
    if (status != OK) {
        return status;
    }
    char known[LIST_BYTES] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < FAMILY_COUNT; i++) {
        if (gguf_string_equal(name, families[i].architecture)) {
            *out = &families[i];
            return OK;
        }
        int written = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                               families[i].architecture);
        used += (size_t)written;
        assert(used < sizeof known);
    }
    char text[NAME_BYTES];
    return error_set(err, ERR_UNSUPPORTED,
                     "%s: general.architecture is \"%s\"; the known ones are %s", file->path,
                     family_printable(text, sizeof text, name), known);
}
