/* template_json.h - JSON into values, and values into JSON text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_JSON_H
#define SERVER_CHAT_TEMPLATE_JSON_H

#include "server/chat/template_run.h"

/* Strings stay where they are, in the JSON. */
bool template_json_import(struct template_run *run, const json_t *json, struct template_value *out);

struct template_json_style {
    bool ascii; /* escape everything else */
    bool sort_keys;
    const struct template_string *item_separator; /* NULL: the default */
    const struct template_string *key_separator;
    const struct template_string *indent; /* one level's text; NULL: all on one line */
};

bool template_json_export(struct template_run *run, struct template_value value,
                          const struct template_json_style *style, struct template_value *out);

#endif
