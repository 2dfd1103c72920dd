/* command_input.h - what a command reads: a whole file, or standard input.
 *
 * Thread: main. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_COMMANDS_COMMAND_INPUT_H
#define SERVER_COMMANDS_COMMAND_INPUT_H

#include "configs/error.h"
#include "server/text_buffer.h"

#include <jansson.h>

/* The name of standard input in messages; as a path, it means that. */
#define COMMAND_INPUT_STANDARD "-"

/* Fills out, which is initialised and empty; afterwards its bytes are not NULL. Messages start with
 * the path. ERR_FULL: longer than out's maximum. */
enum status command_input_read(struct text_buffer *out, const char *path, struct error *err);

/* A JSON object within the limits of a request's body. Messages start with "path:line: ". The
 * caller drops it. */
enum status command_input_read_json(json_t **out, const char *path, struct error *err);

#endif
