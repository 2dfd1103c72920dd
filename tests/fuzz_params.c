/* fuzz_params.c - any bytes as the body of either route, and any bytes as messages: refused with a
 * sentence, or within every limit that the engine relies on.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/limits.h"
#include "server/chat_messages.h"
#include "server/json_guard.h"
#include "server/params.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

static const struct salt_key salt_key = {1, 2};
static const struct params_limits limits = {
    .model_name = "tiny", .salt_key = &salt_key, .vocab_count = 1000, .context_tokens = 100};

static void check_sampling(const struct sampling_params *sampling)
{
    assert(sampling->temperature >= 0 && sampling->temperature <= 2);
    assert(sampling->top_p > 0 && sampling->top_p <= 1);
    assert(sampling->min_p >= 0 && sampling->min_p <= 1);
    assert(sampling->repetition_penalty > 0 && isfinite(sampling->repetition_penalty));
    assert(fabsf(sampling->presence_penalty) <= 2 && fabsf(sampling->frequency_penalty) <= 2);
    assert(sampling->top_logprobs <= LIMIT_TOP_LOGPROBS);
    assert(sampling->logit_bias_count <= LIMIT_LOGIT_BIAS);
    for (uint32_t i = 0; i < sampling->logit_bias_count; i++) {
        assert(sampling->logit_bias[i].token_id < limits.vocab_count);
        assert(fabsf(sampling->logit_bias[i].bias) <= 100);
    }
    assert(sampling->stop_token_count <= LIMIT_STOP_TOKENS);
    for (uint32_t i = 0; i < sampling->stop_token_count; i++) {
        assert(sampling->stop_token_ids[i] < limits.vocab_count);
    }
}

static void check(struct params *params)
{
    check_sampling(&params->generate.sampling);
    uint32_t choices = params->generate.choice_count;
    assert(choices >= 1 && choices <= LIMIT_CHOICES);
    assert(params->prompt_count * choices <= LIMIT_CHOICES);
    for (uint32_t p = 0; p < params->prompt_count; p++) {
        const struct params_prompt *prompt = &params->prompts[p];
        assert((prompt->text != NULL) != (prompt->ids != NULL));
        for (uint32_t i = 0; i < prompt->id_count; i++) {
            assert(prompt->ids[i] < limits.vocab_count);
        }
    }
    static const uint32_t ids[99];
    struct refusal refusal;
    for (size_t id_count = 0; id_count <= 100; id_count += 33) {
        if (params_fit(params, ids, id_count, &limits, &refusal) == OK) {
            assert(params->generate.max_tokens >= 1);
            assert(id_count + params->generate.max_tokens <= limits.context_tokens);
        } else {
            assert(refusal.error.message[0] != '\0');
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
    struct refusal refusal = {0};
    json_t *root = NULL;
    if (json_guard_load(&root, (const char *)bytes, byte_count, &refusal) != OK) {
        assert(refusal.http_status == 400 && refusal.error.message[0] != '\0');
        return 0;
    }
    for (int route = PARAMS_COMPLETION; route <= PARAMS_CHAT; route++) {
        struct params params;
        refusal = (struct refusal){0};
        if (params_parse(&params, (enum params_route)route, root, &limits, &refusal) != OK) {
            assert(refusal.http_status >= 400 && refusal.error.message[0] != '\0');
            continue;
        }
        check(&params);
        json_t *messages = NULL;
        if (params.messages != NULL &&
            chat_messages_normalise(&messages, params.messages, &params.style, &refusal) == OK) {
            assert(json_array_size(messages) == json_array_size(params.messages));
            json_decref(messages);
        }
        params_release(&params);
    }
    json_decref(root);
    return 0;
}
