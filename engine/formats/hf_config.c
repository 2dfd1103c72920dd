/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_config.h"

#include "engine/formats/gguf_cursor.h"

#include <math.h>
#include <string.h>

/* The value, or NULL with *status saying whether its absence is an error. */
static const json_t *find(const struct hf_config *config, const char *key, bool required,
                          enum status *status, struct error *err)
{
    const json_t *value = json_object_get(config->object, key);
    value = json_is_null(value) ? NULL : value;
    *status = OK;
    if (value == NULL && required) {
        *status =
            error_set(err, ERR_FORMAT, "%s: %s%s is missing", config->path, config->prefix, key);
    }
    return value;
}

static enum status wrong_type(const struct hf_config *config, const char *key, const char *wanted,
                              struct error *err)
{
    return error_set(err, ERR_FORMAT, "%s: %s%s is not %s", config->path, config->prefix, key,
                     wanted);
}

bool hf_config_has(const struct hf_config *config, const char *key)
{
    enum status status = OK;
    return find(config, key, false, &status, NULL) != NULL;
}

enum status hf_config_u32(const struct hf_config *config, const char *key, bool required,
                          uint32_t min, uint32_t max, uint32_t *out, struct error *err)
{
    enum status status = OK;
    const json_t *value = find(config, key, required, &status, err);
    if (value == NULL) {
        return status;
    }
    if (!json_is_integer(value)) {
        return wrong_type(config, key, "an integer", err);
    }
    json_int_t number = json_integer_value(value);
    if (number < min || number > max) {
        return error_set(err, ERR_FORMAT, "%s: %s%s is %lld, limits %u and %u", config->path,
                         config->prefix, key, (long long)number, min, max);
    }
    *out = (uint32_t)number;
    return OK;
}

enum status hf_config_f64(const struct hf_config *config, const char *key, bool required,
                          double min, double max, double *out, struct error *err)
{
    enum status status = OK;
    const json_t *value = find(config, key, required, &status, err);
    if (value == NULL) {
        return status;
    }
    if (!json_is_number(value)) {
        return wrong_type(config, key, "a number", err);
    }
    double number = json_number_value(value);
    if (!(number >= min && number <= max)) {
        return error_set(err, ERR_FORMAT, "%s: %s%s is %g, limits %g and %g", config->path,
                         config->prefix, key, number, min, max);
    }
    *out = number;
    return OK;
}

enum status hf_config_bool(const struct hf_config *config, const char *key, bool *out,
                           struct error *err)
{
    enum status status = OK;
    const json_t *value = find(config, key, false, &status, err);
    if (value == NULL) {
        return status;
    }
    if (!json_is_boolean(value)) {
        return wrong_type(config, key, "true or false", err);
    }
    *out = json_is_true(value);
    return OK;
}

enum status hf_config_string(const struct hf_config *config, const char *key, bool required,
                             const char **out, struct error *err)
{
    enum status status = OK;
    const json_t *value = find(config, key, required, &status, err);
    if (value == NULL) {
        return status;
    }
    if (!json_is_string(value)) {
        return wrong_type(config, key, "a string", err);
    }
    *out = json_string_value(value);
    return OK;
}

enum status hf_config_array(const struct hf_config *config, const char *key, const json_t **out,
                            struct error *err)
{
    enum status status = OK;
    *out = find(config, key, false, &status, err);
    return *out == NULL || json_is_array(*out) ? OK : wrong_type(config, key, "an array", err);
}

enum status hf_config_object(const struct hf_config *config, const char *key, const char *prefix,
                             struct hf_config *out, struct error *err)
{
    enum status status = OK;
    const json_t *value = find(config, key, false, &status, err);
    *out = (struct hf_config){config->path, prefix, value};
    return value == NULL || json_is_object(value) ? OK : wrong_type(config, key, "an object", err);
}

struct hf_config_text hf_config_show(const char *text)
{
    struct gguf_shown_name shown = gguf_cursor_show((struct gguf_string){text, strlen(text)});
    struct hf_config_text out;
    memcpy(out.text, shown.text, sizeof out.text);
    return out;
}
