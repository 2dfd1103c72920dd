/* http.c - libmicrohttpd with its own epoll threads; its callbacks, and its start and stop.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http.h"

#include "engine/clock.h"
#include "server/http_answer.h"
#include "server/http_request.h"
#include "server/service.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    POOL_BYTES = 32768,        /* the library's memory per connection: head in, chunk out */
    SEND_BUFFER_BYTES = 65536, /* what the kernel takes from a client that does not read */
};

/* ---- the library's callbacks ---- */

static uint32_t slot_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL && info->socket_context != NULL
               ? (uint32_t)((uintptr_t)info->socket_context - 1)
               : HTTP_WATCH_NONE;
}

static int fd_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

/* The request line is here. What this returns is the request's cell from now on. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    uint32_t slot = slot_of(connection);
    if (slot == HTTP_WATCH_NONE) {
        return NULL;
    }
    return http_request_open(context, connection, slot, fd_of(connection), target);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_bytes, void **request_cell)
{
    (void)context;
    (void)connection;
    (void)url;
    return *request_cell != NULL
               ? http_request_step(*request_cell, method, version, body, body_bytes)
               : MHD_NO;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_cell,
                         enum MHD_RequestTerminationCode reason)
{
    (void)context;
    (void)connection;
    if (*request_cell != NULL) {
        http_request_close(*request_cell, reason == MHD_REQUEST_TERMINATED_COMPLETED_OK);
        *request_cell = NULL;
    }
}

static void count_connection(struct http *http, uint64_t change)
{
    uint64_t count = atomic_fetch_add(&http->connections, change) + change;
    struct engine *engine = atomic_load(&http->context->engine);
    if (engine != NULL) {
        stats_set(&engine_stats(engine)->http_connections, count);
    }
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot_cell,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http *http = context;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        count_connection(http, UINT64_MAX); /* minus one */
        if (*slot_cell != NULL) {
            http_watch_remove(http->watch, (uint32_t)((uintptr_t)*slot_cell - 1));
            *slot_cell = NULL;
        }
        return;
    }
    count_connection(http, 1);
    int fd = fd_of(connection);
    int send_bytes = SEND_BUFFER_BYTES;
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    uint32_t slot = http_watch_add(
        http->watch, fd, clock_now_us() + http->context->config->header_timeout_ms * 1000);
    if (slot == HTTP_WATCH_NONE) {
        shutdown(fd, SHUT_RDWR);
        return;
    }
    *slot_cell = (void *)((uintptr_t)slot + 1);
}

/* Paths are decoded by us, after they have been judged as sent. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* ---- opening and closing ---- */

static enum status start_daemon(struct http *http, struct error *err)
{
    const struct config *config = http->context->config;
    unsigned threads = (unsigned)config->http_threads;
    /* The library gives each thread an equal part, and clients do not spread that evenly: the
     * number of slots is the limit, this is just not to meet the library's own first. */
    unsigned limit = (unsigned)config->max_connections * (threads > 1 ? threads : 1u);
    unsigned timeout_seconds = (unsigned)((config->idle_timeout_ms + 999) / 1000);
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL,
        on_request, http, MHD_OPTION_LISTEN_SOCKET, http->listen.fd,
        /* 1 means "no pool", which 0 would say too */
        MHD_OPTION_THREAD_POOL_SIZE, threads > 1 ? threads : 0u, MHD_OPTION_CONNECTION_LIMIT, limit,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)config->max_connections_per_ip,
        MHD_OPTION_CONNECTION_TIMEOUT, timeout_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)POOL_BYTES, MHD_OPTION_URI_LOG_CALLBACK, on_target, http,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (http->daemon == NULL) {
        return error_set(err, ERR_IO, "the HTTP library would not start on %s",
                         http->listen.address);
    }
    http->listen.fd = -1; /* the library's, until it stops */
    return OK;
}

static enum status open_port(struct http *http, struct error *err)
{
    const struct config *config = http->context->config;
    bool may_be_public = http->keys != NULL || config->allow_public;
    int passed_in = -1;
    enum status status = service_socket(&passed_in, err);
    if (status != OK) {
        return status;
    }
    return passed_in >= 0 ? http_listen_adopt(&http->listen, passed_in, may_be_public, err)
                          : http_listen_open(&http->listen, config->host, (uint16_t)config->port,
                                             may_be_public, err);
}

enum status http_open(struct http **out, struct api_context *context, struct error *err)
{
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the HTTP server");
    }
    const struct config *config = context->config;
    http->context = context;
    http->listen.fd = -1;
    pthread_mutex_init(&http->list_lock, NULL);
    const struct http_watch_calls calls = {
        .gone = http_answer_gone,
        .tick = http_answer_wake,
        .tick_us = config->keepalive_comment_ms * 1000,
    };
    enum status status = api_keys_open(&http->keys, config->api_key_file, err);
    if (status == OK) {
        status = open_port(http, err);
    }
    if (status == OK) {
        status = http_watch_open(&http->watch, (uint32_t)config->max_connections, &calls, err);
    }
    if (status == OK) {
        status = start_daemon(http, err);
    }
    if (status != OK) {
        http_close(http);
        return status;
    }
    *out = http;
    return OK;
}

const char *http_address(const struct http *http)
{
    return http->listen.address;
}

uint32_t http_active(struct http *http)
{
    return atomic_load(&http->active);
}

void http_wake_all(struct http *http)
{
    pthread_mutex_lock(&http->list_lock);
    for (struct http_request *request = http->first; request != NULL; request = request->next) {
        http_answer_wake(request);
    }
    pthread_mutex_unlock(&http->list_lock);
}

void http_close(struct http *http)
{
    if (http == NULL) {
        return;
    }
    /* From here on nobody falls asleep; those who sleep are woken: the library must not be stopped
     * with suspended connections. */
    atomic_store(&http->closing, true);
    if (http->daemon != NULL) {
        http_wake_all(http);
        /* Taken back, or the library would shut it down, and with it the one that a service manager
         * holds for the next start. */
        http->listen.fd = MHD_quiesce_daemon(http->daemon);
        MHD_stop_daemon(http->daemon);
    }
    http_watch_close(http->watch);
    if (http->listen.fd >= 0) {
        close(http->listen.fd);
    }
    api_keys_close(http->keys);
    pthread_mutex_destroy(&http->list_lock);
    free(http);
}
