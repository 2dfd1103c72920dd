/* template_builder.h - text and lists that grow in a render's arena.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_BUILDER_H
#define SERVER_CHAT_TEMPLATE_BUILDER_H

#include "server/chat/template_run.h"

struct template_builder {
    struct template_run *run;
    char *bytes; /* in the arena; NULL while empty */
    size_t byte_count;
    size_t capacity;
};

void template_builder_init(struct template_builder *builder, struct template_run *run);
bool template_builder_append(struct template_builder *builder, const char *bytes,
                             size_t byte_count);
bool template_builder_append_text(struct template_builder *builder, const char *text);
bool template_builder_append_string(struct template_builder *builder,
                                    const struct template_string *string);
bool template_builder_append_codepoint(struct template_builder *builder, int32_t codepoint);
bool template_builder_append_repeated(struct template_builder *builder, char byte, size_t count);

/* The text so far as a string; the builder must not be used after. */
bool template_builder_finish(struct template_builder *builder, struct template_value *out);

/* left followed by right. Growing one string piece by piece costs time and memory in
 * proportion to its end length. */
bool template_builder_concat(struct template_run *run, const struct template_string *left,
                             const struct template_string *right, struct template_value *out);

/* Values in a row. */
struct template_items {
    struct template_run *run;
    struct template_value *items;
    size_t count;
    size_t capacity;
};

void template_builder_items_init(struct template_items *items, struct template_run *run);
bool template_builder_push(struct template_items *items, struct template_value value);
bool template_builder_push_all(struct template_items *items, const struct template_list *list);
bool template_builder_finish_items(struct template_items *items, enum template_kind kind,
                                   struct template_value *out);

#endif
