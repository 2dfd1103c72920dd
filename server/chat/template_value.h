/* template_value.h - what a template computes with: Python's values, as far as templates see them.
 *
 * Values are small, passed by copy, and point into an arena (or into the caller's JSON), so
 * nobody frees one. All but namespaces are immutable once a template can see them. Every string
 * is valid UTF-8.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_VALUE_H
#define SERVER_CHAT_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum template_kind {
    TEMPLATE_ABSENT, /* no value at all: an argument that was not given */
    TEMPLATE_UNDEFINED,
    TEMPLATE_NONE,
    TEMPLATE_BOOL,
    TEMPLATE_INT,
    TEMPLATE_FLOAT,
    TEMPLATE_STRING,
    TEMPLATE_LIST,
    TEMPLATE_TUPLE,
    TEMPLATE_RANGE,    /* range(...): a list that prints as a range and is at most 100,000 long */
    TEMPLATE_VIEW,     /* dict.keys(), .values(), .items() */
    TEMPLATE_ITERATOR, /* what map, select and friends return: can be walked once */
    TEMPLATE_DICT,
    TEMPLATE_NAMESPACE,
    TEMPLATE_MACRO,
    TEMPLATE_FUNCTION,
    TEMPLATE_METHOD,
    TEMPLATE_LOOP,
    TEMPLATE_CYCLER,
    TEMPLATE_JOINER,
};

enum template_view {
    TEMPLATE_VIEW_KEYS,
    TEMPLATE_VIEW_VALUES,
    TEMPLATE_VIEW_ITEMS
};

struct template_builtin;
struct template_macro;
struct template_loop;

struct template_value {
    uint8_t kind;
    bool markup; /* a string that passed `safe` or `escape`: + and friends escape the other side */
    uint8_t view;
    union {
        bool boolean;
        int64_t integer;
        double real;
        const struct template_string *string;
        const struct template_list *list; /* list, tuple, range, view */
        struct template_iterator *iterator;
        struct template_dict *dict; /* dict, namespace */
        const struct template_undefined *undefined;
        const struct template_macro *macro;
        const struct template_builtin *function;
        const struct template_method *method;
        struct template_loop *loop;
        struct template_cycler *cycler;
        struct template_joiner *joiner;
    } as;
};

#define TEMPLATE_CHARS_UNKNOWN SIZE_MAX

struct template_string {
    const char *bytes;
    size_t byte_count;
    size_t char_count; /* code points; unknown until asked for, never in a template's own tree */
    struct template_tail *tail; /* room behind the bytes, or NULL: makes x = x + y linear */
};

struct template_list {
    const struct template_value *items;
    size_t count;
};

struct template_iterator {
    const struct template_list *list;
    size_t position;
    const char *type_name;
};

struct template_entry {
    struct template_value key;
    struct template_value value;
    uint64_t hash;
};

struct template_dict {
    struct template_entry *entries; /* in insertion order */
    size_t count;
    size_t capacity;
    uint32_t *index; /* open addressing, entry number + 1; NULL while the dict is small */
    size_t index_size;
};

/* Why a value is undefined, for the message when it is used. */
struct template_undefined {
    const char *hint;       /* the whole message, or NULL */
    const char *owner_type; /* type name of what had no such attribute, or NULL: a plain name */
    struct template_value name;
    bool forbidden; /* it exists in Python, but the sandbox hides it */
};

struct template_method {
    struct template_value receiver;
    const struct template_builtin *row;
};

struct template_cycler {
    const struct template_list *list;
    size_t position;
};

struct template_joiner {
    struct template_value separator;
    bool used;
};

static inline struct template_value template_value_none(void)
{
    return (struct template_value){.kind = TEMPLATE_NONE};
}

static inline struct template_value template_value_bool(bool boolean)
{
    return (struct template_value){.kind = TEMPLATE_BOOL, .as.boolean = boolean};
}

static inline struct template_value template_value_int(int64_t integer)
{
    return (struct template_value){.kind = TEMPLATE_INT, .as.integer = integer};
}

static inline struct template_value template_value_float(double real)
{
    return (struct template_value){.kind = TEMPLATE_FLOAT, .as.real = real};
}

static inline struct template_value template_value_string(const struct template_string *string)
{
    return (struct template_value){.kind = TEMPLATE_STRING, .as.string = string};
}

static inline struct template_value template_value_list(enum template_kind kind,
                                                        const struct template_list *list)
{
    return (struct template_value){.kind = (uint8_t)kind, .as.list = list};
}

static inline struct template_value template_value_dict(enum template_kind kind,
                                                        struct template_dict *dict)
{
    return (struct template_value){.kind = (uint8_t)kind, .as.dict = dict};
}

static inline bool template_value_given(struct template_value value)
{
    return value.kind != TEMPLATE_ABSENT;
}

/* list, tuple, range and views share one representation. */
static inline bool template_value_has_items(struct template_value value)
{
    return value.kind >= TEMPLATE_LIST && value.kind <= TEMPLATE_VIEW;
}

/* bool, int or float, as a double. */
static inline bool template_value_is_number(struct template_value value)
{
    return value.kind >= TEMPLATE_BOOL && value.kind <= TEMPLATE_FLOAT;
}

/* bool or int, as Python counts with them; false for anything else. */
bool template_value_as_int(struct template_value value, int64_t *out);
double template_value_as_float(struct template_value value);

bool template_value_truth(struct template_value value);

/* "str", "dict", "int", ... as Python names the type. */
const char *template_value_type_name(struct template_value value);

/* True for what == would call the same bytes. */
bool template_value_is_text(struct template_value value, const char *text);

#endif
