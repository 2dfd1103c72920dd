/* chart.h - line charts as inline SVG: axes with round numbers, a title, up to two lines.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_CHART_H
#define TESTS_LOAD_CHART_H

#include "tests/load/buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct chart_line {
    const char *name;
    const char *style; /* CSS class */
    const double *x;
    const double *y;
    size_t count;
    bool filled; /* the area below, too */
};

/* A vertical mark at x, such as a limit. */
struct chart_mark {
    double x;
    const char *name;
};

struct chart {
    const char *title;
    const char *x_title;
    const char *y_title;
    double y_max; /* 0: as the lines need */
    double x_max; /* 0: likewise */
    const struct chart_line *lines;
    size_t line_count;
    const struct chart_mark *marks;
    size_t mark_count;
};

void chart_svg(struct buffer *page, const struct chart *chart);

/* The 1, 2 or 5 times a power of ten that divides 0..most into four to ten steps. */
double chart_step(double most);

#endif
