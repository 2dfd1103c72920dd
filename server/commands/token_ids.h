/* token_ids.h - token ids written as text: "1 2 3", a line each, or "[1, 2, 3]".
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_COMMANDS_TOKEN_IDS_H
#define SERVER_COMMANDS_TOKEN_IDS_H

#include "configs/error.h"

#include <stddef.h>
#include <stdint.h>

/* Whitespace, commas and brackets stand between ids and mean nothing. What is no id below
 * vocab_count is refused, with its line. *ids: owned by the caller on success, never NULL. */
enum status token_ids_parse(uint32_t **ids, size_t *id_count, const char *text, size_t text_bytes,
                            uint32_t vocab_count, struct error *err);

#endif
