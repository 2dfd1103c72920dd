/* normalizer.c - one pass over the text a step, each into a buffer of its own.
 *
 * Published pipelines have one or two steps, and most texts pass the Unicode forms unchanged, which
 * costs no copy. SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/normalizer.h"

#include "configs/limits.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/normal_form.h"
#include "engine/tokenizer/tokenizer_keys.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static enum status take_text(struct normalizer_text *text, const struct gguf *file,
                             const struct gguf_array *list, uint64_t i, struct error *err)
{
    if (i >= list->element_count || list->strings[i].byte_count > NORMALIZER_TEXT_BYTES_MAX) {
        return error_set(err, ERR_FORMAT,
                         "%s: " TOKENIZER_KEY_NORMALIZER "[%llu]: no text of at most %d bytes",
                         file->path, (unsigned long long)i, NORMALIZER_TEXT_BYTES_MAX);
    }
    text->byte_count = (uint32_t)list->strings[i].byte_count;
    memcpy(text->bytes, list->strings[i].bytes, text->byte_count);
    return OK;
}

static const struct {
    const char *name;
    enum normalizer_kind kind;
    uint32_t form;
    uint32_t text_count;
} step_names[] = {
    {"nfc", NORMALIZER_FORM, NORMAL_FORM_C, 0},
    {"nfd", NORMALIZER_FORM, NORMAL_FORM_D, 0},
    {"nfkc", NORMALIZER_FORM, NORMAL_FORM_KC, 0},
    {"nfkd", NORMALIZER_FORM, NORMAL_FORM_KD, 0},
    {"lowercase", NORMALIZER_LOWERCASE, 0, 0},
    {"strip-left", NORMALIZER_STRIP_LEFT, 0, 0},
    {"strip-right", NORMALIZER_STRIP_RIGHT, 0, 0},
    {"prepend", NORMALIZER_PREPEND, 0, 1},
    {"replace", NORMALIZER_REPLACE, 0, 2},
    {"squeeze-spaces", NORMALIZER_SQUEEZE, 0, 1},
    {"charsmap", NORMALIZER_CHARSMAP, CHARSMAP_LONGEST, 0},
    {"charsmap-graphemes", NORMALIZER_CHARSMAP, CHARSMAP_GRAPHEMES, 0},
};

/* Reads the step whose name is entry *i, and goes on past its texts. */
static enum status take_step(struct normalizer *n, const struct gguf *file,
                             const struct gguf_array *list, uint64_t *i, struct error *err)
{
    size_t known = 0;
    while (known < sizeof step_names / sizeof step_names[0] &&
           !gguf_string_equal(list->strings[*i], step_names[known].name)) {
        known++;
    }
    if (known == sizeof step_names / sizeof step_names[0] ||
        n->step_count == NORMALIZER_STEPS_MAX) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: " TOKENIZER_KEY_NORMALIZER "[%llu]: no step known, or more than %d",
                         file->path, (unsigned long long)*i, NORMALIZER_STEPS_MAX);
    }
    struct normalizer_step *step = &n->steps[n->step_count++];
    *step =
        (struct normalizer_step){.kind = step_names[known].kind, .form = step_names[known].form};
    enum status status = OK;
    if (step_names[known].text_count == 2) {
        status = take_text(&step->what, file, list, ++*i, err);
    }
    if (status == OK && step_names[known].text_count > 0) {
        status = take_text(&step->with, file, list, ++*i, err);
    }
    if (status == OK && step->kind == NORMALIZER_REPLACE && step->what.byte_count == 0) {
        return error_set(err, ERR_FORMAT,
                         "%s: " TOKENIZER_KEY_NORMALIZER ": replaces an empty text", file->path);
    }
    if (status == OK && step->kind == NORMALIZER_CHARSMAP && n->charsmap.units == NULL) {
        return error_set(err, ERR_FORMAT,
                         "%s: " TOKENIZER_KEY_NORMALIZER ": charsmap, but no " CHARSMAP_KEY,
                         file->path);
    }
    ++*i;
    return status;
}

/* What a file that lists no steps means. */
static void assume_steps(struct normalizer *n, bool nfc)
{
    bool mapped = n->charsmap.units != NULL;
    n->step_count = nfc || mapped;
    n->steps[0] =
        nfc ? (struct normalizer_step){.kind = NORMALIZER_FORM, .form = NORMAL_FORM_C}
            : (struct normalizer_step){.kind = NORMALIZER_CHARSMAP, .form = CHARSMAP_LONGEST};
}

enum status normalizer_load(struct normalizer *normalizer, const struct gguf *file, bool nfc,
                            struct error *err)
{
    *normalizer = (struct normalizer){0};
    enum status status = charsmap_load(&normalizer->charsmap, file, err);
    if (status == OK && gguf_find(file, TOKENIZER_KEY_NORMALIZER) == NULL) {
        assume_steps(normalizer, nfc);
        return OK;
    }
    struct gguf_array list = {0};
    if (status == OK) {
        status = gguf_get_array(file, TOKENIZER_KEY_NORMALIZER, true, GGUF_STRING, &list, err);
    }
    for (uint64_t i = 0; status == OK && i < list.element_count;) {
        status = take_step(normalizer, file, &list, &i, err);
    }
    return status;
}

void normalizer_release(struct normalizer *normalizer)
{
    charsmap_release(&normalizer->charsmap);
    normalizer->step_count = 0;
}

uint64_t normalizer_growth(const struct normalizer *normalizer)
{
    uint64_t growth = 1;
    for (uint32_t i = 0; i < normalizer->step_count; i++) {
        const struct normalizer_step *step = &normalizer->steps[i];
        uint64_t factor = 1;
        if (step->kind == NORMALIZER_FORM) {
            factor = normal_form_growth(step->form);
        } else if (step->kind == NORMALIZER_LOWERCASE) {
            factor = 2; /* U+023A and U+0130 grow from two bytes to three */
        } else if (step->kind == NORMALIZER_PREPEND) {
            factor = 1 + (uint64_t)step->with.byte_count; /* a stretch has a byte or more */
        } else if (step->kind == NORMALIZER_REPLACE) {
            factor = (step->with.byte_count + step->what.byte_count - 1) / step->what.byte_count;
        } else if (step->kind == NORMALIZER_SQUEEZE) {
            factor = (step->with.byte_count + 1) / 2;
        } else if (step->kind == NORMALIZER_CHARSMAP) {
            factor = normalizer->charsmap.growth;
        }
        growth *= factor > 1 ? factor : 1;
        growth = growth < LIMIT_ENCODE_BYTES ? growth : LIMIT_ENCODE_BYTES;
    }
    return growth;
}

static enum status check_growth(size_t byte_count, struct error *err)
{
    if (byte_count > LIMIT_ENCODE_BYTES) {
        return error_set(err, ERR_INVALID, "the normalised text has %zu bytes, the limit is %u",
                         byte_count, LIMIT_ENCODE_BYTES);
    }
    return OK;
}

static enum status no_memory(size_t byte_count, struct error *err)
{
    return error_set(err, ERR_MEMORY, "no memory to normalise %zu bytes of text", byte_count);
}

/* How often `what` is in the text, from the left and not overlapping. */
static size_t count_of(const struct normalizer_text *what, const uint8_t *text, size_t text_bytes)
{
    size_t count = 0;
    const uint8_t *end = text + text_bytes;
    for (const uint8_t *at = text; at < end; count++) {
        at = memmem(at, (size_t)(end - at), what->bytes, what->byte_count);
        if (at == NULL) {
            break;
        }
        at += what->byte_count;
    }
    return count;
}

static enum status replace(const struct normalizer_step *step, const uint8_t *text,
                           size_t text_bytes, uint8_t **out, size_t *out_bytes, struct error *err)
{
    size_t count = count_of(&step->what, text, text_bytes);
    if (count == 0) {
        return OK;
    }
    size_t made = text_bytes - count * step->what.byte_count + count * step->with.byte_count;
    enum status status = check_growth(made, err);
    if (status != OK) {
        return status;
    }
    *out = malloc(made + 1);
    if (*out == NULL) {
        return no_memory(text_bytes, err);
    }
    uint8_t *write = *out;
    const uint8_t *end = text + text_bytes;
    for (const uint8_t *at = text; at < end;) {
        const uint8_t *found =
            memmem(at, (size_t)(end - at), step->what.bytes, step->what.byte_count);
        const uint8_t *stop = found == NULL ? end : found;
        memcpy(write, at, (size_t)(stop - at));
        write += stop - at;
        at = stop;
        if (found != NULL) {
            memcpy(write, step->with.bytes, step->with.byte_count);
            write += step->with.byte_count;
            at += step->what.byte_count;
        }
    }
    *out_bytes = made;
    return OK;
}

static enum status prepend(const struct normalizer_step *step, const uint8_t *text,
                           size_t text_bytes, uint8_t **out, size_t *out_bytes, struct error *err)
{
    size_t made = text_bytes + step->with.byte_count;
    enum status status = check_growth(made, err);
    if (text_bytes == 0 || status != OK) {
        return status;
    }
    *out = malloc(made);
    if (*out == NULL) {
        return no_memory(text_bytes, err);
    }
    memcpy(*out, step->with.bytes, step->with.byte_count);
    memcpy(*out + step->with.byte_count, text, text_bytes);
    *out_bytes = made;
    return OK;
}

/* The one character whose lower case, whatever stands around it, is two: i and a dot above. */
#define CAPITAL_I_WITH_DOT 0x130u

static size_t put_lower(uint32_t code, uint8_t *out)
{
    if (code == CAPITAL_I_WITH_DOT) {
        out[0] = 'i';
        out[1] = 0xCC;
        out[2] = 0x87;
        return 3;
    }
    return (size_t)utf8proc_encode_char(utf8proc_tolower((utf8proc_int32_t)code), out);
}

static enum status lowercase(const uint8_t *text, size_t text_bytes, uint8_t **out,
                             size_t *out_bytes, struct error *err)
{
    *out = malloc(2 * text_bytes + 4);
    if (*out == NULL) {
        return no_memory(text_bytes, err);
    }
    size_t written = 0;
    const uint8_t *end = text + text_bytes;
    for (const uint8_t *at = text; at < end;) {
        uint32_t code = 0;
        uint32_t bytes = char_class_utf8(at, end, &code);
        if (bytes == 0) {
            (*out)[written++] = *at++;
            continue;
        }
        written += put_lower(code, *out + written);
        at += bytes;
    }
    *out_bytes = written;
    return check_growth(written, err);
}

/* The whitespace at one end of the text; Rust's notion of it, which is Unicode's. */
static size_t space_at(const uint8_t *text, size_t text_bytes, bool left)
{
    const uint8_t *end = text + text_bytes;
    if (left) {
        return (size_t)(char_class_skip(text, end, CLASS_SPACE) - text);
    }
    return (size_t)(end - char_class_trailing_space(text, end));
}

static enum status strip(const uint8_t *text, size_t text_bytes, bool left, uint8_t **out,
                         size_t *out_bytes, struct error *err)
{
    size_t space = space_at(text, text_bytes, left);
    if (space == 0) {
        return OK;
    }
    *out_bytes = text_bytes - space;
    *out = malloc(*out_bytes + 1);
    if (*out == NULL) {
        return no_memory(text_bytes, err);
    }
    memcpy(*out, left ? text + space : text, *out_bytes);
    return OK;
}

/* Each run of two spaces or more, or the text in its place, at `write` unless that is NULL; the
 * bytes that makes. */
static size_t put_squeezed(const struct normalizer_text *with, const uint8_t *text,
                           size_t text_bytes, uint8_t *write)
{
    size_t written = 0;
    for (size_t at = 0; at < text_bytes;) {
        size_t run = 0;
        while (at + run < text_bytes && text[at + run] == ' ') {
            run++;
        }
        const uint8_t *from = run >= 2 ? with->bytes : text + at;
        size_t byte_count = run >= 2 ? with->byte_count : 1;
        if (write != NULL) {
            memcpy(write + written, from, byte_count);
        }
        written += byte_count;
        at += run >= 2 ? run : 1;
    }
    return written;
}

static enum status squeeze(const struct normalizer_step *step, const uint8_t *text,
                           size_t text_bytes, uint8_t **out, size_t *out_bytes, struct error *err)
{
    if (memmem(text, text_bytes, "  ", 2) == NULL) {
        return OK;
    }
    size_t made = put_squeezed(&step->with, text, text_bytes, NULL);
    enum status status = check_growth(made, err);
    if (status != OK) {
        return status;
    }
    *out = malloc(made + 1);
    if (*out == NULL) {
        return no_memory(text_bytes, err);
    }
    *out_bytes = put_squeezed(&step->with, text, text_bytes, *out);
    return OK;
}

static enum status apply_step(const struct normalizer *normalizer,
                              const struct normalizer_step *step, const uint8_t *text,
                              size_t text_bytes, uint8_t **out, size_t *out_bytes,
                              struct error *err)
{
    *out = NULL;
    *out_bytes = text_bytes;
    switch (step->kind) {
    case NORMALIZER_FORM:
        return normal_form_apply(step->form, text, text_bytes, out, out_bytes, err);
    case NORMALIZER_LOWERCASE:
        return lowercase(text, text_bytes, out, out_bytes, err);
    case NORMALIZER_STRIP_LEFT:
    case NORMALIZER_STRIP_RIGHT:
        return strip(text, text_bytes, step->kind == NORMALIZER_STRIP_LEFT, out, out_bytes, err);
    case NORMALIZER_PREPEND:
        return prepend(step, text, text_bytes, out, out_bytes, err);
    case NORMALIZER_REPLACE:
        return replace(step, text, text_bytes, out, out_bytes, err);
    case NORMALIZER_SQUEEZE:
        return squeeze(step, text, text_bytes, out, out_bytes, err);
    case NORMALIZER_CHARSMAP:
        return charsmap_apply(&normalizer->charsmap, (enum charsmap_way)step->form, text,
                              text_bytes, out, out_bytes, err);
    }
    return OK;
}

enum status normalizer_apply(const struct normalizer *normalizer, const uint8_t *text,
                             size_t text_bytes, uint8_t **out, size_t *out_bytes, struct error *err)
{
    *out = NULL;
    *out_bytes = text_bytes;
    for (uint32_t i = 0; i < normalizer->step_count; i++) {
        uint8_t *made = NULL;
        size_t made_bytes = 0;
        enum status status =
            apply_step(normalizer, &normalizer->steps[i], *out != NULL ? *out : text, *out_bytes,
                       &made, &made_bytes, err);
        if (made != NULL) {
            free(*out);
            *out = made;
            *out_bytes = made_bytes;
        }
        if (status == OK) {
            status = check_growth(*out_bytes, err);
        }
        if (status != OK) {
            free(*out);
            *out = NULL;
            return status;
        }
    }
    return OK;
}
