/* api_admin.c - health, metrics, version. Health follows from progress of the engine's loop, not
 * from the HTTP threads being alive. SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "engine/clock.h"
#include "server/json_text.h"

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

void api_admin_handle_ready(struct api_call *call)
{
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
    struct engine *engine = api_engine(call, false);
    if (engine == NULL) {
        return;
    }
    call->content_type = "text/plain; version=0.0.4; charset=utf-8";
    stats_render(engine_stats(engine), call->context->model_name, emit_line, call->answer);
}

void api_admin_handle_version(struct api_call *call)
{
    text_buffer_append_text(call->answer, "{\"version\":\"" API_VERSION "\"}");
}
