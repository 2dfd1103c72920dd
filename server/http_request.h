/* http_request.h - one HTTP request inside http.c and its two helpers.
 *
 * Created with its request line, freed when the library says it is over. The stages follow the
 * library's calls: head, body (collected, or discarded when refused), then the answer.
 * Thread: http, that of its connection, unless said otherwise.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include "server/api.h"
#include "server/api_keys.h"
#include "server/http_listen.h"
#include "server/http_watch.h"
#include "server/routes.h"
#include "server/text_buffer.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The server, as its requests see it. */
struct http {
    struct api_context *context;
    struct api_keys *keys; /* NULL: none needed */
    struct http_listen listen;
    struct http_watch *watch;
    struct MHD_Daemon *daemon;
    _Atomic uint64_t bodies_bytes; /* reserved by requests that are arriving */
    _Atomic uint32_t active;       /* requests with a generation */
    _Atomic uint64_t connections;
    _Atomic bool closing;
    pthread_mutex_t list_lock;
    struct http_request *first; /* all requests there are, for http_wake_all */
};

enum http_request_stage {
    HTTP_REQUEST_HEAD,
    HTTP_REQUEST_BODY,
    HTTP_REQUEST_WAITING, /* the generation's whole answer is awaited */
    HTTP_REQUEST_ANSWERED,
};

struct http_request {
    struct http *http;
    struct MHD_Connection *connection;
    uint32_t slot; /* of the watch */
    int fd;
    struct http_request *next; /* in http's list */
    struct http_request *previous;
    enum http_request_stage stage;
    uint64_t arrived_us;
    char id[72];
    char *target;
    char *argument; /* behind the path of the route, decoded */
    const struct route *route;
    bool refused;
    bool close_after; /* the connection ends with this answer */
    struct refusal refusal;
    struct text_buffer body;
    uint64_t body_reserved; /* of http's bodies_bytes */
    struct generation *generation;
    struct text_buffer out;
    size_t out_sent; /* bytes of out that the library has */
    bool stream_ended;
    uint64_t last_sent_us;
    int http_status;

    pthread_mutex_t lock; /* guards the three below */
    bool asleep;
    bool woken; /* a wake came while awake: do not fall asleep before looking again */
    bool gone;
};

/* NULL: no memory. */
struct http_request *http_request_open(struct http *http, struct MHD_Connection *connection,
                                       uint32_t slot, int fd, const char *target);

/* One call of the library's request handler. */
enum MHD_Result http_request_step(struct http_request *request, const char *method,
                                  const char *version, const char *body, size_t *body_bytes);

/* It is over; finished: the client has all of the answer. */
void http_request_close(struct http_request *request, bool finished);

#endif
