/* chat_style.h - in which form a chat template wants past tool calls.
 *
 * The wire carries their arguments as a string of JSON. Most templates walk an object or write it out
 * as JSON; some put the string into the prompt as it is, and would write an object as Python does, or
 * fail. Beside calls, the wire has null for content: some templates ask for that, others search in it
 * and need a string. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_STYLE_H
#define SERVER_CHAT_STYLE_H

#include "server/chat/chat_template.h"

#include <stdbool.h>

struct chat_style {
    bool string_arguments; /* else objects */
    bool empty_content;    /* "" where the wire has null */
};

/* Renders a small chat with a call in each form, and judges by what it reads in the prompts. */
struct chat_style chat_style_judge(const struct chat_template *chat_template);

#endif
