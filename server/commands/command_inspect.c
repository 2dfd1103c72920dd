/* command_inspect.c - what is in a model file, and what serving it would take: for people, or as JSON.
 *
 * Strings of a file may hold anything, so they are written as JSON strings in both forms.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/config.h"
#include "configs/limits.h"
#include "engine/engine.h"
#include "engine/inspect.h"
#include "server/commands/command.h"
#include "server/json_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    SHOWN_BYTES = 96, /* of a string, in the form for people */
};

struct inspect_options {
    bool json;
    uint64_t values;
};

/* clang-format off */
static const struct option_row rows[] = {
    {OPTION_HEADING, "Options", 0, "", 0, 0, "", ""},
    {OPTION_SWITCH, "json", offsetof(struct inspect_options, json), "false", 0, 0, "",
     "write one JSON object"},
    {OPTION_COUNT, "values", offsetof(struct inspect_options, values), "4", 0, LIMIT_GGUF_ARRAY, "",
     "how many values of an array of metadata are written"},
};
/* clang-format on */

/* All that both forms say. */
struct view {
    const struct inspect *inspect;
    struct inspect_info info;
    const struct tokenizer *tokenizer; /* NULL: tokenizer_error says why */
    struct error tokenizer_error;
    bool has_plan; /* with default settings; else plan_error says why not */
    struct engine_plan plan;
    struct error plan_error;
    uint64_t values; /* at most so many of an array */
    bool json;
    struct text_buffer *out;
};

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

/* What serving the file with default settings would take. path NULL: the demo model. */
static enum status plan_of(const char *path, struct engine_plan *plan, struct error *err)
{
    char program[] = "sluiced";
    char flag[] = "--model";
    char *arguments[] = {program, flag, (char *)(uintptr_t)path};
    struct config config;
    enum status status = config_load(&config, path != NULL ? 3 : 1, arguments, no_environment, err);
    if (status == OK) {
        status = engine_plan(&config, plan, err);
        config_release(&config);
    }
    return status;
}

/* ---- values ---- */

static void write_string(const struct view *view, struct inspect_text text)
{
    bool cut = !view->json && text.byte_count > SHOWN_BYTES;
    json_text_string(view->out, text.bytes, cut ? (size_t)SHOWN_BYTES : text.byte_count);
    if (cut) {
        text_buffer_printf(view->out, "... (%zu bytes)", text.byte_count);
    }
}

/* JSON has no NaN and no infinity. */
static void write_real(const struct view *view, double value, bool is_single)
{
    if (view->json && !isfinite(value)) {
        text_buffer_append_text(view->out, "null");
    } else {
        text_buffer_printf(view->out, is_single ? "%.9g" : "%.17g", value);
    }
}

static void write_value(const struct view *view, uint64_t index, uint64_t value_index,
                        const struct inspect_entry *entry)
{
    struct inspect_value value;
    inspect_get_value(view->inspect, index, value_index, &value);
    switch (entry->kind) {
    case INSPECT_TEXT:
        write_string(view, value.text);
        break;
    case INSPECT_REAL:
        write_real(view, value.f, entry->is_single);
        break;
    case INSPECT_SIGNED:
        text_buffer_printf(view->out, "%" PRId64, value.i);
        break;
    case INSPECT_TRUTH:
        text_buffer_append_text(view->out, value.u != 0 ? "true" : "false");
        break;
    default:
        text_buffer_printf(view->out, "%" PRIu64, value.u);
    }
}

static void write_values(const struct view *view, uint64_t index, const struct inspect_entry *entry)
{
    uint64_t count = entry->value_count < view->values ? entry->value_count : view->values;
    text_buffer_append_text(view->out, "[");
    for (uint64_t i = 0; i < count && !view->out->failed; i++) {
        text_buffer_append_text(view->out, i > 0 ? ", " : "");
        write_value(view, index, i, entry);
    }
    if (!view->json && count < entry->value_count) {
        text_buffer_append_text(view->out, count > 0 ? ", ..." : "...");
    }
    text_buffer_append_text(view->out, "]");
}

static void write_shape(const struct view *view, const struct inspect_tensor *tensor)
{
    for (uint32_t i = 0; i < tensor->dim_count; i++) {
        text_buffer_printf(view->out, "%s%" PRIu64, i > 0 ? ", " : "[", tensor->shape[i]);
    }
    text_buffer_append_text(view->out, "]");
}

/* ---- for people ---- */

/* A line's left column. Names of keys and tensors are checked by the reader: no control bytes. */
static void start_line(struct text_buffer *out, const char *name)
{
    text_buffer_printf(out, "%-15s", name);
}

static void write_text_tokenizer(const struct view *view)
{
    start_line(view->out, "tokenizer");
    if (view->tokenizer == NULL) {
        text_buffer_printf(view->out, "cannot be used: %s\n", view->tokenizer_error.message);
        return;
    }
    const struct tokenizer_info *info = tokenizer_info(view->tokenizer);
    text_buffer_printf(view->out, "%s%s%s, %u tokens\n", info->model_name,
                       info->pre_name[0] != '\0' ? ", split as " : "", info->pre_name,
                       info->vocab_count);
}

static void write_text_plan(const struct view *view)
{
    const struct engine_plan *plan = &view->plan;
    start_line(view->out, "serving");
    if (!view->has_plan) {
        text_buffer_printf(view->out, "not possible: %s\n", view->plan_error.message);
        return;
    }
    text_buffer_printf(view->out,
                       "%" PRIu64 " bytes with default settings: weights %" PRIu64
                       " and packed %" PRIu64 ", KV cache %" PRIu64 ", step %" PRIu64
                       ", requests %" PRIu64 "; context %u tokens\n",
                       plan->total_bytes, plan->weight_bytes, plan->packed_bytes, plan->kv_bytes,
                       plan->workspace_bytes, plan->request_bytes, plan->context_tokens);
}

static void write_text_head(const struct view *view)
{
    const struct inspect_info *info = &view->info;
    struct text_buffer *out = view->out;
    start_line(out, "model");
    text_buffer_printf(out, "%s\n", info->path);
    if (info->version > 0) {
        start_line(out, "format");
        text_buffer_printf(out, "GGUF version %u, %" PRIu64 " bytes, alignment %u\n", info->version,
                           info->byte_count, info->alignment);
    }
    start_line(out, "architecture");
    write_string(view, info->architecture);
    text_buffer_append_text(out, "\n");
    start_line(out, "parameters");
    text_buffer_printf(out, "%" PRIu64 " in %" PRIu64 " tensors of %" PRIu64 " bytes\n",
                       info->parameter_count, info->tensor_count, info->tensor_bytes);
    write_text_tokenizer(view);
    start_line(out, "chat template");
    text_buffer_printf(out, info->chat_template.byte_count > 0 ? "%zu bytes\n" : "none\n",
                       info->chat_template.byte_count);
    write_text_plan(view);
}

static void write_text_entries(const struct view *view)
{
    text_buffer_printf(view->out, "\n%" PRIu64 " entries\n", view->info.entry_count);
    for (uint64_t i = 0; i < view->info.entry_count && !view->out->failed; i++) {
        struct inspect_entry entry;
        inspect_get_entry(view->inspect, i, &entry);
        text_buffer_printf(view->out, "  %.*s  %s", (int)entry.key.byte_count, entry.key.bytes,
                           entry.type_name);
        if (entry.is_array) {
            text_buffer_printf(view->out, "[%" PRIu64 "]  ", entry.value_count);
            write_values(view, i, &entry);
        } else {
            text_buffer_append_text(view->out, "  ");
            write_value(view, i, 0, &entry);
        }
        text_buffer_append_text(view->out, "\n");
    }
}

static void write_text_tensors(const struct view *view)
{
    text_buffer_printf(view->out, "\n%" PRIu64 " tensors\n", view->info.tensor_count);
    for (uint64_t i = 0; i < view->info.tensor_count && !view->out->failed; i++) {
        struct inspect_tensor tensor;
        inspect_get_tensor(view->inspect, i, &tensor);
        text_buffer_printf(view->out, "  %.*s  %s%s  ", (int)tensor.name.byte_count,
                           tensor.name.bytes, tensor.type_name,
                           tensor.supported ? "" : " (not supported)");
        write_shape(view, &tensor);
        text_buffer_printf(view->out, "  %" PRIu64 " bytes", tensor.byte_count);
        if (view->info.version > 0) {
            text_buffer_printf(view->out, " at %" PRIu64, tensor.offset);
        }
        text_buffer_append_text(view->out, "\n");
    }
}

/* ---- as JSON ---- */

static void write_json_name(const struct view *view, const char *name)
{
    text_buffer_printf(view->out, ",\n\"%s\": ", name);
}

static void write_json_number(const struct view *view, const char *name, uint64_t number)
{
    write_json_name(view, name);
    text_buffer_printf(view->out, "%" PRIu64, number);
}

static void write_json_error(const struct view *view, const struct error *error)
{
    text_buffer_append_text(view->out, "{\"error\": ");
    json_text_string_or_null(view->out, error->message);
    text_buffer_append_text(view->out, "}");
}

static void write_json_tokenizer(const struct view *view)
{
    write_json_name(view, "tokenizer");
    if (view->tokenizer == NULL) {
        write_json_error(view, &view->tokenizer_error);
        return;
    }
    const struct tokenizer_info *info = tokenizer_info(view->tokenizer);
    text_buffer_append_text(view->out, "{\"model\": ");
    json_text_string_or_null(view->out, info->model_name);
    text_buffer_append_text(view->out, ", \"pre\": ");
    json_text_string_or_null(view->out, info->pre_name);
    text_buffer_printf(view->out, ", \"tokens\": %u}", info->vocab_count);
}

static void write_json_plan(const struct view *view)
{
    const struct engine_plan *plan = &view->plan;
    write_json_name(view, "serving");
    if (!view->has_plan) {
        write_json_error(view, &view->plan_error);
        return;
    }
    text_buffer_printf(
        view->out,
        "{\"weight_bytes\": %" PRIu64 ", \"packed_bytes\": %" PRIu64 ", \"kv_bytes\": %" PRIu64
        ", \"workspace_bytes\": %" PRIu64 ", \"request_bytes\": %" PRIu64
        ", \"total_bytes\": %" PRIu64 ", \"context_tokens\": %u}",
        plan->weight_bytes, plan->packed_bytes, plan->kv_bytes, plan->workspace_bytes,
        plan->request_bytes, plan->total_bytes, plan->context_tokens);
}

static void write_json_head(const struct view *view)
{
    const struct inspect_info *info = &view->info;
    text_buffer_append_text(view->out, "{\"path\": ");
    json_text_string(view->out, info->path, strlen(info->path));
    write_json_number(view, "gguf_version", info->version);
    write_json_number(view, "bytes", info->byte_count);
    write_json_number(view, "alignment", info->alignment);
    write_json_name(view, "architecture");
    write_string(view, info->architecture);
    write_json_number(view, "parameters", info->parameter_count);
    write_json_number(view, "tensor_bytes", info->tensor_bytes);
    write_json_tokenizer(view);
    write_json_plan(view);
}

static void write_json_entries(const struct view *view)
{
    write_json_name(view, "entries");
    text_buffer_append_text(view->out, "[");
    for (uint64_t i = 0; i < view->info.entry_count && !view->out->failed; i++) {
        struct inspect_entry entry;
        inspect_get_entry(view->inspect, i, &entry);
        text_buffer_append_text(view->out, i > 0 ? ",\n {\"key\": " : "\n {\"key\": ");
        json_text_string(view->out, entry.key.bytes, entry.key.byte_count);
        text_buffer_printf(view->out, ", \"type\": \"%s\", ", entry.type_name);
        if (entry.is_array) {
            text_buffer_printf(view->out,
                               "\"count\": %" PRIu64 ", \"values\": ", entry.value_count);
            write_values(view, i, &entry);
        } else {
            text_buffer_append_text(view->out, "\"value\": ");
            write_value(view, i, 0, &entry);
        }
        text_buffer_append_text(view->out, "}");
    }
    text_buffer_append_text(view->out, "]");
}

static void write_json_tensors(const struct view *view)
{
    write_json_name(view, "tensors");
    text_buffer_append_text(view->out, "[");
    for (uint64_t i = 0; i < view->info.tensor_count && !view->out->failed; i++) {
        struct inspect_tensor tensor;
        inspect_get_tensor(view->inspect, i, &tensor);
        text_buffer_append_text(view->out, i > 0 ? ",\n {\"name\": " : "\n {\"name\": ");
        json_text_string(view->out, tensor.name.bytes, tensor.name.byte_count);
        text_buffer_printf(view->out,
                           ", \"type\": \"%s\", \"supported\": %s, \"shape\": ", tensor.type_name,
                           tensor.supported ? "true" : "false");
        write_shape(view, &tensor);
        text_buffer_printf(view->out, ", \"bytes\": %" PRIu64, tensor.byte_count);
        if (view->info.version > 0) {
            text_buffer_printf(view->out, ", \"offset\": %" PRIu64, tensor.offset);
        }
        text_buffer_append_text(view->out, "}");
    }
    text_buffer_append_text(view->out, "]}\n");
}

/* ---- the command ---- */

static void write_view(const struct view *view)
{
    if (view->json) {
        write_json_head(view);
        write_json_entries(view);
        write_json_tensors(view);
    } else {
        write_text_head(view);
        write_text_entries(view);
        write_text_tensors(view);
    }
}

static enum status run(const struct command_call *call, struct error *err)
{
    const struct inspect_options *options = call->options;
    const char *path = call->operand_count > 0 ? call->operands[0] : NULL;
    struct inspect *inspect = NULL;
    struct tokenizer *tokenizer = NULL;
    struct text_buffer out;
    enum status status = inspect_open(&inspect, path, err);
    if (status != OK) {
        return status;
    }
    struct view view = {
        .inspect = inspect, .values = options->values, .json = options->json, .out = &out};
    inspect_get_info(inspect, &view.info);
    inspect_open_tokenizer(inspect, &tokenizer, &view.tokenizer_error);
    view.tokenizer = tokenizer;
    view.has_plan = plan_of(path, &view.plan, &view.plan_error) == OK;
    text_buffer_init(&out, SIZE_MAX / 2);
    write_view(&view);
    if (out.failed) {
        status = error_set(err, ERR_MEMORY, "no memory for what is to be said of %.200s",
                           view.info.path);
    } else {
        fwrite(out.bytes, 1, out.byte_count, call->out);
    }
    text_buffer_release(&out);
    tokenizer_close(tokenizer);
    inspect_close(inspect);
    return status;
}

const struct command command_inspect = {
    .name = "inspect",
    .operands = "[MODEL]",
    .operand_max = 1,
    .summary = "say what is in a model file, and what memory serving it takes",
    .details = "Writes the metadata of a model file, its tensors with type, shape ([rows, "
               "values]), bytes and\n"
               "offset, its tokenizer, and the memory plan with default settings. Files that "
               "cannot be served\n"
               "are shown, too, with the reason. Without MODEL: the embedded demo model.",
    .table = {rows, sizeof rows / sizeof rows[0]},
    .run = run,
};
