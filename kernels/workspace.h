/* workspace.h - the memory of one step: a bump allocator over one device buffer.
 *
 * What a step needs is known from its largest batch, so the buffer is taken once at start. Nothing
 * is freed; reset at the top of a step empties it.
 * Thread: engine. Ownership: pieces are borrowed until the next reset.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_WORKSPACE_H
#define KERNELS_WORKSPACE_H

#include "kernels/backend.h"

#include <stddef.h>

enum {
    WORKSPACE_ALIGNMENT = 64
};

struct workspace {
    struct backend *backend; /* borrowed */
    unsigned char *memory;
    size_t byte_count;
    size_t used_bytes;
};

/* ERR_MEMORY when the device has no byte_count bytes. */
enum status workspace_init(struct workspace *workspace, struct backend *backend, size_t byte_count,
                           struct error *err);
void workspace_release(struct workspace *workspace);

void workspace_reset(struct workspace *workspace);

/* 64-byte aligned, not zeroed. Asking for more than is left is a broken invariant: the plan made at
 * start was wrong. */
void *workspace_take(struct workspace *workspace, size_t byte_count);

/* What workspace_take really uses for a piece: for the plan. */
size_t workspace_piece_bytes(size_t byte_count);

#endif
