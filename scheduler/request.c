/* request.c - the life of a request struct between two uses, and what its counters promise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/request.h"

#include <assert.h>
#include <stddef.h>

void request_reset(struct request *request)
{
    assert(request->kv.table.block_count == 0);
    assert(request->child_count == 0);
    assert(request->next == NULL && request->prev == NULL);
    struct kv_request kv = request->kv;
    *request = (struct request){.kv = kv};
}

void request_check(const struct request *request)
{
    if (request->state == REQUEST_UNUSED) {
        assert(request->kv.table.block_count == 0);
        return;
    }
    const struct request_spec *spec = &request->spec;
    assert(spec->prompt_tokens >= 1);
    assert(request->token_count >= spec->prompt_tokens);
    assert(request->token_count <= spec->token_count_max);
    assert(request->arrival_number > 0);
    assert(request->scored_tokens <= spec->prompt_tokens);
    assert((request->state == REQUEST_FINISHED) == (request->finish_reason != FINISH_NONE));
    if (request->state == REQUEST_RUNNING) {
        assert(request->computed_tokens < request->token_count);
        assert(request->computed_tokens == request->kv.committed_tokens);
        assert(request->computed_tokens <= request->kv.fill_tokens);
        assert(request->guess_count == 0 || request_caught_up(request));
        assert(request->admit_number > 0);
    } else {
        assert(request->kv.table.block_count == 0);
        assert(request->computed_tokens == 0);
        assert(request->guess_count == 0);
    }
}

const char *request_finish_reason_name(enum finish_reason reason)
{
    switch (reason) {
    case FINISH_NONE:
        return "none";
    case FINISH_STOP:
        return "stop";
    case FINISH_LENGTH:
        return "length";
    case FINISH_CANCELLED:
        return "cancelled";
    case FINISH_DEADLINE:
        return "deadline";
    case FINISH_CAPACITY:
        return "capacity";
    case FINISH_ERROR:
        return "error";
    }
    return "unknown";
}
