/* command_detokenize.c - token ids on standard input -> the text that they stand for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/limits.h"
#include "engine/inspect.h"
#include "server/commands/command.h"
#include "server/commands/command_input.h"
#include "server/commands/token_ids.h"

#include <stdbool.h>
#include <stdlib.h>

struct detokenize_options {
    const char *model;
    bool special;
};

/* clang-format off */
static const struct option_row rows[] = {
    {OPTION_HEADING, "Options", 0, "", 0, 0, "", ""},
    {OPTION_FILE, "model", offsetof(struct detokenize_options, model), "", 0, 0, "",
     "the model whose tokenizer is used; none: the embedded demo model"},
    {OPTION_SWITCH, "special", offsetof(struct detokenize_options, special), "true", 0, 0, "",
     "leave special tokens out"},
};
/* clang-format on */

/* Writes token by token: the text of a hundred million ids need not lie in memory. */
static enum status write_text(FILE *out, const struct tokenizer *tokenizer, bool show_special,
                              const uint32_t *ids, size_t id_count, struct error *err)
{
    struct detokenizer detokenizer;
    detokenizer_init(&detokenizer, tokenizer, show_special, false);
    struct text_buffer text;
    text_buffer_init(&text, (size_t)LIMIT_TOKEN_BYTES * 4);
    for (size_t i = 0; i < id_count && !text.failed; i++) {
        size_t token_bytes = 0;
        tokenizer_token_bytes(tokenizer, ids[i], true, &token_bytes);
        text_buffer_clear(&text);
        char *room = text_buffer_room(&text, token_bytes * 3 + 16);
        if (room != NULL) {
            size_t byte_count = detokenizer_feed(&detokenizer, ids[i], room, token_bytes * 3 + 16);
            fwrite(room, 1, byte_count, out);
        }
    }
    bool failed = text.failed;
    text_buffer_release(&text);
    char rest[16] = "";
    fwrite(rest, 1, detokenizer_finish(&detokenizer, rest, sizeof rest), out);
    return failed ? error_set(err, ERR_MEMORY, "no memory for a token's text") : OK;
}

static enum status detokenize(const struct command_call *call, const struct tokenizer *tokenizer,
                              struct error *err)
{
    const struct detokenize_options *options = call->options;
    struct text_buffer text;
    uint32_t *ids = NULL;
    size_t id_count = 0;
    text_buffer_init(&text, LIMIT_ENCODE_BYTES);
    enum status status = command_input_read(&text, COMMAND_INPUT_STANDARD, err);
    if (status == OK) {
        status = token_ids_parse(&ids, &id_count, text.bytes, text.byte_count,
                                 tokenizer_info(tokenizer)->vocab_count, err);
        if (status != OK) {
            error_prefix(err, "standard input: ");
        }
    }
    text_buffer_release(&text);
    if (status == OK) {
        status = write_text(call->out, tokenizer, options->special, ids, id_count, err);
    }
    free(ids);
    return status;
}

static enum status run(const struct command_call *call, struct error *err)
{
    const struct detokenize_options *options = call->options;
    struct inspect *inspect = NULL;
    struct tokenizer *tokenizer = NULL;
    enum status status =
        inspect_open(&inspect, options->model[0] != '\0' ? options->model : NULL, err);
    if (status == OK) {
        status = inspect_open_tokenizer(inspect, &tokenizer, err);
    }
    if (status == OK) {
        status = detokenize(call, tokenizer, err);
    }
    tokenizer_close(tokenizer);
    inspect_close(inspect);
    return status;
}

const struct command command_detokenize = {
    .name = "detokenize",
    .operands = "",
    .summary = "write the text of the token ids on standard input",
    .details = "Reads ids from standard input, with blanks, line ends, commas or brackets between "
               "them, and\n"
               "writes their text as it is. Bytes that are no UTF-8 become U+FFFD, as in the "
               "server's answers.",
    .table = {rows, sizeof rows / sizeof rows[0]},
    .run = run,
};
