/* model_file.h - what a path given as a model means.
 *
 * The one way in for everything that reads models: the engine, and the commands that look at a
 * model or write another. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MODEL_FILE_H
#define ENGINE_MODEL_FILE_H

#include "configs/error.h"
#include "engine/formats/gguf.h"

/* path NULL: the embedded demo model; a directory: a Hugging Face model; else a GGUF file, or the
 * first of its parts.
 * gguf_close gives it back. */
enum status model_file_open(struct gguf *out, const char *path, struct error *err);

#endif
