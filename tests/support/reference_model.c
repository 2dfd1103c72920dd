/* reference_model.c - written to be checked by eye against the papers, one step a function, every
 * intermediate value of every token kept. Speed does not matter: models here are tiny.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/reference_model.h"

#include "kernels/quant.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

struct matrix {
    float *values; /* [rows, columns], or NULL: absent */
    uint64_t rows;
    uint64_t columns;
};

struct reference_layer {
    struct matrix attention_norm, q, k, v, q_bias, k_bias, v_bias, q_norm, k_norm;
    struct matrix output, output_bias;
    struct matrix ffn_norm, gate, up, down, gate_bias, up_bias, down_bias;
    struct matrix router, experts_gate, experts_up, experts_down; /* one expert below the other */
    struct matrix shared_gate, shared_up, shared_down, shared_share;
};

struct reference_model {
    const struct gguf *file;
    char arch[32];
    uint32_t layer_count, dim, heads, kv_heads, head_dim, rotary_dim, vocab;
    uint32_t experts, experts_used; /* 0: a dense model */
    bool normalize_experts;
    double epsilon;
    double *angles;   /* [rotary_dim / 2] radians per position */
    double magnitude; /* of cos and sin */
    struct matrix embedding, output, output_norm, rope_factors;
    struct reference_layer *layers;
};

static void *zeroed(uint64_t count, size_t bytes)
{
    void *memory = calloc(count > 0 ? count : 1, bytes);
    assert(memory != NULL);
    return memory;
}

static struct matrix load(const struct gguf *file, const char *name)
{
    const struct gguf_tensor *found = gguf_find_tensor(file, name);
    if (found == NULL) {
        return (struct matrix){0};
    }
    assert(found->supported);
    struct matrix matrix = {
        .rows = tensor_row_count(&found->tensor),
        .columns = tensor_row_values(&found->tensor),
    };
    matrix.values = zeroed(matrix.rows * matrix.columns, sizeof(float));
    quant_format_get(found->tensor.dtype)
        ->dequantize(matrix.values, found->tensor.data, matrix.rows * matrix.columns);
    return matrix;
}

static struct matrix load_layer(const struct gguf *file, uint32_t layer, const char *rest)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s", layer, rest);
    return load(file, name);
}

static double number(const struct reference_model *model, const char *suffix, double otherwise)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", model->arch, suffix);
    const struct gguf_entry *entry = gguf_find(model->file, key);
    if (entry == NULL) {
        return otherwise;
    }
    bool real = entry->type == GGUF_FLOAT32 || entry->type == GGUF_FLOAT64;
    return real ? entry->value.f : (double)entry->value.u;
}

static bool scaling_is(const struct reference_model *model, const char *type)
{
    char key[96];
    snprintf(key, sizeof key, "%s.rope.scaling.type", model->arch);
    const struct gguf_entry *entry = gguf_find(model->file, key);
    return entry != NULL && gguf_string_equal(entry->value.string, type);
}

/* Linear scaling divides every position. Llama 3.1 divides each frequency by its own factor. YaRN
 * (Peng et al. 2023, "NTK by parts") leaves pairs alone that turn more than beta_fast times in the
 * original context, divides those that turn less than beta_slow times, and goes linearly in the
 * pair's index between, from the whole index below the one mark to that above the other. */
static void prepare_angles(struct reference_model *model)
{
    double theta = number(model, "rope.freq_base", 10000.0);
    double factor = number(model, "rope.scaling.factor", 1.0);
    double context = number(model, "context_length", 0.0);
    double original = number(model, "rope.scaling.original_context_length", context);
    double d = model->rotary_dim;
    double fast = number(model, "rope.scaling.yarn_beta_fast", 32.0);
    double slow = number(model, "rope.scaling.yarn_beta_slow", 1.0);
    double turns_per_radian = original / (2.0 * pi);
    double first = floor(d / 2.0 * log(turns_per_radian / fast) / log(theta));
    double last = ceil(d / 2.0 * log(turns_per_radian / slow) / log(theta));
    first = first < 0.0 ? 0.0 : first;
    last = last > d - 1.0 ? d - 1.0 : last;

    model->magnitude = number(model, "rope.scaling.attn_factor", 1.0);
    if (scaling_is(model, "yarn")) {
        model->magnitude *= 0.1 * log(factor) + 1.0;
    }
    model->angles = zeroed(model->rotary_dim / 2, sizeof(double));
    for (uint32_t pair = 0; pair < model->rotary_dim / 2; pair++) {
        double angle = 1.0 / pow(theta, 2.0 * pair / d);
        if (model->rope_factors.values != NULL) {
            angle /= model->rope_factors.values[pair];
        }
        if (scaling_is(model, "linear")) {
            angle /= factor;
        } else if (scaling_is(model, "yarn")) {
            double scaled_share = (pair - first) / (last > first ? last - first : 0.001);
            scaled_share = scaled_share < 0.0 ? 0.0 : scaled_share > 1.0 ? 1.0 : scaled_share;
            angle = angle * (1.0 - scaled_share) + angle / factor * scaled_share;
        }
        model->angles[pair] = angle;
    }
}

static void load_layers(struct reference_model *model)
{
    const struct gguf *file = model->file;
    model->layers = zeroed(model->layer_count, sizeof *model->layers);
    for (uint32_t i = 0; i < model->layer_count; i++) {
        model->layers[i] = (struct reference_layer){
            .attention_norm = load_layer(file, i, "attn_norm.weight"),
            .q = load_layer(file, i, "attn_q.weight"),
            .k = load_layer(file, i, "attn_k.weight"),
            .v = load_layer(file, i, "attn_v.weight"),
            .q_bias = load_layer(file, i, "attn_q.bias"),
            .k_bias = load_layer(file, i, "attn_k.bias"),
            .v_bias = load_layer(file, i, "attn_v.bias"),
            .q_norm = load_layer(file, i, "attn_q_norm.weight"),
            .k_norm = load_layer(file, i, "attn_k_norm.weight"),
            .output = load_layer(file, i, "attn_output.weight"),
            .output_bias = load_layer(file, i, "attn_output.bias"),
            .ffn_norm = load_layer(file, i, "ffn_norm.weight"),
            .gate = load_layer(file, i, "ffn_gate.weight"),
            .up = load_layer(file, i, "ffn_up.weight"),
            .down = load_layer(file, i, "ffn_down.weight"),
            .gate_bias = load_layer(file, i, "ffn_gate.bias"),
            .up_bias = load_layer(file, i, "ffn_up.bias"),
            .down_bias = load_layer(file, i, "ffn_down.bias"),
            .router = load_layer(file, i, "ffn_gate_inp.weight"),
            .experts_gate = load_layer(file, i, "ffn_gate_exps.weight"),
            .experts_up = load_layer(file, i, "ffn_up_exps.weight"),
            .experts_down = load_layer(file, i, "ffn_down_exps.weight"),
            .shared_gate = load_layer(file, i, "ffn_gate_shexp.weight"),
            .shared_up = load_layer(file, i, "ffn_up_shexp.weight"),
            .shared_down = load_layer(file, i, "ffn_down_shexp.weight"),
            .shared_share = load_layer(file, i, "ffn_gate_inp_shexp.weight"),
        };
    }
}

struct reference_model *reference_model_open(const struct gguf *file)
{
    struct reference_model *model = zeroed(1, sizeof *model);
    const struct gguf_entry *arch = gguf_find(file, "general.architecture");
    assert(arch != NULL && arch->value.string.byte_count < sizeof model->arch);
    memcpy(model->arch, arch->value.string.bytes, arch->value.string.byte_count);
    model->file = file;
    model->layer_count = (uint32_t)number(model, "block_count", 0.0);
    model->dim = (uint32_t)number(model, "embedding_length", 0.0);
    model->heads = (uint32_t)number(model, "attention.head_count", 0.0);
    model->kv_heads = (uint32_t)number(model, "attention.head_count_kv", model->heads);
    model->head_dim =
        (uint32_t)number(model, "attention.key_length", (double)model->dim / model->heads);
    model->rotary_dim = (uint32_t)number(model, "rope.dimension_count", model->head_dim);
    model->experts = (uint32_t)number(model, "expert_count", 0.0);
    model->experts_used = (uint32_t)number(model, "expert_used_count", 0.0);
    model->normalize_experts = strcmp(model->arch, "qwen3moe") == 0;
    model->epsilon = number(model, "attention.layer_norm_rms_epsilon", 0.0);
    model->embedding = load(file, "token_embd.weight");
    model->output_norm = load(file, "output_norm.weight");
    model->output = load(file, "output.weight");
    model->rope_factors = load(file, "rope_freqs.weight");
    model->vocab = (uint32_t)model->embedding.rows;
    prepare_angles(model);
    load_layers(model);
    return model;
}

void reference_model_close(struct reference_model *model)
{
    for (uint32_t i = 0; i < model->layer_count; i++) {
        struct reference_layer *l = &model->layers[i];
        struct matrix *all[] = {
            &l->attention_norm,
            &l->q,
            &l->k,
            &l->v,
            &l->q_bias,
            &l->k_bias,
            &l->v_bias,
            &l->q_norm,
            &l->k_norm,
            &l->output,
            &l->output_bias,
            &l->ffn_norm,
            &l->gate,
            &l->up,
            &l->down,
            &l->gate_bias,
            &l->up_bias,
            &l->down_bias,
            &l->router,
            &l->experts_gate,
            &l->experts_up,
            &l->experts_down,
            &l->shared_gate,
            &l->shared_up,
            &l->shared_down,
            &l->shared_share,
        };
        for (size_t j = 0; j < sizeof all / sizeof all[0]; j++) {
            free(all[j]->values);
        }
    }
    free(model->embedding.values);
    free(model->output.values);
    free(model->output_norm.values);
    free(model->rope_factors.values);
    free(model->layers);
    free(model->angles);
    free(model);
}

uint32_t reference_model_vocab_count(const struct reference_model *model)
{
    return model->vocab;
}

static void norm(double *out, const double *in, const struct matrix *weight, double epsilon)
{
    double squares = 0.0;
    for (uint64_t i = 0; i < weight->columns; i++) {
        squares += in[i] * in[i];
    }
    double scale = 1.0 / sqrt(squares / (double)weight->columns + epsilon);
    for (uint64_t i = 0; i < weight->columns; i++) {
        out[i] = in[i] * scale * weight->values[i];
    }
}

static void product(double *out, const struct matrix *weight, const double *in,
                    const struct matrix *bias)
{
    for (uint64_t row = 0; row < weight->rows; row++) {
        double sum = bias != NULL && bias->values != NULL ? bias->values[row] : 0.0;
        for (uint64_t i = 0; i < weight->columns; i++) {
            sum += (double)weight->values[row * weight->columns + i] * in[i];
        }
        out[row] = sum;
    }
}

/* Turns each pair of a head, taken as a complex number, by position times its angle. */
static void rotate(const struct reference_model *model, double *head, uint32_t position)
{
    bool neighbours = strcmp(model->arch, "llama") == 0;
    uint32_t pairs = model->rotary_dim / 2;
    for (uint32_t pair = 0; pair < pairs; pair++) {
        double *real = &head[neighbours ? 2 * pair : pair];
        double *imaginary = &head[neighbours ? 2 * pair + 1 : pair + pairs];
        double turn = position * model->angles[pair];
        double turned = (*real * cos(turn) - *imaginary * sin(turn)) * model->magnitude;
        *imaginary = (*real * sin(turn) + *imaginary * cos(turn)) * model->magnitude;
        *real = turned;
    }
}

static void finish_heads(const struct reference_model *model, double *heads, uint32_t head_count,
                         const struct matrix *head_norm, uint32_t position)
{
    for (uint32_t h = 0; h < head_count; h++) {
        double *head = heads + (uint64_t)h * model->head_dim;
        if (head_norm->values != NULL) {
            norm(head, head, head_norm, model->epsilon);
        }
        rotate(model, head, position);
    }
}

/* One head of one token over keys and values [token, kv head, head_dim] of tokens 0 .. position. */
static void attend(const struct reference_model *model, double *out, const double *q,
                   const double *keys, const double *values, uint32_t position)
{
    uint32_t d = model->head_dim;
    uint64_t stride = (uint64_t)model->kv_heads * d;
    double *weights = zeroed(position + 1, sizeof(double));
    double largest = -INFINITY;
    for (uint32_t t = 0; t <= position; t++) {
        for (uint32_t i = 0; i < d; i++) {
            weights[t] += q[i] * keys[t * stride + i];
        }
        weights[t] /= sqrt((double)d);
        largest = fmax(largest, weights[t]);
    }
    double total = 0.0;
    for (uint32_t t = 0; t <= position; t++) {
        weights[t] = exp(weights[t] - largest);
        total += weights[t];
    }
    for (uint32_t i = 0; i < d; i++) {
        out[i] = 0.0;
        for (uint32_t t = 0; t <= position; t++) {
            out[i] += weights[t] / total * values[t * stride + i];
        }
    }
    free(weights);
}

/* x: [token_count, dim], the residual stream. */
static void attention_layer(const struct reference_model *model,
                            const struct reference_layer *layer, double *x, uint32_t token_count)
{
    uint32_t d = model->head_dim;
    uint64_t q_width = (uint64_t)model->heads * d;
    uint64_t kv_width = (uint64_t)model->kv_heads * d;
    double *normed = zeroed(model->dim, sizeof(double));
    double *q = zeroed(q_width, sizeof(double));
    double *attended = zeroed(q_width, sizeof(double));
    double *keys = zeroed(token_count * kv_width, sizeof(double));
    double *values = zeroed(token_count * kv_width, sizeof(double));
    for (uint32_t t = 0; t < token_count; t++) {
        double *row = x + (uint64_t)t * model->dim;
        norm(normed, row, &layer->attention_norm, model->epsilon);
        product(q, &layer->q, normed, &layer->q_bias);
        product(keys + t * kv_width, &layer->k, normed, &layer->k_bias);
        product(values + t * kv_width, &layer->v, normed, &layer->v_bias);
        finish_heads(model, q, model->heads, &layer->q_norm, t);
        finish_heads(model, keys + t * kv_width, model->kv_heads, &layer->k_norm, t);
        for (uint32_t h = 0; h < model->heads; h++) {
            uint64_t kv_head = h * model->kv_heads / model->heads;
            attend(model, attended + (uint64_t)h * d, q + (uint64_t)h * d, keys + kv_head * d,
                   values + kv_head * d, t);
        }
        product(normed, &layer->output, attended, &layer->output_bias);
        for (uint32_t i = 0; i < model->dim; i++) {
            row[i] += normed[i];
        }
    }
    free(normed);
    free(q);
    free(attended);
    free(keys);
    free(values);
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* x += share * down(silu(gate in) * up in). Biases may be NULL or absent. */
static void add_ffn(double *x, double share, const double *in, const struct matrix *gate,
                    const struct matrix *up, const struct matrix *down,
                    const struct reference_layer *biases)
{
    double *gated = zeroed(gate->rows, sizeof(double));
    double *raised = zeroed(up->rows, sizeof(double));
    double *out = zeroed(down->rows, sizeof(double));
    product(gated, gate, in, biases ? &biases->gate_bias : NULL);
    product(raised, up, in, biases ? &biases->up_bias : NULL);
    for (uint64_t i = 0; i < gate->rows; i++) {
        gated[i] = gated[i] * sigmoid(gated[i]) * raised[i];
    }
    product(out, down, gated, biases ? &biases->down_bias : NULL);
    for (uint64_t i = 0; i < down->rows; i++) {
        x[i] += share * out[i];
    }
    free(gated);
    free(raised);
    free(out);
}

/* Expert `index` of those that stand one below the other. */
static struct matrix expert_of(const struct reference_model *model, const struct matrix *all,
                               uint32_t index)
{
    uint64_t rows = all->rows / model->experts;
    return (struct matrix){all->values + index * rows * all->columns, rows, all->columns};
}

/* The softmax of the router's scores, then of the experts not chosen yet the likeliest, the first
 * of equals, as often as experts are used. */
static void add_experts(const struct reference_model *model, const struct reference_layer *layer,
                        double *x, const double *in)
{
    double *likely = zeroed(model->experts, sizeof(double));
    uint32_t *chosen = zeroed(model->experts_used, sizeof(uint32_t));
    product(likely, &layer->router, in, NULL);
    double total = 0.0;
    for (uint32_t i = 0; i < model->experts; i++) {
        likely[i] = exp(likely[i]);
        total += likely[i];
    }
    double chosen_total = 0.0;
    double *weights = zeroed(model->experts_used, sizeof(double));
    for (uint32_t rank = 0; rank < model->experts_used; rank++) {
        for (uint32_t i = 1; i < model->experts; i++) {
            chosen[rank] = likely[i] > likely[chosen[rank]] ? i : chosen[rank];
        }
        weights[rank] = likely[chosen[rank]] / total;
        chosen_total += weights[rank];
        likely[chosen[rank]] = -1.0; /* below every likelihood: not again */
    }
    for (uint32_t rank = 0; rank < model->experts_used; rank++) {
        struct matrix gate = expert_of(model, &layer->experts_gate, chosen[rank]);
        struct matrix up = expert_of(model, &layer->experts_up, chosen[rank]);
        struct matrix down = expert_of(model, &layer->experts_down, chosen[rank]);
        double share = model->normalize_experts ? weights[rank] / chosen_total : weights[rank];
        add_ffn(x, share, in, &gate, &up, &down, NULL);
    }
    free(likely);
    free(chosen);
    free(weights);
}

static void ffn_layer(const struct reference_model *model, const struct reference_layer *layer,
                      double *x, uint32_t token_count)
{
    double *normed = zeroed(model->dim, sizeof(double));
    for (uint32_t t = 0; t < token_count; t++) {
        double *row = x + (uint64_t)t * model->dim;
        norm(normed, row, &layer->ffn_norm, model->epsilon);
        if (model->experts == 0) {
            add_ffn(row, 1.0, normed, &layer->gate, &layer->up, &layer->down, layer);
            continue;
        }
        add_experts(model, layer, row, normed);
        if (layer->shared_share.values != NULL) {
            double share = 0.0;
            product(&share, &layer->shared_share, normed, NULL);
            add_ffn(row, sigmoid(share), normed, &layer->shared_gate, &layer->shared_up,
                    &layer->shared_down, NULL);
        }
    }
    free(normed);
}

void reference_model_run(const struct reference_model *model, const uint32_t *token_ids,
                         uint32_t token_count, double *logits)
{
    double *x = zeroed((uint64_t)token_count * model->dim, sizeof(double));
    for (uint32_t t = 0; t < token_count; t++) {
        assert(token_ids[t] < model->vocab);
        for (uint32_t i = 0; i < model->dim; i++) {
            x[(uint64_t)t * model->dim + i] =
                model->embedding.values[(uint64_t)token_ids[t] * model->dim + i];
        }
    }
    for (uint32_t i = 0; i < model->layer_count; i++) {
        attention_layer(model, &model->layers[i], x, token_count);
        ffn_layer(model, &model->layers[i], x, token_count);
    }
    const struct matrix *output = model->output.values ? &model->output : &model->embedding;
    double *normed = zeroed(model->dim, sizeof(double));
    for (uint32_t t = 0; t < token_count; t++) {
        norm(normed, x + (uint64_t)t * model->dim, &model->output_norm, model->epsilon);
        product(logits + (uint64_t)t * model->vocab, output, normed, NULL);
    }
    free(normed);
    free(x);
}
