/* api_keys.h - the keys that clients must show, and the comparison that tells nothing about them.
 *
 * Thread: any; constant after open. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_API_KEYS_H
#define SERVER_API_KEYS_H

#include "configs/error.h"

#include <stdbool.h>
#include <stddef.h>

struct api_keys;

/* One key a line; blank lines and lines that start with '#' are skipped. path NULL: no keys, and
 * *out is NULL. A file without any key is an error: it would open the server to everybody. */
enum status api_keys_open(struct api_keys **out, const char *path, struct error *err);

/* Wipes the keys. Accepts NULL. */
void api_keys_close(struct api_keys *keys);

/* Whether the value of an Authorization header ("Bearer ...") shows one of the keys. The time does
 * not depend on which key, or how much of one, was right. */
bool api_keys_accept(const struct api_keys *keys, const char *authorization, size_t byte_count);

#endif
