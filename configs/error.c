/* error.c - formats into a fixed buffer: reporting a failure must not be able to fail.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum status error_set(struct error *err, enum status status, const char *format, ...)
{
    if (err == NULL) {
        return status;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    err->status = status;
    return status;
}

enum status error_prefix(struct error *err, const char *format, ...)
{
    if (err == NULL) {
        return ERR_INVALID;
    }
    char joined[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int prefix_bytes = vsnprintf(joined, sizeof joined, format, args);
    va_end(args);
    if (prefix_bytes < 0) {
        return err->status;
    }
    if ((size_t)prefix_bytes < sizeof joined) {
        snprintf(joined + prefix_bytes, sizeof joined - (size_t)prefix_bytes, "%s", err->message);
    }
    memcpy(err->message, joined, sizeof joined);
    return err->status;
}

const char *error_status_name(enum status status)
{
    switch (status) {
    case OK:
        return "ok";
    case ERR_INVALID:
        return "invalid";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_FULL:
        return "full";
    case ERR_CANCELLED:
        return "cancelled";
    case ERR_IO:
        return "io";
    case ERR_FORMAT:
        return "format";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_MEMORY:
        return "memory";
    case ERR_DEVICE:
        return "device";
    }
    return "unknown";
}
