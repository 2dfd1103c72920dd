/* template_run.h - one render: its memory, its budgets, its error, its output.
 *
 * Every function that computes takes the run first and returns false after the first failure,
 * which template_run_fail has then recorded. A run belongs to one thread; the template it
 * renders is shared and never written.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_RUN_H
#define SERVER_CHAT_TEMPLATE_RUN_H

#include "configs/error.h"
#include "server/chat/template_arena.h"
#include "server/chat/template_value.h"
#include "server/text_buffer.h"

#include <jansson.h>

struct template_tree;
struct template_scope;
struct template_builder;

struct template_run {
    struct template_arena arena;
    const struct template_tree *tree; /* borrowed */
    const json_t *context;            /* borrowed */
    int64_t now_seconds;
    uint64_t steps_left;
    unsigned level_count;           /* nested evaluations: what bounds the C stack */
    unsigned macro_depth;           /* nested macro calls */
    struct template_value *globals; /* by symbol, absent = not looked up yet */
    struct template_scope *scope;   /* innermost */
    struct text_buffer *out;        /* where text goes while builder is NULL */
    struct template_builder *builder;
    struct error error;
    bool located; /* the error names its place, or needs none */
};

/* Records the failure (the first one counts) and returns false. */
bool template_run_fail(struct template_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool template_run_fail_status(struct template_run *run, enum status status, const char *message);

/* What a value of kind undefined means when something needs more than its emptiness. */
bool template_run_fail_undefined(struct template_run *run, struct template_value value);

/* Puts "line L column C: " in front of an error that has no place yet. */
void template_run_locate(struct template_run *run, unsigned line, unsigned column);

/* Pays for work; false when the budget is gone. Work on bytes counts one step for each 64. */
bool template_run_spend(struct template_run *run, uint64_t steps);
bool template_run_spend_bytes(struct template_run *run, size_t byte_count);

/* NULL after recording the failure. */
void *template_run_alloc(struct template_run *run, size_t byte_count);
void *template_run_alloc_array(struct template_run *run, size_t count, size_t element_bytes);

/* The bytes are borrowed, not copied, and must be valid UTF-8. */
bool template_run_string(struct template_run *run, const char *bytes, size_t byte_count,
                         struct template_value *out);
bool template_run_text(struct template_run *run, const char *literal, struct template_value *out);

bool template_run_list(struct template_run *run, enum template_kind kind,
                       const struct template_value *items, size_t count,
                       struct template_value *out);
bool template_run_iterator(struct template_run *run, const struct template_list *list,
                           const char *type_name, struct template_value *out);

/* A tuple of two. */
bool template_run_pair(struct template_run *run, struct template_value first,
                       struct template_value second, struct template_value *out);

/* Undefined values: a name, an attribute or element of owner, or a message of its own. */
bool template_run_undefined_name(struct template_run *run, struct template_value name,
                                 struct template_value *out);
bool template_run_undefined_in(struct template_run *run, struct template_value owner,
                               struct template_value name, bool forbidden,
                               struct template_value *out);
bool template_run_undefined_hint(struct template_run *run, const char *hint,
                                 struct template_value *out);

/* Sends text where the innermost open capture, or the reply, collects it. */
bool template_run_write(struct template_run *run, const char *bytes, size_t byte_count);

#endif
