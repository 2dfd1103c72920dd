/* http_guard.c - one pass over the headers, then rules about those that frame the message.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http_guard.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    METHOD_BYTES_MAX = 32,
    HEADER_LINE_BYTES_MAX = 8192
};

static enum status refuse(struct refusal *refusal, int http_status, const char *message)
{
    refusal_set_http(refusal, http_status, "bad_http_request", "%s", message);
    return ERR_INVALID;
}

/* tchar of RFC 9110. */
static bool is_token_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') ||
           (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_token(const char *text, size_t byte_count)
{
    for (size_t i = 0; i < byte_count; i++) {
        if (!is_token_byte(text[i])) {
            return false;
        }
    }
    return byte_count > 0;
}

static bool is_hex(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'F') ||
           (byte >= 'a' && byte <= 'f');
}

static int hex_value(char byte)
{
    return byte <= '9' ? byte - '0' : (byte | 0x20) - 'a' + 10;
}

static enum status check_target(const char *target, struct refusal *refusal)
{
    if (strlen(target) > LIMIT_URL_BYTES) {
        return refuse(refusal, 414, "The request target is too long.");
    }
    if (target[0] != '/') {
        return refuse(refusal, 400, "The request target must be a path that starts with '/'.");
    }
    for (const char *at = target; *at != '\0'; at++) {
        if (*at <= 0x20 || *at == 0x7F) {
            return refuse(refusal, 400, "The request target holds a byte that must be escaped.");
        }
        if (*at != '%') {
            continue;
        }
        bool escape = is_hex(at[1]) && is_hex(at[2]);
        if (!escape || (at[1] == '0' && at[2] == '0')) {
            return refuse(refusal, 400, "The request target holds a malformed escape.");
        }
    }
    return OK;
}

static enum status check_request_line(const struct http_guard_head *head, struct refusal *refusal)
{
    size_t method_bytes = strlen(head->method);
    if (method_bytes > METHOD_BYTES_MAX || !is_token(head->method, method_bytes)) {
        return refuse(refusal, 400, "The request method is malformed.");
    }
    if (strcmp(head->version, "HTTP/1.1") != 0 && strcmp(head->version, "HTTP/1.0") != 0) {
        return refuse(refusal, 505, "This server speaks HTTP/1.1 and HTTP/1.0.");
    }
    return check_target(head->target, refusal);
}

static bool has_control_byte(const char *text, size_t byte_count)
{
    for (size_t i = 0; i < byte_count; i++) {
        unsigned char byte = (unsigned char)text[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7F) {
            return true;
        }
    }
    return false;
}

static enum status check_header_bytes(const struct http_guard_head *head, struct refusal *refusal)
{
    if (head->header_count > LIMIT_HEADER_COUNT) {
        return refuse(refusal, 431, "The request has too many headers.");
    }
    size_t total_bytes = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_guard_header *header = &head->headers[i];
        size_t line_bytes = header->name_bytes + header->value_bytes;
        total_bytes += line_bytes;
        if (line_bytes > HEADER_LINE_BYTES_MAX || total_bytes > LIMIT_HEADER_BYTES) {
            return refuse(refusal, 431, "The request's headers are too long.");
        }
        if (!is_token(header->name, header->name_bytes)) {
            return refuse(refusal, 400, "A header name is malformed.");
        }
        if (has_control_byte(header->value, header->value_bytes)) {
            return refuse(refusal, 400, "A header value holds a control byte.");
        }
    }
    return OK;
}

/* How many headers have this name; *found is the first. */
static size_t count_named(const struct http_guard_head *head, const char *name,
                          const struct http_guard_header **found)
{
    size_t count = 0;
    size_t name_bytes = strlen(name);
    *found = NULL;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_guard_header *header = &head->headers[i];
        if (header->name_bytes == name_bytes && strncasecmp(header->name, name, name_bytes) == 0) {
            *found = *found != NULL ? *found : header;
            count++;
        }
    }
    return count;
}

static bool value_is(const struct http_guard_header *header, const char *text)
{
    return header->value_bytes == strlen(text) &&
           strncasecmp(header->value, text, header->value_bytes) == 0;
}

static enum status read_length(const struct http_guard_header *header,
                               struct http_guard_facts *facts, struct refusal *refusal)
{
    if (header->value_bytes == 0 || header->value_bytes > 18) {
        return refuse(refusal, 400, "Content-Length is not a length.");
    }
    for (size_t i = 0; i < header->value_bytes; i++) {
        char digit = header->value[i];
        if (digit < '0' || digit > '9') {
            return refuse(refusal, 400, "Content-Length is not a length.");
        }
        facts->content_length = facts->content_length * 10 + (uint64_t)(digit - '0');
    }
    facts->has_length = true;
    return OK;
}

static enum status check_framing(const struct http_guard_head *head, struct http_guard_facts *facts,
                                 struct refusal *refusal)
{
    const struct http_guard_header *length;
    const struct http_guard_header *encoding;
    size_t length_count = count_named(head, "Content-Length", &length);
    size_t encoding_count = count_named(head, "Transfer-Encoding", &encoding);
    if (length_count > 1 || encoding_count > 1 || (length_count == 1 && encoding_count == 1)) {
        return refuse(refusal, 400, "The request's length is given more than once.");
    }
    if (length_count == 1) {
        return read_length(length, facts, refusal);
    }
    if (encoding_count == 1) {
        if (!value_is(encoding, "chunked")) {
            return refuse(refusal, 501, "The only transfer coding this server reads is chunked.");
        }
        if (strcmp(head->version, "HTTP/1.0") == 0) {
            return refuse(refusal, 400, "HTTP/1.0 has no transfer codings.");
        }
        facts->is_chunked = true;
    }
    return OK;
}

/* Headers that may come once at most. */
static enum status check_singles(const struct http_guard_head *head, struct http_guard_facts *facts,
                                 struct refusal *refusal)
{
    const struct http_guard_header *expect;
    size_t host_count = count_named(head, "Host", &facts->host);
    if (host_count > 1 || (host_count == 0 && strcmp(head->version, "HTTP/1.1") == 0)) {
        return refuse(refusal, 400, "The request needs exactly one Host header.");
    }
    if (count_named(head, "Content-Type", &facts->content_type) > 1 ||
        count_named(head, "Content-Encoding", &facts->content_encoding) > 1) {
        return refuse(refusal, 400, "The request describes its content more than once.");
    }
    if (count_named(head, "Expect", &expect) > 0 && !value_is(expect, "100-continue")) {
        return refuse(refusal, 417, "The only expectation this server meets is 100-continue.");
    }
    if (count_named(head, "Authorization", &facts->authorization) > 1) {
        refusal_set_http(refusal, 401, "invalid_api_key", "The request has two keys.");
        return ERR_INVALID;
    }
    if (count_named(head, "X-Request-Id", &facts->request_id) > 1) {
        facts->request_id = NULL;
    }
    return OK;
}

enum status http_guard_check(const struct http_guard_head *head, struct http_guard_facts *facts,
                             struct refusal *refusal)
{
    *facts = (struct http_guard_facts){0};
    enum status status = check_request_line(head, refusal);
    if (status == OK) {
        status = check_header_bytes(head, refusal);
    }
    if (status == OK) {
        status = check_framing(head, facts, refusal);
    }
    if (status == OK) {
        status = check_singles(head, facts, refusal);
    }
    return status;
}

/* host[:port] without the port; brackets stay. */
static size_t name_bytes_of(const struct http_guard_header *host)
{
    const char *value = host->value;
    if (host->value_bytes > 0 && value[0] == '[') {
        const char *end = memchr(value, ']', host->value_bytes);
        return end != NULL ? (size_t)(end - value) + 1 : host->value_bytes;
    }
    const char *colon = memchr(value, ':', host->value_bytes);
    return colon != NULL ? (size_t)(colon - value) : host->value_bytes;
}

bool http_guard_host_is_local(const struct http_guard_header *host, const char *bound_name)
{
    if (host == NULL) {
        return true; /* HTTP/1.0 tools; browsers always send one */
    }
    size_t byte_count = name_bytes_of(host);
    const char *name = host->value;
    if (byte_count == 0 || name[0] == '[') {
        return true;
    }
    if (byte_count == strlen(bound_name) && strncasecmp(name, bound_name, byte_count) == 0) {
        return true;
    }
    if (byte_count == 9 && strncasecmp(name, "localhost", 9) == 0) {
        return true;
    }
    /* Digits and dots alone: an address, which nobody can rebind. */
    return strspn(name, "0123456789.") >= byte_count;
}

bool http_guard_is_json(const struct http_guard_header *content_type)
{
    static const char json[] = "application/json";
    size_t type_bytes = sizeof json - 1;
    if (content_type == NULL || content_type->value_bytes < type_bytes ||
        strncasecmp(content_type->value, json, type_bytes) != 0) {
        return false;
    }
    const char *rest = content_type->value + type_bytes;
    const char *end = content_type->value + content_type->value_bytes;
    while (rest < end && (*rest == ' ' || *rest == ';' || *rest == '\t')) {
        rest++;
    }
    static const char charset[] = "charset=";
    if (rest == end) {
        return true;
    }
    size_t rest_bytes = (size_t)(end - rest);
    if (rest == content_type->value + type_bytes || rest_bytes < sizeof charset - 1 ||
        strncasecmp(rest, charset, sizeof charset - 1) != 0) {
        return false;
    }
    rest += sizeof charset - 1;
    rest_bytes -= sizeof charset - 1;
    return (rest_bytes == 5 && strncasecmp(rest, "utf-8", 5) == 0) ||
           (rest_bytes == 7 && strncasecmp(rest, "\"utf-8\"", 7) == 0);
}

bool http_guard_is_request_id(const char *text, size_t byte_count)
{
    for (size_t i = 0; i < byte_count; i++) {
        char byte = text[i];
        bool good = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                    (byte >= 'a' && byte <= 'z') || byte == '.' || byte == '_' || byte == '-';
        if (!good) {
            return false;
        }
    }
    return byte_count >= 1 && byte_count <= 64;
}

bool http_guard_decode(const char *path, char *out, size_t out_bytes)
{
    size_t filled = 0;
    for (const char *at = path; *at != '\0'; at++) {
        if (filled + 1 >= out_bytes) {
            return false;
        }
        if (*at == '%' && is_hex(at[1]) && is_hex(at[2])) {
            out[filled++] = (char)(hex_value(at[1]) * 16 + hex_value(at[2]));
            at += 2;
        } else {
            out[filled++] = *at;
        }
    }
    out[filled] = '\0';
    return true;
}
