/* generation_whole.c - one piece per choice, echo in front, then all of them into one object.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/generation_whole.h"

#include "configs/limits.h"
#include "server/generation_events.h"

#include <stdlib.h>
#include <string.h>

static bool put_echo_in_front(struct generation *generation, struct generation_prompt *prompt,
                              struct generation_choice *choice, struct answer_piece *piece,
                              struct text_buffer *joined)
{
    text_buffer_append(joined, prompt->echo.bytes, prompt->echo.byte_count);
    text_buffer_append(joined, choice->text.bytes, choice->text.byte_count);
    piece->text = joined->bytes;
    piece->text_bytes = joined->byte_count;
    if (!generation_state_wants_tokens(generation) || prompt->tokens == NULL) {
        return !joined->failed;
    }
    size_t count = prompt->id_count + choice->token_count;
    struct answer_token *tokens = malloc(count * sizeof *tokens);
    if (tokens == NULL) {
        return false;
    }
    memcpy(tokens, prompt->tokens, prompt->id_count * sizeof *tokens);
    if (choice->token_count > 0) {
        memcpy(tokens + prompt->id_count, choice->tokens, choice->token_count * sizeof *tokens);
    }
    free(choice->tokens);
    choice->tokens = tokens;
    choice->token_count = count;
    piece->hidden_count = prompt->id_count;
    return !joined->failed;
}

/* One piece per choice. Texts with an echo in front live in joined. */
static bool fill_pieces(struct generation *generation, struct answer_piece *pieces,
                        struct text_buffer *joined)
{
    size_t filled = 0;
    bool fits = true;
    for (uint32_t p = 0; p < generation->prompt_count; p++) {
        struct generation_prompt *prompt = &generation->prompts[p];
        for (uint32_t c = 0; c < generation->params.generate.choice_count; c++, filled++) {
            struct generation_choice *choice = &prompt->choices[c];
            struct answer_piece *piece = &pieces[filled];
            *piece = (struct answer_piece){
                .index = (uint32_t)filled,
                .text = choice->text.bytes,
                .text_bytes = choice->text.byte_count,
                .runs = choice->runs,
                .run_count = choice->run_count,
                .prompt_ids = generation->head.token_ids ? prompt->ids : NULL,
                .prompt_id_count = prompt->id_count,
                .finish_reason = choice->finish_reason,
            };
            text_buffer_init(&joined[filled], LIMIT_ANSWER_BYTES);
            if (generation->params.echo) {
                fits =
                    put_echo_in_front(generation, prompt, choice, piece, &joined[filled]) && fits;
            }
            piece->tokens = choice->tokens;
            piece->token_count = choice->token_count;
        }
    }
    return fits;
}

void generation_whole_write(struct generation *generation, struct text_buffer *out)
{
    size_t count = (size_t)generation->prompt_count * generation->params.generate.choice_count;
    struct answer_piece *pieces = calloc(count, sizeof *pieces);
    struct text_buffer *joined = calloc(count, sizeof *joined);
    bool fits = pieces != NULL && joined != NULL && fill_pieces(generation, pieces, joined);
    if (fits) {
        answer_write_whole(out, &generation->head, pieces, count, &generation->usage);
    }
    if (!fits || out->failed) {
        generation_events_fail(generation, ERR_MEMORY, "out_of_memory",
                               "There is not enough memory for the answer.");
    }
    for (size_t i = 0; joined != NULL && i < count; i++) {
        text_buffer_release(&joined[i]);
    }
    free(joined);
    free(pieces);
}
