/* output_match.c - prefix comparisons that know an undecided end from a difference.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_match.h"

#include <string.h>

bool output_match_is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

struct slice output_match_from(struct slice text, size_t at)
{
    return (struct slice){text.bytes + at, text.byte_count - at};
}

size_t output_match_blanks(struct slice text)
{
    size_t count = 0;
    while (count < text.byte_count && output_match_is_blank(text.bytes[count])) {
        count++;
    }
    return count;
}

enum output_match output_match_bytes(struct slice text, const char *bytes, size_t byte_count)
{
    size_t common = text.byte_count < byte_count ? text.byte_count : byte_count;
    if (memcmp(text.bytes, bytes, common) != 0) {
        return OUTPUT_NO;
    }
    return common == byte_count ? OUTPUT_YES : OUTPUT_MORE;
}

enum output_match output_match_text(struct slice text, const char *literal)
{
    return output_match_bytes(text, literal, strlen(literal));
}

enum output_match output_match_mark(struct slice text, const struct output_mark *mark)
{
    return output_match_bytes(text, mark->bytes, mark->byte_count);
}

static enum output_match past(struct slice text, size_t *at, const char *bytes, size_t byte_count)
{
    size_t from = *at + output_match_blanks(output_match_from(text, *at));
    enum output_match match = output_match_bytes(output_match_from(text, from), bytes, byte_count);
    if (match == OUTPUT_YES) {
        *at = from + byte_count;
    }
    return match;
}

enum output_match output_match_past_mark(struct slice text, size_t *at,
                                         const struct output_mark *mark)
{
    return past(text, at, mark->bytes, mark->byte_count);
}

enum output_match output_match_past_text(struct slice text, size_t *at, const char *literal)
{
    return past(text, at, literal, strlen(literal));
}

const struct output_mark *output_match_mark_at(const struct output_parser *parser, uint32_t index)
{
    return &parser->setup.family->marks[index];
}
