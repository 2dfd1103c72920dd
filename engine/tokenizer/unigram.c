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
    double score;   /* of the best way from the start to here; -INFINITY: no way seen yet */
    uint32_t from;  /* where its last piece begins */
    uint32_t token; /* that piece; TOKEN_NONE: an unknown character */
};

static double sum(const struct vocabulary *v, double a, double b)
{
    return v->float_sums ? (double)(float)(a + b) : a + b;
}

static void offer(struct node *node, double score, uint32_t from, uint32_t token)
{
    if (score > node->score) {
        *node = (struct node){.score = score, .from = from, .token = token};
    }
}

/* A user-defined piece wins over what it is made of: SentencePiece's own rule. */
static double piece_score(const struct vocabulary *v, uint32_t id, uint32_t byte_count)
{
    if (v->types[id] == TOKEN_USER_DEFINED) {
        return (double)((float)byte_count * v->score_max) - 0.1;
    }
    return (double)v->scores[id];
}

/* All pieces that begin at `at`, and the character there as an unknown one if it is no piece. */
static void extend(const struct vocabulary *v, const uint8_t *text, uint32_t text_bytes,
                   struct node *nodes, uint32_t at, uint32_t character_bytes)
{
    uint32_t longest = text_bytes - at < v->token_bytes_max ? text_bytes - at : v->token_bytes_max;
    bool known = false;
    for (uint32_t bytes = 1; bytes <= longest; bytes++) {
        uint32_t id = string_table_find(&v->by_bytes, text + at, bytes);
        if (id != TOKEN_NONE) {
            double score = sum(v, nodes[at].score, piece_score(v, id, bytes));
            offer(&nodes[at + bytes], score, at, id);
            known = known || bytes == character_bytes;
        }
    }
    if (!known) {
        double unknown = sum(v, (double)v->score_min, -UNKNOWN_PENALTY);
        double score = sum(v, nodes[at].score, unknown);
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
                           size_t text_bytes, double *score, struct bpe_output *output,
                           struct error *err)
{
    struct node *nodes = malloc((text_bytes + 1) * sizeof *nodes);
    if (nodes == NULL) {
        return error_set(err, ERR_MEMORY, "no memory to tokenise %zu bytes of text", text_bytes);
    }
    for (size_t i = 0; i <= text_bytes; i++) {
        nodes[i] = (struct node){.score = -INFINITY, .token = TOKEN_NONE};
    }
    nodes[0].score = *score;
    uint32_t end = (uint32_t)text_bytes;
    for (uint32_t at = 0; at < end;) {
        uint32_t code = 0;
        uint32_t bytes = char_class_utf8(text + at, text + end, &code);
        bytes = bytes > 0 ? bytes : 1;
        extend(vocabulary, text, end, nodes, at, bytes);
        at += bytes;
    }
    *score = nodes[end].score;
    reverse(nodes, end);
    push_way(vocabulary, text, nodes, end, output);
    free(nodes);
    return OK;
}
