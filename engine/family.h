/* family.h - what tells the model families apart: one row of data each.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FAMILY_H
#define ENGINE_FAMILY_H

#include "configs/error.h"
#include "engine/formats/gguf.h"
#include "kernels/backend.h"

#include <stdbool.h>

struct family {
    const char *architecture; /* general.architecture, and the prefix of the family's keys */
    enum rope_style rope_style;
    enum activation activation;
    bool qkv_bias;         /* q, k and v biases are part of the architecture */
    bool qk_norm;          /* so are norms over each head's q and k */
    bool experts;          /* every layer's ffn is a mixture of experts, routed by softmax */
    bool expert_normalize; /* the weights of those used are scaled to sum 1 */
    bool shared_expert;    /* beside them one that all rows use, through a sigmoid of its own */
};

/* The family that general.architecture names; an unknown one is refused with the list of known. */
enum status family_find(const struct family **out, const struct gguf *file, struct error *err);

/* Text from a file as a message can show it: cut to out_bytes, one line, printable. Returns out. */
const char *family_printable(char *out, size_t out_bytes, struct gguf_string text);

#endif
