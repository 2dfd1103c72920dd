/* template_text.c - scanning text. Cutting shares the bytes of the whole, so templates may split
 * and strip long messages for nothing. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_text.h"

#include "server/chat/template_builder.h"

#include <string.h>
#include <utf8proc.h>

size_t template_text_valid_bytes(const char *bytes, size_t byte_count)
{
    size_t position = 0;
    while (position < byte_count) {
        utf8proc_int32_t codepoint = 0;
        utf8proc_ssize_t used =
            utf8proc_iterate((const utf8proc_uint8_t *)bytes + position,
                             (utf8proc_ssize_t)(byte_count - position), &codepoint);
        if (used <= 0) {
            return position;
        }
        position += (size_t)used;
    }
    return byte_count;
}

size_t template_text_count_bytes(const char *bytes, size_t byte_count)
{
    size_t count = 0;
    for (size_t i = 0; i < byte_count; i++) {
        count += ((unsigned char)bytes[i] & 0xC0) != 0x80;
    }
    return count;
}

size_t template_text_count(const struct template_string *string)
{
    if (string->char_count == TEMPLATE_CHARS_UNKNOWN) {
        size_t count = template_text_count_bytes(string->bytes, string->byte_count);
        /* Only strings of a run are unknown, and a run belongs to one thread. */
        ((struct template_string *)string)->char_count = count;
    }
    return string->char_count;
}

size_t template_text_step(char first)
{
    unsigned char lead = (unsigned char)first;
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xE0) {
        return 2;
    }
    return lead < 0xF0 ? 3 : 4;
}

size_t template_text_offset(const struct template_string *string, size_t index)
{
    size_t count = template_text_count(string);
    if (count == string->byte_count || index >= count) {
        return index >= count ? string->byte_count : index;
    }
    size_t offset = 0;
    for (size_t i = 0; i < index; i++) {
        offset += template_text_step(string->bytes[offset]);
    }
    return offset;
}

int32_t template_text_next(const char *bytes, size_t *position)
{
    const unsigned char *at = (const unsigned char *)bytes + *position;
    size_t step = template_text_step((char)at[0]);
    *position += step;
    switch (step) {
    case 1:
        return at[0];
    case 2:
        return (at[0] & 0x1F) << 6 | (at[1] & 0x3F);
    case 3:
        return (at[0] & 0x0F) << 12 | (at[1] & 0x3F) << 6 | (at[2] & 0x3F);
    default:
        return (at[0] & 0x07) << 18 | (at[1] & 0x3F) << 12 | (at[2] & 0x3F) << 6 | (at[3] & 0x3F);
    }
}

bool template_text_is_space(int32_t codepoint)
{
    if (codepoint < 0x80) {
        return codepoint == ' ' || (codepoint >= '\t' && codepoint <= '\r') ||
               (codepoint >= 0x1C && codepoint <= 0x1F);
    }
    return codepoint == 0x85 || codepoint == 0xA0 || codepoint == 0x1680 ||
           (codepoint >= 0x2000 && codepoint <= 0x200A) || codepoint == 0x2028 ||
           codepoint == 0x2029 || codepoint == 0x202F || codepoint == 0x205F || codepoint == 0x3000;
}

bool template_text_is_line_end(int32_t codepoint)
{
    return (codepoint >= '\n' && codepoint <= '\r') || (codepoint >= 0x1C && codepoint <= 0x1E) ||
           codepoint == 0x85 || codepoint == 0x2028 || codepoint == 0x2029;
}

bool template_text_is_word(int32_t codepoint)
{
    if (codepoint < 0x80) {
        return (codepoint >= 'a' && codepoint <= 'z') || (codepoint >= 'A' && codepoint <= 'Z') ||
               (codepoint >= '0' && codepoint <= '9') || codepoint == '_';
    }
    utf8proc_category_t category = utf8proc_category(codepoint);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
           (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

static bool in_set(int32_t codepoint, const struct template_string *set)
{
    if (set == NULL) {
        return template_text_is_space(codepoint);
    }
    for (size_t position = 0; position < set->byte_count;) {
        if (template_text_next(set->bytes, &position) == codepoint) {
            return true;
        }
    }
    return false;
}

void template_text_strip(const char **bytes, size_t *byte_count, const struct template_string *set,
                         enum template_side side)
{
    const char *text = *bytes;
    size_t first = 0;
    size_t end = *byte_count;
    while ((side & TEMPLATE_LEFT) != 0 && first < end) {
        size_t next = first;
        if (!in_set(template_text_next(text, &next), set)) {
            break;
        }
        first = next;
    }
    while ((side & TEMPLATE_RIGHT) != 0 && first < end) {
        size_t last = end - 1;
        while (((unsigned char)text[last] & 0xC0) == 0x80) {
            last--;
        }
        size_t next = last;
        if (!in_set(template_text_next(text, &next), set)) {
            break;
        }
        end = last;
    }
    *bytes = text + first;
    *byte_count = end - first;
}

size_t template_text_find(const char *bytes, size_t byte_count,
                          const struct template_string *needle)
{
    if (needle->byte_count == 0) {
        return 0;
    }
    const char *found = memmem(bytes, byte_count, needle->bytes, needle->byte_count);
    return found != NULL ? (size_t)(found - bytes) : SIZE_MAX;
}

/* From behind there is no memmem; looking for every place from the front stays linear. */
size_t template_text_find_last(const char *bytes, size_t byte_count,
                               const struct template_string *needle)
{
    if (needle->byte_count == 0) {
        return byte_count;
    }
    size_t last = SIZE_MAX;
    size_t from = 0;
    while (byte_count - from >= needle->byte_count) {
        size_t found = template_text_find(bytes + from, byte_count - from, needle);
        if (found == SIZE_MAX) {
            break;
        }
        last = from + found;
        from = last + 1;
    }
    return last;
}

bool template_text_equal(const struct template_string *left, const struct template_string *right)
{
    return left->byte_count == right->byte_count &&
           memcmp(left->bytes, right->bytes, left->byte_count) == 0;
}

int template_text_compare(const struct template_string *left, const struct template_string *right)
{
    size_t common = left->byte_count < right->byte_count ? left->byte_count : right->byte_count;
    int order = memcmp(left->bytes, right->bytes, common);
    if (order != 0) {
        return order;
    }
    return (left->byte_count > right->byte_count) - (left->byte_count < right->byte_count);
}

bool template_text_piece(struct template_run *run, const struct template_string *string,
                         size_t first_byte, size_t byte_count, struct template_value *out)
{
    return template_run_string(run, string->bytes + first_byte, byte_count, out);
}

bool template_text_pick(struct template_run *run, const struct template_string *string,
                        int64_t start, int64_t step, size_t count, struct template_value *out)
{
    size_t char_count = template_text_count(string);
    size_t *offsets = template_run_alloc_array(run, char_count, sizeof *offsets);
    if (offsets == NULL || !template_run_spend(run, char_count)) {
        return false;
    }
    size_t offset = 0;
    for (size_t i = 0; i < char_count; i++) {
        offsets[i] = offset;
        offset += template_text_step(string->bytes[offset]);
    }
    struct template_builder text;
    template_builder_init(&text, run);
    for (size_t i = 0; i < count; i++) {
        const char *at = string->bytes + offsets[start + (int64_t)i * step];
        if (!template_builder_append(&text, at, template_text_step(*at))) {
            return false;
        }
    }
    return template_builder_finish(&text, out);
}
