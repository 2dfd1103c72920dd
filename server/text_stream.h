/* text_stream.h - token ids -> the text a client may see, as soon as it may see it.
 *
 * Text is given out at UTF-8 boundaries only, and what may be the start of a stop string is held
 * back until it is known. One per choice. Thread: http; belongs to its request.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TEXT_STREAM_H
#define SERVER_TEXT_STREAM_H

#include "engine/tokenizer/tokenizer.h"
#include "server/stop_strings.h"
#include "server/text_buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_stream {
    struct detokenizer detokenizer;
    const struct stop_strings *stops; /* borrowed */
    bool include_stop;                /* the stop string itself is part of the text */
    struct stop_match match;
    struct text_buffer pending; /* decoded, not given out */
    bool marks_control;         /* see below */
    uint64_t character_count;   /* decoded so far, given out or not: where the next token starts */
};

/* show_special: control tokens appear as text. After init, marks_control may be set instead: control
 * tokens then appear in brackets, for an output parser (output_parser.h). Stop strings do not look
 * into or across them. */
void text_stream_init(struct text_stream *stream, const struct tokenizer *tokenizer,
                      const struct stop_strings *stops, bool include_stop, bool show_special);
void text_stream_release(struct text_stream *stream);

/* Appends to out the text that token_id settles. may_stop: stop strings count (they do not before
 * min_tokens). True when a stop string is complete: what came before it is in out, and nothing more
 * will come. An out that failed (memory) stays failed. */
bool text_stream_feed(struct text_stream *stream, uint32_t token_id, bool may_stop,
                      struct text_buffer *out);

/* The end without a stop string: appends everything that was held. True, with the text before it,
 * when the last bytes complete a stop string after all. */
bool text_stream_finish(struct text_stream *stream, bool may_stop, struct text_buffer *out);

/* Unicode characters in well-formed text. */
uint64_t text_stream_characters(const char *text, size_t byte_count);

#endif
