/* demo_model.c - the assembler copies the file into the read-only data: the page cache holds it
 * once for all processes, and nothing is read before it is used.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/demo_model.h"

#define FILE_PATH "configs/demo/sluice-demo.gguf"

__asm__(".pushsection .rodata\n"
        ".balign 64\n"
        "demo_model_begin:\n"
        ".incbin \"" FILE_PATH "\"\n"
        "demo_model_end:\n"
        ".balign 8\n"
        "demo_model_byte_count:\n"
        ".quad demo_model_end - demo_model_begin\n"
        ".popsection\n");

extern const uint8_t demo_model_begin[];
extern const uint64_t demo_model_byte_count;

enum status demo_model_open(struct gguf *out, struct error *err)
{
    return gguf_parse(out, demo_model_begin, demo_model_byte_count, "the embedded demo model", err);
}
