/* unigram.c - one node a byte position, each with the best way to get there.
 *
 * Of equal sums the way that was found first stays, which is the longest last piece: nodes are
 * visited from left to right, so a way from further left is older.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/unigram.h"

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How much worse an unknown character is than the worst token: SentencePiece's own constant. */
#define UNKNOWN_PENALTY 10.0

struct node {
    double score;  /* of the best way from the start to here; -INFINITY: no way seen yet */
    uint32_t from; /* where its last piece begins */
    uint32_t token; /* that piece; TOKEN_NONE: an unknown character */
};

static void offer(struct node *node, double score, uint32_t from, uint32_t token)
{
    if (score > node->score) {
        *node = (struct node){.score = score, .from = from, .token = token};
    }
}

/* All pieces that begin at `at`, and the character there as an unknown one if it is no piece. */
static void extend(const struct vocabulary *v, const uint8_t *text, uint32_t text_bytes,
                   struct node *nodes, uint32_t at, uint32_t character_bytes)
{
    uint32_t longest =
        text_bytes - at < v->token_bytes_max ? text_bytes - at : v->token_bytes_max;
    bool known = false;
    for (uint32_t bytes = 1; bytes <= longest; bytes++) {
        uint32_t id = string_table_find(&v->by_bytes, text + at, bytes);
        if (id != TOKEN_NONE) {
            bool user_defined = v->types[id] == TOKEN_USER_DEFINED;
            double score = user_defined ? 0.0 : (double)v->scores[id];
            offer(&nodes[at + bytes], nodes[at].score + score, at, id);
            known = known || bytes == character_bytes;
        }
    }
    if (!known) {
        double score = nodes[at].score + (double)v->score_min - UNKNOWN_PENALTY;
        offer(&nodes[at + character_bytes], score, at, TOKEN_NONE);
    }
}

/* Follows the best ways back from the end; `from` then leads forward instead. */
static void reverse(struct node *nodes, uint32_t end)
{
    uint32_t next = end;
    for (uint32_t at = end; at > 0;) {
        uint32_t from = nodes[at].from;
        nodes[at].from = next;
        next = at;
        at = from;
    }
    nodes[0].from = next;
}

static void push_way(const struct vocabulary *v, const uint8_t *text, const struct node *nodes,
                     uint32_t end, struct bpe_output *output)
{
    for (uint32_t at = 0; at < end;) {
        uint32_t next = nodes[at].from;
        if (nodes[next].token != TOKEN_NONE) {
            bpe_push(output, nodes[next].token);
        } else {
            bpe_push_unspelled(v, text + at, next - at, output);
        }
        at = next;
    }
}

enum status unigram_encode(const struct vocabulary *vocabulary, const uint8_t *text,
                           size_t text_bytes, struct bpe_output *output, struct error *err)
{
    struct node *nodes = malloc((text_bytes + 1) * sizeof *nodes);
    if (nodes == NULL) {
        return error_set(err, ERR_MEMORY, "no memory to tokenise %zu bytes of text", text_bytes);
    }
    for (size_t i = 0; i <= text_bytes; i++) {
        nodes[i] = (struct node){.score = -INFINITY, .token = TOKEN_NONE};
    }
    nodes[0].score = 0;
    uint32_t end = (uint32_t)text_bytes;
    for (uint32_t at = 0; at < end;) {
        uint32_t code = 0;
        uint32_t bytes = char_class_utf8(text + at, text + end, &code);
        bytes = bytes > 0 ? bytes : 1;
        extend(vocabulary, text, end, nodes, at, bytes);
        at += bytes;
    }
    reverse(nodes, end);
    push_way(vocabulary, text, nodes, end, output);
    free(nodes);
    return OK;
}
