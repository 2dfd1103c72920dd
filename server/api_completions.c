/* api_completions.c - POST /v1/completions: each prompt of the request becomes one of the engine.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "engine/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ids of one prompt, owned by the caller: given, or from its text. */
static enum status prompt_ids(struct api_call *call, struct engine *engine, bool add_special,
                              const struct params_prompt *prompt, uint32_t **ids, size_t *id_count)
{
    if (prompt->text != NULL) {
        return api_tokenize_text(engine, prompt->text, prompt->text_bytes, add_special, ids,
                                 id_count, &call->refusal);
    }
    *id_count = prompt->id_count;
    *ids = malloc(prompt->id_count * sizeof **ids);
    if (*ids == NULL) {
        return refusal_set_status(&call->refusal, ERR_MEMORY, "out_of_memory",
                                  "There is not enough memory for this request now.");
    }
    memcpy(*ids, prompt->ids, prompt->id_count * sizeof **ids);
    return OK;
}

static enum status add_prompts(struct api_call *call, struct engine *engine,
                               struct generation *generation, const struct params_prompt *prompts,
                               uint32_t prompt_count, bool add_special)
{
    for (uint32_t i = 0; i < prompt_count; i++) {
        uint32_t *ids = NULL;
        size_t id_count = 0;
        enum status status = prompt_ids(call, engine, add_special, &prompts[i], &ids, &id_count);
        if (status == OK) {
            status = generation_add_prompt(generation, ids, id_count, prompts[i].text,
                                           prompts[i].text_bytes, &call->context->limits,
                                           &call->refusal);
        }
        if (status != OK) {
            return status;
        }
    }
    return OK;
}

static void generate(struct api_call *call, struct engine *engine, struct params *params)
{
    char id[ANSWER_ID_BYTES];
    snprintf(id, sizeof id, "cmpl-%.40s", call->request_id);
    /* The generation takes params; its prompts stay here, as they point into the body. */
    struct params_prompt *prompts = params->prompts;
    uint32_t prompt_count = params->prompt_count;
    bool add_special = params->add_special_tokens;
    const struct generation_setup setup = {
        .engine = engine,
        .params = params,
        .id = id,
        .model_name = call->context->model_name,
        .created = clock_wall_seconds(),
        .prompt_count = prompt_count,
        .wake = call->wake,
        .wake_context = call->wake_context,
    };
    struct generation *generation = NULL;
    enum status status = generation_open(&generation, &setup, &call->refusal);
    if (status == OK) {
        status = add_prompts(call, engine, generation, prompts, prompt_count, add_special);
    }
    if (status == OK) {
        status = generation_submit(generation, &call->refusal);
    }
    if (status != OK) {
        generation_close(generation);
        api_refuse(call);
        return;
    }
    call->generation = generation;
}

void api_completions_handle(struct api_call *call)
{
    struct engine *engine = api_engine(call, true);
    json_t *body = engine != NULL ? api_read_body(call) : NULL;
    if (body == NULL) {
        return;
    }
    struct params params;
    if (params_parse(&params, PARAMS_COMPLETION, body, &call->context->limits, &call->refusal) ==
        OK) {
        generate(call, engine, &params);
        params_release(&params);
    } else {
        api_refuse(call);
    }
    json_decref(body);
}
