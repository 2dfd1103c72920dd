/* log.h - one line per event, to standard error, as text or JSON.
 *
 * Never blocks the caller on a full pipe for long: a line that cannot be written is counted and
 * dropped. Client text is escaped: a log line is always one line. Allocates nothing.
 *   text: 2026-01-31T12:00:00.000Z info request_done: 12 tokens
 *   JSON: {"time":"...","level":"info","event":"request_done","message":"12 tokens"}
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LOG_H
#define ENGINE_LOG_H

#include <stdint.h>

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARNING,
    LOG_ERROR,
};

enum log_format {
    LOG_TEXT,
    LOG_JSON,
};

/* Before any thread starts. Without it: text, from LOG_INFO up. */
void log_init(enum log_format format, enum log_level level_min);

/* event is a short stable word ("request_done"); the message is for people. Too long a message
 * is cut and ends in "...". Keeps errno. */
void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines lost so far because standard error took no more. */
uint64_t log_dropped_count(void);

#endif
