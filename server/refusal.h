/* refusal.h - why a client gets no answer: an HTTP status and the OpenAI error envelope.
 *
 * `code` strings are API: clients branch on them. Thread: any.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_REFUSAL_H
#define SERVER_REFUSAL_H

#include "configs/error.h"
#include "server/text_buffer.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    REFUSAL_PARAM_BYTES = 96
};

struct refusal {
    struct error error;
    int http_status;
    const char *code;                /* constant text, or NULL */
    char param[REFUSAL_PARAM_BYTES]; /* the field at fault, or "" */
    uint32_t retry_after_ms;         /* 0: none is suggested */
    bool retry_never; /* a repeat would fail again: clients that repeat every 5xx are told so */
};

/* A 400 about one field of the body. Returns ERR_INVALID. param may be NULL. */
enum status refusal_set(struct refusal *refusal, const char *code, const char *param,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Any other refusal: status gives the HTTP status. Returns status. */
enum status refusal_set_status(struct refusal *refusal, enum status status, const char *code,
                               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* As refusal_set_status with an HTTP status of its own (401, 405, 413, ...). */
void refusal_set_http(struct refusal *refusal, int http_status, const char *code,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* From an error that a lower layer described. */
void refusal_from_error(struct refusal *refusal, const struct error *error, const char *code);

/* {"error":{...}} */
void refusal_write(const struct refusal *refusal, struct text_buffer *out);

#endif
