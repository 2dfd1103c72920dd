/* error.h - how a function says that it failed, and why.
 *
 * A function that can fail returns enum status and takes struct error * last. The place that
 * detects the failure fills it, once; callers pass it up or put context in front.
 * Thread: any; a struct error belongs to its caller. `err` may be NULL where nobody will read it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIGS_ERROR_H
#define CONFIGS_ERROR_H

enum status {
    OK = 0,
    ERR_INVALID = -1,     /* the caller or client asked for something that cannot be: HTTP 400 */
    ERR_NOT_FOUND = -2,   /* no such model, route or file entry: 404 */
    ERR_FULL = -3,        /* a bounded thing is full; trying later may work: 429 or 503 */
    ERR_CANCELLED = -4,   /* the client left, or the daemon stops: 499 in logs */
    ERR_IO = -5,          /* a system call failed: 500 */
    ERR_FORMAT = -6,      /* a file's bytes are not what its format demands: 500 */
    ERR_UNSUPPORTED = -7, /* well-formed, but nothing here handles it: 501 */
    ERR_MEMORY = -8,      /* an allocation failed: 503 */
    ERR_DEVICE = -9,      /* the backend failed: 500 */
};

enum {
    ERROR_MESSAGE_BYTES = 512
};

struct error {
    enum status status;
    char message[ERROR_MESSAGE_BYTES]; /* one sentence, no newline, always terminated */
};

/* Fills err (cutting a message that is too long) and returns status, so that a failing path is
 * one return statement. */
enum status error_set(struct error *err, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts context in front of the message that is there; returns err's status. */
enum status error_prefix(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The status's name for logs: "invalid", "full", ... */
const char *error_status_name(enum status status);

#endif
