/* api_models.c - GET /v1/models and /v1/models/{id}: the one served model.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "server/json_text.h"

#include <inttypes.h>
#include <string.h>

static void write_model(struct api_call *call)
{
    const struct api_context *context = call->context;
    text_buffer_append_text(call->answer, "{\"id\":");
    json_text_string_or_null(call->answer, context->model_name);
    text_buffer_printf(call->answer, ",\"object\":\"model\",\"created\":%" PRId64,
                       context->created);
    text_buffer_append_text(call->answer, ",\"owned_by\":\"sluice\"");
    text_buffer_printf(call->answer, ",\"max_model_len\":%u}", context->limits.context_tokens);
}

void api_models_handle_list(struct api_call *call)
{
    if (api_engine(call, false) == NULL) {
        return;
    }
    text_buffer_append_text(call->answer, "{\"object\":\"list\",\"data\":[");
    write_model(call);
    text_buffer_append_text(call->answer, "]}");
}

void api_models_handle_one(struct api_call *call)
{
    if (api_engine(call, false) == NULL) {
        return;
    }
    if (strcmp(call->argument, call->context->model_name) == 0) {
        write_model(call);
        return;
    }
    refusal_set_status(&call->refusal, ERR_NOT_FOUND, "model_not_found",
                       "The model \"%.100s\" does not exist; this server has \"%s\".",
                       call->argument, call->context->model_name);
    api_refuse(call);
}
