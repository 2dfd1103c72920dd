/* nfc.h - Unicode normalisation form C, for vocabularies trained on it.
 *
 * Thread: any; no state. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_NFC_H
#define ENGINE_TOKENIZER_NFC_H

#include "configs/error.h"

#include <stddef.h>
#include <stdint.h>

/* *out is NULL when the text is normal already, else *out_bytes bytes from malloc. Bytes that
 * are not UTF-8 stay as they are. ERR_MEMORY. */
enum status nfc_normalize(const uint8_t *text, size_t text_bytes, uint8_t **out, size_t *out_bytes,
                          struct error *err);

#endif
