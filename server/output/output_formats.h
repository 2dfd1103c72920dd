/* output_formats.h - the rows of the table of formats; each is in the file its name begins with.
 *
 * Inside server/output only. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OUTPUT_OUTPUT_FORMATS_H
#define SERVER_OUTPUT_OUTPUT_FORMATS_H

#include "server/output/output_format.h"

extern const struct output_format output_hermes_format;
extern const struct output_format output_xml_qwen_format; /* Qwen3-Coder */
extern const struct output_format output_xml_seed_format;
extern const struct output_format output_xml_glm_format;
extern const struct output_format output_llama_format;
extern const struct output_format output_mistral_format;
extern const struct output_format output_section_deepseek_format;
extern const struct output_format output_section_kimi_format;
extern const struct output_format output_harmony_format;

#endif
