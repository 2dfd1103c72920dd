/* gguf_split.h - a GGUF model in several files, as one.
 *
 * Public tools cut large models into NAME-00001-of-0000N.gguf and so on; the first part has the
 * metadata, every part some tensors. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_GGUF_SPLIT_H
#define ENGINE_FORMATS_GGUF_SPLIT_H

#include "configs/error.h"
#include "engine/formats/gguf.h"

/* file, just opened from path: when its split.count says that it is the first of several, the others
 * are opened beside it and their tensors added; its split.count is then 1. Parts that are missing,
 * of another model or in the wrong place are refused. On failure file is closed. */
enum status gguf_split_join(struct gguf *file, const char *path, struct error *err);

#endif
