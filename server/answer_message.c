/* answer_message.c - OpenAI's tool_calls and DeepSeek's reasoning_content, which clients of open
 * models read. SPDX-License-Identifier: Apache-2.0 */
#include "server/answer_message.h"

#include "server/json_text.h"

/* Bits that look random: SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t value)
{
    value += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

/* The same for each mention of a call, another for each call. */
static void write_id(struct text_buffer *out, const struct answer_head *head,
                     const struct answer_piece *piece, const struct answer_run *run)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    enum {
        CALL_DIGITS = 24,
        NINE_DIGITS = 9,
        DIGITS_A_NUMBER = 10, /* 62^10 is below 2^64 */
    };
    if (head->id_style == OUTPUT_ID_INDEX) {
        text_buffer_append_text(out, "\"functions.");
        json_text_inside(out, piece->text + run->begin, run->byte_count);
        text_buffer_printf(out, ":%u\"", run->call);
        return;
    }
    bool nine = head->id_style == OUTPUT_ID_NINE;
    uint64_t number = mix(head->id_seed ^ mix(((uint64_t)piece->index << 32) + run->call));
    text_buffer_append_text(out, nine ? "\"" : "\"call_");
    for (int i = 0; i < (nine ? NINE_DIGITS : CALL_DIGITS); i++) {
        if (i % DIGITS_A_NUMBER == 0) {
            number = mix(number + 1);
        }
        uint64_t rest = number;
        for (int skip = i % DIGITS_A_NUMBER; skip > 0; skip--) {
            rest /= sizeof digits - 1;
        }
        text_buffer_append(out, &digits[rest % (sizeof digits - 1)], 1);
    }
    text_buffer_append_text(out, "\"");
}

static void write_call_head(struct text_buffer *out, const struct answer_head *head,
                            const struct answer_piece *piece, const struct answer_run *run)
{
    text_buffer_append_text(out, "\"id\":");
    write_id(out, head, piece, run);
    text_buffer_append_text(out, ",\"type\":\"function\",\"function\":{\"name\":");
    json_text_string(out, piece->text + run->begin, run->byte_count);
    text_buffer_append_text(out, ",\"arguments\":\"");
}

void answer_message_write_delta(struct text_buffer *out, const struct answer_head *head,
                                const struct answer_piece *piece)
{
    const struct answer_run *run = piece->run_count > 0 ? piece->runs : NULL;
    const char *text = run != NULL ? piece->text + run->begin : piece->text;
    size_t text_bytes = run != NULL ? run->byte_count : piece->text_bytes;
    if (run == NULL || run->kind == OUTPUT_CONTENT || run->kind == OUTPUT_REASONING) {
        bool reasons = run != NULL && run->kind == OUTPUT_REASONING;
        text_buffer_append_text(out, reasons ? "\"reasoning_content\":" : "\"content\":");
        json_text_string(out, text, text_bytes);
        return;
    }
    text_buffer_printf(out, "\"tool_calls\":[{\"index\":%u,", run->call);
    if (run->kind == OUTPUT_CALL) {
        write_call_head(out, head, piece, run);
    } else {
        text_buffer_append_text(out, "\"function\":{\"arguments\":\"");
        json_text_inside(out, text, text_bytes);
    }
    text_buffer_append_text(out, "\"}}]");
}

/* All runs of a kind as one string. */
static void write_joined(struct text_buffer *out, const struct answer_piece *piece,
                         enum output_kind kind)
{
    text_buffer_append_text(out, "\"");
    for (size_t i = 0; piece->runs != NULL && i < piece->run_count; i++) {
        if (piece->runs[i].kind == kind) {
            json_text_inside(out, piece->text + piece->runs[i].begin, piece->runs[i].byte_count);
        }
    }
    text_buffer_append_text(out, "\"");
}

static bool has(const struct answer_piece *piece, enum output_kind kind)
{
    for (size_t i = 0; piece->runs != NULL && i < piece->run_count; i++) {
        if (piece->runs[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static void write_calls(struct text_buffer *out, const struct answer_head *head,
                        const struct answer_piece *piece)
{
    text_buffer_append_text(out, ",\"tool_calls\":[");
    bool open = false;
    for (size_t i = 0; piece->runs != NULL && i < piece->run_count; i++) {
        const struct answer_run *run = &piece->runs[i];
        if (run->kind == OUTPUT_CALL) {
            text_buffer_append_text(out, open ? "\"}},{" : "{");
            write_call_head(out, head, piece, run);
            open = true;
        } else if (run->kind == OUTPUT_ARGUMENTS) {
            json_text_inside(out, piece->text + run->begin, run->byte_count);
        }
    }
    text_buffer_append_text(out, "\"}}]");
}

void answer_message_write(struct text_buffer *out, const struct answer_head *head,
                          const struct answer_piece *piece)
{
    bool calls = has(piece, OUTPUT_CALL);
    text_buffer_append_text(out, "\"content\":");
    if (piece->runs == NULL) {
        json_text_string(out, piece->text, piece->text_bytes);
    } else if (calls && !has(piece, OUTPUT_CONTENT)) {
        text_buffer_append_text(out, "null");
    } else {
        write_joined(out, piece, OUTPUT_CONTENT);
    }
    if (has(piece, OUTPUT_REASONING)) {
        text_buffer_append_text(out, ",\"reasoning_content\":");
        write_joined(out, piece, OUTPUT_REASONING);
    }
    if (calls) {
        write_calls(out, head, piece);
    }
}
