/* sampler.c - passes over the logits that cost little more than reading them.
 *
 * Nothing sorts the vocabulary. top_k keeps a heap of k while it reads; top_p leaves out what
 * cannot be in the set (see gather_nucleus) and takes the rest best first from a heap, stopping
 * when there is enough. Without either, the draw walks the vocabulary in order of ids. Sums are
 * double and in a fixed order (logit_scan.c), so a draw depends on the logits alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sampler.h"

#include "engine/logit_scan.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MARK_SEEN     0x80000000u /* the token stands in the prompt or the output */
#define LOGPROB_FLOOR (-9999.0)

struct candidate {
    float value; /* the logit; once taken from the heap, the weight */
    uint32_t token_id;
};

struct sampler {
    uint32_t vocab_count;
    uint32_t end_count;
    uint32_t *end_ids; /* [end_count] */
    uint32_t *marks;   /* [vocab] occurrences in the output, and MARK_SEEN; 0 between calls */
    float *raw;        /* [vocab] the logits as they came, when log-probabilities are wanted */
    struct candidate *candidates; /* [vocab] */
};

/* ---- random numbers ---- */

enum {
    PHILOX_ROUNDS = 10,
    DOMAIN_DRAW = 0, /* last word of the counter: what the number is for */
    DOMAIN_SEED = 1
};

/* Philox 4x32-10 (Salmon et al. 2011), the first 64 of its 128 bits. */
static uint64_t philox(uint64_t key, uint64_t counter, uint32_t kind, uint32_t domain)
{
    uint32_t key0 = (uint32_t)key;
    uint32_t key1 = (uint32_t)(key >> 32);
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), kind, domain};
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t product0 = UINT64_C(0xD2511F53) * c[0];
        uint64_t product1 = UINT64_C(0xCD9E8D57) * c[2];
        uint32_t next0 = (uint32_t)(product1 >> 32) ^ c[1] ^ key0;
        uint32_t next2 = (uint32_t)(product0 >> 32) ^ c[3] ^ key1;
        c[0] = next0;
        c[1] = (uint32_t)product1;
        c[2] = next2;
        c[3] = (uint32_t)product0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return (uint64_t)c[1] << 32 | c[0];
}

double sampler_draw(uint64_t seed, uint64_t position, enum draw_kind kind)
{
    return (double)(philox(seed, position, (uint32_t)kind, DOMAIN_DRAW) >> 11) * 0x1p-53;
}

uint64_t sampler_choice_seed(uint64_t seed, uint32_t choice)
{
    return choice == 0 ? seed : philox(seed, choice, 0, DOMAIN_SEED);
}

/* ---- life ---- */

uint64_t sampler_bytes(uint32_t vocab_count)
{
    return sizeof(struct sampler) +
           (uint64_t)vocab_count * (sizeof(uint32_t) + sizeof(float) + sizeof(struct candidate));
}

enum status sampler_open(struct sampler **out, uint32_t vocab_count, const uint32_t *end_ids,
                         uint32_t end_count, struct error *err)
{
    assert(vocab_count > 0 && vocab_count <= LIMIT_MODEL_VOCAB);
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the sampler");
    }
    sampler->vocab_count = vocab_count;
    sampler->marks = calloc(vocab_count, sizeof *sampler->marks);
    sampler->raw = calloc(vocab_count, sizeof *sampler->raw);
    sampler->candidates = calloc(vocab_count, sizeof *sampler->candidates);
    sampler->end_ids = calloc((size_t)end_count + 1, sizeof *sampler->end_ids);
    if (sampler->marks == NULL || sampler->raw == NULL || sampler->candidates == NULL ||
        sampler->end_ids == NULL) {
        sampler_close(sampler);
        return error_set(err, ERR_MEMORY, "no memory for a sampler of %u tokens", vocab_count);
    }
    for (uint32_t i = 0; i < end_count; i++) {
        if (end_ids[i] < vocab_count) {
            sampler->end_ids[sampler->end_count++] = end_ids[i];
        }
    }
    *out = sampler;
    return OK;
}

void sampler_close(struct sampler *sampler)
{
    if (sampler == NULL) {
        return;
    }
    free(sampler->marks);
    free(sampler->raw);
    free(sampler->candidates);
    free(sampler->end_ids);
    free(sampler);
}

/* ---- what the parameters do to the logits ---- */

static void apply_bias(float *logits, const struct sampling_params *params, uint32_t vocab_count)
{
    for (uint32_t i = 0; i < params->logit_bias_count; i++) {
        assert(params->logit_bias[i].token_id < vocab_count);
        logits[params->logit_bias[i].token_id] += params->logit_bias[i].bias;
    }
}

/* A tiny penalty may carry a logit past the largest float; infinities would poison the sums. */
static float clamped(float logit)
{
    return logit > FLT_MAX ? FLT_MAX : logit;
}

/* Divides what is above zero and multiplies what is below, once for each token seen. */
static void apply_repetition(struct sampler *sampler, const struct sample_args *args)
{
    float penalty = args->params->repetition_penalty;
    for (uint32_t i = 0; i < args->token_count; i++) {
        uint32_t token_id = args->token_ids[i];
        if ((sampler->marks[token_id] & MARK_SEEN) == 0) {
            sampler->marks[token_id] |= MARK_SEEN;
            float logit = args->logits[token_id];
            args->logits[token_id] = clamped(logit > 0 ? logit / penalty : logit * penalty);
        }
    }
}

static void apply_presence_and_frequency(struct sampler *sampler, const struct sample_args *args)
{
    const struct sampling_params *params = args->params;
    for (uint32_t i = args->prompt_tokens; i < args->token_count; i++) {
        sampler->marks[args->token_ids[i]]++;
    }
    for (uint32_t i = args->prompt_tokens; i < args->token_count; i++) {
        uint32_t token_id = args->token_ids[i];
        uint32_t count = sampler->marks[token_id] & ~MARK_SEEN;
        if (count > 0) {
            args->logits[token_id] -=
                params->frequency_penalty * (float)count + params->presence_penalty;
            sampler->marks[token_id] &= MARK_SEEN; /* done: not again at its next occurrence */
        }
    }
}

static void apply_penalties(struct sampler *sampler, const struct sample_args *args)
{
    const struct sampling_params *params = args->params;
    bool repetition = params->repetition_penalty != 1.0f;
    if (repetition) {
        apply_repetition(sampler, args);
    }
    if (params->presence_penalty != 0.0f || params->frequency_penalty != 0.0f) {
        apply_presence_and_frequency(sampler, args);
    }
    for (uint32_t i = 0; repetition && i < args->token_count; i++) {
        sampler->marks[args->token_ids[i]] = 0;
    }
}

static bool is_among(uint32_t token_id, const uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == token_id) {
            return true;
        }
    }
    return false;
}

static bool ends_request(const struct sampler *sampler, const struct sampling_params *params,
                         uint32_t token_id)
{
    return (!params->ignore_eos && is_among(token_id, sampler->end_ids, sampler->end_count)) ||
           is_among(token_id, params->stop_token_ids, params->stop_token_count);
}

/* Below min_tokens, whatever would end the request cannot be drawn. */
static void ban_ends(const struct sampler *sampler, const struct sample_args *args)
{
    const struct sampling_params *params = args->params;
    if (args->token_count - args->prompt_tokens >= params->min_tokens) {
        return;
    }
    for (uint32_t i = 0; !params->ignore_eos && i < sampler->end_count; i++) {
        args->logits[sampler->end_ids[i]] = -INFINITY;
    }
    for (uint32_t i = 0; i < params->stop_token_count; i++) {
        assert(params->stop_token_ids[i] < sampler->vocab_count);
        args->logits[params->stop_token_ids[i]] = -INFINITY;
    }
}

/* ---- candidates ---- */

/* The order of everything below: larger logit first, then lower id. */
static bool goes_before(struct candidate a, struct candidate b)
{
    return a.value > b.value || (a.value == b.value && a.token_id < b.token_id);
}

/* A heap whose root goes before all others (best_first), or after them. */
static void sift_down(struct candidate *heap, uint32_t count, uint32_t at, bool best_first)
{
    struct candidate moving = heap[at];
    for (;;) {
        uint64_t child = 2 * (uint64_t)at + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && goes_before(heap[child + 1], heap[child]) == best_first) {
            child++;
        }
        if (goes_before(heap[child], moving) != best_first) {
            break;
        }
        heap[at] = heap[child];
        at = (uint32_t)child;
    }
    heap[at] = moving;
}

static void make_heap(struct candidate *heap, uint32_t count, bool best_first)
{
    for (uint32_t i = count / 2; i-- > 0;) {
        sift_down(heap, count, i, best_first);
    }
}

/* The k best. The heap's root is the worst of those kept; ids rise, so an equal one later loses. */
static uint32_t gather_best(struct candidate *heap, const float *logits, uint32_t vocab_count,
                            uint32_t top_k)
{
    for (uint32_t i = 0; i < top_k; i++) {
        heap[i] = (struct candidate){logits[i], i};
    }
    make_heap(heap, top_k, false);
    for (uint32_t i = top_k; i < vocab_count; i++) {
        if (logits[i] > heap[0].value) {
            heap[0] = (struct candidate){logits[i], i};
            sift_down(heap, top_k, 0, false);
        }
    }
    return top_k;
}

/* All that can be in the smallest set of mass top_p * total. Tokens lighter than
 * (1 - top_p) * total / vocab_count weigh less than (1 - top_p) * total together, so the others
 * suffice. The cut is made on exponents, with room for rounding. */
static uint32_t gather_nucleus(struct candidate *heap, const struct sample_args *args,
                               uint32_t vocab_count, float logit_max, double total)
{
    const struct sampling_params *params = args->params;
    double lightest = (1.0 - (double)params->top_p) * total / vocab_count;
    float cut = (float)log(lightest) - 0.001f;
    uint32_t count = 0;
    for (uint32_t i = 0; i < vocab_count; i++) {
        if ((args->logits[i] - logit_max) / params->temperature >= cut) {
            heap[count++] = (struct candidate){args->logits[i], i};
        }
    }
    return count;
}

/* ---- the draw ---- */

/* Takes the best from the heap until top_p and min_p say enough, and draws among those taken.
 * The heap shrinks from the end; what was taken lies behind it, the best last. */
static uint32_t draw_from_heap(struct candidate *heap, uint32_t count,
                               const struct sampling_params *params, float logit_max,
                               double mass_wanted, double uniform)
{
    double mass = 0;
    uint32_t left = count;
    make_heap(heap, count, true);
    while (left > 0 && mass < mass_wanted) {
        struct candidate best = heap[0];
        best.value = logit_scan_weight(best.value, logit_max, params->temperature);
        if (left < count && (best.value < params->min_p || best.value == 0.0f)) {
            break;
        }
        mass += best.value;
        left--;
        heap[0] = heap[left];
        heap[left] = best;
        if (left > 1) {
            sift_down(heap, left, 0, true);
        }
    }
    double target = uniform * mass;
    double passed = 0;
    for (uint32_t i = count; i-- > left;) {
        passed += heap[i].value;
        if (target < passed) {
            return heap[i].token_id;
        }
    }
    return heap[count - 1].token_id;
}

/* Neither top_k nor top_p: weights in place of the logits, and a walk in order of ids. */
static uint32_t draw_from_all(const struct sample_args *args, uint32_t vocab_count, uint32_t best,
                              double uniform)
{
    const struct sampling_params *params = args->params;
    float *weights = args->logits;
    double total = logit_scan_weights(weights, args->logits, vocab_count, args->logits[best],
                                      params->temperature, params->min_p);
    return logit_scan_walk(weights, vocab_count, uniform * total, best);
}

static uint32_t draw(struct sampler *sampler, const struct sample_args *args, uint32_t best)
{
    const struct sampling_params *params = args->params;
    double uniform = sampler_draw(params->seed, args->token_count, DRAW_TOKEN);
    float logit_max = args->logits[best];
    bool top_k_on = params->top_k > 0 && params->top_k < sampler->vocab_count;
    bool top_p_on = params->top_p < 1.0f;
    if (!top_k_on && !top_p_on) {
        return draw_from_all(args, sampler->vocab_count, best, uniform);
    }
    uint32_t count = 0;
    double total = 0;
    if (top_k_on) {
        count = gather_best(sampler->candidates, args->logits, sampler->vocab_count, params->top_k);
        for (uint32_t i = 0; i < count; i++) {
            total +=
                logit_scan_weight(sampler->candidates[i].value, logit_max, params->temperature);
        }
    } else {
        total = logit_scan_weights(NULL, args->logits, sampler->vocab_count, logit_max,
                                   params->temperature, 0.0f);
        count = gather_nucleus(sampler->candidates, args, sampler->vocab_count, logit_max, total);
    }
    double mass_wanted = top_p_on ? params->top_p * total : INFINITY;
    return draw_from_heap(sampler->candidates, count, params, logit_max, mass_wanted, uniform);
}

/* ---- log-probabilities ---- */

static void insert_top(struct sample *out, uint32_t top_count, float logit, uint32_t token_id)
{
    uint32_t at = out->top_count < top_count ? out->top_count++ : top_count - 1;
    for (; at > 0 && logit > out->top[at - 1].logprob; at--) {
        out->top[at] = out->top[at - 1];
    }
    out->top[at] = (struct reply_logprob){token_id, logit};
}

static float logprob_of(float logit, float logit_max, double log_total)
{
    double logprob = (double)logit - (double)logit_max - log_total;
    return (float)(logprob < LOGPROB_FLOOR ? LOGPROB_FLOOR : logprob);
}

/* Ids rise, so among equal logits the earlier one is ranked and listed first. */
static void score(const float *logits, uint32_t vocab_count, uint32_t token_id, uint32_t top_count,
                  struct sample *out)
{
    uint32_t best = logit_scan_argmax(logits, vocab_count);
    float logit = logits[token_id];
    double others = 0; /* what all but the best weigh beside its 1 */
    out->rank = 1;
    out->top_count = 0;
    for (uint32_t i = 0; i < vocab_count; i++) {
        others += i != best ? (double)expf(logits[i] - logits[best]) : 0.0;
        out->rank += logits[i] > logit || (i < token_id && logits[i] == logit);
        if (out->top_count < top_count ||
            (top_count > 0 && logits[i] > out->top[top_count - 1].logprob)) {
            insert_top(out, top_count, logits[i], i);
        }
    }
    double log_total = log1p(others);
    out->logprob = logprob_of(logit, logits[best], log_total);
    for (uint32_t i = 0; i < out->top_count; i++) {
        out->top[i].logprob = logprob_of(out->top[i].logprob, logits[best], log_total);
    }
}

static void clear_sample(struct sample *out)
{
    out->token_id = 0;
    out->end_token = false;
    out->failed = false;
    out->logprob = NAN;
    out->rank = 0;
    out->top_count = 0;
}

void sampler_score(struct sampler *sampler, const float *logits, uint32_t token_id,
                   uint32_t top_count, struct sample *out)
{
    assert(token_id < sampler->vocab_count && top_count <= LIMIT_TOP_LOGPROBS);
    clear_sample(out);
    out->token_id = token_id;
    out->failed = !logit_scan_usable(logits, sampler->vocab_count);
    if (!out->failed) {
        score(logits, sampler->vocab_count, token_id, top_count, out);
    }
}

void sampler_pick(struct sampler *sampler, const struct sample_args *args, struct sample *out)
{
    const struct sampling_params *params = args->params;
    assert(args->prompt_tokens <= args->token_count);
    assert(params->top_logprobs <= LIMIT_TOP_LOGPROBS);
    clear_sample(out);
    out->failed = !logit_scan_usable(args->logits, sampler->vocab_count);
    if (out->failed) {
        return;
    }
    if (params->logprobs) {
        memcpy(sampler->raw, args->logits, sampler->vocab_count * sizeof *sampler->raw);
    }
    apply_bias(args->logits, params, sampler->vocab_count);
    apply_penalties(sampler, args);
    ban_ends(sampler, args);
    uint32_t best = logit_scan_argmax(args->logits, sampler->vocab_count);
    out->failed = args->logits[best] == -INFINITY; /* everything was banned */
    if (out->failed) {
        return;
    }
    out->token_id = params->temperature == 0.0f ? best : draw(sampler, args, best);
    out->end_token = ends_request(sampler, params, out->token_id);
    if (params->logprobs) {
        score(sampler->raw, sampler->vocab_count, out->token_id, params->top_logprobs, out);
    }
}
