/* http_listen.h - a listening socket: our own for a host name and a port, or one passed in.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_LISTEN_H
#define SERVER_HTTP_LISTEN_H

#include "configs/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_LISTEN_ADDRESS_BYTES = 80
};

struct http_listen {
    int fd;
    bool is_loopback;
    char address[HTTP_LISTEN_ADDRESS_BYTES]; /* "127.0.0.1:8080", "[::1]:8080" */
};

/* port 0: any free one. may_be_public false: only loopback addresses are taken. */
enum status http_listen_open(struct http_listen *out, const char *host, uint16_t port,
                             bool may_be_public, struct error *err);

/* Takes fd, a TCP socket that listens already; the same rule for public addresses. */
enum status http_listen_adopt(struct http_listen *out, int fd, bool may_be_public,
                              struct error *err);

#endif
