/* http_request.c - judges the head, collects the body, calls the handler.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http_request.h"

#include "configs/limits.h"
#include "engine/clock.h"
#include "engine/log.h"
#include "server/http_answer.h"
#include "server/http_guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DISCARD_BYTES_MAX = 65536, /* a refused request's body up to here is read, to keep the line */
    PROBE_CONNECTIONS = 16,
    PATH_BYTES = LIMIT_URL_BYTES + 1
};

#define BODIES_BYTES_MAX (UINT64_C(256) << 20) /* all bodies that are being received */

/* ---- a request that is complete ---- */

static void drop_body(struct http_request *request)
{
    text_buffer_release(&request->body);
    atomic_fetch_sub(&request->http->bodies_bytes, request->body_reserved);
    request->body_reserved = 0;
}

/* From here on the client's leaving is watched for. */
static void start_generation(struct http_request *request)
{
    struct http *http = request->http;
    atomic_fetch_add(&http->active, 1);
    request->last_sent_us = clock_now_us();
    uint64_t tick_us = http->context->config->keepalive_comment_ms * 1000;
    http_watch_set(http->watch, request->slot, HTTP_WATCH_BUSY,
                   tick_us > 0 ? request->last_sent_us + tick_us : UINT64_MAX, request);
}

static enum MHD_Result run_handler(struct http_request *request)
{
    http_watch_set(request->http->watch, request->slot, HTTP_WATCH_QUIET, 0, NULL);
    struct api_call call = {
        .context = request->http->context,
        .argument = request->argument,
        .body = request->body.bytes != NULL ? request->body.bytes : "",
        .body_bytes = request->body.byte_count,
        .request_id = request->id,
        .wake = http_answer_wake,
        .wake_context = request,
        .http_status = 200,
        .content_type = "application/json",
        .answer = &request->out,
    };
    request->route->handle(&call);
    drop_body(request);
    request->generation = call.generation;
    if (call.generation != NULL) {
        start_generation(request);
        return http_answer_generation(request);
    }
    return http_answer_text(request, call.http_status, call.content_type,
                            call.http_status == 200 ? NULL : &call.refusal);
}

/* ---- the head ---- */

static enum MHD_Result keep_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_bytes, const char *value, size_t value_bytes)
{
    (void)kind;
    struct http_guard_head *head = context;
    if (head->header_count < LIMIT_HEADER_COUNT) {
        head->headers[head->header_count] = (struct http_guard_header){
            .name = name != NULL ? name : "",
            .name_bytes = name_bytes,
            .value = value != NULL ? value : "",
            .value_bytes = value != NULL ? value_bytes : 0,
        };
    }
    head->header_count++;
    return MHD_YES;
}

static void choose_id(struct http_request *request, const struct http_guard_header *given)
{
    if (given != NULL && http_guard_is_request_id(given->value, given->value_bytes)) {
        snprintf(request->id, sizeof request->id, "%.*s", (int)given->value_bytes, given->value);
    }
}

static void refuse(struct http_request *request, int http_status, const char *code,
                   const char *message)
{
    request->refused = true;
    refusal_set_http(&request->refusal, http_status, code, "%s", message);
}

static void check_key(struct http_request *request, const struct http_guard_facts *facts)
{
    const struct http_guard_header *shown = facts->authorization;
    const struct api_keys *keys = request->http->keys;
    bool accepted = keys == NULL || request->route->scope == ROUTE_OPEN ||
                    (shown != NULL && api_keys_accept(keys, shown->value, shown->value_bytes));
    if (!accepted) {
        refuse(request, 401, "invalid_api_key",
               "This server needs a key: send it as 'Authorization: Bearer KEY'.");
    }
}

static void find_route(struct http_request *request, const char *method)
{
    char *query = strchr(request->target, '?');
    if (query != NULL) {
        *query = '\0';
    }
    const char *argument = "";
    const char *allow = NULL;
    switch (routes_find(method, request->target, &request->route, &argument, &allow)) {
    case ROUTES_FOUND:
        break;
    case ROUTES_NO_METHOD:
        refuse(request, 405, "method_not_allowed", "This path does not know that method.");
        return;
    case ROUTES_NO_PATH:
        refuse(request, 404, "not_found", "There is nothing at this path.");
        return;
    }
    size_t byte_count = strlen(argument) + 1;
    request->argument = malloc(byte_count);
    if (request->argument == NULL || !http_guard_decode(argument, request->argument, byte_count)) {
        refuse(request, 503, "out_of_memory", "There is not enough memory for this request now.");
    }
}

static void check_content(struct http_request *request, const struct http_guard_facts *facts)
{
    if (!request->route->takes_json) {
        return;
    }
    const struct http_guard_header *encoding = facts->content_encoding;
    if (encoding != NULL && strcmp(encoding->value, "identity") != 0) {
        refuse(request, 415, "unsupported_media_type", "Bodies must not be compressed.");
    } else if (!http_guard_is_json(facts->content_type)) {
        refuse(request, 415, "unsupported_media_type",
               "The body must be JSON: send 'Content-Type: application/json'.");
    }
}

/* The last connections are for probes: a server that is merely full must not look dead. */
static bool only_probes_left(struct http *http)
{
    uint64_t count_max = http->context->config->max_connections;
    uint64_t reserve = count_max / 4 < PROBE_CONNECTIONS ? count_max / 4 : PROBE_CONNECTIONS;
    return atomic_load(&http->connections) > count_max - reserve;
}

/* What there is to say against a request before its body has come. */
static void judge(struct http_request *request, const struct http_guard_facts *facts,
                  const char *method)
{
    struct http *http = request->http;
    /* Only a server without keys can be abused by a web page that has none. */
    if (http->listen.is_loopback && http->keys == NULL &&
        !http_guard_host_is_local(facts->host, http->context->config->host)) {
        refuse(request, 421, "misdirected_request",
               "This server listens on this machine only, under its own names.");
        return;
    }
    find_route(request, method);
    if (!request->refused && request->route->scope != ROUTE_OPEN && only_probes_left(http)) {
        refuse(request, 503, "server_overloaded", "Too many connections are open.");
        request->close_after = true;
    }
    if (!request->refused) {
        check_key(request, facts);
    }
    if (!request->refused) {
        check_content(request, facts);
    }
}

/* Counted on entry, before the bytes come. */
static void reserve_body(struct http_request *request, const struct http_guard_facts *facts)
{
    uint64_t bytes_max = request->http->context->config->max_body_bytes;
    uint64_t expected = facts->is_chunked ? bytes_max : facts->content_length;
    if (expected > bytes_max) {
        refuse(request, 413, "request_too_large", "");
        snprintf(request->refusal.error.message, sizeof request->refusal.error.message,
                 "The body has %" PRIu64 " bytes; the most is %" PRIu64 ".", expected, bytes_max);
        return;
    }
    uint64_t before = atomic_fetch_add(&request->http->bodies_bytes, expected);
    request->body_reserved = expected;
    if (before + expected > BODIES_BYTES_MAX) {
        refuse(request, 503, "server_overloaded", "Too many requests are arriving at once.");
    }
}

static enum MHD_Result take_head(struct http_request *request, const char *method,
                                 const char *version)
{
    struct http_guard_head head = {.method = method, .target = request->target, .version = version};
    MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, keep_header, &head);
    struct http_guard_facts facts;
    request->stage = HTTP_REQUEST_BODY;
    if (http_guard_check(&head, &facts, &request->refusal) != OK) {
        request->close_after = true;
        return http_answer_refusal(request, &request->refusal);
    }
    choose_id(request, facts.request_id);
    judge(request, &facts, method);
    bool has_body = facts.is_chunked || facts.content_length > 0;
    if (has_body && !request->refused) {
        reserve_body(request, &facts);
    }
    bool discards = !facts.is_chunked && facts.content_length <= DISCARD_BYTES_MAX;
    if (request->refused && !discards) {
        request->close_after = true;
        return http_answer_refusal(request, &request->refusal);
    }
    const struct config *config = request->http->context->config;
    text_buffer_init(&request->body, (size_t)config->max_body_bytes);
    http_watch_set(request->http->watch, request->slot, HTTP_WATCH_READING,
                   clock_now_us() + config->body_timeout_ms * 1000, NULL);
    return MHD_YES;
}

static enum MHD_Result take_body(struct http_request *request, const char *bytes,
                                 size_t *byte_count)
{
    size_t given = *byte_count;
    *byte_count = 0;
    if (request->refused || text_buffer_append(&request->body, bytes, given)) {
        return MHD_YES;
    }
    /* Chunked, and longer than may be: the library takes no answer in the middle of a body. */
    http_watch_cut(request->fd, 413);
    return MHD_NO;
}

enum MHD_Result http_request_step(struct http_request *request, const char *method,
                                  const char *version, const char *body, size_t *body_bytes)
{
    switch (request->stage) {
    case HTTP_REQUEST_HEAD:
        return take_head(request, method, version);
    case HTTP_REQUEST_BODY:
        if (*body_bytes > 0) {
            return take_body(request, body, body_bytes);
        }
        return request->refused ? http_answer_refusal(request, &request->refusal)
                                : run_handler(request);
    case HTTP_REQUEST_WAITING:
        return http_answer_generation(request);
    case HTTP_REQUEST_ANSWERED:
        break;
    }
    return MHD_NO;
}

/* ---- its life ---- */

static void make_id(char *id, size_t id_bytes)
{
    snprintf(id, id_bytes, "%016" PRIx64 "%08" PRIx64, salt_random(), salt_random() >> 32);
}

static void link_request(struct http *http, struct http_request *request)
{
    pthread_mutex_lock(&http->list_lock);
    request->next = http->first;
    if (http->first != NULL) {
        http->first->previous = request;
    }
    http->first = request;
    pthread_mutex_unlock(&http->list_lock);
}

static void unlink_request(struct http *http, struct http_request *request)
{
    pthread_mutex_lock(&http->list_lock);
    if (request->next != NULL) {
        request->next->previous = request->previous;
    }
    if (request->previous != NULL) {
        request->previous->next = request->next;
    } else {
        http->first = request->next;
    }
    pthread_mutex_unlock(&http->list_lock);
}

struct http_request *http_request_open(struct http *http, struct MHD_Connection *connection,
                                       uint32_t slot, int fd, const char *target)
{
    struct http_request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        return NULL;
    }
    request->target = strndup(target, PATH_BYTES);
    if (request->target == NULL) {
        free(request);
        return NULL;
    }
    request->http = http;
    request->connection = connection;
    request->slot = slot;
    request->fd = fd;
    request->arrived_us = clock_now_us();
    make_id(request->id, sizeof request->id);
    text_buffer_init(&request->out, LIMIT_ANSWER_BYTES);
    pthread_mutex_init(&request->lock, NULL);
    link_request(http, request);
    http_watch_set(http->watch, slot, HTTP_WATCH_READING,
                   request->arrived_us + http->context->config->header_timeout_ms * 1000, NULL);
    return request;
}

/* 499 stands for a client that left. */
static void log_request(const struct http_request *request, bool finished)
{
    const char *path = request->route != NULL ? request->route->path : "-";
    uint64_t total_us = clock_now_us() - request->arrived_us;
    if (request->generation == NULL) {
        log_event(LOG_DEBUG, "request_done", "id=%s path=%s status=%d total_ms=%.1f", request->id,
                  path, request->http_status, (double)total_us / 1000);
        return;
    }
    struct generation_summary summary;
    generation_summarise(request->generation, &summary);
    double first_ms = summary.first_token_us > 0
                          ? (double)(summary.first_token_us - request->arrived_us) / 1000
                          : -1;
    log_event(LOG_INFO, "request_done",
              "id=%s path=%s status=%d finish=%s prompt_tokens=%" PRIu64 " cached_tokens=%" PRIu64
              " completion_tokens=%" PRIu64 " ttft_ms=%.1f total_ms=%.1f",
              request->id, path, finished ? request->http_status : 499,
              summary.finish_reason != NULL ? summary.finish_reason : "none", summary.prompt_tokens,
              summary.cached_tokens, summary.completion_tokens, first_ms, (double)total_us / 1000);
}

void http_request_close(struct http_request *request, bool finished)
{
    struct http *http = request->http;
    const struct config *config = http->context->config;
    /* First of all: after this the watch knows nothing of the request any more. */
    http_watch_set(http->watch, request->slot, HTTP_WATCH_READING,
                   clock_now_us() + (config->idle_timeout_ms + config->header_timeout_ms) * 1000,
                   NULL);
    unlink_request(http, request);
    log_request(request, finished);
    if (request->generation != NULL) {
        generation_close(request->generation);
        atomic_fetch_sub(&http->active, 1);
    }
    drop_body(request);
    text_buffer_release(&request->out);
    pthread_mutex_destroy(&request->lock);
    free(request->argument);
    free(request->target);
    free(request);
}
