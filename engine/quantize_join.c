/* quantize_join.c - where expert 0 stands, all of its layer's experts are put.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/quantize_join.h"

#include "configs/limits.h"
#include "engine/formats/gguf_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 256
};

/* The name of one expert's tensor, taken apart. */
struct expert_name {
    char stem[32]; /* "blk.3.ffn_gate" */
    uint32_t expert;
};

static bool parse_name(struct expert_name *out, struct gguf_string name)
{
    char text[64];
    char part[8];
    unsigned layer = 0;
    unsigned expert = 0;
    if (name.byte_count >= sizeof text) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s", (int)name.byte_count, name.bytes);
    if (sscanf(text, "blk.%6u.ffn_%7[a-z].%6u.weight", &layer, part, &expert) != 3 ||
        (strcmp(part, "gate") != 0 && strcmp(part, "up") != 0 && strcmp(part, "down") != 0)) {
        return false;
    }
    char again[64];
    snprintf(out->stem, sizeof out->stem, "blk.%u.ffn_%s", layer, part);
    snprintf(again, sizeof again, "%s.%u.weight", out->stem, expert);
    out->expert = expert;
    return strcmp(text, again) == 0;
}

static const struct gguf_tensor *find_expert(const struct gguf *file, const char *stem,
                                             uint32_t expert)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%u.weight", stem, expert);
    return gguf_find_tensor(file, name);
}

/* Types that cannot be read have no tensor to be joined. */
static bool is_joined(const struct gguf *file)
{
    bool any = false;
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        struct expert_name name;
        any = any || parse_name(&name, file->tensors[i].name);
        if (!file->tensors[i].supported) {
            return false;
        }
    }
    return any;
}

static bool are_alike(const struct tensor *a, const struct tensor *b)
{
    return a->dtype == b->dtype && a->dim_count == 2 && b->dim_count == 2 &&
           a->shape[0] == b->shape[0] && a->shape[1] == b->shape[1];
}

/* All experts of a stem as pieces; *experts says how many there are. */
static enum status take_experts(struct quantize_join *out, const struct gguf *file,
                                const char *stem, uint64_t *piece_count, uint64_t *experts,
                                struct error *err)
{
    const struct gguf_tensor *first = find_expert(file, stem, 0);
    *experts = 0;
    for (const struct gguf_tensor *piece = first; piece != NULL && *experts < LIMIT_MODEL_EXPERTS;
         piece = find_expert(file, stem, (uint32_t)*experts)) {
        if (!are_alike(&first->tensor, &piece->tensor)) {
            return error_set(err, ERR_UNSUPPORTED,
                             "%s: tensor %s.%llu.weight is not of the type and shape of expert 0's",
                             file->path, stem, (unsigned long long)*experts);
        }
        out->pieces[(*piece_count)++] = piece;
        ++*experts;
    }
    return OK;
}

static enum status add_tensor(struct quantize_join *out, struct gguf_builder *builder,
                              const struct gguf *file, uint64_t index, uint64_t *piece_count,
                              struct error *err)
{
    const struct gguf_tensor *found = &file->tensors[index];
    struct tensor tensor = found->tensor;
    struct expert_name expert;
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)found->name.byte_count, found->name.bytes);
    if (!parse_name(&expert, found->name)) {
        out->pieces[(*piece_count)++] = found;
    } else if (expert.expert > 0) {
        bool taken = find_expert(file, expert.stem, expert.expert - 1) != NULL;
        return taken ? OK
                     : error_set(err, ERR_FORMAT, "%s: tensor %s: there is no expert %u before it",
                                 file->path, name, expert.expert - 1);
    } else {
        uint64_t experts = 0;
        enum status status = take_experts(out, file, expert.stem, piece_count, &experts, err);
        if (status != OK) {
            return status;
        }
        snprintf(name, sizeof name, "%s_exps.weight", expert.stem);
        tensor.dim_count = 3;
        tensor.shape[0] = experts;
        tensor.shape[1] = found->tensor.shape[0];
        tensor.shape[2] = found->tensor.shape[1];
    }
    gguf_builder_add_tensor(builder, name, &tensor);
    out->first_pieces[builder->file.tensor_count] = *piece_count;
    return OK;
}

static enum status join(struct quantize_join *out, const struct gguf *file, struct error *err)
{
    struct gguf_builder builder;
    gguf_builder_init(&builder, file->path);
    uint64_t piece_count = 0;
    enum status status = OK;
    for (uint64_t i = 0; i < file->tensor_count && status == OK; i++) {
        status = add_tensor(out, &builder, file, i, &piece_count, err);
    }
    if (status != OK) {
        gguf_builder_release(&builder);
        return status;
    }
    status = gguf_builder_finish(&builder, &out->file, err);
    out->joined = status == OK;
    return status;
}

enum status quantize_join_make(struct quantize_join *out, const struct gguf *file,
                               struct error *err)
{
    *out = (struct quantize_join){
        .pieces = calloc(file->tensor_count + 1, sizeof(const struct gguf_tensor *)),
        .first_pieces = calloc(file->tensor_count + 1, sizeof(uint64_t)),
    };
    if (out->pieces == NULL || out->first_pieces == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for %llu tensors", file->path,
                         (unsigned long long)file->tensor_count);
    }
    if (is_joined(file)) {
        return join(out, file, err);
    }
    out->file = *file;
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        out->pieces[i] = &file->tensors[i];
        out->first_pieces[i + 1] = i + 1;
    }
    return OK;
}

void quantize_join_release(struct quantize_join *join)
{
    if (join->joined) {
        gguf_close(&join->file);
    }
    free(join->pieces);
    free(join->first_pieces);
    *join = (struct quantize_join){0};
}
