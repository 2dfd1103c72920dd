/* normal_form.h - Unicode normalisation, for vocabularies trained on it.
 *
 * Thread: any; no state. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_NORMAL_FORM_H
#define ENGINE_TOKENIZER_NORMAL_FORM_H

#include "configs/error.h"

#include <stddef.h>
#include <stdint.h>

enum normal_form {
    NORMAL_FORM_C,
    NORMAL_FORM_D,
    NORMAL_FORM_KC,
    NORMAL_FORM_KD,
};

/* *out is NULL when the text is in that form already, else *out_bytes bytes from malloc. Bytes that
 * are not UTF-8 stay as they are. ERR_MEMORY. */
enum status normal_form_apply(enum normal_form form, const uint8_t *text, size_t text_bytes,
                              uint8_t **out, size_t *out_bytes, struct error *err);

/* No text grows by more than that factor. */
uint32_t normal_form_growth(enum normal_form form);

#endif
