/* sampling_defaults.c - a row a number: the key of GGUF, the name that requests and
 * generation_config.json have for it, and what a request may say.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sampling_defaults.h"

#include "configs/limits.h"
#include "engine/formats/gguf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SAMPLING_PREFIX "general.sampling."

struct number {
    const char *key;
    const char *name;
    size_t offset; /* in struct sampling_defaults */
    double min;
    double max;
    bool above_min;
};

#define NUMBER(key, field, min, max, above_min)                                                    \
    {                                                                                              \
        SAMPLING_PREFIX key, #field, offsetof(struct sampling_defaults, field), min, max,          \
            above_min                                                                              \
    }

static const struct number numbers[] = {
    NUMBER("temp", temperature, 0, LIMIT_TEMPERATURE, false),
    NUMBER("top_p", top_p, 0, 1, true),
    NUMBER("min_p", min_p, 0, 1, false),
    NUMBER("penalty_repeat", repetition_penalty, 0, LIMIT_REPETITION_PENALTY, true),
};

enum {
    NUMBER_COUNT = sizeof numbers / sizeof numbers[0]
};

#define TOP_K_KEY SAMPLING_PREFIX "top_k"

static float *field_of(struct sampling_defaults *defaults, const struct number *number)
{
    void *field = (char *)defaults + number->offset;
    return field;
}

/* An integer or a float: writers differ. NAN for what is no number. */
static double number_of(const struct gguf_entry *entry)
{
    switch (entry->type) {
    case GGUF_UINT8:
    case GGUF_UINT16:
    case GGUF_UINT32:
    case GGUF_UINT64:
        return (double)entry->value.u;
    case GGUF_INT8:
    case GGUF_INT16:
    case GGUF_INT32:
    case GGUF_INT64:
        return (double)entry->value.i;
    case GGUF_FLOAT32:
    case GGUF_FLOAT64:
        return entry->value.f;
    default:
        return (double)NAN;
    }
}

static enum status refuse(const struct gguf *file, const char *key, const char *name,
                          const struct gguf_entry *entry, const char *range, struct error *err)
{
    char shown[40] = "no number";
    double value = number_of(entry);
    if (!isnan(value)) {
        snprintf(shown, sizeof shown, "%g", value);
    }
    return error_set(err, ERR_FORMAT,
                     "%s: %s (%s) is %s, not %s; --generation-config none ignores it", file->path,
                     key, name, shown, range);
}

static enum status read_number(struct sampling_defaults *out, const struct gguf *file,
                               const struct number *number, struct error *err)
{
    const struct gguf_entry *entry = gguf_find(file, number->key);
    if (entry == NULL) {
        return OK;
    }
    /* As floats: what rounds to 0 is 0. */
    double value = number_of(entry);
    float *field = field_of(out, number);
    if (!(value >= number->min && value <= number->max) ||
        (number->above_min && !((float)value > (float)number->min))) {
        char range[64];
        snprintf(range, sizeof range, "%s %g and at most %g",
                 number->above_min ? "above" : "at least", number->min, number->max);
        return refuse(file, number->key, number->name, entry, range, err);
    }
    *field = (float)value;
    return OK;
}

/* 0 and below: off. */
static enum status read_top_k(struct sampling_defaults *out, const struct gguf *file,
                              struct error *err)
{
    const struct gguf_entry *entry = gguf_find(file, TOP_K_KEY);
    if (entry == NULL) {
        return OK;
    }
    double value = number_of(entry);
    if (!(value >= INT32_MIN && value <= INT32_MAX) || value != floor(value)) {
        return refuse(file, TOP_K_KEY, "top_k", entry, "an integer of 32 bits", err);
    }
    out->top_k = value > 0 ? (uint32_t)value : 0;
    return OK;
}

enum status sampling_defaults_read(struct sampling_defaults *out, const struct gguf *file,
                                   struct error *err)
{
    *out = SAMPLING_DEFAULTS_NEUTRAL;
    enum status status = read_top_k(out, file, err);
    for (size_t i = 0; i < NUMBER_COUNT && status == OK; i++) {
        status = read_number(out, file, &numbers[i], err);
    }
    return status;
}

void sampling_defaults_show(const struct sampling_defaults *defaults, char *text, size_t text_bytes)
{
    struct sampling_defaults neutral = SAMPLING_DEFAULTS_NEUTRAL;
    struct sampling_defaults shown = *defaults;
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < NUMBER_COUNT && used < text_bytes; i++) {
        float value = *field_of(&shown, &numbers[i]);
        if (value != *field_of(&neutral, &numbers[i])) {
            used += (size_t)snprintf(text + used, text_bytes - used, "%s%s %g",
                                     used > 0 ? ", " : "", numbers[i].name, (double)value);
        }
    }
    if (shown.top_k != 0 && used < text_bytes) {
        snprintf(text + used, text_bytes - used, "%stop_k %u", used > 0 ? ", " : "", shown.top_k);
    }
}

const char *sampling_defaults_unknown(const struct gguf *file)
{
    static const char *const unknown[] = {
        SAMPLING_PREFIX "sequence",      SAMPLING_PREFIX "xtc_probability",
        SAMPLING_PREFIX "xtc_threshold", SAMPLING_PREFIX "penalty_last_n",
        SAMPLING_PREFIX "mirostat",      SAMPLING_PREFIX "mirostat_tau",
        SAMPLING_PREFIX "mirostat_eta",
    };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        if (gguf_find(file, unknown[i]) != NULL) {
            return unknown[i];
        }
    }
    return NULL;
}
