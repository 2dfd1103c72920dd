/* target.h - the server that is loaded: where it is, and what every request to it starts with.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_TARGET_H
#define TESTS_LOAD_TARGET_H

#include "configs/error.h"
#include "tests/load/buffer.h"

#include <stdbool.h>
#include <sys/socket.h>

enum {
    TARGET_HOST_BYTES = 256,
    TARGET_PATH_BYTES = 512,
    TARGET_KEY_BYTES = 1024
};

struct target {
    struct sockaddr_storage address;
    socklen_t address_bytes;
    char host[TARGET_HOST_BYTES]; /* as the Host header has it */
    char path[TARGET_PATH_BYTES]; /* in front of /v1/..., without a slash at its end */
    char key[TARGET_KEY_BYTES];   /* "" for none */
    bool keep_alive;
};

/* url: http://HOST[:PORT][/PATH]. key_file: "" for none. */
enum status target_open(struct target *target, const char *url, const char *key_file,
                        struct error *err);

/* Request line and headers; body NULL for GET. */
void target_request(const struct target *target, const char *path, const struct buffer *body,
                    struct buffer *out);

/* The first model the server lists, once it answers at all: asked again until `timeout_s` is
 * over. */
enum status target_model(const struct target *target, double timeout_s, char *name,
                         size_t name_bytes, struct error *err);

#endif
