/* gguf_index.h - the sorted indices by which keys and tensors of a struct gguf are found.
 *
 * For the parser's and the builder's parts only.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_GGUF_INDEX_H
#define ENGINE_FORMATS_GGUF_INDEX_H

#include "engine/formats/gguf.h"

#include <stdbool.h>

/* Byte order: below, above or equal to 0 as a sorts before, after or with b. */
int gguf_index_compare(struct gguf_string a, struct gguf_string b);

/* Fill file->entry_index and file->tensor_index. *twice is the later of two with one name, or NULL.
 * False without memory. */
bool gguf_index_entries(struct gguf *file, const struct gguf_entry **twice);
bool gguf_index_tensors(struct gguf *file, const struct gguf_tensor **twice);

#endif
