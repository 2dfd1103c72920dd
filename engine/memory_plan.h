/* memory_plan.h - how large everything is that the engine will allocate, worked out beforehand.
 *
 * Pure: from the settings, the model's shape and the machine's memory. engine_open follows it, and
 * --plan prints it. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MEMORY_PLAN_H
#define ENGINE_MEMORY_PLAN_H

#include "configs/config.h"
#include "configs/error.h"
#include "engine/engine.h"
#include "engine/forward.h"
#include "engine/model.h"
#include "engine/weights.h"
#include "kvcache/kv_cache.h"
#include "kvcache/kv_store.h"
#include "scheduler/scheduler.h"

#include <stdint.h>

struct memory_plan {
    struct engine_plan totals;
    struct kv_store_options store;
    struct kv_cache_options cache; /* but for the hash key */
    struct scheduler_options scheduler;
    struct forward_options forward;
};

/* weight_bytes are mapped, `weights` is what the backend takes for them beside; machine_bytes: the
 * memory this process may use. ERR_INVALID names the setting that cannot be. */
enum status memory_plan_make(struct memory_plan *plan, const struct config *config,
                             const struct model_params *params, uint64_t weight_bytes,
                             const struct weights_memory *weights, uint64_t machine_bytes,
                             struct error *err);

/* Physical memory, or the control group's limit if that is less. */
uint64_t memory_plan_machine_bytes(void);

#endif
