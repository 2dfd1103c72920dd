/* file_map.h - a whole file, mapped read-only.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_FILE_MAP_H
#define ENGINE_FORMATS_FILE_MAP_H

#include "configs/error.h"

#include <stdint.h>

/* Maps the file, which must be a regular one: anything else is refused without waiting for it. Of
 * an empty file, *bytes is not NULL and *byte_count 0. */
enum status file_map_open(const char *path, const uint8_t **bytes, uint64_t *byte_count,
                          struct error *err);

/* bytes may be NULL. */
void file_map_close(const uint8_t *bytes, uint64_t byte_count);

#endif
