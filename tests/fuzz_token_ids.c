/* fuzz_token_ids.c - any bytes as a list of ids: refused with a line, or ids that the vocabulary has.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/commands/token_ids.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
    const uint32_t vocab_count = 1000;
    struct error error = {0};
    uint32_t *ids = NULL;
    size_t id_count = 0;
    if (token_ids_parse(&ids, &id_count, (const char *)bytes, byte_count, vocab_count, &error) !=
        OK) {
        assert(ids == NULL && error.message[0] != '\0');
        return 0;
    }
    assert(ids != NULL && id_count <= byte_count / 2 + 1);
    for (size_t i = 0; i < id_count; i++) {
        assert(ids[i] < vocab_count);
    }
    free(ids);
    return 0;
}
