/* hf_steps.h - the four sections of a tokenizer.json that hf_pipeline.c puts together.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_STEPS_H
#define ENGINE_FORMATS_HF_STEPS_H

#include "engine/formats/hf_pipeline.h"

#define HF_STEPS_SPACE_SIGN "\xE2\x96\x81" /* U+2581, SentencePiece's sign for a space */

/* Each adds what its section of root says; ERR_UNSUPPORTED names what is not known. */
enum status hf_steps_normalizer(struct hf_pipeline *p, const json_t *root, struct error *err);
enum status hf_steps_pre_tokenizer(struct hf_pipeline *p, const json_t *root, struct error *err);
enum status hf_steps_decoder(struct hf_pipeline *p, const json_t *root, struct error *err);
enum status hf_steps_post_processor(struct hf_pipeline *p, const json_t *root, struct error *err);

#endif
