/* text_stream.c - detokenizer, then stop strings, in one small buffer that holds what is not yet
 * decided. SPDX-License-Identifier: Apache-2.0 */
#include "server/text_stream.h"

#include "configs/limits.h"
#include "server/output/output_parser.h"

#include <string.h>

enum {
    /* detokenizer_feed asks for three times a token's bytes and a little more */
    PIECE_BYTES_MAX = LIMIT_TOKEN_BYTES * 3 + 16,
    PENDING_BYTES_MAX = PIECE_BYTES_MAX + LIMIT_STOP_BYTES
};

void text_stream_init(struct text_stream *stream, const struct tokenizer *tokenizer,
                      const struct stop_strings *stops, bool include_stop, bool show_special)
{
    *stream = (struct text_stream){.stops = stops, .include_stop = include_stop};
    detokenizer_init(&stream->detokenizer, tokenizer, show_special, true);
    text_buffer_init(&stream->pending, PENDING_BYTES_MAX);
}

void text_stream_release(struct text_stream *stream)
{
    text_buffer_release(&stream->pending);
}

uint64_t text_stream_characters(const char *text, size_t byte_count)
{
    uint64_t count = 0;
    for (size_t i = 0; i < byte_count; i++) {
        count += ((unsigned char)text[i] & 0xC0u) != 0x80u;
    }
    return count;
}

/* Gives out the first byte_count pending bytes. */
static void give_out(struct text_stream *stream, size_t byte_count, struct text_buffer *out)
{
    struct text_buffer *pending = &stream->pending;
    text_buffer_append(out, pending->bytes, byte_count);
    pending->byte_count -= byte_count;
    memmove(pending->bytes, pending->bytes + byte_count, pending->byte_count);
    pending->bytes[pending->byte_count] = '\0';
}

/* Looks at the pending bytes from `from` on, which are new. */
static bool settle(struct text_stream *stream, size_t from, bool may_stop, struct text_buffer *out)
{
    struct text_buffer *pending = &stream->pending;
    if (pending->byte_count == 0) {
        return false;
    }
    for (size_t i = from; may_stop && i < pending->byte_count; i++) {
        size_t matched = stop_strings_feed(stream->stops, &stream->match, pending->bytes[i]);
        if (matched > 0) {
            give_out(stream, i + 1 - (stream->include_stop ? 0 : matched), out);
            text_buffer_clear(pending);
            return true;
        }
    }
    size_t held = may_stop ? stop_strings_held(stream->stops, &stream->match) : 0;
    give_out(stream, pending->byte_count - held, out);
    return false;
}

/* A control token, for a parser: everything before it is settled first. */
static bool feed_control(struct text_stream *stream, uint32_t token_id, bool may_stop,
                         struct text_buffer *out)
{
    static const char brackets[] = {OUTPUT_CONTROL_OPEN, OUTPUT_CONTROL_CLOSE};
    if (text_stream_finish(stream, may_stop, out)) {
        return true;
    }
    stream->match = (struct stop_match){0};
    size_t byte_count = 0;
    const char *bytes =
        tokenizer_token_bytes(stream->detokenizer.tokenizer, token_id, true, &byte_count);
    /* A text with bytes of that kind in it is no name that anyone looks for. */
    if (byte_count == 0 || memchr(bytes, (unsigned char)brackets[0], byte_count) != NULL ||
        memchr(bytes, (unsigned char)brackets[1], byte_count) != NULL) {
        return false;
    }
    text_buffer_append(out, &brackets[0], 1);
    text_buffer_append(out, bytes, byte_count);
    text_buffer_append(out, &brackets[1], 1);
    return false;
}

bool text_stream_feed(struct text_stream *stream, uint32_t token_id, bool may_stop,
                      struct text_buffer *out)
{
    if (stream->marks_control && tokenizer_is_special(stream->detokenizer.tokenizer, token_id)) {
        return feed_control(stream, token_id, may_stop, out);
    }
    struct text_buffer *pending = &stream->pending;
    size_t token_bytes;
    tokenizer_token_bytes(stream->detokenizer.tokenizer, token_id, stream->detokenizer.show_special,
                          &token_bytes);
    size_t room_bytes = token_bytes * 3 + 16;
    size_t before = pending->byte_count;
    char *room = text_buffer_room(pending, room_bytes);
    if (room == NULL) {
        out->failed = true;
        return false;
    }
    size_t decoded = detokenizer_feed(&stream->detokenizer, token_id, room, room_bytes);
    stream->character_count += text_stream_characters(room, decoded);
    room[decoded] = '\0';
    pending->byte_count = before + decoded;
    return settle(stream, before, may_stop, out);
}

bool text_stream_finish(struct text_stream *stream, bool may_stop, struct text_buffer *out)
{
    char tail[16];
    size_t before = stream->pending.byte_count;
    size_t decoded = detokenizer_finish(&stream->detokenizer, tail, sizeof tail);
    if (decoded > 0 && !text_buffer_append(&stream->pending, tail, decoded)) {
        out->failed = true;
        return false;
    }
    if (settle(stream, before, may_stop, out)) {
        return true;
    }
    if (stream->pending.byte_count > 0) {
        give_out(stream, stream->pending.byte_count, out);
    }
    return false;
}
