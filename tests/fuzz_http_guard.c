/* fuzz_http_guard.c - any head is judged without harm, and one that passes is framed in one way.
 *
 * Input: method, target, version, then names and values, each ended by a newline.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http_guard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

/* The next line, terminated; empty at the end. */
static char *next_line(char **at)
{
    char *line = *at;
    char *end = strchr(line, '\n');
    if (end != NULL) {
        *end = '\0';
        *at = end + 1;
    } else {
        *at = line + strlen(line);
    }
    return line;
}

static void check(const struct http_guard_head *head, const struct http_guard_facts *facts)
{
    size_t length_count = 0;
    size_t coding_count = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        length_count += strcasecmp(head->headers[i].name, "content-length") == 0;
        coding_count += strcasecmp(head->headers[i].name, "transfer-encoding") == 0;
    }
    assert(length_count + coding_count <= 1);
    assert(facts->has_length == (length_count == 1) && facts->is_chunked == (coding_count == 1));
    char decoded[LIMIT_URL_BYTES + 1];
    assert(http_guard_decode(head->target, decoded, sizeof decoded));
    http_guard_host_is_local(facts->host, "localhost");
    http_guard_is_json(facts->content_type);
    if (facts->request_id != NULL) {
        http_guard_is_request_id(facts->request_id->value, facts->request_id->value_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
    char *text = malloc(byte_count + 1);
    if (text == NULL) {
        return 0;
    }
    if (byte_count > 0) {
        memcpy(text, bytes, byte_count);
    }
    text[byte_count] = '\0';
    char *at = text;
    static struct http_guard_head head;
    head = (struct http_guard_head){0};
    head.method = next_line(&at);
    head.target = next_line(&at);
    head.version = next_line(&at);
    while (*at != '\0' && head.header_count < LIMIT_HEADER_COUNT) {
        struct http_guard_header *header = &head.headers[head.header_count++];
        header->name = next_line(&at);
        header->value = next_line(&at);
        header->name_bytes = strlen(header->name);
        header->value_bytes = strlen(header->value);
    }
    struct http_guard_facts facts;
    struct refusal refusal = {0};
    if (http_guard_check(&head, &facts, &refusal) == OK) {
        check(&head, &facts);
    } else {
        assert(refusal.http_status >= 400 && refusal.http_status < 600);
    }
    free(text);
    return 0;
}
