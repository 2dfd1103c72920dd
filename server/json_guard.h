/* json_guard.h - a client's bytes -> a JSON tree, with the limits that jansson lacks.
 *
 * The tree takes 20 to 75 times the bytes of the text, so nodes and depth are counted before it is
 * built. NUL bytes, byte order marks, duplicate keys and trailing text are refused.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_JSON_GUARD_H
#define SERVER_JSON_GUARD_H

#include "server/refusal.h"

#include <jansson.h>
#include <stddef.h>

/* Counts only: one pass, no allocation, no judgement on syntax. */
enum status json_guard_check(const char *bytes, size_t byte_count, struct refusal *refusal);

/* Checks, then builds. The root is an object. The caller drops the reference. */
enum status json_guard_load(json_t **out, const char *bytes, size_t byte_count,
                            struct refusal *refusal);

#endif
