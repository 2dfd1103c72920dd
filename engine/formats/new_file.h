/* new_file.h - a file that appears whole or not at all.
 *
 * It is written under a name of its own beside its place, and takes the place when everything is on
 * the disk. Whatever fails or interrupts the process in between leaves what was there.
 * Thread: one file, one thread. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_NEW_FILE_H
#define ENGINE_FORMATS_NEW_FILE_H

#include "configs/error.h"

#include <stdbool.h>
#include <stdint.h>

struct new_file {
    char *path;
    char *part_path; /* NULL: there is none, or it has taken its place */
    int fd;
    bool replace;
};

/* Refuses a path where something is, unless replace; and then, what is no regular file. byte_count:
 * how large it will be, so that a full disk is noticed now. new_file_discard after any outcome. */
enum status new_file_open(struct new_file *file, const char *path, bool replace,
                          uint64_t byte_count, struct error *err);

/* Appends. A signal in between is no error. */
enum status new_file_write(struct new_file *file, const void *bytes, uint64_t byte_count,
                           struct error *err);

/* On the disk, then in its place. */
enum status new_file_commit(struct new_file *file, struct error *err);

/* Takes away what was written unless it was committed. */
void new_file_discard(struct new_file *file);

#endif
