/* template_strftime.c - the conversions are written out here instead of calling strftime(), whose
 * result depends on the process's locale and whose output length a hostile format controls.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_strftime.h"

#include "server/chat/template_builder.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};
static const char *const month_names[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};

/* What a conversion is short for, or NULL. */
static const char *expansion(char letter)
{
    switch (letter) {
    case 'c':
        return "%a %b %e %H:%M:%S %Y";
    case 'x':
    case 'D':
        return "%m/%d/%y";
    case 'X':
    case 'T':
        return "%H:%M:%S";
    case 'R':
        return "%H:%M";
    case 'r':
        return "%I:%M:%S %p";
    case 'F':
        return "%Y-%m-%d";
    default:
        return NULL;
    }
}

/* Conversions that are words. */
static const char *word(char letter, const struct tm *when)
{
    switch (letter) {
    case 'A':
        return day_names[when->tm_wday];
    case 'B':
        return month_names[when->tm_mon];
    case 'p':
        return when->tm_hour < 12 ? "AM" : "PM";
    case 'P':
        return when->tm_hour < 12 ? "am" : "pm";
    case 'n':
        return "\n";
    case 't':
        return "\t";
    case '%':
        return "%";
    case 'z':
    case 'Z':
        return ""; /* the time carries no zone */
    case 'f':
        return "000000";
    default:
        return NULL;
    }
}

struct number {
    int64_t value;
    int width;
    char padding;
};

static int hour_of_twelve(const struct tm *when)
{
    return when->tm_hour % 12 == 0 ? 12 : when->tm_hour % 12;
}

/* Week of the year; weeks start on first_day, days before the first such day are week 0. */
static int week(const struct tm *when, int first_day)
{
    int since = (when->tm_wday - first_day + 7) % 7;
    return (when->tm_yday + 7 - since) / 7;
}

static bool time_number(char letter, const struct tm *when, struct number *out)
{
    switch (letter) {
    case 'H':
        *out = (struct number){when->tm_hour, 2, '0'};
        return true;
    case 'k':
        *out = (struct number){when->tm_hour, 2, ' '};
        return true;
    case 'I':
        *out = (struct number){hour_of_twelve(when), 2, '0'};
        return true;
    case 'l':
        *out = (struct number){hour_of_twelve(when), 2, ' '};
        return true;
    case 'M':
        *out = (struct number){when->tm_min, 2, '0'};
        return true;
    case 'S':
        *out = (struct number){when->tm_sec, 2, '0'};
        return true;
    default:
        return false;
    }
}

static bool date_number(char letter, const struct tm *when, struct number *out)
{
    int64_t year = (int64_t)when->tm_year + 1900;
    switch (letter) {
    case 'Y':
        *out = (struct number){year, 1, '0'};
        return true;
    case 'C':
        *out = (struct number){year / 100, 2, '0'};
        return true;
    case 'y':
        *out = (struct number){year % 100, 2, '0'};
        return true;
    case 'm':
        *out = (struct number){when->tm_mon + 1, 2, '0'};
        return true;
    case 'd':
        *out = (struct number){when->tm_mday, 2, '0'};
        return true;
    case 'e':
        *out = (struct number){when->tm_mday, 2, ' '};
        return true;
    case 'j':
        *out = (struct number){when->tm_yday + 1, 3, '0'};
        return true;
    case 'u':
        *out = (struct number){when->tm_wday == 0 ? 7 : when->tm_wday, 1, '0'};
        return true;
    case 'w':
        *out = (struct number){when->tm_wday, 1, '0'};
        return true;
    case 'U':
        *out = (struct number){week(when, 0), 2, '0'};
        return true;
    case 'W':
        *out = (struct number){week(when, 1), 2, '0'};
        return true;
    default:
        return false;
    }
}

/* flag '-' drops the padding, as glibc has it. */
static bool append_number(struct template_builder *text, struct number number, char flag)
{
    char digits[32];
    if (flag == '-') {
        snprintf(digits, sizeof digits, "%lld", (long long)number.value);
    } else if (number.padding == ' ') {
        snprintf(digits, sizeof digits, "%*lld", number.width, (long long)number.value);
    } else {
        snprintf(digits, sizeof digits, "%0*lld", number.width, (long long)number.value);
    }
    return template_builder_append_text(text, digits);
}

static bool append_simple(struct template_builder *text, char letter, char flag,
                          const struct tm *when, int64_t seconds, bool *known)
{
    *known = true;
    struct number number;
    const char *name = word(letter, when);
    if (name != NULL) {
        return template_builder_append_text(text, name);
    }
    if (letter == 'a') {
        return template_builder_append(text, day_names[when->tm_wday], 3);
    }
    if (letter == 'b' || letter == 'h') {
        return template_builder_append(text, month_names[when->tm_mon], 3);
    }
    if (letter == 's') {
        return append_number(text, (struct number){seconds, 1, '0'}, flag);
    }
    if (time_number(letter, when, &number) || date_number(letter, when, &number)) {
        return append_number(text, number, flag);
    }
    *known = false;
    return true;
}

/* Expansions hold only simple conversions, so this calls itself at most once. */
static bool append_format(struct template_builder *text, const char *format, size_t byte_count,
                          const struct tm *when, int64_t seconds)
{
    for (size_t i = 0; i < byte_count; i++) {
        if (format[i] != '%' || i + 1 == byte_count) {
            if (!template_builder_append(text, format + i, 1)) {
                return false;
            }
            continue;
        }
        size_t start = i++;
        char flag = (char)(format[i] == '-' && i + 1 < byte_count ? format[i++] : '\0');
        const char *longer = expansion(format[i]);
        bool known = true;
        bool ok = longer != NULL ? append_format(text, longer, strlen(longer), when, seconds)
                                 : append_simple(text, format[i], flag, when, seconds, &known);
        if (!ok || (!known && !template_builder_append(text, format + start, i + 1 - start))) {
            return false;
        }
    }
    return true;
}

bool template_strftime_format(struct template_run *run, const struct template_string *format,
                              int64_t seconds, struct template_value *out)
{
    struct tm when;
    time_t time = (time_t)seconds;
    if (gmtime_r(&time, &when) == NULL) {
        return template_run_fail(run, "the time is out of range");
    }
    struct template_builder text;
    template_builder_init(&text, run);
    return template_run_spend_bytes(run, 16 * format->byte_count) &&
           append_format(&text, format->bytes, format->byte_count, &when, seconds) &&
           template_builder_finish(&text, out);
}
