/* outcome.c - names as results have them. SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/outcome.h"

#include <assert.h>

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[OUTCOME_COUNT] = {
        [OUTCOME_DONE] = "done",
        [OUTCOME_CANCELLED] = "cancelled",
        [OUTCOME_CONNECT] = "connect",
        [OUTCOME_RESET] = "reset",
        [OUTCOME_TRUNCATED] = "truncated",
        [OUTCOME_TIMEOUT] = "timeout",
        [OUTCOME_BAD_HTTP] = "bad_http",
        [OUTCOME_BAD_JSON] = "bad_json",
        [OUTCOME_STREAM_ERROR] = "stream_error",
        [OUTCOME_HTTP_4XX] = "http_4xx",
        [OUTCOME_HTTP_429] = "http_429",
        [OUTCOME_HTTP_503] = "http_503",
        [OUTCOME_HTTP_5XX] = "http_5xx",
        [OUTCOME_UNSENT] = "unsent",
    };
    assert(outcome < OUTCOME_COUNT);
    return names[outcome];
}
