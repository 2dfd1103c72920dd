/* hf_weights.h - the tensors of a Hugging Face directory: model.safetensors, or the shards that
 * model.safetensors.index.json lists.
 *
 * Every shard is checked as a file, the index against the shards: each tensor is where the index
 * says and nowhere else, and no name of a file leads out of the directory.
 * Thread: any; immutable once open. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_WEIGHTS_H
#define ENGINE_FORMATS_HF_WEIGHTS_H

#include "engine/formats/gguf_builder.h"
#include "engine/formats/safetensors.h"

enum {
    HF_PATH_BYTES = 4096
};

struct hf_shard {
    char *path;
    const uint8_t *bytes; /* mapped; NULL once handed over */
    uint64_t byte_count;
    struct safetensors file;
};

struct hf_weight {
    const struct safetensors_tensor *tensor;
    const struct hf_shard *shard;
    bool made; /* of several stored ones, in memory of its own */
};

struct hf_weights {
    struct hf_shard *shards; /* [shard_count] */
    uint32_t shard_count;
    struct hf_weight *weights; /* [weight_count], sorted by name */
    uint64_t weight_count;
    struct safetensors_tensor *made; /* by others, for entries of `weights`; or NULL */
};

enum status hf_weights_open(struct hf_weights *out, const char *dir, struct error *err);
void hf_weights_close(struct hf_weights *weights);

/* NULL: there is none of that name. */
const struct hf_weight *hf_weights_find(const struct hf_weights *weights, const char *name);

/* After a change of `weights`: in order again, and no name twice. */
enum status hf_weights_sort(struct hf_weights *weights, struct error *err);

/* Gives the mappings to the builder, whose tensors point into them. */
void hf_weights_hand_over(struct hf_weights *weights, struct gguf_builder *builder);

/* dir/name into path, of HF_PATH_BYTES; refused when it does not fit. */
enum status hf_weights_path(char *path, const char *dir, const char *name, struct error *err);

#endif
