/* model.c - hyper-parameters come from the file's metadata through one table of keys, each with
 * the range that keeps every later product small; what a file leaves out gets the default that
 * llama.cpp, whose files these are, would take. Tensors are weights.c's business.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model.h"

#include "configs/limits.h"
#include "engine/expert_params.h"
#include "engine/family.h"
#include "engine/latent_params.h"
#include "engine/layer_params.h"
#include "engine/params_reader.h"
#include "engine/rope_params.h"
#include "engine/weights.h"

#include <stdlib.h>

typedef enum status (*read_fn)(const struct params_reader *reader, struct model_params *params,
                               struct error *err);

static enum status read_sizes(const struct params_reader *reader, struct model_params *params,
                              struct error *err)
{
    const struct {
        const char *suffix;
        uint32_t max;
        uint32_t *out;
    } rows[] = {
        {"block_count", LIMIT_MODEL_LAYERS, &params->layer_count},
        {"embedding_length", LIMIT_MODEL_DIM, &params->dim},
        {"context_length", LIMIT_MODEL_CONTEXT, &params->context_tokens},
        {"attention.head_count", LIMIT_MODEL_HEADS, &params->head_count},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum status status =
            params_reader_u32(reader, rows[i].suffix, true, 1, rows[i].max, rows[i].out, err);
        if (status != OK) {
            return status;
        }
    }
    if (!reader->family->next_layers) {
        return OK; /* layer_params.c refuses them */
    }
    enum status status = params_reader_u32(reader, "nextn_predict_layers", false, 0,
                                           params->layer_count - 1, &params->next_layer_count, err);
    params->layer_count -= params->next_layer_count;
    return status;
}

static enum status read_head_dim(const struct params_reader *reader, struct model_params *params,
                                 struct error *err)
{
    uint32_t key_length = 0;
    enum status status = params_reader_u32(reader, "attention.key_length", false, 1,
                                           LIMIT_MODEL_HEAD_DIM, &key_length, err);
    if (status != OK) {
        return status;
    }
    const char *path = reader->file->path;
    const char *arch = reader->family->architecture;
    if (key_length == 0) {
        if (params->dim % params->head_count != 0) {
            return error_set(err, ERR_FORMAT,
                             "%s: %s.embedding_length %u is not a multiple of "
                             "%s.attention.head_count %u, and there is no %s.attention.key_length",
                             path, arch, params->dim, arch, params->head_count, arch);
        }
        key_length = params->dim / params->head_count;
        if (key_length > LIMIT_MODEL_HEAD_DIM) {
            return error_set(err, ERR_FORMAT,
                             "%s: %s.embedding_length / attention.head_count is %u; the limit of "
                             "a head is %u",
                             path, arch, key_length, LIMIT_MODEL_HEAD_DIM);
        }
    }
    uint32_t value_length = key_length;
    status = params_reader_u32(reader, "attention.value_length", false, 1, LIMIT_MODEL_HEAD_DIM,
                               &value_length, err);
    if (status == OK && value_length != key_length) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: %s.attention.value_length is %u but keys have %u; they must be equal",
                         path, arch, value_length, key_length);
    }
    params->head_dim = key_length;
    return status;
}

static enum status read_heads(const struct params_reader *reader, struct model_params *params,
                              struct error *err)
{
    if (reader->family->latent) {
        return latent_params_read(reader, params, err);
    }
    params->kv_head_count = params->head_count;
    enum status status = params_reader_u32(reader, "attention.head_count_kv", false, 1,
                                           params->head_count, &params->kv_head_count, err);
    if (status == OK && params->head_count % params->kv_head_count != 0) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.attention.head_count_kv is %u, which does not divide "
                         "attention.head_count %u",
                         reader->file->path, reader->family->architecture, params->kv_head_count,
                         params->head_count);
    }
    return status == OK ? read_head_dim(reader, params, err) : status;
}

/* The embedding says how many tokens there are; whatever else counts them has to agree. */
static enum status read_vocab(const struct params_reader *reader, struct model_params *params,
                              struct error *err)
{
    const struct gguf *file = reader->file;
    const struct gguf_tensor *embedding = gguf_find_tensor(file, "token_embd.weight");
    if (embedding == NULL) {
        return error_set(err, ERR_FORMAT, "%s: tensor token_embd.weight is missing", file->path);
    }
    uint64_t row_count = tensor_row_count(&embedding->tensor);
    if (row_count < 1 || row_count > LIMIT_MODEL_VOCAB) {
        return error_set(err, ERR_FORMAT,
                         "%s: tensor token_embd.weight has %llu rows; allowed are 1 to %u",
                         file->path, (unsigned long long)row_count, LIMIT_MODEL_VOCAB);
    }
    params->vocab_count = (uint32_t)row_count;
    struct gguf_array tokens = {.element_count = row_count};
    enum status status =
        gguf_get_array(file, "tokenizer.ggml.tokens", false, GGUF_STRING, &tokens, err);
    if (status == OK && tokens.element_count != row_count) {
        return error_set(err, ERR_FORMAT,
                         "%s: tokenizer.ggml.tokens has %llu tokens but token_embd.weight has %llu "
                         "rows",
                         file->path, (unsigned long long)tokens.element_count,
                         (unsigned long long)row_count);
    }
    uint32_t vocab_size = params->vocab_count;
    if (status == OK) {
        status =
            params_reader_u32(reader, "vocab_size", false, 1, LIMIT_MODEL_VOCAB, &vocab_size, err);
    }
    if (status == OK && vocab_size != params->vocab_count) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.vocab_size is %u but token_embd.weight has %llu rows", file->path,
                         reader->family->architecture, vocab_size, (unsigned long long)row_count);
    }
    return status;
}

/* A part of a model lacks tensors, and all parts but the first lack the hyper-parameters too: it
 * is refused for what it is before either is missed. */
static enum status refuse_parts(const struct gguf *file, struct error *err)
{
    uint32_t part_count = 1;
    enum status status = gguf_get_u32(file, "split.count", false, 0, UINT32_MAX, &part_count, err);
    if (status == OK && part_count > 1) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: split.count is %u; a model in several files must be merged into one",
                         file->path, part_count);
    }
    return status;
}

enum status model_read_params(struct model_params *params, const struct gguf *file,
                              struct error *err)
{
    *params = (struct model_params){0};
    const struct family *family;
    enum status status = refuse_parts(file, err);
    if (status == OK) {
        status = family_find(&family, file, err);
    }
    if (status != OK) {
        return status;
    }
    params->architecture = family->architecture;
    const struct params_reader reader = {file, family};
    static const read_fn steps[] = {read_sizes, expert_params_read, read_heads,
                                    read_vocab, layer_params_read,  rope_params_read};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == OK; i++) {
        status = steps[i](&reader, params, err);
    }
    return status;
}

static bool take_heads(struct model *model)
{
    const struct model_params *params = &model->params;
    size_t head_count = params->head_count;
    size_t each_layer = 2 * head_count;
    if (params->latent.kv_rank == 0) {
        return true;
    }
    model->heads = calloc(params->layer_count * each_layer, sizeof *model->heads);
    for (uint32_t i = 0; model->heads != NULL && i < params->layer_count; i++) {
        model->layers[i].key_turned = model->heads + i * each_layer;
        model->layers[i].value_up = model->layers[i].key_turned + head_count;
    }
    return model->heads != NULL;
}

static bool take_layers(struct model *model)
{
    const struct model_params *params = &model->params;
    size_t expert_count = params->expert_count;
    size_t each_layer = 3 * expert_count;
    model->layers = calloc(params->layer_count, sizeof *model->layers);
    if (model->layers == NULL || !take_heads(model)) {
        return false;
    }
    if (expert_count == 0) {
        return true;
    }
    model->experts = calloc(params->layer_count * each_layer, sizeof *model->experts);
    for (uint32_t i = 0; model->experts != NULL && i < params->layer_count; i++) {
        struct model_layer *layer = &model->layers[i];
        layer->expert_gate = model->experts + i * each_layer;
        layer->expert_up = layer->expert_gate + expert_count;
        layer->expert_down = layer->expert_up + expert_count;
    }
    return model->experts != NULL;
}

enum status model_open(struct model *model, const struct gguf *file, struct backend *be,
                       struct loading *loading, struct error *err)
{
    *model = (struct model){0};
    enum status status = model_read_params(&model->params, file, err);
    if (status != OK) {
        return status;
    }
    if (!take_layers(model)) {
        status = error_set(err, ERR_MEMORY, "no memory for the tensors of %u layers",
                           model->params.layer_count);
        model_close(model);
        return status;
    }
    status = layer_params_assign(model, file, err);
    if (status == OK) {
        status = weights_bind(model, file, be, loading, err);
    }
    if (status == OK) {
        status = rope_params_finish(model, file, err);
    }
    if (status != OK) {
        model_close(model);
        return status;
    }
    return OK;
}

void model_close(struct model *model)
{
    free(model->layers);
    free(model->experts);
    free(model->heads);
    free(model->turned);
    free(model->converted);
    *model = (struct model){0};
}
