/* refusal.c - the one table of status -> HTTP status -> error type.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/refusal.h"

#include "server/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    RETRY_AFTER_FULL_MS = 1000 /* a queue of short requests has moved on by then */
};

static int http_status_of(enum status status)
{
    switch (status) {
    case OK:
        return 200;
    case ERR_INVALID:
        return 400;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_FULL: /* the server's own fault, not a client's quota: that would be 429 */
    case ERR_CANCELLED:
    case ERR_MEMORY:
        return 503;
    case ERR_UNSUPPORTED:
        return 501;
    case ERR_IO:
    case ERR_FORMAT:
    case ERR_DEVICE:
        break;
    }
    return 500;
}

static const char *type_of(int http_status)
{
    switch (http_status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    default:
        return http_status >= 500 ? "server_error" : "invalid_request_error";
    }
}

static void fill(struct refusal *refusal, enum status status, int http_status, const char *code)
{
    refusal->error.status = status;
    refusal->http_status = http_status;
    refusal->code = code;
    refusal->param[0] = '\0';
    bool passing = http_status == 429 || http_status == 503;
    refusal->retry_after_ms = passing ? RETRY_AFTER_FULL_MS : 0;
    refusal->retry_never = http_status >= 500 && !passing;
}

static void __attribute__((format(printf, 2, 0)))
write_message(struct refusal *refusal, const char *format, va_list args)
{
    vsnprintf(refusal->error.message, sizeof refusal->error.message, format, args);
}

enum status refusal_set(struct refusal *refusal, const char *code, const char *param,
                        const char *format, ...)
{
    fill(refusal, ERR_INVALID, 400, code);
    snprintf(refusal->param, sizeof refusal->param, "%s", param != NULL ? param : "");
    va_list args;
    va_start(args, format);
    write_message(refusal, format, args);
    va_end(args);
    return ERR_INVALID;
}

enum status refusal_set_status(struct refusal *refusal, enum status status, const char *code,
                               const char *format, ...)
{
    fill(refusal, status, http_status_of(status), code);
    va_list args;
    va_start(args, format);
    write_message(refusal, format, args);
    va_end(args);
    return status;
}

void refusal_set_http(struct refusal *refusal, int http_status, const char *code,
                      const char *format, ...)
{
    fill(refusal, ERR_INVALID, http_status, code);
    va_list args;
    va_start(args, format);
    write_message(refusal, format, args);
    va_end(args);
}

void refusal_from_error(struct refusal *refusal, const struct error *error, const char *code)
{
    fill(refusal, error->status, http_status_of(error->status), code);
    refusal->error = *error;
}

void refusal_write(const struct refusal *refusal, struct text_buffer *out)
{
    text_buffer_append_text(out, "{\"error\":{\"message\":");
    json_text_string_or_null(out, refusal->error.message);
    text_buffer_printf(out, ",\"type\":\"%s\",\"param\":", type_of(refusal->http_status));
    json_text_string_or_null(out, refusal->param[0] != '\0' ? refusal->param : NULL);
    text_buffer_append_text(out, ",\"code\":");
    json_text_string_or_null(out, refusal->code);
    text_buffer_append_text(out, "}}");
}
