/* health_check.c - one blocking request over a plain socket: the status line is all that counts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/health_check.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    PATIENCE_SECONDS = 5,
    STATUS_LINE_BYTES = 16 /* "HTTP/1.1 200" and a little */
};

/* Listening on every address is not an address to connect to everywhere. */
static void prefer_loopback(struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)address;
        if (v4->sin_addr.s_addr == htonl(INADDR_ANY)) {
            v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        }
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)address;
        if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) {
            v6->sin6_addr = in6addr_loopback;
        }
    }
}

/* Leaves errno when it returns -1. */
static int connect_to(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) {
        return -1;
    }
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
        return fd;
    }
    int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

static enum status ask(int fd, struct error *err)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof request - 1)) {
        return error_set(err, ERR_IO, "not ready: the request was not taken: %s", strerror(errno));
    }
    char line[STATUS_LINE_BYTES + 1] = {0};
    ssize_t got = recv(fd, line, STATUS_LINE_BYTES, MSG_WAITALL);
    if (got < 0) {
        return error_set(err, ERR_IO, "not ready: no answer within %d s", PATIENCE_SECONDS);
    }
    unsigned long code = strncmp(line, "HTTP/1.1 ", 9) == 0 ? strtoul(line + 9, NULL, 10) : 0;
    return code == 200 ? OK : error_set(err, ERR_IO, "not ready: HTTP status %lu", code);
}

enum status health_check_ask(const char *host, uint16_t port, struct error *err)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(host, service, &hints, &found);
    if (failure != 0) {
        return error_set(err, ERR_INVALID, "host %s: %s", host, gai_strerror(failure));
    }
    prefer_loopback(found->ai_addr);
    int fd = connect_to(found);
    failure = errno;
    freeaddrinfo(found);
    if (fd < 0) {
        return error_set(err, ERR_IO, "not ready: nothing answers on %s port %u: %s", host,
                         (unsigned)port, strerror(failure));
    }
    enum status status = ask(fd, err);
    close(fd);
    return status;
}
