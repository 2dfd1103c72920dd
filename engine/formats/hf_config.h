/* hf_config.h - typed values of a config.json, or one line that names file, key, value and limit.
 *
 * A key that is absent and one that is null are the same: *out keeps its default.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_CONFIG_H
#define ENGINE_FORMATS_HF_CONFIG_H

#include "configs/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct hf_config {
    const char *path;     /* of the file */
    const char *prefix;   /* "" or "rope_parameters.", in front of keys in messages */
    const json_t *object; /* borrowed */
};

bool hf_config_has(const struct hf_config *config, const char *key);

enum status hf_config_u32(const struct hf_config *config, const char *key, bool required,
                          uint32_t min, uint32_t max, uint32_t *out, struct error *err);
enum status hf_config_f64(const struct hf_config *config, const char *key, bool required,
                          double min, double max, double *out, struct error *err); /* finite */
enum status hf_config_bool(const struct hf_config *config, const char *key, bool *out,
                           struct error *err);
enum status hf_config_string(const struct hf_config *config, const char *key, bool required,
                             const char **out, struct error *err);

/* *out is the value, or NULL. */
enum status hf_config_array(const struct hf_config *config, const char *key, const json_t **out,
                            struct error *err);

/* An object within: out->object is NULL when there is none. prefix: the key with its dot. */
enum status hf_config_object(const struct hf_config *config, const char *key, const char *prefix,
                             struct hf_config *out, struct error *err);

/* A string of the file as a message can show it: printable, cut. */
struct hf_config_text {
    char text[72];
};

struct hf_config_text hf_config_show(const char *text);

#endif
