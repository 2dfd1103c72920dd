/* gguf_builder.h - a struct gguf made of parts instead of read from one file.
 *
 * Other formats are served as the GGUF file that could have been made of them: their readers add
 * entries under GGUF's keys and tensors under GGUF's names, and the rest of the engine knows one
 * kind of model file. Keys, strings and arrays are copied; the data of tensors is not, so the
 * memory it lies in is handed over too (gguf_builder_own, gguf_builder_own_mapping).
 *
 *     gguf_builder_init(&builder, "models/tiny");
 *     gguf_builder_set_u32(&builder, "llama.block_count", 2);
 *     ...
 *     status = gguf_builder_finish(&builder, &file, err);   // or gguf_builder_release
 *
 * Nothing in between need be checked: the first failure is kept, and finish reports it.
 * Thread: one builder, one thread. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_GGUF_BUILDER_H
#define ENGINE_FORMATS_GGUF_BUILDER_H

#include "engine/formats/gguf.h"

struct gguf_builder {
    struct gguf file;         /* under construction; its indices are made by finish */
    uint64_t entry_capacity;  /* allocated: powers of two */
    uint64_t tensor_capacity; /* likewise */
    struct error error;       /* the first failure; its status is OK while there is none */
};

/* path: the directory or file that messages name. */
void gguf_builder_init(struct gguf_builder *builder, const char *path);

/* Gives everything back, also what was handed over. Nothing is left to do after finish. */
void gguf_builder_release(struct gguf_builder *builder);

void gguf_builder_set_u32(struct gguf_builder *builder, const char *key, uint32_t value);
void gguf_builder_set_u64(struct gguf_builder *builder, const char *key, uint64_t value);
void gguf_builder_set_f32(struct gguf_builder *builder, const char *key, float value);
void gguf_builder_set_bool(struct gguf_builder *builder, const char *key, bool value);
/* text is terminated; set_bytes takes any bytes. */
void gguf_builder_set_string(struct gguf_builder *builder, const char *key, const char *text);
void gguf_builder_set_bytes(struct gguf_builder *builder, const char *key,
                            struct gguf_string string);

/* Arrays of `count` values. */
void gguf_builder_set_strings(struct gguf_builder *builder, const char *key,
                              const struct gguf_string *values, uint64_t count);
void gguf_builder_set_u8s(struct gguf_builder *builder, const char *key, const uint8_t *values,
                          uint64_t count);
void gguf_builder_set_u32s(struct gguf_builder *builder, const char *key, const uint32_t *values,
                           uint64_t count);
void gguf_builder_set_i32s(struct gguf_builder *builder, const char *key, const int32_t *values,
                           uint64_t count);
void gguf_builder_set_f32s(struct gguf_builder *builder, const char *key, const float *values,
                           uint64_t count);
void gguf_builder_set_bools(struct gguf_builder *builder, const char *key, const bool *values,
                            uint64_t count);

/* What was set under a key so far, or NULL. Valid until the next call that sets something. */
const struct gguf_entry *gguf_builder_find(const struct gguf_builder *builder, const char *key);

/* Another value for a key that was set. */
void gguf_builder_change_u32(struct gguf_builder *builder, const char *key, uint32_t value);

/* Adds a tensor: `tensor` gives dtype, shape (outermost first) and data, which stays where it is. */
void gguf_builder_add_tensor(struct gguf_builder *builder, const char *name,
                             const struct tensor *tensor);

/* Hands over memory of malloc, or a mapping of byte_count bytes, to be given back by gguf_close (or
 * gguf_builder_release): also when this call fails. */
void gguf_builder_own(struct gguf_builder *builder, void *memory);
void gguf_builder_own_mapping(struct gguf_builder *builder, const void *bytes, uint64_t byte_count);

/* Makes the file, which gguf_close gives back, and leaves the builder empty. On failure (the first
 * that there was, or a key or tensor given twice) everything is given back. */
enum status gguf_builder_finish(struct gguf_builder *builder, struct gguf *out, struct error *err);

#endif
