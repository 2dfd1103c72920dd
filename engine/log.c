/* log.c - a line is put together on the stack and leaves in one write.
 *
 * A line never exceeds PIPE_BUF, so the kernel takes it whole or not at all: lines of different
 * threads cannot interleave, and after poll has seen room the write does not block. A reader that
 * stalls costs one short wait; from then on lines are dropped at once, and counted, until there
 * is room again. SPDX-License-Identifier: Apache-2.0 */
#include "engine/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = PIPE_BUF,
    MESSAGE_BYTES_MAX = 3072,
    PATIENCE_MS = 5 /* how long a caller may wait for a full pipe, once */
};

static enum log_format log_format_used = LOG_TEXT;
static enum log_level log_level_min = LOG_INFO;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static bool log_stalled;
static uint64_t log_dropped_unsaid; /* dropped lines no line has told of yet */
static _Atomic uint64_t log_dropped_total;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error",
};

struct line {
    char bytes[LINE_BYTES_MAX];
    size_t byte_count;
    size_t byte_count_max; /* leaves room for what closes the line */
};

void log_init(enum log_format format, enum log_level level_min)
{
    log_format_used = format;
    log_level_min = level_min;
}

/* A piece goes in whole or not at all, so that an escape is never cut. */
static bool append(struct line *line, const char *bytes, size_t byte_count)
{
    if (byte_count > line->byte_count_max - line->byte_count) {
        return false;
    }
    memcpy(line->bytes + line->byte_count, bytes, byte_count);
    line->byte_count += byte_count;
    return true;
}

/* Bytes of the well-formed UTF-8 sequence at text, or 0. Shortest forms only, no surrogates. */
static size_t utf8_sequence(const unsigned char *text)
{
    unsigned char lead = text[0];
    size_t count = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < count; i++) {
        if ((text[i] & 0xc0) != 0x80) { /* also meets the terminator */
            return 0;
        }
    }
    bool bad = (lead == 0xe0 && text[1] < 0xa0) || (lead == 0xed && text[1] > 0x9f) ||
               (lead == 0xf0 && text[1] < 0x90) || (lead == 0xf4 && text[1] > 0x8f);
    return bad ? 0 : count;
}

/* Writes the escape of what stands at text into escape, or leaves it empty when the character
 * may stand as it is. Escaped: controls (also the C1 ones, which move terminals), the two
 * separators that some readers take for line ends, ill-formed bytes; in JSON quotes as well. */
static size_t escape_at(const unsigned char *text, char escape[16], bool json)
{
    size_t count = utf8_sequence(text);
    escape[0] = '\0';
    if (count == 0) {
        snprintf(escape, 16, json ? "\\ufffd" : "\\x%02x", text[0]);
        return 1;
    }
    if (text[0] == '\n') {
        snprintf(escape, 16, "\\n");
    } else if (text[0] < 0x20 || text[0] == 0x7f) {
        snprintf(escape, 16, json ? "\\u%04x" : "\\x%02x", text[0]);
    } else if (text[0] == '\\' || (json && text[0] == '"')) {
        snprintf(escape, 16, "\\%c", text[0]);
    } else if (text[0] == 0xc2 && text[1] < 0xa0) {
        snprintf(escape, 16, "\\u%04x", text[1]);
    } else if (count == 3 && memcmp(text, "\xe2\x80\xa8", 3) == 0) {
        snprintf(escape, 16, "\\u2028");
    } else if (count == 3 && memcmp(text, "\xe2\x80\xa9", 3) == 0) {
        snprintf(escape, 16, "\\u2029");
    }
    return count;
}

static void append_escaped(struct line *line, const char *text, bool json)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        char escape[16];
        size_t count = escape_at(at, escape, json);
        const char *bytes = escape[0] != '\0' ? escape : (const char *)at;
        if (!append(line, bytes, escape[0] != '\0' ? strlen(escape) : count)) {
            line->byte_count_max += 3; /* kept back for this mark */
            append(line, "...", 3);
            return;
        }
        at += count;
    }
}

static void compose(struct line *line, enum log_level level, const char *event, const char *message)
{
    struct timespec now;
    struct tm utc;
    char head[128];
    bool json = log_format_used == LOG_JSON;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    int head_bytes = snprintf(
        head, sizeof head,
        json ? "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\",\"level\":\"%s\",\"event\":\""
             : "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s ",
        utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
        now.tv_nsec / 1000000, level_names[level]);
    line->byte_count = 0;
    line->byte_count_max = LINE_BYTES_MAX - 16; /* "..." twice, and the three bytes of the ending */
    append(line, head, (size_t)head_bytes);
    append_escaped(line, event, json);
    if (json) {
        append(line, "\",\"message\":\"", 13);
    } else {
        append(line, ": ", 2);
    }
    append_escaped(line, message, json);
    line->byte_count_max = LINE_BYTES_MAX;
    append(line, json ? "\"}\n" : "\n", json ? 3 : 1);
}

/* With the lock held. */
static bool write_line(const struct line *line)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    int ready = poll(&room, 1, log_stalled ? 0 : PATIENCE_MS);
    log_stalled = ready <= 0 || (room.revents & POLLOUT) == 0;
    if (log_stalled) {
        return false;
    }
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line->bytes, line->byte_count);
    } while (written < 0 && errno == EINTR);
    return written >= 0;
}

/* With the lock held: first tells of lines that were dropped, if there is room now. */
static void write_or_count(const struct line *line)
{
    bool written = true;
    if (log_dropped_unsaid > 0) {
        struct line notice;
        char message[64];
        snprintf(message, sizeof message, "%llu lines were dropped",
                 (unsigned long long)log_dropped_unsaid);
        compose(&notice, LOG_WARNING, "log_dropped", message);
        written = write_line(&notice);
        if (written) {
            log_dropped_unsaid = 0;
        }
    }
    if (!written || !write_line(line)) {
        log_dropped_unsaid++;
        atomic_fetch_add_explicit(&log_dropped_total, 1, memory_order_relaxed);
    }
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    if (level < log_level_min) {
        return;
    }
    int error_number = errno;
    char message[MESSAGE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int message_bytes = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (message_bytes >= MESSAGE_BYTES_MAX) {
        snprintf(message + sizeof message - 4, 4, "...");
    }
    struct line line;
    compose(&line, level, event, message_bytes < 0 ? "(unprintable)" : message);
    pthread_mutex_lock(&log_lock);
    write_or_count(&line);
    pthread_mutex_unlock(&log_lock);
    errno = error_number;
}

uint64_t log_dropped_count(void)
{
    return atomic_load_explicit(&log_dropped_total, memory_order_relaxed);
}
