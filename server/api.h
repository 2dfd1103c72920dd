/* api.h - what the handlers of all endpoints share: the served model and the form of a call.
 *
 * A handler reads api_call, and either writes an answer, refuses, or leaves a generation whose
 * answer comes later. It never blocks and never sees a socket.
 * Thread: http for handlers; the context is shared, constant once `engine` is published.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_API_H
#define SERVER_API_H

#include "configs/config.h"
#include "engine/engine.h"
#include "server/chat/chat_template.h"
#include "server/control_guard.h"
#include "server/generation.h"
#include "server/output/output_family.h"
#include "server/params.h"
#include "server/refusal.h"
#include "server/salt.h"
#include "server/text_buffer.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum api_phase {
    API_LOADING, /* the port is open, the model is not there yet */
    API_SERVING,
    API_DRAINING, /* what was accepted runs on, new work is refused */
    API_STOPPING, /* what still runs is cut short */
};

struct api_context {
    const struct config *config;
    struct loading loading;        /* how far the model is, for those who ask before it is there */
    struct engine *_Atomic engine; /* NULL while loading; all below is constant once it is set */
    _Atomic int phase;             /* enum api_phase */
    struct chat_template *chat_template; /* NULL: the model has none */
    struct chat_template *tool_template; /* for requests with tools; NULL: the same */
    struct control_guard *guard;
    struct output_family family; /* how the model writes reasoning and calls */
    char *model_name;
    int64_t created;
    struct salt_key salt_key;
    struct params_limits limits;
};

/* The name clients use is known before the model is loaded. */
enum status api_open(struct api_context *context, const struct config *config, struct error *err);

/* Reads the chat template and publishes the engine: requests are served from now on. */
enum status api_publish(struct api_context *context, struct engine *engine, struct error *err);
void api_close(struct api_context *context);

/* The template for a request's messages; params_parse has chosen its style likewise. May be NULL. */
const struct chat_template *api_choose_template(const struct api_context *context,
                                                const struct params *params);

struct api_call {
    struct api_context *context;
    const char *argument; /* what the path has after the route's own part, decoded; or "" */
    const char *body;     /* [body_bytes] */
    size_t body_bytes;
    const char *request_id;
    reply_wake_fn wake; /* for generations: makes the HTTP side ask again */
    void *wake_context;

    /* the answer */
    int http_status;               /* 200 unless a handler changes it */
    const char *content_type;      /* application/json unless a handler changes it */
    struct text_buffer *answer;    /* what was written there; or */
    struct refusal refusal;        /* why not, when http_status is not 200; or */
    struct generation *generation; /* what will write it later */
};

typedef void (*api_handle_fn)(struct api_call *call);

/* Ends the call with call->refusal. */
void api_refuse(struct api_call *call);

/* The engine, or NULL after refusing: still loading, or no longer taking work. */
struct engine *api_engine(struct api_call *call, bool for_new_work);

/* The body as a JSON object, or NULL after refusing. The caller drops it. */
json_t *api_read_body(struct api_call *call);

/* Text -> ids, as many as there are; control tokens are found in it. flags: of tokenizer_encode,
 * further ones. *ids is the caller's to free. */
enum status api_tokenize_text(struct engine *engine, const char *text, size_t text_bytes,
                              unsigned flags, uint32_t **ids, size_t *id_count,
                              struct refusal *refusal);

/* How an endpoint's prompts get into its generation. params is good as long as generation is. */
typedef enum status (*api_add_prompts_fn)(struct api_call *call, struct engine *engine,
                                          const struct params *params,
                                          struct generation *generation);

/* All of a generating endpoint but its prompts: leaves call->generation, or refuses.
 * id_prefix: what the answer's id begins with. */
void api_generate(struct api_call *call, enum params_route route, const char *id_prefix,
                  api_add_prompts_fn add_prompts);

/* The handlers, by file. */
void api_chat_handle(struct api_call *call);
void api_completions_handle(struct api_call *call);
void api_models_handle_list(struct api_call *call);
void api_models_handle_one(struct api_call *call);
void api_admin_handle_live(struct api_call *call);
void api_admin_handle_ready(struct api_call *call);
void api_admin_handle_metrics(struct api_call *call);
void api_admin_handle_version(struct api_call *call);
void api_tokenize_handle(struct api_call *call);
void api_tokenize_handle_back(struct api_call *call);
void api_template_handle(struct api_call *call);

/* The version of this program, for /version and --version. */
#define API_VERSION "0.1.0"

#endif
