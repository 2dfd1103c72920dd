/* http_listen.c - our own socket rather than the library's, so that the address is known, port 0
 * works, and a public address can be refused before anything listens.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 1024
};

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static void write_address(struct http_listen *out)
{
    struct sockaddr_storage bound = {0};
    socklen_t bound_bytes = sizeof bound;
    char host[64] = "?";
    char port[8] = "?";
    if (getsockname(out->fd, (struct sockaddr *)&bound, &bound_bytes) == 0) {
        getnameinfo((const struct sockaddr *)&bound, bound_bytes, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    }
    bool is_v6 = bound.ss_family == AF_INET6;
    snprintf(out->address, sizeof out->address, is_v6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* Leaves errno when it returns -1. */
static int listen_on(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0) {
        return -1;
    }
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

static enum status judge_address(struct http_listen *out, const struct sockaddr *address,
                                 const char *name, bool may_be_public, struct error *err)
{
    out->is_loopback = is_loopback(address);
    if (out->is_loopback || may_be_public) {
        return OK;
    }
    return error_set(err, ERR_INVALID,
                     "host %s can be reached from other machines: give --api-key-file, or "
                     "--allow-public to serve everybody",
                     name);
}

enum status http_listen_open(struct http_listen *out, const char *host, uint16_t port,
                             bool may_be_public, struct error *err)
{
    *out = (struct http_listen){.fd = -1};
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(host, service, &hints, &found);
    if (failure != 0) {
        return error_set(err, ERR_INVALID, "host %s: %s", host, gai_strerror(failure));
    }
    enum status status = judge_address(out, found->ai_addr, host, may_be_public, err);
    if (status != OK) {
        freeaddrinfo(found);
        return status;
    }
    out->fd = listen_on(found);
    failure = errno;
    freeaddrinfo(found);
    if (out->fd < 0) {
        return error_set(err, ERR_IO, "cannot listen on %s port %u: %s", host, (unsigned)port,
                         strerror(failure));
    }
    write_address(out);
    return OK;
}

enum status http_listen_adopt(struct http_listen *out, int fd, bool may_be_public,
                              struct error *err)
{
    *out = (struct http_listen){.fd = fd};
    struct sockaddr_storage bound = {0};
    socklen_t bound_bytes = sizeof bound;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &bound_bytes) != 0) {
        return error_set(err, ERR_IO, "the socket passed in: %s", strerror(errno));
    }
    if (bound.ss_family != AF_INET && bound.ss_family != AF_INET6) {
        return error_set(err, ERR_INVALID, "the socket passed in is not one of TCP");
    }
    write_address(out);
    return judge_address(out, (const struct sockaddr *)&bound, out->address, may_be_public, err);
}
