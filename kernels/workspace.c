/* workspace.c - rounds every piece up to a cache line, so that no two pieces share one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/workspace.h"

#include <assert.h>
#include <stdint.h>

enum status workspace_init(struct workspace *workspace, struct backend *backend, size_t byte_count,
                           struct error *err)
{
    *workspace = (struct workspace){.backend = backend, .byte_count = byte_count};
    workspace->memory = backend->ops->alloc(backend, byte_count);
    if (workspace->memory == NULL) {
        return error_set(err, ERR_MEMORY, "no device memory for a workspace of %zu bytes",
                         byte_count);
    }
    return OK;
}

void workspace_release(struct workspace *workspace)
{
    if (workspace->memory != NULL) {
        workspace->backend->ops->free(workspace->backend, workspace->memory, workspace->byte_count);
    }
    *workspace = (struct workspace){0};
}

void workspace_reset(struct workspace *workspace)
{
    workspace->used_bytes = 0;
}

size_t workspace_piece_bytes(size_t byte_count)
{
    assert(byte_count <= SIZE_MAX - WORKSPACE_ALIGNMENT);
    return (byte_count + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
}

void *workspace_take(struct workspace *workspace, size_t byte_count)
{
    size_t piece_bytes = workspace_piece_bytes(byte_count);
    assert(piece_bytes <= workspace->byte_count - workspace->used_bytes);
    void *piece = workspace->memory + workspace->used_bytes;
    workspace->used_bytes += piece_bytes;
    return piece;
}
