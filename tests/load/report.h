/* report.h - a run as one HTML page that needs nothing else: figures, distributions, timeline.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_REPORT_H
#define TESTS_LOAD_REPORT_H

#include "tests/load/buffer.h"
#include "tests/load/summary.h"

void report_html(struct buffer *page, const struct summary *summary, const struct run *run,
                 const struct settings *settings, const char *model);

#endif
