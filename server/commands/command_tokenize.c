/* command_tokenize.c - text on standard input -> the ids that a model's tokenizer gives it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/limits.h"
#include "engine/inspect.h"
#include "server/commands/command.h"
#include "server/commands/command_input.h"
#include "server/json_text.h"

#include <stdbool.h>
#include <stdlib.h>

struct tokenize_options {
    const char *model;
    bool special;
    bool parse_special;
    bool pieces;
};

/* clang-format off */
static const struct option_row rows[] = {
    {OPTION_HEADING, "Options", 0, "", 0, 0, "", ""},
    {OPTION_FILE, "model", offsetof(struct tokenize_options, model), "", 0, 0, "",
     "the model whose tokenizer is used; none: the embedded demo model"},
    {OPTION_SWITCH, "special", offsetof(struct tokenize_options, special), "false", 0, 0, "",
     "put around the text what the model wants around a prompt, such as a token of beginning"},
    {OPTION_SWITCH, "parse-special", offsetof(struct tokenize_options, parse_special), "true", 0, 0, "",
     "take the names of special tokens in the text for plain text"},
    {OPTION_SWITCH, "pieces", offsetof(struct tokenize_options, pieces), "false", 0, 0, "",
     "write a line for each token: its id, a tab, and its text in quotes"},
};
/* clang-format on */

static enum status encode(const struct tokenizer *tokenizer, const struct text_buffer *text,
                          const struct tokenize_options *options, uint32_t **ids, size_t *id_count,
                          struct error *err)
{
    unsigned flags = (options->special ? (unsigned)TOKENIZER_ADD_SPECIAL : 0u) |
                     (options->parse_special ? (unsigned)TOKENIZER_PARSE_SPECIAL : 0u);
    size_t room = tokenizer_id_count_bound(tokenizer, text->byte_count);
    *ids = malloc((room + 1) * sizeof **ids);
    if (*ids == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the tokens of %zu bytes",
                         text->byte_count);
    }
    return tokenizer_encode(tokenizer, text->bytes, text->byte_count, flags, *ids, room, id_count,
                            err);
}

static void write_ids(FILE *out, const uint32_t *ids, size_t id_count)
{
    for (size_t i = 0; i < id_count; i++) {
        fprintf(out, "%s%u", i > 0 ? " " : "", ids[i]);
    }
    fputc('\n', out);
}

static enum status write_pieces(FILE *out, const struct tokenizer *tokenizer, const uint32_t *ids,
                                size_t id_count, struct error *err)
{
    struct text_buffer piece;
    text_buffer_init(&piece, LIMIT_ANSWER_BYTES);
    for (size_t i = 0; i < id_count && !piece.failed; i++) {
        size_t byte_count = 0;
        const char *bytes = tokenizer_token_bytes(tokenizer, ids[i], true, &byte_count);
        text_buffer_clear(&piece);
        json_text_string(&piece, bytes, byte_count);
        fprintf(out, "%u\t%s\n", ids[i], piece.failed ? "" : piece.bytes);
    }
    bool failed = piece.failed;
    text_buffer_release(&piece);
    return failed ? error_set(err, ERR_MEMORY, "no memory for a token's text") : OK;
}

static enum status tokenize(const struct command_call *call, const struct tokenizer *tokenizer,
                            struct error *err)
{
    const struct tokenize_options *options = call->options;
    struct text_buffer text;
    uint32_t *ids = NULL;
    size_t id_count = 0;
    text_buffer_init(&text, LIMIT_ENCODE_BYTES);
    enum status status = command_input_read(&text, COMMAND_INPUT_STANDARD, err);
    if (status == OK) {
        status = encode(tokenizer, &text, options, &ids, &id_count, err);
    }
    if (status == OK && options->pieces) {
        status = write_pieces(call->out, tokenizer, ids, id_count, err);
    } else if (status == OK) {
        write_ids(call->out, ids, id_count);
    }
    free(ids);
    text_buffer_release(&text);
    return status;
}

static enum status run(const struct command_call *call, struct error *err)
{
    const struct tokenize_options *options = call->options;
    struct inspect *inspect = NULL;
    struct tokenizer *tokenizer = NULL;
    enum status status =
        inspect_open(&inspect, options->model[0] != '\0' ? options->model : NULL, err);
    if (status == OK) {
        status = inspect_open_tokenizer(inspect, &tokenizer, err);
    }
    if (status == OK) {
        status = tokenize(call, tokenizer, err);
    }
    tokenizer_close(tokenizer);
    inspect_close(inspect);
    return status;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .operands = "",
    .summary = "write the token ids of the text on standard input",
    .details =
        "Reads text from standard input and writes the ids of its tokens on one line, without the\n"
        "tokens of beginning and end that --special puts around it. An end of line is text, too.",
    .table = {rows, sizeof rows / sizeof rows[0]},
    .run = run,
};
