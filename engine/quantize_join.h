/* quantize_join.h - experts that have a tensor each, seen as the one tensor a layer that GGUF files
 * have today; used by quantize.c alone.
 *
 * "blk.N.ffn_gate.E.weight" of all E are "blk.N.ffn_gate_exps.weight" [experts, rows, values],
 * likewise up and down. Every other tensor is one piece.
 * Ownership: the file it was made of has to stay. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_QUANTIZE_JOIN_H
#define ENGINE_QUANTIZE_JOIN_H

#include "engine/formats/gguf.h"

struct quantize_join {
    struct gguf file; /* tensors alone; of a joined one, data is its first piece's */
    const struct gguf_tensor **pieces; /* of all tensors, one behind the other */
    uint64_t *first_pieces;            /* [tensor_count + 1]: where those of a tensor begin */
    bool joined;                       /* else `file` is a view of what it was made of */
};

enum status quantize_join_make(struct quantize_join *out, const struct gguf *file,
                               struct error *err);
void quantize_join_release(struct quantize_join *join); /* accepts a zeroed one */

#endif
