/* params.h - a request's JSON -> struct params, or a refusal that names field, value and limit.
 *
 * The one validator: every route that generates goes through it, and nothing out of range passes.
 * What sluice cannot honour is refused by name; fields it has never heard of are ignored, because
 * newer client libraries send them.
 * Thread: http; a struct params belongs to its request. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_PARAMS_H
#define SERVER_PARAMS_H

#include "engine/generate.h"
#include "engine/sampling_defaults.h"
#include "server/chat_style.h"
#include "server/control_guard.h"
#include "server/params_tools.h"
#include "server/refusal.h"
#include "server/salt.h"
#include "server/stop_strings.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum params_route {
    PARAMS_COMPLETION,
    PARAMS_CHAT,
};

/* What the served model allows; constant. */
struct params_limits {
    const char *model_name;
    const struct salt_key *salt_key;
    uint64_t timeout_us;
    uint32_t vocab_count;
    uint32_t context_tokens;
    struct chat_style style;                  /* what the chat template wants */
    struct chat_style tool_style;             /* likewise, of requests with tools */
    const struct control_guard *guard;        /* NULL: chats may hold control tokens as text */
    const struct sampling_defaults *sampling; /* NULL: neutral */
    uint32_t default_max_tokens; /* chat without max_tokens; 0 = the rest of the context */
};

/* A prompt as text or as ids. */
struct params_prompt {
    const char *text; /* borrowed from the body; NULL when it came as ids */
    size_t text_bytes;
    uint32_t *ids; /* owned; NULL when it came as text */
    uint32_t id_count;
};

struct params {
    struct generate_params generate; /* prompt and max_tokens come with params_fit */
    enum params_route route;
    bool max_tokens_given;
    uint64_t max_tokens; /* as the client said it */
    bool stream;
    bool include_usage;
    bool continuous_usage;
    bool echo;
    bool include_stop;
    bool skip_special_tokens;
    bool add_special_tokens;
    bool return_token_ids;
    bool add_generation_prompt;
    bool continue_final_message;
    struct stop_strings stops;
    struct params_prompt *prompts; /* [prompt_count], owned; completions */
    uint32_t prompt_count;
    const json_t *messages;        /* borrowed from the body; chat, as are those below */
    struct params_tools tools;     /* likewise */
    const json_t *template_values; /* object or NULL */
    const char *reasoning_effort;  /* or NULL */
    struct chat_style style;       /* as in params_limits; so is guard */
    const struct control_guard *guard;
    struct logit_bias *logit_bias; /* owned; generate.sampling points to them */
    uint32_t *stop_token_ids;
};

/* Reads the whole body but for the messages' insides (chat_prompt.h). On failure out is empty. */
enum status params_parse(struct params *out, enum params_route route, const json_t *body,
                         const struct params_limits *limits, struct refusal *refusal);
void params_release(struct params *params);

/* Puts a prompt in, works out max_tokens, and refuses what exceeds the context. ids: borrowed. */
enum status params_fit(struct params *params, const uint32_t *ids, size_t id_count,
                       const struct params_limits *limits, struct refusal *refusal);

/* Refuses a model that is not the served one. An absent model is taken to mean it. */
enum status params_check_model(const json_t *body, const char *model_name, struct refusal *refusal);

/* An array of token ids below vocab_count. ids: owned by the caller on success, never NULL. */
enum status params_read_ids(const json_t *array, const char *name, uint32_t vocab_count,
                            uint32_t **ids, uint32_t *id_count, struct refusal *refusal);

#endif
