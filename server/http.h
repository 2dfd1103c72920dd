/* http.h - the port: connections, bodies, streams, limits.
 *
 * http.c is the only file that knows libmicrohttpd. A request lives in one struct from its first
 * line to its last byte. Sleeping connections are suspended: a reply's waker, the watch (the client
 * left, a tick) or http_wake_all resumes them.
 * Thread: main for all functions here. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "configs/error.h"
#include "server/api.h"

#include <stdint.h>

struct http;

/* Binds and listens; the context must outlive it. Refuses to listen beyond loopback without keys,
 * unless the config says so. */
enum status http_open(struct http **out, struct api_context *context, struct error *err);

/* "127.0.0.1:8080", with the port the kernel chose where the config said 0. */
const char *http_address(const struct http *http);

/* Generating requests whose last byte is not out yet. */
uint32_t http_active(struct http *http);

/* Lets every sleeping request look around: the phase has changed. */
void http_wake_all(struct http *http);

/* Cuts what is left, stops the threads, closes the port. Accepts NULL. */
void http_close(struct http *http);

#endif
