/* api_completions.c - POST /v1/completions: each prompt of the request becomes one of the engine.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include <stdlib.h>
#include <string.h>

/* Ids of one prompt, owned by the caller: given, or from its text. */
static enum status prompt_ids(struct api_call *call, struct engine *engine, bool add_special,
                              const struct params_prompt *prompt, uint32_t **ids, size_t *id_count)
{
    if (prompt->text != NULL) {
        return api_tokenize_text(engine, prompt->text, prompt->text_bytes,
                                 add_special ? TOKENIZER_ADD_SPECIAL : 0u, ids, id_count,
                                 &call->refusal);
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
                               const struct params *params, struct generation *generation)
{
    enum status status = OK;
    for (uint32_t i = 0; status == OK && i < params->prompt_count; i++) {
        const struct params_prompt *prompt = &params->prompts[i];
        uint32_t *ids = NULL;
        size_t id_count = 0;
        status = prompt_ids(call, engine, params->add_special_tokens, prompt, &ids, &id_count);
        if (status == OK) {
            status =
                generation_add_prompt(generation, ids, id_count, prompt->text, prompt->text_bytes,
                                      &call->context->limits, &call->refusal);
        }
    }
    return status;
}

void api_completions_handle(struct api_call *call)
{
    api_generate(call, PARAMS_COMPLETION, "cmpl-", add_prompts);
}
