/* http_watch.h - watches sockets for what libmicrohttpd does not see: a client that leaves while
 * its connection is suspended, and a request that never becomes whole.
 *
 * One thread with an epoll set of its own. Each connection has a slot and is in one phase.
 * Callbacks run on that thread with the watch's lock held: they must be short, and once
 * http_watch_set or http_watch_remove has returned, no callback with the old context follows.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_WATCH_H
#define SERVER_HTTP_WATCH_H

#include "configs/error.h"

#include <stddef.h>
#include <stdint.h>

struct http_watch;

#define HTTP_WATCH_NONE UINT32_MAX

enum http_watch_phase {
    HTTP_WATCH_QUIET,   /* nothing to watch for */
    HTTP_WATCH_READING, /* a request is arriving: at the deadline the client gets a 408, and the
                           socket is shut down */
    HTTP_WATCH_BUSY,    /* a request is being worked on: gone when the client leaves, tick at the
                           deadline and then every tick_us */
};

struct http_watch_calls {
    void (*gone)(void *context);
    void (*tick)(void *context);
    uint64_t tick_us;
};

enum status http_watch_open(struct http_watch **out, uint32_t slot_count,
                            const struct http_watch_calls *calls, struct error *err);
void http_watch_close(struct http_watch *watch);

/* The index of a slot for a connection, in phase READING until deadline_us (monotonic). HTTP_WATCH_NONE when all
 * are taken. */
uint32_t http_watch_add(struct http_watch *watch, int fd, uint64_t deadline_us);
void http_watch_set(struct http_watch *watch, uint32_t index, enum http_watch_phase phase,
                    uint64_t deadline_us, void *context);

/* Before the socket is closed. */
void http_watch_remove(struct http_watch *watch, uint32_t index);

/* Answers with nothing but a status line, past the library, and shuts the socket down. For a
 * request that can no longer be answered in order; nothing may have been sent for it. */
void http_watch_cut(int fd, int http_status);

#endif
