/* output_rig.c - one buffer per stream of the parser's output. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/output_rig.h"

#include <stdlib.h>
#include <string.h>

static void take(void *context, enum output_kind kind, const char *bytes, size_t byte_count)
{
    struct output_outcome *outcome = context;
    struct text_buffer *buffer = kind == OUTPUT_REASONING ? &outcome->reasoning : &outcome->content;
    if (kind == OUTPUT_CALL) {
        outcome->call_count++;
    }
    if (kind == OUTPUT_CALL || kind == OUTPUT_ARGUMENTS) {
        outcome->orphaned = outcome->orphaned || outcome->call_count == 0;
        if (outcome->orphaned || outcome->call_count > OUTPUT_RIG_CALLS_MAX) {
            return;
        }
        size_t last = outcome->call_count - 1;
        buffer = kind == OUTPUT_CALL ? &outcome->names[last] : &outcome->arguments[last];
    }
    text_buffer_append(buffer, bytes, byte_count);
}

/* Pieces are copies of their own, so that reading beyond one is seen. */
static void feed(struct output_parser *parser, const char *text, size_t byte_count)
{
    char *piece = malloc(byte_count > 0 ? byte_count : 1);
    if (piece == NULL) {
        abort();
    }
    memcpy(piece, text, byte_count);
    output_parser_feed(parser, piece, byte_count);
    free(piece);
}

void output_rig_run(struct output_outcome *out, struct output_setup setup, const char *text,
                    size_t byte_count, bool truncated, output_piece_fn next_piece, void *context)
{
    *out = (struct output_outcome){0};
    struct text_buffer *all[] = {&out->content, &out->reasoning};
    for (size_t i = 0; i < 2; i++) {
        text_buffer_init(all[i], SIZE_MAX / 4);
    }
    for (size_t i = 0; i < OUTPUT_RIG_CALLS_MAX; i++) {
        text_buffer_init(&out->names[i], SIZE_MAX / 4);
        text_buffer_init(&out->arguments[i], SIZE_MAX / 4);
    }
    setup.take = take;
    setup.take_context = out;
    struct output_parser *parser = output_parser_open(&setup);
    if (parser == NULL) {
        abort();
    }
    for (size_t at = 0; at < byte_count;) {
        size_t piece = next_piece != NULL ? next_piece(context) : 0;
        piece = piece == 0 || piece > byte_count - at ? byte_count - at : piece;
        feed(parser, text + at, piece);
        at += piece;
    }
    output_parser_finish(parser, truncated);
    out->failed = output_parser_failed(parser);
    out->account = *output_parser_account(parser);
    output_parser_close(parser);
}

void output_rig_release(struct output_outcome *outcome)
{
    text_buffer_release(&outcome->content);
    text_buffer_release(&outcome->reasoning);
    for (size_t i = 0; i < OUTPUT_RIG_CALLS_MAX; i++) {
        text_buffer_release(&outcome->names[i]);
        text_buffer_release(&outcome->arguments[i]);
    }
}

static bool same(const struct text_buffer *a, const struct text_buffer *b)
{
    return a->byte_count == b->byte_count &&
           (a->byte_count == 0 || memcmp(a->bytes, b->bytes, a->byte_count) == 0);
}

bool output_rig_same(const struct output_outcome *a, const struct output_outcome *b)
{
    bool equal = same(&a->content, &b->content) && same(&a->reasoning, &b->reasoning) &&
                 a->call_count == b->call_count && a->failed == b->failed;
    for (size_t i = 0; i < OUTPUT_RIG_CALLS_MAX && equal; i++) {
        equal = same(&a->names[i], &b->names[i]) && same(&a->arguments[i], &b->arguments[i]);
    }
    return equal;
}
