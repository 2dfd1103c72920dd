/* engine.h - the model and the loop that runs it: the only interface the server may call.
 *
 * One engine thread owns every request, block and buffer; callers reach it through engine_submit
 * (in) and struct reply (out). Nothing allocates on the engine thread after engine_open.
 * Thread: any, unless said otherwise. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "configs/config.h"
#include "configs/error.h"
#include "engine/generate.h"
#include "engine/loading.h"
#include "engine/reply.h"
#include "engine/sampling_defaults.h"
#include "engine/stats.h"
#include "engine/tokenizer/tokenizer.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;

/* Facts about what is being served; constant after engine_open. */
struct engine_info {
    const char *architecture;  /* "llama", "qwen2", ... */
    const char *model_name;    /* general.name of the file, or its base name */
    const char *chat_template; /* the file's own template, or NULL */
    uint64_t chat_template_bytes;
    const char *tool_template; /* the one for requests with tools (tool_use), or NULL */
    uint64_t tool_template_bytes;
    const char *isa_name;
    uint64_t parameter_count;
    uint32_t expert_count; /* of a layer; 0: every token uses all weights */
    uint64_t weight_bytes;
    struct sampling_defaults sampling; /* neutral with generation-config none */
    uint32_t vocab_count;
    uint32_t context_tokens; /* longest prompt + output: the least of file, config and KV pool */
    uint32_t block_tokens;
    uint32_t block_count;
};

#define ENGINE_DEMO_NAME "sluice-demo" /* what is served where the config names no model */

/* What engine_open would allocate, and for what; printed by --plan. */
struct engine_plan {
    uint64_t weight_bytes; /* mapped, shared with the page cache */
    uint64_t packed_bytes; /* the backend's copies of quantised weights */
    uint64_t kv_bytes;
    uint64_t workspace_bytes; /* activations and their integers, logits, sampler scratch */
    uint64_t request_bytes;   /* requests, block tables, batch arrays, prefix index */
    uint64_t total_bytes;
    uint64_t block_bytes;
    uint32_t block_count;
    uint32_t block_tokens;
    uint32_t context_tokens;
};

/* Works out the plan for a model and a config without allocating it. */
enum status engine_plan(const struct config *config, struct engine_plan *plan, struct error *err);

/* Loads the model (the embedded one if config->model is NULL), takes all memory, starts the engine thread. config is borrowed for good. Says in `loading` (may be NULL) how far it is. */
enum status engine_open(struct engine **out, const struct config *config, struct loading *loading,
                        struct error *err);

/* Stops at once: running requests finish with REPLY_FINISH_CANCELLED; then frees everything.
 * Accepts NULL. Callers must have stopped submitting. */
void engine_close(struct engine *engine);

const struct engine_info *engine_info(const struct engine *engine);
const struct tokenizer *engine_tokenizer(const struct engine *engine);
struct stats *engine_stats(struct engine *engine);

/* Hands a request over; copies what params points to. On OK the engine holds a reference of reply
 * and will push one REPLY_FINISH per choice. ERR_FULL: the queue is full; ERR_CANCELLED: draining. */
enum status engine_submit(struct engine *engine, const struct generate_params *params,
                          struct reply *reply, struct error *err);

/* Makes the engine look at abandoned and stopped replies now rather than at its next step. */
void engine_wake(struct engine *engine);

/* Refuses new work from now on; what was accepted runs on. */
void engine_drain(struct engine *engine);

/* True when nothing is queued or running. */
bool engine_idle(const struct engine *engine);

/* Health: what /livez, /readyz and the systemd watchdog ask. True while the loop turns: idle, or a
 * step ended less than stall_us ago. */
bool engine_progressing(const struct engine *engine, uint64_t now_us, uint64_t stall_us);

#endif
