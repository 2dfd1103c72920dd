/* http_guard.h - judges a request's head before anything else looks at it.
 *
 * libmicrohttpd 0.9.75 lets through what proxies and servers read differently (two lengths, length
 * and chunked, control bytes, names that are no tokens): each is a way to smuggle a second request.
 * Here they end the connection. What the library has changed before it shows us the head cannot be
 * seen here: lines that end in a bare LF, folded lines, headers with an empty name, what follows a
 * NUL in a line, blank lines in front of a request, LF-only chunks. Read leniently they mean the
 * same to everybody who reads them at all, but a proxy that pools connections to this server should
 * be a strict one.
 * Thread: any; pure. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_GUARD_H
#define SERVER_HTTP_GUARD_H

#include "configs/limits.h"
#include "server/refusal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_guard_header {
    const char *name;
    size_t name_bytes;
    const char *value;
    size_t value_bytes;
};

struct http_guard_head {
    const char *method;
    const char *target; /* as sent, not decoded */
    const char *version;
    struct http_guard_header headers[LIMIT_HEADER_COUNT];
    size_t header_count; /* may exceed the array: the rest was not kept */
};

/* What the rest of the server needs to know of a head that passed. */
struct http_guard_facts {
    bool has_length;
    bool is_chunked;
    uint64_t content_length;
    const struct http_guard_header *host;          /* NULL when absent; likewise below */
    const struct http_guard_header *authorization; /* the only one: two are refused */
    const struct http_guard_header *content_type;
    const struct http_guard_header *content_encoding;
    const struct http_guard_header *request_id;
};

/* ERR_INVALID with an HTTP status: the connection must close after the answer. */
enum status http_guard_check(const struct http_guard_head *head, struct http_guard_facts *facts,
                             struct refusal *refusal);

/* Whether a page of a foreign site could have sent this to a loopback address under a name it
 * controls (DNS rebinding): true for addresses, localhost, and the name we were told to bind. */
bool http_guard_host_is_local(const struct http_guard_header *host, const char *bound_name);

/* application/json, in UTF-8 or without a charset. */
bool http_guard_is_json(const struct http_guard_header *content_type);

/* An id that is safe to repeat in headers and logs: 1..64 of A-Z a-z 0-9 . _ -  */
bool http_guard_is_request_id(const char *text, size_t byte_count);

/* Decodes %XX of a path that http_guard_check passed into out; false when it does not fit. */
bool http_guard_decode(const char *path, char *out, size_t out_bytes);

#endif
