/* api_admin.c - health, metrics, version. Health follows from progress of the engine's loop, not
 * from the HTTP threads being alive. SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "engine/clock.h"
#include "server/json_text.h"

#include <inttypes.h>

enum {
    /* A step may legally take long (a big chunk on a slow machine). Not ready comes first, so that
     * traffic goes elsewhere; not alive, which gets a process killed, much later. */
    READY_STALL_SECONDS = 30,
    LIVE_STALL_SECONDS = 180
};

static bool progresses(struct engine *engine, uint64_t stall_seconds)
{
    return engine_progressing(engine, clock_now_us(), stall_seconds * 1000000u);
}

static void write_ok(struct api_call *call)
{
    text_buffer_append_text(call->answer, "{\"status\":\"ok\"}");
}

static void refuse_stalled(struct api_call *call)
{
    refusal_set_status(&call->refusal, ERR_MEMORY, "stalled",
                       "The engine has not finished a step for too long.");
    api_refuse(call);
}

void api_admin_handle_live(struct api_call *call)
{
    struct engine *engine = atomic_load(&call->context->engine);
    if (engine != NULL && !progresses(engine, LIVE_STALL_SECONDS)) {
        refuse_stalled(call);
        return;
    }
    write_ok(call);
}

/* What llama-server's clients look for, and how far we are. */
static void write_loading(struct api_call *call)
{
    struct loading_state state = loading_read(&call->context->loading);
    refusal_set_status(&call->refusal, ERR_MEMORY, "loading", "Loading model");
    call->http_status = call->refusal.http_status;
    text_buffer_printf(call->answer,
                       "{\"error\":{\"code\":503,\"message\":\"Loading model\","
                       "\"type\":\"unavailable_error\"},\"status\":\"loading\","
                       "\"phase\":\"%s\",\"percent\":%u,\"bytes\":%" PRIu64
                       ",\"total_bytes\":%" PRIu64 "}",
                       state.phase_name, state.percent, state.bytes, state.total_bytes);
}

void api_admin_handle_ready(struct api_call *call)
{
    if (atomic_load(&call->context->engine) == NULL) {
        write_loading(call);
        return;
    }
    struct engine *engine = api_engine(call, true);
    if (engine == NULL) {
        return;
    }
    if (!progresses(engine, READY_STALL_SECONDS)) {
        refuse_stalled(call);
        return;
    }
    write_ok(call);
}

static void emit_line(void *context, const char *line)
{
    struct text_buffer *out = context;
    text_buffer_append_text(out, line);
}

void api_admin_handle_metrics(struct api_call *call)
{
    struct engine *engine = atomic_load(&call->context->engine);
    struct loading_state state = loading_read(&call->context->loading);
    call->content_type = "text/plain; version=0.0.4; charset=utf-8";
    stats_render_loading(state.bytes, state.total_bytes, engine != NULL, call->context->model_name,
                         emit_line, call->answer);
    if (engine == NULL) {
        return;
    }
    stats_render(engine_stats(engine), call->context->model_name, emit_line, call->answer);
}

void api_admin_handle_version(struct api_call *call)
{
    text_buffer_append_text(call->answer, "{\"version\":\"" API_VERSION "\"}");
}
