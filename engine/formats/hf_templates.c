/* hf_templates.c - chat_template.jinja and additional_chat_templates/NAME.jinja win over what the JSON
 * files have, as in transformers. SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_templates.h"

#include "configs/limits.h"
#include "engine/formats/file_map.h"
#include "engine/formats/json_field.h"
#include "engine/formats/json_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    ADDITIONAL_MAX = 32, /* templates beside the model's own; real directories have up to 3 */
    NAME_BYTES_MAX = 64
};

#define ADDITIONAL "additional_chat_templates"
#define ENDING     ".jinja"

struct template_key {
    char text[128];
};

/* "default" is the model's own. */
static struct template_key key_of(const char *name)
{
    struct template_key key = {"tokenizer.chat_template"};
    if (strcmp(name, "default") != 0) {
        snprintf(key.text, sizeof key.text, "tokenizer.chat_template.%.*s", NAME_BYTES_MAX, name);
    }
    return key;
}

/* A list of {"name": ..., "template": ...}; the one named default is the model's. */
static enum status write_named_templates(const char *path, const json_t *list,
                                         struct gguf_builder *out, struct error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct gguf_string text = {0};
        struct gguf_string name = {0};
        struct json_place place = {path, "chat_template[]."};
        const json_t *entry = json_array_get(list, i);
        enum status status = json_field_string(entry, place, "name", true, &name, err);
        if (status == OK) {
            status = json_field_string(entry, place, "template", true, &text, err);
        }
        if (status != OK) {
            return status;
        }
        struct template_key key = key_of(name.bytes);
        if (gguf_builder_find(out, key.text) != NULL) {
            return error_set(err, ERR_FORMAT, "%s: chat_template[%zu].name: there twice", path, i);
        }
        gguf_builder_set_bytes(out, key.text, text);
    }
    return OK;
}

static enum status write_template_of(const char *path, const json_t *root, struct gguf_builder *out,
                                     struct error *err)
{
    const json_t *value = json_object_get(root, "chat_template");
    if (value == NULL || json_is_null(value)) {
        return OK;
    }
    if (json_is_array(value)) {
        return write_named_templates(path, value, out, err);
    }
    struct json_place place = {path, ""};
    struct gguf_string text = {0};
    enum status status = json_field_string(root, place, "chat_template", true, &text, err);
    if (status == OK) {
        gguf_builder_set_bytes(out, "tokenizer.chat_template", text);
    }
    return status;
}

/* *found stays as it is where there is no such file. */
static enum status write_file(const char *path, const char *key, bool *found,
                              struct gguf_builder *out, struct error *err)
{
    const uint8_t *bytes = NULL;
    uint64_t byte_count = 0;
    enum status status = file_map_open(path, &bytes, &byte_count, err);
    if (status == ERR_NOT_FOUND) {
        return OK;
    }
    *found = *found || status == OK;
    if (status == OK && byte_count > LIMIT_TEMPLATE_BYTES) {
        status = error_set(err, ERR_FORMAT, "%s: %llu bytes, the limit is %u", path,
                           (unsigned long long)byte_count, LIMIT_TEMPLATE_BYTES);
    }
    if (status == OK) {
        gguf_builder_set_bytes(out, key, (struct gguf_string){(const char *)bytes, byte_count});
    }
    file_map_close(bytes, byte_count);
    return status;
}

/* A name without its ending, if that is .jinja; false: another file. */
static bool template_name(const char *file, char name[NAME_BYTES_MAX + 1])
{
    size_t bytes = strlen(file);
    size_t ending = strlen(ENDING);
    if (bytes <= ending || bytes - ending > NAME_BYTES_MAX ||
        strcmp(file + bytes - ending, ENDING) != 0) {
        return false;
    }
    memcpy(name, file, bytes - ending);
    name[bytes - ending] = '\0';
    return true;
}

static enum status write_additional(const char *dir, bool *found, struct gguf_builder *out,
                                    struct error *err)
{
    char folder[HF_TEMPLATES_PATH_BYTES];
    snprintf(folder, sizeof folder, "%s/" ADDITIONAL, dir);
    DIR *files = opendir(folder);
    if (files == NULL) {
        return errno == ENOENT ? OK : error_set(err, ERR_IO, "%s: %s", folder, strerror(errno));
    }
    enum status status = OK;
    uint32_t count = 0;
    for (struct dirent *file = readdir(files); file != NULL && status == OK;
         file = readdir(files)) {
        char name[NAME_BYTES_MAX + 1];
        char path[HF_TEMPLATES_PATH_BYTES + sizeof file->d_name];
        if (!template_name(file->d_name, name)) {
            continue;
        }
        struct template_key key = key_of(name);
        snprintf(path, sizeof path, "%s/%s", folder, file->d_name);
        if (++count > ADDITIONAL_MAX || gguf_builder_find(out, key.text) != NULL) {
            status = error_set(err, ERR_FORMAT, "%s: there twice, or one of more than %d", path,
                               ADDITIONAL_MAX);
            break;
        }
        status = write_file(path, key.text, found, out, err);
    }
    closedir(files);
    return status;
}

static enum status write_listed(const char *dir, const json_t *tokenizer_config,
                                struct gguf_builder *out, struct error *err)
{
    static const struct json_file_limits limits = {
        .byte_count = 16ull * LIMIT_TEMPLATE_BYTES,
        .node_count = LIMIT_JSON_NODES,
    };
    char path[HF_TEMPLATES_PATH_BYTES];
    json_t *own = NULL;
    snprintf(path, sizeof path, "%s/chat_template.json", dir);
    enum status status = json_file_read(&own, path, &limits, err);
    if (status == ERR_NOT_FOUND) {
        snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
        return write_template_of(path, tokenizer_config, out, err);
    }
    if (status == OK) {
        status = write_template_of(path, own, out, err);
    }
    json_decref(own);
    return status;
}

enum status hf_templates_write(const char *dir, const json_t *tokenizer_config,
                               struct gguf_builder *out, struct error *err)
{
    char path[HF_TEMPLATES_PATH_BYTES];
    bool found = false;
    snprintf(path, sizeof path, "%s/chat_template.jinja", dir);
    enum status status = write_file(path, "tokenizer.chat_template", &found, out, err);
    if (status == OK) {
        status = write_additional(dir, &found, out, err);
    }
    return status == OK && !found ? write_listed(dir, tokenizer_config, out, err) : status;
}
