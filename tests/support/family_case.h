/* family_case.h - a tiny model of some family, and what Hugging Face transformers computes from it.
 *
 * A case is a folder as tests/reference/families/make.py writes it: the model, expected.json and
 * logits.f32. Aborts the test on a folder that is not one.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_FAMILY_CASE_H
#define TESTS_SUPPORT_FAMILY_CASE_H

#include "configs/error.h"
#include "engine/formats/gguf.h"

#include <jansson.h>
#include <stdint.h>

enum {
    FAMILY_CASE_PROMPTS_MAX = 8,
    FAMILY_CASE_ROWS_MAX = 8,
};

struct family_prompt {
    uint32_t token_count;
    uint32_t *token_ids;
    uint32_t *largest; /* [token_count]: the token of each position's largest logit */
    float *gaps;       /* [token_count]: its distance to the second largest */
    float *norms;      /* [token_count]: root of the mean square of a position's logits */
    uint32_t row_count;
    uint32_t positions[FAMILY_CASE_ROWS_MAX]; /* whose logits are written out, ascending */
    const float *logits;                      /* [row_count, vocab_count]; of the case */
    uint32_t output_count;                    /* 0: none was asked for */
    uint32_t *output_ids;                     /* the greedy continuation */
    float *output_gaps;
};

struct family_case {
    char folder[1024];
    const char *name; /* the end of folder: family-variant */
    const char *dtype;
    uint32_t vocab_count;
    uint32_t prompt_count;
    struct family_prompt prompts[FAMILY_CASE_PROMPTS_MAX];
    float *logits;
    json_t *expected;
};

/* The names of the cases in a folder, sorted, for free; 0 of them where there is no such folder. */
char **family_case_list(const char *root, uint32_t *case_count);
void family_case_list_free(char **names, uint32_t case_count);

void family_case_open(struct family_case *one, const char *root, const char *name);
void family_case_close(struct family_case *one);

/* The prompt with the most tokens. */
const struct family_prompt *family_case_longest(const struct family_case *one);

#endif
