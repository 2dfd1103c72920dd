/* chat_template.c - a template is a tree; a render is a walk over it with an arena of its own, so
 * renders share nothing that is written. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/chat_template.h"

#include "configs/limits.h"
#include "server/chat/template_exec.h"
#include "server/chat/template_parser.h"
#include "server/chat/template_scope.h"

#include <stdlib.h>
#include <string.h>

struct chat_template {
    struct template_tree tree;
};

enum status chat_template_open(struct chat_template **out, const char *source, size_t source_bytes,
                               struct error *err)
{
    *out = NULL;
    if (source_bytes > LIMIT_TEMPLATE_BYTES) {
        return error_set(err, ERR_UNSUPPORTED, "the chat template has %zu bytes, the limit is %u",
                         source_bytes, LIMIT_TEMPLATE_BYTES);
    }
    struct chat_template *chat_template = calloc(1, sizeof *chat_template);
    if (chat_template == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the chat template");
    }
    template_arena_init(&chat_template->tree.arena, LIMIT_TEMPLATE_TREE);
    enum status status = template_parser_run(&chat_template->tree, source, source_bytes, err);
    if (status != OK) {
        chat_template_close(chat_template);
        return status;
    }
    *out = chat_template;
    return OK;
}

void chat_template_close(struct chat_template *chat_template)
{
    if (chat_template != NULL) {
        template_arena_release(&chat_template->tree.arena);
        free(chat_template);
    }
}

static bool render(struct template_run *run)
{
    enum template_flow flow = TEMPLATE_FLOW_NEXT;
    size_t symbol_count = run->tree->symbol_count;
    run->globals = template_run_alloc_array(run, symbol_count, sizeof *run->globals);
    if (run->globals == NULL) {
        return false;
    }
    memset(run->globals, 0, symbol_count * sizeof *run->globals);
    run->scope = template_scope_new(run, NULL);
    return run->scope != NULL && template_exec_body(run, &run->tree->body, &flow);
}

enum status chat_template_render(const struct chat_template *chat_template, const json_t *context,
                                 int64_t now_seconds, struct text_buffer *out, struct error *err)
{
    if (out->failed) {
        return error_set(err, ERR_MEMORY, "the buffer for the prompt has failed before");
    }
    if (!json_is_object(context)) {
        return error_set(err, ERR_INVALID, "the chat template's context is not an object");
    }
    struct template_run run = {
        .tree = &chat_template->tree,
        .context = context,
        .now_seconds = now_seconds,
        .steps_left = LIMIT_TEMPLATE_STEPS,
        .out = out,
    };
    template_arena_init(&run.arena, LIMIT_TEMPLATE_MEMORY);
    size_t bytes_before = out->byte_count;
    bool ok = render(&run);
    template_arena_release(&run.arena);
    if (!ok && out->bytes != NULL) {
        out->byte_count = bytes_before;
        out->bytes[bytes_before] = '\0';
        out->failed = false;
    }
    return ok ? OK : error_set(err, run.error.status, "%s", run.error.message);
}
