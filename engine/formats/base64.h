/* base64.h - RFC 4648, the plain alphabet: how JSON files hold bytes.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_BASE64_H
#define ENGINE_FORMATS_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Into out, which has room for text_bytes / 4 * 3. False for what is not base64 with its padding. */
bool base64_decode(const char *text, size_t text_bytes, uint8_t *out, size_t *out_bytes);

#endif
