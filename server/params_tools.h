/* params_tools.h - tools, tool_choice and parallel_tool_calls of a chat.
 *
 * Thread: http. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_PARAMS_TOOLS_H
#define SERVER_PARAMS_TOOLS_H

#include "server/json_fields.h"

#include <jansson.h>
#include <stdbool.h>

struct params_tools {
    const json_t *tools;     /* borrowed from the body; NULL: none, or tool_choice is "none" */
    const char *forced_name; /* borrowed: the tool that must be called; NULL: the model chooses */
    bool one_call;           /* parallel_tool_calls is false */
};

void params_tools_read(struct json_fields *fields, struct params_tools *out);

#endif
