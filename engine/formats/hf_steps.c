/* hf_steps.c - reads each section's steps in order, Sequences inside Sequences as one list.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_steps.h"

#include "configs/limits.h"
#include "engine/formats/json_field.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/tokenizer_keys.h"

#include <string.h>

/* One section: what it is called, its Sequence's list, and what one step of it does. */
struct section {
    const char *name;
    const char *list;
    enum status (*step)(struct hf_pipeline *p, const json_t *step, const char *type,
                        struct error *err);
};

static struct gguf_string literal(const char *text)
{
    return (struct gguf_string){text, strlen(text)};
}

static enum status unsupported(const struct hf_pipeline *p, const char *section, const char *what,
                               struct error *err)
{
    char quoted[JSON_FIELD_QUOTE_BYTES];
    return error_set(err, ERR_UNSUPPORTED, "%s: %s: %s is not supported", p->path, section,
                     json_field_quote(literal(what), quoted));
}

/* LIMIT_JSON_DEPTH bounds the recursion: json_file.h. */
static enum status walk(struct hf_pipeline *p, const struct section *section, const json_t *step,
                        struct error *err)
{
    if (step == NULL || json_is_null(step)) {
        return OK;
    }
    const char *type = json_string_value(json_object_get(step, "type"));
    if (type == NULL) {
        return error_set(err, ERR_FORMAT, "%s: %s: a step without a type", p->path, section->name);
    }
    if (strcmp(type, "Sequence") != 0) {
        return section->step(p, step, type, err);
    }
    const json_t *list = NULL;
    struct json_place place = {p->path, ""};
    enum status status = json_field_array(step, place, section->list, true, &list, err);
    for (size_t i = 0; status == OK && i < json_array_size(list); i++) {
        status = walk(p, section, json_array_get(list, i), err);
    }
    return status;
}

/* The {"String": ...} or {"Regex": ...} of a step. */
static enum status read_pattern(const struct hf_pipeline *p, const json_t *step,
                                const char *section, struct gguf_string *text, bool *is_regex,
                                struct error *err)
{
    const json_t *pattern = json_object_get(step, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *value = regex != NULL ? regex : json_object_get(pattern, "String");
    if (!json_is_string(value) || json_string_length(value) == 0) {
        return error_set(err, ERR_FORMAT, "%s: %s: pattern: neither String nor Regex", p->path,
                         section);
    }
    *text = (struct gguf_string){json_string_value(value), json_string_length(value)};
    *is_regex = regex != NULL;
    return OK;
}

static enum status add_text(struct hf_pipeline *p, struct gguf_string text, struct error *err)
{
    if (p->step_text_count == HF_PIPELINE_STEP_TEXTS_MAX ||
        text.byte_count > NORMALIZER_TEXT_BYTES_MAX) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: normalizer: more than %d steps and texts, or one of %d bytes",
                         p->path, HF_PIPELINE_STEP_TEXTS_MAX, NORMALIZER_TEXT_BYTES_MAX);
    }
    p->step_texts[p->step_text_count++] = text;
    return OK;
}

/* Two spaces or more, as the public conversion of SentencePiece models has them become one. */
static enum status add_squeeze(struct hf_pipeline *p, const json_t *step, struct error *err)
{
    struct gguf_string with = {.bytes = ""};
    struct json_place place = {p->path, "normalizer."};
    enum status status = json_field_string(step, place, "content", true, &with, err);
    if (status == OK) {
        status = add_text(p, literal("squeeze-spaces"), err);
    }
    return status == OK ? add_text(p, with, err) : status;
}

static enum status add_charsmap(struct hf_pipeline *p, const json_t *step, struct error *err)
{
    struct json_place place = {p->path, "normalizer."};
    if (p->charsmap.bytes != NULL) {
        return unsupported(p, "normalizer", "a second Precompiled", err);
    }
    enum status status =
        json_field_string(step, place, "precompiled_charsmap", false, &p->charsmap, err);
    /* Public files have an empty one, too, which does nothing. */
    bool empty = p->charsmap.byte_count == 0;
    return status == OK && !empty ? add_text(p, literal("charsmap-graphemes"), err) : status;
}

static enum status add_replace(struct hf_pipeline *p, const json_t *step, struct error *err)
{
    struct gguf_string what = {0};
    struct gguf_string with = {.bytes = ""};
    bool is_regex = false;
    struct json_place place = {p->path, "normalizer."};
    enum status status = read_pattern(p, step, "normalizer", &what, &is_regex, err);
    if (status == OK && is_regex && gguf_string_equal(what, " {2,}")) {
        return add_squeeze(p, step, err);
    }
    if (status == OK && is_regex) {
        char quoted[JSON_FIELD_QUOTE_BYTES];
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: normalizer: Replace of the expression '%s' is not supported", p->path,
                         json_field_quote(what, quoted));
    }
    if (status == OK) {
        status = json_field_string(step, place, "content", true, &with, err);
    }
    if (status == OK) {
        status = add_text(p, literal("replace"), err);
    }
    if (status == OK) {
        status = add_text(p, what, err);
    }
    return status == OK ? add_text(p, with, err) : status;
}

static enum status add_strip(struct hf_pipeline *p, const json_t *step, struct error *err)
{
    struct json_place place = {p->path, "normalizer."};
    bool left = true;
    bool right = true;
    enum status status = json_field_bool(step, place, "strip_left", &left, err);
    if (status == OK) {
        status = json_field_bool(step, place, "strip_right", &right, err);
    }
    if (status == OK && left) {
        status = add_text(p, literal("strip-left"), err);
    }
    return status == OK && right ? add_text(p, literal("strip-right"), err) : status;
}

static enum status normalizer_step(struct hf_pipeline *p, const json_t *step, const char *type,
                                   struct error *err)
{
    static const char *const plain[][2] = {{"NFC", "nfc"},
                                           {"NFD", "nfd"},
                                           {"NFKC", "nfkc"},
                                           {"NFKD", "nfkd"},
                                           {"Lowercase", "lowercase"}};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strcmp(type, plain[i][0]) == 0) {
            return add_text(p, literal(plain[i][1]), err);
        }
    }
    if (strcmp(type, "Replace") == 0) {
        return add_replace(p, step, err);
    }
    if (strcmp(type, "Precompiled") == 0) {
        return add_charsmap(p, step, err);
    }
    if (strcmp(type, "Strip") == 0) {
        return add_strip(p, step, err);
    }
    if (strcmp(type, "Prepend") != 0) {
        return unsupported(p, "normalizer", type, err);
    }
    struct gguf_string text = {.bytes = ""};
    struct json_place place = {p->path, "normalizer."};
    enum status status = json_field_string(step, place, "prepend", true, &text, err);
    if (status == OK) {
        status = add_text(p, literal("prepend"), err);
    }
    return status == OK ? add_text(p, text, err) : status;
}

enum status hf_steps_normalizer(struct hf_pipeline *p, const json_t *root, struct error *err)
{
    static const struct section section = {"normalizer", "normalizers", normalizer_step};
    return walk(p, &section, json_object_get(root, section.name), err);
}

static enum status add_item(struct hf_pipeline *p, struct gguf_string item, struct error *err)
{
    if (p->items.count == HF_PATTERNS_ITEMS_MAX) {
        return error_set(err, ERR_UNSUPPORTED, "%s: pre_tokenizer: more than %d steps", p->path,
                         HF_PATTERNS_ITEMS_MAX);
    }
    p->items.texts[p->items.count++] = item;
    return OK;
}

/* A space in front is put to what the step gets: the whole stretch only if the step is the first. */
static enum status add_byte_level(struct hf_pipeline *p, const json_t *step, struct error *err)
{
    struct json_place place = {p->path, "pre_tokenizer."};
    bool prefix = true;
    bool own_expression = true;
    enum status status = json_field_bool(step, place, "add_prefix_space", &prefix, err);
    if (status == OK) {
        status = json_field_bool(step, place, "use_regex", &own_expression, err);
    }
    if (status == OK && ((prefix && p->items.count > 0) || p->byte_level || p->spaces_replaced)) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: pre_tokenizer: ByteLevel behind a step that it does not go with",
                         p->path);
    }
    p->byte_level = true;
    p->prefix = prefix ? TOKENIZER_PREFIX_EACH | TOKENIZER_PREFIX_UNLESS_SPACE : 0;
    if (status == OK && own_expression) {
        status = add_item(p, literal(HF_PATTERNS_GPT2), err);
    }
    return status == OK ? add_item(p, literal(HF_PATTERNS_BYTES), err) : status;
}

static enum status read_replacement(const struct hf_pipeline *p, const json_t *step,
                                    const char *section, struct error *err)
{
    struct json_place place = {p->path, section};
    struct gguf_string sign = literal(HF_STEPS_SPACE_SIGN);
    enum status status = json_field_string(step, place, "replacement", false, &sign, err);
    if (status == OK && !gguf_string_equal(sign, HF_STEPS_SPACE_SIGN)) {
        return unsupported(p, section, "Metaspace with another sign than U+2581", err);
    }
    return status;
}

/* "always", "first" or "never"; older files say only add_prefix_space. */
static enum status read_scheme(const struct hf_pipeline *p, const json_t *step, const char *section,
                               uint32_t *prefix, struct error *err)
{
    struct json_place place = {p->path, section};
    bool add = true;
    struct gguf_string scheme = literal("always");
    enum status status = json_field_bool(step, place, "add_prefix_space", &add, err);
    if (status == OK) {
        status = json_field_string(step, place, "prepend_scheme", false, &scheme, err);
    }
    if (status != OK) {
        return status;
    }
    if (!add || gguf_string_equal(scheme, "never")) {
        *prefix = 0;
    } else if (gguf_string_equal(scheme, "always")) {
        *prefix = TOKENIZER_PREFIX_EACH | TOKENIZER_PREFIX_UNLESS_SPACE;
    } else if (gguf_string_equal(scheme, "first")) {
        *prefix = TOKENIZER_PREFIX_FIRST | TOKENIZER_PREFIX_UNLESS_SPACE;
    } else {
        return unsupported(p, section, "Metaspace with another prepend_scheme", err);
    }
    return OK;
}

static enum status add_metaspace(struct hf_pipeline *p, const json_t *step, struct error *err)
{
    if (p->prefix != 0 || p->items.count > 0 || p->split_words) {
        return unsupported(p, "pre_tokenizer", "Metaspace behind another step", err);
    }
    struct json_place place = {p->path, "pre_tokenizer."};
    p->split_words = true;
    p->spaces_replaced = true;
    enum status status = read_replacement(p, step, "pre_tokenizer", err);
    if (status == OK) {
        status = read_scheme(p, step, "pre_tokenizer", &p->prefix, err);
    }
    return status == OK ? json_field_bool(step, place, "split", &p->split_words, err) : status;
}

/* Matches and what is between them become pieces; or, inverted and between removed, only matches. */
static enum status add_split(struct hf_pipeline *p, const json_t *step, struct error *err)
{
    struct json_place place = {p->path, "pre_tokenizer."};
    struct gguf_string pattern = {0};
    struct gguf_string behavior = {0};
    bool is_regex = false;
    bool invert = false;
    enum status status = read_pattern(p, step, "pre_tokenizer", &pattern, &is_regex, err);
    if (status == OK) {
        status = json_field_string(step, place, "behavior", true, &behavior, err);
    }
    if (status == OK) {
        status = json_field_bool(step, place, "invert", &invert, err);
    }
    if (status != OK) {
        return status;
    }
    if (!is_regex && p->spaces_replaced && gguf_string_equal(pattern, " ")) {
        return OK; /* the normalizer has left no space to split at */
    }
    bool isolated = gguf_string_equal(behavior, "Isolated") && !invert;
    bool matches = gguf_string_equal(behavior, "Removed") && invert;
    if (!is_regex || !(isolated || matches)) {
        return unsupported(p, "pre_tokenizer", "Split at a text, or not keeping all", err);
    }
    p->items.matches_only = p->items.matches_only || matches;
    return add_item(p, pattern, err);
}

static enum status pre_tokenizer_step(struct hf_pipeline *p, const json_t *step, const char *type,
                                      struct error *err)
{
    struct json_place place = {p->path, "pre_tokenizer."};
    if (strcmp(type, "ByteLevel") == 0) {
        return add_byte_level(p, step, err);
    }
    if (strcmp(type, "Split") == 0) {
        return add_split(p, step, err);
    }
    if (strcmp(type, "Metaspace") == 0) {
        return add_metaspace(p, step, err);
    }
    if (strcmp(type, "Digits") == 0) {
        bool each = false;
        enum status status = json_field_bool(step, place, "individual_digits", &each, err);
        const char *item = each ? HF_PATTERNS_DIGITS : HF_PATTERNS_NUMBERS;
        return status == OK ? add_item(p, literal(item), err) : status;
    }
    if (strcmp(type, "Punctuation") == 0) {
        struct gguf_string behavior = literal("Isolated");
        enum status status = json_field_string(step, place, "behavior", false, &behavior, err);
        if (status == OK && !gguf_string_equal(behavior, "Contiguous")) {
            return unsupported(p, "pre_tokenizer", "Punctuation that is not Contiguous", err);
        }
        return status == OK ? add_item(p, literal(HF_PATTERNS_PUNCTUATION), err) : status;
    }
    return unsupported(p, "pre_tokenizer", type, err);
}

enum status hf_steps_pre_tokenizer(struct hf_pipeline *p, const json_t *root, struct error *err)
{
    static const struct section section = {"pre_tokenizer", "pretokenizers", pre_tokenizer_step};
    return walk(p, &section, json_object_get(root, section.name), err);
}

/* The one replacement there is: a space in the place of its sign. */
static enum status check_decoder_replace(const struct hf_pipeline *p, const json_t *step,
                                         struct error *err)
{
    struct gguf_string what = {0};
    struct gguf_string with = {.bytes = ""};
    bool is_regex = false;
    struct json_place place = {p->path, "decoder."};
    enum status status = read_pattern(p, step, "decoder", &what, &is_regex, err);
    if (status == OK) {
        status = json_field_string(step, place, "content", true, &with, err);
    }
    if (status == OK && (is_regex || !gguf_string_equal(what, HF_STEPS_SPACE_SIGN) ||
                         !gguf_string_equal(with, " "))) {
        return unsupported(p, "decoder", "Replace of anything but U+2581 by a space", err);
    }
    return status;
}

static enum status read_decoder_strip(struct hf_pipeline *p, const json_t *step, struct error *err)
{
    struct json_place place = {p->path, "decoder."};
    struct gguf_string content = literal(" ");
    uint32_t start = 0;
    uint32_t stop = 0;
    enum status status = json_field_string(step, place, "content", false, &content, err);
    if (status == OK) {
        status = json_field_u32(step, place, "start", false, 1, &start, err);
    }
    if (status == OK) {
        status = json_field_u32(step, place, "stop", false, 0, &stop, err);
    }
    if (status == OK && !gguf_string_equal(content, " ")) {
        return unsupported(p, "decoder", "Strip of anything but spaces", err);
    }
    p->strip = start > 0 ? TOKENIZER_STRIP_ONE : p->strip;
    return status;
}

static enum status decoder_step(struct hf_pipeline *p, const json_t *step, const char *type,
                                struct error *err)
{
    bool bytes = strcmp(type, "ByteLevel") == 0;
    if (bytes != p->byte_level) {
        return unsupported(p, "decoder", type, err);
    }
    if (strcmp(type, "ByteFallback") == 0) {
        p->bytes_fall_back = true;
        return OK;
    }
    if (bytes || strcmp(type, "Fuse") == 0) {
        return OK;
    }
    if (strcmp(type, "Replace") == 0) {
        return check_decoder_replace(p, step, err);
    }
    if (strcmp(type, "Strip") == 0) {
        return read_decoder_strip(p, step, err);
    }
    if (strcmp(type, "Metaspace") != 0) {
        return unsupported(p, "decoder", type, err);
    }
    uint32_t prefix = 0;
    enum status status = read_replacement(p, step, "decoder", err);
    if (status == OK) {
        status = read_scheme(p, step, "decoder", &prefix, err);
    }
    p->strip = prefix != 0 ? TOKENIZER_STRIP_FIRST_TOKEN : TOKENIZER_STRIP_NONE;
    return status;
}

enum status hf_steps_decoder(struct hf_pipeline *p, const json_t *root, struct error *err)
{
    static const struct section section = {"decoder", "decoders", decoder_step};
    const json_t *decoder = json_object_get(root, section.name);
    if (decoder == NULL || json_is_null(decoder)) {
        return unsupported(p, "decoder", "none", err);
    }
    return walk(p, &section, decoder, err);
}

/* The ids that a template's special token stands for go in front, or one of them behind. */
static enum status add_template_token(struct hf_pipeline *p, const json_t *tokens,
                                      const json_t *entry, bool behind, struct error *err)
{
    const char *name = json_string_value(json_object_get(entry, "id"));
    const json_t *ids = name == NULL ? NULL : json_object_get(json_object_get(tokens, name), "ids");
    if (!json_is_array(ids)) {
        return error_set(err, ERR_FORMAT,
                         "%s: post_processor: a SpecialToken that special_tokens has no ids for",
                         p->path);
    }
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_int_t id = json_integer_value(json_array_get(ids, i));
        bool full = behind ? p->end != UINT32_MAX : p->begin_count == HF_PIPELINE_BEGINS_MAX;
        if (!json_is_integer(json_array_get(ids, i)) || id < 0 || id >= LIMIT_MODEL_VOCAB || full) {
            return error_set(err, ERR_UNSUPPORTED,
                             "%s: post_processor: special_tokens: ids that are none, more than %d "
                             "in front or more than 1 behind",
                             p->path, HF_PIPELINE_BEGINS_MAX);
        }
        if (behind) {
            p->end = (uint32_t)id;
        } else {
            p->begins[p->begin_count++] = (uint32_t)id;
        }
    }
    return OK;
}

static enum status read_template(struct hf_pipeline *p, const json_t *step, struct error *err)
{
    struct json_place place = {p->path, "post_processor."};
    const json_t *single = NULL;
    const json_t *tokens = NULL;
    enum status status = json_field_array(step, place, "single", true, &single, err);
    if (status == OK) {
        status = json_field_object(step, place, "special_tokens", false, &tokens, err);
    }
    bool behind = false;
    for (size_t i = 0; status == OK && i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i);
        const json_t *special = json_object_get(piece, "SpecialToken");
        if (special != NULL) {
            status = add_template_token(p, tokens, special, behind, err);
        } else if (behind || json_object_get(piece, "Sequence") == NULL) {
            return unsupported(p, "post_processor", "a template without its one sequence", err);
        } else {
            behind = true;
        }
    }
    p->has_template = true;
    return status;
}

static enum status post_processor_step(struct hf_pipeline *p, const json_t *step, const char *type,
                                       struct error *err)
{
    if (strcmp(type, "ByteLevel") == 0) {
        return OK; /* offsets only */
    }
    if (strcmp(type, "TemplateProcessing") == 0 && !p->has_template) {
        return read_template(p, step, err);
    }
    return unsupported(p, "post_processor", type, err);
}

enum status hf_steps_post_processor(struct hf_pipeline *p, const json_t *root, struct error *err)
{
    static const struct section section = {"post_processor", "processors", post_processor_step};
    return walk(p, &section, json_object_get(root, section.name), err);
}
