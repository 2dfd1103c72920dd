/* http_answer.c - libmicrohttpd's suspend and resume.
 *
 * A connection may be suspended only from one of its two callbacks, and resumed only while it is
 * suspended; `asleep` and `woken` under the request's lock keep both rules: a waker that comes too
 * early leaves a note, one that comes late finds nothing to do. A suspended connection notices
 * nothing by itself, so the watch looks after it, and a woken one is answered with bytes or an
 * error, never with another "not yet" once its client has left.
 * Lock order: watch, reply or list, then the request's, which is a leaf on our side.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http_answer.h"

#include "engine/clock.h"
#include "server/sse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    STREAM_BLOCK_BYTES = 16384
};

/* ---- sleeping and waking ---- */

/* Suspends, unless something has happened since the last look. True: return to the library now. */
static bool fall_asleep(struct http_request *request)
{
    pthread_mutex_lock(&request->lock);
    bool sleeps = !request->woken;
    request->woken = false;
    if (sleeps) {
        request->asleep = true;
        MHD_suspend_connection(request->connection);
    }
    pthread_mutex_unlock(&request->lock);
    return sleeps;
}

void http_answer_wake(void *context)
{
    struct http_request *request = context;
    pthread_mutex_lock(&request->lock);
    if (request->asleep) {
        request->asleep = false;
        MHD_resume_connection(request->connection);
    } else {
        request->woken = true;
    }
    pthread_mutex_unlock(&request->lock);
}

static bool is_gone(struct http_request *request)
{
    pthread_mutex_lock(&request->lock);
    bool gone = request->gone;
    pthread_mutex_unlock(&request->lock);
    return gone || atomic_load(&request->http->closing);
}

/* From the watch: the engine hears of it at once, the connection as soon as its thread turns. */
void http_answer_gone(void *context)
{
    struct http_request *request = context;
    pthread_mutex_lock(&request->lock);
    request->gone = true;
    pthread_mutex_unlock(&request->lock);
    generation_abandon(request->generation);
    http_answer_wake(request);
}

/* ---- answering ---- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    MHD_add_response_header(response, name, value);
}

static void add_common_headers(struct http_request *request, struct MHD_Response *response,
                               const char *content_type)
{
    add_header(response, "Content-Type", content_type);
    add_header(response, "Cache-Control", "no-store");
    add_header(response, "X-Content-Type-Options", "nosniff");
    add_header(response, "x-request-id", request->id);
    if (request->close_after || atomic_load(&request->http->context->phase) >= API_DRAINING) {
        add_header(response, "Connection", "close");
    }
}

static void add_refusal_headers(struct MHD_Response *response, const struct refusal *refusal,
                                const char *allow)
{
    char number[24];
    if (refusal->retry_after_ms > 0) {
        /* Spread out, so that those refused together do not come back together. */
        uint64_t wait_ms = refusal->retry_after_ms + salt_random() % 1000;
        snprintf(number, sizeof number, "%" PRIu64, wait_ms);
        add_header(response, "retry-after-ms", number);
        snprintf(number, sizeof number, "%" PRIu64, (wait_ms + 999) / 1000);
        add_header(response, "Retry-After", number);
    }
    if (refusal->retry_never) {
        add_header(response, "x-should-retry", "false");
    }
    if (refusal->http_status == 401) {
        add_header(response, "WWW-Authenticate", "Bearer");
    }
    if (allow != NULL) {
        add_header(response, "Allow", allow);
    }
}

/* Queues and drops the reference. */
static enum MHD_Result queue(struct http_request *request, int http_status,
                             struct MHD_Response *response)
{
    request->stage = HTTP_REQUEST_ANSWERED;
    request->http_status = http_status;
    enum MHD_Result result =
        MHD_queue_response(request->connection, (unsigned)http_status, response);
    MHD_destroy_response(response);
    return result;
}

/* The methods that a path knows, when that was the trouble. */
static const char *allowed_methods(const struct http_request *request,
                                   const struct refusal *refusal)
{
    const char *allow = NULL;
    if (refusal->http_status == 405) {
        const struct route *route;
        const char *argument;
        routes_find("", request->target, &route, &argument, &allow);
    }
    return allow;
}

enum MHD_Result http_answer_text(struct http_request *request, int http_status,
                                 const char *content_type, const struct refusal *refusal)
{
    struct text_buffer *text = &request->out;
    if (text->failed || text->bytes == NULL) {
        return MHD_NO; /* no memory even for an answer: the connection closes */
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(text->byte_count, text->bytes, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        return MHD_NO;
    }
    *text = (struct text_buffer){.bytes_max = text->bytes_max};
    add_common_headers(request, response, content_type);
    if (refusal != NULL) {
        add_refusal_headers(response, refusal, allowed_methods(request, refusal));
    }
    return queue(request, http_status, response);
}

enum MHD_Result http_answer_refusal(struct http_request *request, const struct refusal *refusal)
{
    text_buffer_clear(&request->out);
    refusal_write(refusal, &request->out);
    return http_answer_text(request, refusal->http_status, "application/json", refusal);
}

/* ---- generations ---- */

/* Advances, telling the generation first if the daemon cuts it short. */
static enum generation_state advance(struct http_request *request)
{
    if (atomic_load(&request->http->context->phase) == API_STOPPING) {
        struct refusal refusal;
        refusal_set_status(&refusal, ERR_CANCELLED, "shutting_down",
                           "The server is stopping; the request was cut short.");
        generation_fail(request->generation, &refusal);
    }
    return generation_advance(request->generation, &request->out);
}

/* Fills request->out with something to send. False: asleep, or (gone) to be ended. */
static bool fill_out(struct http_request *request)
{
    uint64_t silence_us = request->http->context->config->keepalive_comment_ms * 1000;
    for (;;) {
        if (is_gone(request)) {
            return false;
        }
        enum generation_state state = advance(request);
        request->stream_ended = state == GENERATION_ENDED;
        if (state != GENERATION_WAITS) {
            return true;
        }
        if (silence_us > 0 && clock_now_us() - request->last_sent_us >= silence_us) {
            sse_write_keep_alive(&request->out);
            return true;
        }
        if (fall_asleep(request)) {
            return false;
        }
    }
}

/* The library asks for up to byte_count_max more bytes of a stream. */
static ssize_t read_stream(void *context, uint64_t position, char *bytes, size_t byte_count_max)
{
    (void)position;
    struct http_request *request = context;
    if (request->out_sent == request->out.byte_count) {
        if (request->stream_ended) {
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
        text_buffer_clear(&request->out);
        request->out_sent = 0;
        if (!fill_out(request)) {
            return is_gone(request) ? MHD_CONTENT_READER_END_WITH_ERROR : 0;
        }
        if (request->out.failed) {
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
    }
    size_t left = request->out.byte_count - request->out_sent;
    size_t byte_count = left < byte_count_max ? left : byte_count_max;
    memcpy(bytes, request->out.bytes + request->out_sent, byte_count);
    request->out_sent += byte_count;
    request->last_sent_us = clock_now_us();
    return (ssize_t)byte_count;
}

static enum MHD_Result answer_stream(struct http_request *request)
{
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_stream, request, NULL);
    if (response == NULL) {
        return MHD_NO;
    }
    add_common_headers(request, response, "text/event-stream");
    add_header(response, "X-Accel-Buffering", "no"); /* nginx would hold events back */
    return queue(request, 200, response);
}

/* A whole answer: sleeps until it is there. */
static enum MHD_Result await_whole(struct http_request *request)
{
    request->stage = HTTP_REQUEST_WAITING;
    for (;;) {
        if (is_gone(request)) {
            return MHD_NO;
        }
        if (advance(request) == GENERATION_ENDED) {
            break;
        }
        if (fall_asleep(request)) {
            return MHD_YES;
        }
    }
    const struct refusal *failure = generation_failure(request->generation);
    if (failure != NULL) {
        return http_answer_refusal(request, failure);
    }
    return http_answer_text(request, 200, "application/json", NULL);
}

enum MHD_Result http_answer_generation(struct http_request *request)
{
    return generation_streams(request->generation) ? answer_stream(request) : await_whole(request);
}
