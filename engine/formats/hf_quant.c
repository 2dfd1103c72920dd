/* First every module is found and checked and its type chosen; then experts get one type, the widest
 * that any of them needs, since those of a layer have to be alike; then all are converted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_quant.h"

#include "engine/formats/hf_quant_parts.h"
#include "engine/log.h"
#include "kernels/quant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What reading has in hand. */
struct work {
    struct hf_reading *reading;
    struct hf_quant_search search;
    struct hf_quant_module *modules; /* [module_count], room for one a weight */
    uint64_t module_count;
    struct error *err;
};

/* From narrow to wide: each holds exactly what those before it hold, but for bf16. */
static int width_of(enum dtype dtype)
{
    static const enum dtype order[] = {DTYPE_MXFP4, DTYPE_Q4_0, DTYPE_Q5_0,
                                       DTYPE_Q8_0,  DTYPE_BF16, DTYPE_F32};
    int width = 0;
    while (order[width] != dtype) {
        width++;
        assert(width < (int)(sizeof order / sizeof order[0]));
    }
    return width;
}

static enum status find_modules(struct work *work)
{
    const struct hf_weights *weights = &work->reading->weights;
    enum status status = OK;
    for (uint64_t i = 0; i < weights->weight_count && status == OK; i++) {
        struct hf_quant_module *module = &work->modules[work->module_count];
        bool found = false;
        status = hf_quant_parts_find(module, &found, &work->search, i);
        if (found) {
            gguf_builder_own(work->reading->out, module->name);
            work->module_count++;
        }
    }
    return status;
}

static bool is_expert(const struct hf_quant_module *module)
{
    return strstr(module->name, ".experts.") != NULL;
}

/* bf16 and q8_0 do not hold each other's values: where both are wanted, f32 does. */
static void make_experts_alike(struct work *work)
{
    enum dtype widest = DTYPE_MXFP4;
    bool mixed = false;
    for (uint64_t i = 0; i < work->module_count; i++) {
        enum dtype dtype = work->modules[i].dtype;
        if (is_expert(&work->modules[i]) && dtype != DTYPE_MXFP4) {
            mixed = mixed || (widest != DTYPE_MXFP4 && dtype != widest);
            widest = width_of(dtype) > width_of(widest) ? dtype : widest;
        }
    }
    widest = mixed && widest == DTYPE_BF16 ? DTYPE_F32 : widest;
    for (uint64_t i = 0; i < work->module_count; i++) {
        if (is_expert(&work->modules[i]) && work->modules[i].dtype != DTYPE_MXFP4) {
            work->modules[i].dtype = widest;
        }
    }
}

static enum status convert(const struct work *work, const struct hf_quant_module *module,
                           struct safetensors_tensor *made)
{
    made->name = module->name;
    made->dtype_name = quant_format_get(module->dtype)->name;
    made->supported = true;
    made->dtype = module->dtype;
    made->dim_count = module->dim_count;
    uint64_t row_count = 1;
    for (uint32_t i = 0; i < module->dim_count; i++) {
        made->shape[i] = module->shape[i];
        row_count *= i + 1 < module->dim_count ? module->shape[i] : 1;
    }
    made->byte_count = row_count * quant_row_bytes(made->dtype, made->shape[made->dim_count - 1]);
    void *memory = malloc(made->byte_count);
    bool fine = memory != NULL;
    if (fine) {
        gguf_builder_own(work->reading->out, memory);
        fine = hf_quant_parts_convert(module, memory);
    }
    made->data = memory;
    return fine ? OK
                : error_set(work->err, ERR_MEMORY, "%s: no memory for %s of %llu bytes",
                            work->reading->dir, module->name, (unsigned long long)made->byte_count);
}

/* What stayed of the weights, and what was made, as one sorted list. */
static enum status replace(struct work *work)
{
    struct hf_weights *weights = &work->reading->weights;
    weights->made = calloc(work->module_count + 1, sizeof *weights->made);
    if (weights->made == NULL) {
        return error_set(work->err, ERR_MEMORY, "%s: no memory for a list of tensors",
                         work->reading->dir);
    }
    assert(work->search.consumed != NULL); /* one a weight */
    uint64_t kept = 0;
    for (uint64_t i = 0; i < weights->weight_count; i++) {
        if (!work->search.consumed[i]) {
            weights->weights[kept++] = weights->weights[i];
        }
    }
    weights->weight_count = kept;
    for (uint64_t i = 0; i < work->module_count; i++) {
        enum status status = convert(work, &work->modules[i], &weights->made[i]);
        if (status != OK) {
            return status;
        }
        weights->weights[weights->weight_count++] =
            (struct hf_weight){&weights->made[i], work->modules[i].shard, true};
    }
    return hf_weights_sort(weights, work->err);
}

/* One line for each type: how much memory the weights take that are no longer mapped ones. */
static void say_memory(const struct work *work)
{
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        uint64_t count = 0;
        uint64_t byte_count = 0;
        for (uint64_t i = 0; i < work->module_count; i++) {
            const struct safetensors_tensor *made = &work->reading->weights.made[i];
            count += made->dtype == (enum dtype)dtype;
            byte_count += made->dtype == (enum dtype)dtype ? made->byte_count : 0;
        }
        if (count > 0) {
            bool plain = dtype == DTYPE_F32 || dtype == DTYPE_BF16;
            log_event(LOG_INFO, "weights_converted",
                      "%s: %llu matrices of %s are held as %s, %llu bytes of memory%s",
                      work->reading->dir, (unsigned long long)count, work->search.config->name,
                      quant_format_get((enum dtype)dtype)->name, (unsigned long long)byte_count,
                      plain ? ": no block type holds their values exactly; sluiced quantize makes "
                              "a smaller file"
                            : "");
        }
    }
}

enum status hf_quant_read(struct hf_reading *reading, const struct hf_quant_config *config,
                          struct error *err)
{
    if (config->method == HF_QUANT_NONE) {
        return OK;
    }
    uint64_t weight_count = reading->weights.weight_count;
    struct work work = {
        .reading = reading,
        .search = {&reading->weights, config, calloc(weight_count + 1, 1), err},
        .modules = calloc(weight_count + 1, sizeof *work.modules),
        .err = err,
    };
    enum status status =
        work.modules != NULL && work.search.consumed != NULL
            ? find_modules(&work)
            : error_set(err, ERR_MEMORY, "%s: no memory for a list of tensors", reading->dir);
    if (status == OK) {
        make_experts_alike(&work);
        status = replace(&work);
    }
    if (status == OK) {
        say_memory(&work);
    }
    free(work.modules);
    free(work.search.consumed);
    return status;
}
