/* model_file.c - picks the reader. SPDX-License-Identifier: Apache-2.0 */
#include "engine/model_file.h"

#include "engine/demo_model.h"
#include "engine/formats/gguf_split.h"
#include "engine/formats/hf_model.h"

#include <sys/stat.h>

static bool is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

enum status model_file_open(struct gguf *out, const char *path, struct error *err)
{
    if (path == NULL) {
        return demo_model_open(out, err);
    }
    if (is_directory(path)) {
        return hf_model_open(out, path, err);
    }
    enum status status = gguf_open(out, path, err);
    return status == OK ? gguf_split_join(out, path, err) : status;
}
