/* command_render.c - a chat template on a context from a file, by the path that a request takes: the
 * same checks of messages, the same names, the same budgets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/commands/command.h"

#include "configs/limits.h"
#include "engine/inspect.h"
#include "server/chat_prompt.h"
#include "server/commands/command_input.h"
#include "server/json_fields.h"

#include <stdbool.h>
#include <string.h>

struct render_options {
    const char *model;
    const char *template_path;
    const char *context_path;
};

/* clang-format off */
static const struct option_row rows[] = {
    {OPTION_HEADING, "Options", 0, "", 0, 0, "", ""},
    {OPTION_FILE, "model", offsetof(struct render_options, model), "", 0, 0, "",
     "the model that the prompt is for: its bos_token and eos_token, and its template unless another is given"},
    {OPTION_FILE, "template", offsetof(struct render_options, template_path), "", 0, 0, "",
     "file with the Jinja chat template"},
    {OPTION_FILE, "context", offsetof(struct render_options, context_path), "-", 0, 0, "",
     "JSON file of messages and whatever else the template may see; -: standard input"},
};
/* clang-format on */

/* Where the template comes from, and the model that names its tokens. */
struct source {
    struct inspect *inspect;     /* NULL: no model is given */
    struct tokenizer *tokenizer; /* likewise */
    struct chat_template *chat_template;
    const char *name; /* of the template, for messages */
};

static enum status open_file_template(struct chat_template **out, const char *path,
                                      struct error *err)
{
    struct text_buffer source;
    text_buffer_init(&source, LIMIT_TEMPLATE_BYTES);
    enum status status = command_input_read(&source, path, err);
    if (status == OK) {
        status = chat_template_open(out, source.bytes, source.byte_count, err);
        if (status != OK) {
            error_prefix(err, "%.200s: ", path);
        }
    }
    text_buffer_release(&source);
    return status;
}

/* The model's own for such a request, or what the server gives a model that has none. */
static enum status open_model_template(struct source *source, bool with_tools, struct error *err)
{
    struct inspect_info info;
    const char *name = NULL;
    inspect_get_info(source->inspect, &info);
    if (with_tools && info.tool_template.byte_count > 0) {
        info.chat_template = info.tool_template;
    }
    if (info.chat_template.byte_count == 0) {
        const char *text = chat_prompt_default_template(source->tokenizer, &name);
        info.chat_template = (struct inspect_text){text, strlen(text)};
    }
    enum status status = chat_template_open(&source->chat_template, info.chat_template.bytes,
                                            info.chat_template.byte_count, err);
    return status == OK ? OK : error_prefix(err, "%.200s: chat template: ", info.path);
}

static enum status open_source(struct source *source, const struct render_options *options,
                               bool with_tools, struct error *err)
{
    enum status status = OK;
    bool has_file = options->template_path[0] != '\0';
    if (options->model[0] != '\0') {
        status = inspect_open(&source->inspect, options->model, err);
        if (status == OK) {
            status = inspect_open_tokenizer(source->inspect, &source->tokenizer, err);
        }
    }
    if (status != OK) {
        return status;
    }
    source->name = has_file ? options->template_path : options->model;
    if (has_file) {
        return open_file_template(&source->chat_template, options->template_path, err);
    }
    if (source->inspect == NULL) {
        return error_set(err, ERR_INVALID, "neither --template FILE nor --model FILE is given");
    }
    return open_model_template(source, with_tools, err);
}

static void close_source(struct source *source)
{
    chat_template_close(source->chat_template);
    tokenizer_close(source->tokenizer);
    inspect_close(source->inspect);
}

/* The context as a request: what the server names itself, and the rest as the client's own values. */
static enum status read_params(struct params *params, const json_t *context,
                               struct refusal *refusal)
{
    struct json_fields fields = {context, refusal, NULL, OK};
    *params = (struct params){
        .route = PARAMS_CHAT,
        .messages = json_fields_array(&fields, "messages"),
        .template_values = context,
        .continue_final_message = json_fields_flag(&fields, "continue_final_message", false),
    };
    params_tools_read(&fields, &params->tools);
    params->add_generation_prompt =
        json_fields_flag(&fields, "add_generation_prompt", !params->continue_final_message);
    if (fields.status == OK && params->messages == NULL) {
        fields.status = refusal_set(refusal, "missing_required_parameter", "messages",
                                    "messages is missing: an array of messages.");
    }
    return fields.status;
}

static enum status render(struct text_buffer *out, const struct source *source,
                          const json_t *context, const char *context_path, struct error *err)
{
    struct params params;
    struct refusal refusal = {0};
    enum status status = read_params(&params, context, &refusal);
    params.style = chat_style_judge(source->chat_template);
    if (status == OK) {
        status =
            chat_prompt_render(&params, source->chat_template, source->tokenizer, out, &refusal);
    }
    if (status != OK) {
        return error_set(err, status, "%.200s with %.200s: %s", source->name, context_path,
                         refusal.error.message);
    }
    return OK;
}

static enum status run(const struct command_call *call, struct error *err)
{
    const struct render_options *options = call->options;
    struct source source = {0};
    json_t *context = NULL;
    struct text_buffer prompt;
    text_buffer_init(&prompt, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(&prompt, "", 0);
    enum status status = command_input_read_json(&context, options->context_path, err);
    if (status == OK) {
        bool with_tools = json_array_size(json_object_get(context, "tools")) > 0;
        status = open_source(&source, options, with_tools, err);
    }
    if (status == OK) {
        status = render(&prompt, &source, context, options->context_path, err);
    }
    if (status == OK) {
        fwrite(prompt.bytes, 1, prompt.byte_count, call->out);
    }
    text_buffer_release(&prompt);
    json_decref(context);
    close_source(&source);
    return status;
}

const struct command command_render = {
    .name = "render",
    .operands = "",
    .summary = "write the prompt that a chat template makes of messages",
    .details =
        "Renders a chat template as the server would, and writes the prompt as it is. The context "
        "is\n"
        "a JSON object: messages, and as wanted tools, add_generation_prompt (default: true),\n"
        "continue_final_message, bos_token, eos_token and any other name that the template reads. "
        "With a\n"
        "model, its own template and tokens are used, as the server does; a model without a "
        "template gets\n"
        "the server's default.",
    .table = {rows, sizeof rows / sizeof rows[0]},
    .run = run,
};
