/* weights.h - which tensor of a file goes where in a model, and what tells the families apart.
 *
 * A family is one row: how its heads are rotated, which optional parts it has. Tensor names are
 * one table for all of them. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include "configs/error.h"
#include "engine/formats/gguf.h"
#include "engine/model.h"
#include "kernels/backend.h"

#include <stdbool.h>

struct weights_family {
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
enum status weights_find_family(const struct weights_family **out, const struct gguf *file,
                                struct error *err);

/* Points every tensor of model (layers allocated, params read) at the file's bytes, norms and
 * biases converted to f32 in model->converted, and imports them into the backend. */
enum status weights_bind(struct model *model, const struct gguf *file, struct backend *be,
                         struct error *err);

/* Memory that the backend will take for its own copies of the file's weights. */
uint64_t weights_packed_bytes(const struct gguf *file, enum precision precision);

/* Text from a file as a message can show it: cut to out_bytes, one line, printable. Returns out. */
const char *weights_printable(char *out, size_t out_bytes, struct gguf_string text);

#endif
