/* template_call.h - calling things: functions, filters, tests and methods are rows of tables.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_CALL_H
#define SERVER_CHAT_TEMPLATE_CALL_H

#include "server/chat/template_run.h"

enum {
    TEMPLATE_CALL_PARAMETERS = 6 /* the most that any built-in names */
};

struct template_keyword {
    struct template_value name; /* string */
    struct template_value value;
};

struct template_arguments {
    const struct template_value *positional;
    size_t count;
    const struct template_keyword *keywords;
    size_t keyword_count;
};

/* What a built-in gets. */
struct template_call {
    struct template_value subject; /* of a filter, test or method; absent for a function */
    struct template_value bound[TEMPLATE_CALL_PARAMETERS]; /* absent where not given */
    const struct template_value *extra;                    /* positional arguments past those */
    size_t extra_count;
    const struct template_keyword *keywords; /* all that were given, when the row has ** */
    size_t keyword_count;
};

typedef bool (*template_builtin_fn)(struct template_run *run, const struct template_call *call,
                                    struct template_value *out);

struct template_builtin {
    const char *name;
    const char *parameters; /* names, a space between; then * and ** when it takes any more */
    unsigned required;      /* how many of them must be given */
    template_builtin_fn call;
};

/* The row with that name, or NULL. */
const struct template_builtin *template_call_find(const struct template_builtin *rows,
                                                  size_t row_count,
                                                  const struct template_string *name);

/* Binds the arguments to the row's parameters and calls it. */
bool template_call_builtin(struct template_run *run, const struct template_builtin *row,
                           struct template_value subject,
                           const struct template_arguments *arguments, struct template_value *out);

/* Calls anything that can be called. */
bool template_call_value(struct template_run *run, struct template_value callee,
                         const struct template_arguments *arguments, struct template_value *out);

/* The argument, or the default when it was not given. */
struct template_value template_call_or(struct template_value argument,
                                       struct template_value otherwise);

/* Arguments that must have a type, for messages named what. Absent gives the default. */
bool template_call_integer(struct template_run *run, struct template_value argument,
                           int64_t otherwise, const char *what, int64_t *out);
bool template_call_string(struct template_run *run, struct template_value argument,
                          const char *what, const struct template_string **out);

#endif
