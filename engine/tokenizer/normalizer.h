/* normalizer.h - the steps a text goes through before it is cut into words.
 *
 * Each step maps text to text by itself: a Unicode form, lower case, a replacement. What becomes of
 * a vocabulary of characters' spaces is not here: that is the encoder's.
 * Thread: any once loaded. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_NORMALIZER_H
#define ENGINE_TOKENIZER_NORMALIZER_H

#include "configs/error.h"
#include "engine/tokenizer/charsmap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;

enum {
    NORMALIZER_STEPS_MAX = 16,
    NORMALIZER_TEXT_BYTES_MAX = 64 /* of a text to find, to put in its place or in front */
};

enum normalizer_kind {
    NORMALIZER_FORM,
    NORMALIZER_LOWERCASE,
    NORMALIZER_STRIP_LEFT,
    NORMALIZER_STRIP_RIGHT,
    NORMALIZER_PREPEND, /* `with`, unless the text is empty */
    NORMALIZER_REPLACE, /* each `what` from the left by `with` */
    NORMALIZER_SQUEEZE, /* each two spaces or more by `with` */
    NORMALIZER_CHARSMAP,
};

struct normalizer_text {
    uint32_t byte_count;
    uint8_t bytes[NORMALIZER_TEXT_BYTES_MAX];
};

struct normalizer_step {
    enum normalizer_kind kind;
    uint32_t form; /* enum normal_form; of a table of characters: enum charsmap_way */
    struct normalizer_text what;
    struct normalizer_text with;
};

struct normalizer {
    uint32_t step_count;
    struct normalizer_step steps[NORMALIZER_STEPS_MAX];
    struct charsmap charsmap;
};

/* Without TOKENIZER_KEY_NORMALIZER: form C if nfc, else the table of characters where there is one. */
enum status normalizer_load(struct normalizer *normalizer, const struct gguf *file, bool nfc,
                            struct error *err);
void normalizer_release(struct normalizer *normalizer);

/* No text grows by more than that factor. */
uint64_t normalizer_growth(const struct normalizer *normalizer);

/* *out is NULL when nothing changes, else *out_bytes bytes from malloc. ERR_MEMORY; ERR_INVALID for
 * a text that grows beyond LIMIT_ENCODE_BYTES. */
enum status normalizer_apply(const struct normalizer *normalizer, const uint8_t *text,
                             size_t text_bytes, uint8_t **out, size_t *out_bytes,
                             struct error *err);

#endif
