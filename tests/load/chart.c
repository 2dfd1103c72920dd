/* chart.c - drawn in a fixed coordinate system that the browser scales; colours come from the
 * page's style, so that one drawing serves light and dark.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/chart.h"

#include <math.h>

enum {
    WIDTH = 560,
    HEIGHT = 260,
    LEFT = 62,
    RIGHT = 14,
    TOP = 34,
    BOTTOM = 42,
    PLOT_WIDTH = WIDTH - LEFT - RIGHT,
    PLOT_HEIGHT = HEIGHT - TOP - BOTTOM
};

struct scale {
    double x_max;
    double y_max;
};

double chart_step(double most)
{
    if (!(most > 0) || !isfinite(most)) {
        return 1;
    }
    double step = pow(10, floor(log10(most)));
    if (most / step < 2) {
        return step / 5;
    }
    return most / step < 5 ? step / 2 : step;
}

static double place_x(const struct scale *scale, double x)
{
    return LEFT + PLOT_WIDTH * fmin(x / scale->x_max, 1);
}

static double place_y(const struct scale *scale, double y)
{
    return TOP + PLOT_HEIGHT * (1 - fmin(y / scale->y_max, 1));
}

static struct scale scale_of(const struct chart *chart)
{
    struct scale scale = {.x_max = chart->x_max, .y_max = chart->y_max};
    for (size_t i = 0; i < chart->line_count; i++) {
        const struct chart_line *line = &chart->lines[i];
        for (size_t point = 0; point < line->count; point++) {
            scale.x_max = chart->x_max > 0 ? scale.x_max : fmax(scale.x_max, line->x[point]);
            scale.y_max = chart->y_max > 0 ? scale.y_max : fmax(scale.y_max, line->y[point]);
        }
    }
    scale.x_max = scale.x_max > 0 ? scale.x_max : 1;
    scale.y_max = scale.y_max > 0 ? scale.y_max * (chart->y_max > 0 ? 1 : 1.08) : 1;
    return scale;
}

static void draw_axes(struct buffer *page, const struct chart *chart, const struct scale *scale)
{
    double step = chart_step(scale->y_max);
    for (int i = 0; i * step <= scale->y_max * 1.0001; i++) {
        double y = place_y(scale, i * step);
        buffer_format(page,
                      "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                      "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                      LEFT, WIDTH - RIGHT, y, y, LEFT - 7, y + 4, i * step);
    }
    step = chart_step(scale->x_max);
    for (int i = 0; i * step <= scale->x_max * 1.0001; i++) {
        double x = place_x(scale, i * step);
        buffer_format(page,
                      "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                      "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
                      x, x, HEIGHT - BOTTOM, HEIGHT - BOTTOM + 4, x, HEIGHT - BOTTOM + 17,
                      i * step);
    }
    buffer_format(page, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", LEFT,
                  WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM);
    buffer_format(page, "<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">",
                  LEFT + PLOT_WIDTH / 2, HEIGHT - 6);
    buffer_html(page, chart->x_title);
    buffer_format(page,
                  "</text><text class=\"name\" transform=\"translate(13 %d) rotate(-90)\" "
                  "text-anchor=\"middle\">",
                  TOP + PLOT_HEIGHT / 2);
    buffer_html(page, chart->y_title);
    buffer_text(page, "</text>\n");
}

static void draw_points(struct buffer *page, const struct chart_line *line,
                        const struct scale *scale)
{
    for (size_t i = 0; i < line->count; i++) {
        buffer_format(page, "%.1f,%.1f ", place_x(scale, line->x[i]), place_y(scale, line->y[i]));
    }
}

static void draw_line(struct buffer *page, const struct chart_line *line, const struct scale *scale)
{
    if (line->count == 0) {
        return;
    }
    if (line->filled) {
        buffer_format(page, "<polygon class=\"area %s\" points=\"%.1f,%d ", line->style,
                      place_x(scale, line->x[0]), HEIGHT - BOTTOM);
        draw_points(page, line, scale);
        buffer_format(page, "%.1f,%d\"/>\n", place_x(scale, line->x[line->count - 1]),
                      HEIGHT - BOTTOM);
    }
    buffer_format(page, "<polyline class=\"line %s\" points=\"", line->style);
    draw_points(page, line, scale);
    buffer_text(page, "\"/>\n");
}

/* Names of lines stand in the title's row, from the right; one line needs none. */
static void draw_names(struct buffer *page, const struct chart *chart)
{
    int x = WIDTH - RIGHT;
    for (size_t i = chart->line_count; chart->line_count > 1 && i > 0; i--) {
        const struct chart_line *line = &chart->lines[i - 1];
        buffer_format(page, "<text class=\"name\" x=\"%d\" y=\"18\" text-anchor=\"end\">", x);
        buffer_html(page, line->name);
        buffer_text(page, "</text>");
        size_t length = 0;
        for (; line->name[length] != '\0'; length++) {
        }
        x -= (int)length * 7 + 14;
        buffer_format(page, "<line class=\"line %s\" x1=\"%d\" x2=\"%d\" y1=\"14\" y2=\"14\"/>\n",
                      line->style, x - 6, x + 8);
        x -= 18;
    }
}

static void draw_marks(struct buffer *page, const struct chart *chart, const struct scale *scale)
{
    for (size_t i = 0; i < chart->mark_count; i++) {
        const struct chart_mark *mark = &chart->marks[i];
        if (mark->x > scale->x_max) {
            continue;
        }
        double x = place_x(scale, mark->x);
        bool left = x > LEFT + PLOT_WIDTH * 0.8;
        buffer_format(page,
                      "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                      "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">",
                      x, x, TOP, HEIGHT - BOTTOM, left ? x - 4 : x + 4, HEIGHT - BOTTOM - 6,
                      left ? "end" : "start");
        buffer_html(page, mark->name);
        buffer_text(page, "</text>\n");
    }
}

void chart_svg(struct buffer *page, const struct chart *chart)
{
    struct scale scale = scale_of(chart);
    buffer_format(page,
                  "<svg viewBox=\"0 0 %d %d\" role=\"img\"><text class=\"title\" x=\"%d\" "
                  "y=\"18\">",
                  WIDTH, HEIGHT, LEFT);
    buffer_html(page, chart->title);
    buffer_text(page, "</text>\n");
    draw_axes(page, chart, &scale);
    draw_marks(page, chart, &scale);
    for (size_t i = 0; i < chart->line_count; i++) {
        draw_line(page, &chart->lines[i], &scale);
    }
    draw_names(page, chart);
    buffer_text(page, "</svg>\n");
}
