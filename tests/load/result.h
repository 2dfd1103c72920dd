/* result.h - results as files: JSON with the keys of vLLM's `bench serve`, and CSV.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_RESULT_H
#define TESTS_LOAD_RESULT_H

#include "tests/load/summary.h"

#include <jansson.h>

/* Of one run; NULL when there is no memory. */
json_t *result_json(const struct summary *summary, const struct run *run,
                    const struct settings *settings, const char *model);

/* Writes to a file beside path and renames it, so that no half result is ever found. */
enum status result_write(const json_t *result, const char *path, struct error *err);
enum status result_csv(const struct run *run, const char *path, struct error *err);
enum status result_text(const struct buffer *text, const char *path, struct error *err);

#endif
