/* target.c - plain HTTP only: a load generator stands beside its server, and encryption would be
 * measured along.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/target.h"

#include "tests/load/bounds.h"
#include "tests/load/response.h"
#include "tests/load/ticks.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ASK_AGAIN_MS = 200,
    ANSWER_SECONDS = 10
};

static enum status resolve(struct target *target, const char *host, const char *port,
                           struct error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int problem = getaddrinfo(host, port, &hints, &found);
    if (problem != 0) {
        return error_set(err, ERR_INVALID, "--url: host %s, port %s: %s", host, port,
                         gai_strerror(problem));
    }
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->address_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return OK;
}

static enum status read_key(struct target *target, const char *key_file, struct error *err)
{
    FILE *file = fopen(key_file, "rbe");
    if (file == NULL) {
        return error_set(err, ERR_IO, "--api-key-file %s: %s", key_file, strerror(errno));
    }
    bool fine = fgets(target->key, sizeof target->key, file) != NULL;
    fclose(file);
    target->key[strcspn(target->key, "\r\n")] = '\0';
    return fine && target->key[0] != '\0'
               ? OK
               : error_set(err, ERR_INVALID, "--api-key-file %s: its first line is empty",
                           key_file);
}

/* "[::1]:80" has its colons inside brackets. */
static bool split_host(const char *text, size_t text_bytes, char host[TARGET_HOST_BYTES],
                       char port[8])
{
    const char *end = text + text_bytes;
    const char *host_end = memchr(text, ':', text_bytes);
    bool bracketed = text[0] == '[';
    if (bracketed) {
        host_end = memchr(text, ']', text_bytes);
        if (host_end == NULL) {
            return false;
        }
    }
    const char *colon = bracketed ? host_end + 1 : host_end;
    host_end = host_end != NULL ? host_end : end;
    bool has_port = colon != NULL && colon < end;
    int host_bytes = (int)(host_end - text) - bracketed;
    int port_bytes = has_port ? (int)(end - colon - 1) : 0;
    if (host_bytes <= 0 || (has_port && (*colon != ':' || port_bytes < 1 || port_bytes > 5))) {
        return false;
    }
    snprintf(host, TARGET_HOST_BYTES, "%.*s", host_bytes, text + bracketed);
    snprintf(port, 8, "%.*s", has_port ? port_bytes : 2, has_port ? colon + 1 : "80");
    return true;
}

enum status target_open(struct target *target, const char *url, const char *key_file,
                        struct error *err)
{
    *target = (struct target){.keep_alive = true};
    if (strncmp(url, "http://", 7) != 0) {
        return error_set(err, ERR_INVALID, "--url %.200s: does not start with http://", url);
    }
    const char *authority = url + 7;
    size_t authority_bytes = strcspn(authority, "/?#");
    char host[TARGET_HOST_BYTES];
    char port[8];
    if (authority_bytes == 0 || authority_bytes >= TARGET_HOST_BYTES ||
        strlen(authority + authority_bytes) >= TARGET_PATH_BYTES ||
        !split_host(authority, authority_bytes, host, port)) {
        return error_set(err, ERR_INVALID, "--url %.200s: not of the form http://HOST:PORT", url);
    }
    snprintf(target->host, sizeof target->host, "%.*s", (int)authority_bytes, authority);
    snprintf(target->path, sizeof target->path, "%s", authority + authority_bytes);
    size_t path_bytes = strlen(target->path);
    while (path_bytes > 0 && target->path[path_bytes - 1] == '/') {
        target->path[--path_bytes] = '\0';
    }
    enum status status = key_file[0] != '\0' ? read_key(target, key_file, err) : OK;
    return status == OK ? resolve(target, host, port, err) : status;
}

void target_request(const struct target *target, const char *path, const struct buffer *body,
                    struct buffer *out)
{
    buffer_format(out, "%s %s%s HTTP/1.1\r\nHost: %s\r\n", body != NULL ? "POST" : "GET",
                  target->path, path, target->host);
    if (target->key[0] != '\0') {
        buffer_format(out, "Authorization: Bearer %s\r\n", target->key);
    }
    if (!target->keep_alive) {
        buffer_text(out, "Connection: close\r\n");
    }
    if (body != NULL) {
        buffer_format(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body->used);
    }
    buffer_text(out, "\r\n");
    if (body != NULL) {
        buffer_append(out, body->bytes, body->used);
    }
}

/* ---- one question, asked and awaited ---- */

static void keep_body(void *context, const char *bytes, size_t byte_count)
{
    struct buffer *body = context;
    if (body->used + byte_count <= BOUND_ANSWER_BYTES) {
        buffer_append(body, bytes, byte_count);
    }
}

static bool send_all(int fd, const struct buffer *bytes)
{
    size_t sent = 0;
    while (sent < bytes->used) {
        ssize_t step = send(fd, bytes->bytes + sent, bytes->used - sent, MSG_NOSIGNAL);
        if (step <= 0) {
            return false;
        }
        sent += (size_t)step;
    }
    return true;
}

static void receive(int fd, struct response *response, struct buffer *body)
{
    char bytes[16384];
    while (response->state != RESPONSE_DONE && response->state != RESPONSE_BAD) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0) {
            response_end(response);
            return;
        }
        response_feed(response, bytes, (size_t)got, keep_body, body);
    }
}

/* The HTTP status, or 0 where there was no answer. */
static int ask(const struct target *target, const char *path, struct buffer *body)
{
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return 0;
    }
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    struct buffer request = {0};
    struct response response = {0};
    struct target once = *target;
    once.keep_alive = false;
    target_request(&once, path, NULL, &request);
    if (connect(fd, (const struct sockaddr *)&target->address, target->address_bytes) == 0 &&
        send_all(fd, &request)) {
        receive(fd, &response, body);
    }
    close(fd);
    int status = response.state == RESPONSE_DONE ? response.status : 0;
    response_release(&response);
    buffer_release(&request);
    return status;
}

static bool first_model(const struct buffer *body, char *name, size_t name_bytes)
{
    json_error_t problem;
    json_t *answer = json_loadb(body->bytes, body->used, 0, &problem);
    const char *id = json_string_value(
        json_object_get(json_array_get(json_object_get(answer, "data"), 0), "id"));
    bool fine = id != NULL && strlen(id) < name_bytes;
    if (fine) {
        snprintf(name, name_bytes, "%s", id);
    }
    json_decref(answer);
    return fine;
}

enum status target_model(const struct target *target, double timeout_s, char *name,
                         size_t name_bytes, struct error *err)
{
    uint64_t end = ticks_now() + ticks_from_seconds(timeout_s);
    for (;;) {
        struct buffer body = {0};
        int status = ask(target, "/v1/models", &body);
        bool named = status == 200 && body.used > 0 && first_model(&body, name, name_bytes);
        buffer_release(&body);
        if (named) {
            return OK;
        }
        /* A server that loads says 503, or does not listen yet; anything else is an answer. */
        bool may_come = status == 0 || status == 503;
        if (!may_come || ticks_now() >= end) {
            return status == 0 ? error_set(err, ERR_IO, "http://%s does not answer", target->host)
                               : error_set(err, ERR_IO,
                                           "http://%s%s/v1/models answers %d and names no model",
                                           target->host, target->path, status);
        }
        struct timespec pause = {.tv_nsec = ASK_AGAIN_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}
