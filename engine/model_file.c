/* model_file.c - picks the reader. SPDX-License-Identifier: Apache-2.0 */
#include "engine/model_file.h"

#include "engine/demo_model.h"

enum status model_file_open(struct gguf *out, const char *path, struct error *err)
{
    return path != NULL ? gguf_open(out, path, err) : demo_model_open(out, err);
}
