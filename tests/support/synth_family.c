/* synth_family.c - windows are short and caps tight, so that short tests meet them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/synth_family.h"

#include <stddef.h>
#include <string.h>

enum {
    LAYER_NORMS = SYNTH_NORMS | SYNTH_LAYER_NORM,
    BIASED_NORMS = LAYER_NORMS | SYNTH_NORM_BIASES,
    WINDOW = 24
};

const struct synth_family synth_family_rows[] = {
    {.arch = "llama", .tensors = SYNTH_NORMS},
    {.arch = "qwen2", .tensors = SYNTH_NORMS | SYNTH_QKV_BIASES},
    {.arch = "qwen3", .tensors = SYNTH_NORMS | SYNTH_HEAD_NORMS},
    {.arch = "qwen2moe",
     .tensors = SYNTH_NORMS | SYNTH_QKV_BIASES | SYNTH_EXPERTS | SYNTH_SHARED_EXPERT},
    {.arch = "qwen3moe", .tensors = SYNTH_NORMS | SYNTH_HEAD_NORMS | SYNTH_EXPERTS},
    {.arch = "olmo2", .tensors = SYNTH_POST_NORMS | SYNTH_ROW_NORMS},
    {.arch = "olmoe", .tensors = SYNTH_NORMS | SYNTH_ROW_NORMS | SYNTH_EXPERTS},
    {.arch = "phi3",
     .tensors = SYNTH_NORMS | SYNTH_QKV_FUSED | SYNTH_GATE_FUSED,
     .window = WINDOW,
     .rotary_dim = 12},
    {.arch = "granite", .tensors = SYNTH_NORMS, .scales = 0.5f, .logit_scale = 4.0f},
    {.arch = "smollm3", .tensors = SYNTH_NORMS},
    {.arch = "gemma2",
     .tensors = SYNTH_NORMS | SYNTH_POST_NORMS,
     .window = WINDOW,
     .attention_softcap = 2.0f,
     .logit_softcap = 3.0f},
    {.arch = "gemma3",
     .tensors = SYNTH_NORMS | SYNTH_POST_NORMS | SYNTH_HEAD_NORMS,
     .window = WINDOW},
    {.arch = "glm4",
     .tensors = SYNTH_NORMS | SYNTH_POST_NORMS | SYNTH_QKV_BIASES | SYNTH_GATE_FUSED,
     .rotary_dim = 8},
    {.arch = "stablelm", .tensors = BIASED_NORMS, .rotary_dim = 4},
    {.arch = "starcoder2",
     .tensors = BIASED_NORMS | SYNTH_QKV_BIASES | SYNTH_OUTPUT_BIASES | SYNTH_NO_GATE,
     .window = WINDOW},
    {.arch = "command-r",
     .tensors = LAYER_NORMS | SYNTH_ONE_NORM | SYNTH_EACH_NORMS,
     .logit_scale = 0.25f},
    {.arch = "gptneox",
     .tensors =
         BIASED_NORMS | SYNTH_QKV_FUSED | SYNTH_QKV_BIASES | SYNTH_OUTPUT_BIASES | SYNTH_NO_GATE,
     .rotary_dim = 4},
    {.arch = "gpt2",
     .tensors = BIASED_NORMS | SYNTH_QKV_FUSED | SYNTH_QKV_BIASES | SYNTH_OUTPUT_BIASES |
                SYNTH_NO_GATE | SYNTH_POSITIONS},
    {.arch = "falcon",
     .tensors =
         BIASED_NORMS | SYNTH_ONE_NORM | SYNTH_SECOND_NORM | SYNTH_QKV_FUSED | SYNTH_NO_GATE},
    {.arch = "gpt-oss",
     .tensors = SYNTH_NORMS | SYNTH_POST_NAMED | SYNTH_QKV_BIASES | SYNTH_OUTPUT_BIASES |
                SYNTH_SINKS | SYNTH_EXPERTS | SYNTH_EXPERT_BIASES,
     .window = WINDOW},
    {.arch = "deepseek2",
     .tensors = SYNTH_NORMS | SYNTH_LATENT | SYNTH_EXPERTS | SYNTH_SHARED_PLAIN | SYNTH_MERIT_BIAS,
     .rotary_dim = 8,
     .leading_dense = 1},
};

const uint32_t synth_family_count = sizeof synth_family_rows / sizeof synth_family_rows[0];

const struct synth_family *synth_family_find(const char *arch)
{
    for (uint32_t i = 0; i < synth_family_count; i++) {
        if (strcmp(synth_family_rows[i].arch, arch) == 0) {
            return &synth_family_rows[i];
        }
    }
    return NULL;
}
