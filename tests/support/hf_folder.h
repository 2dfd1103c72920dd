/* hf_folder.h - a throw-away Hugging Face directory: a tiny model, and the ways to break it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_HF_FOLDER_H
#define TESTS_SUPPORT_HF_FOLDER_H

#include <stdint.h>

struct hf_folder {
    char path[64];
};

/* A directory under /tmp with a tokenizer of 8 tokens; no configuration, no weights. */
void hf_folder_make(struct hf_folder *folder);
void hf_folder_drop(struct hf_folder *folder);

void hf_folder_write(const struct hf_folder *folder, const char *name, const void *bytes,
                     uint64_t byte_count);
void hf_folder_remove(const struct hf_folder *folder, const char *name);

/* A safetensors file `name` of f32 tensors, given as "name rows values" (values 0: a vector of
 * rows), up to NULL. The numbers count upwards over the whole file. */
void hf_folder_write_weights(const struct hf_folder *folder, const char *name,
                             const char *const *tensors);

struct hf_folder_tensor {
    const char *name;
    const char *dtype; /* as safetensors spells it */
    uint32_t dim_count;
    uint64_t shape[4]; /* outermost first */
    const void *bytes;
    uint64_t byte_count;
};

/* A safetensors file `name` of any tensors. */
void hf_folder_write_tensors(const struct hf_folder *folder, const char *name,
                             const struct hf_folder_tensor *tensors, uint32_t tensor_count);

#endif
