/* prompts.h - prompts from a file of JSON lines. Each line has one of: prompt, question, text (a
 * string), turns (strings: a conversation), messages (chat messages, sent as they are); and may
 * have output_tokens or max_tokens.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_PROMPTS_H
#define TESTS_LOAD_PROMPTS_H

#include "configs/error.h"

#include <stdint.h>
#include <stdio.h>

struct prompt {
    char **turns; /* user texts, in order */
    uint32_t turn_count;
    char *messages;         /* JSON of the messages without the brackets, or NULL */
    uint32_t output_tokens; /* 0: not said */
};

struct prompts {
    struct prompt *items;
    uint32_t count;
    uint32_t room;
};

enum status prompts_read(struct prompts *prompts, const char *path, struct error *err);
enum status prompts_parse(struct prompts *prompts, FILE *file, const char *name, struct error *err);
void prompts_release(struct prompts *prompts);

#endif
