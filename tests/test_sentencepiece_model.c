/* Malformed SentencePiece models (M-47): every one is refused by a line with its path, or read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/sentencepiece_model.h"

#include <math.h>

/* A message under construction. */
struct message {
    uint8_t bytes[256];
    uint64_t byte_count;
};

static void put_byte(struct message *message, unsigned value)
{
    assert_true(message->byte_count < sizeof message->bytes);
    message->bytes[message->byte_count++] = (uint8_t)value;
}

/* A field of bytes; all lengths here take one byte. */
static void put_bytes(struct message *message, unsigned number, const void *bytes,
                      uint64_t byte_count)
{
    put_byte(message, number << 3 | 2u);
    put_byte(message, (unsigned)byte_count);
    for (uint64_t i = 0; i < byte_count; i++) {
        put_byte(message, ((const uint8_t *)bytes)[i]);
    }
}

static void put_number(struct message *message, unsigned number, unsigned value)
{
    put_byte(message, number << 3);
    put_byte(message, value);
}

static void put_piece(struct message *message, const char *text, float score, unsigned type)
{
    struct message piece = {.byte_count = 0};
    uint8_t bits[4];
    memcpy(bits, &score, sizeof bits);
    put_bytes(&piece, 1, text, strlen(text));
    put_byte(&piece, 2u << 3 | 5u);
    for (int i = 0; i < 4; i++) {
        put_byte(&piece, bits[i]);
    }
    put_number(&piece, 3, type);
    put_bytes(message, 1, piece.bytes, piece.byte_count);
}

static void put_trainer(struct message *message, unsigned model_type)
{
    struct message trainer = {.byte_count = 0};
    put_number(&trainer, 3, model_type);
    put_bytes(message, 2, trainer.bytes, trainer.byte_count);
}

/* Three pieces of a BPE model, and what trained them. */
static struct message sound(void)
{
    struct message message = {.byte_count = 0};
    put_piece(&message, "<unk>", 0.0f, 2);
    put_piece(&message, "<s>", 0.0f, 3);
    put_piece(&message, "</s>", 0.0f, 3);
    put_piece(&message, "a", -1.0f, 1);
    put_trainer(&message, 2);
    return message;
}

/* A copy of exactly these bytes, so that a sanitizer sees what lies behind. */
static enum status read_copy(const uint8_t *bytes, uint64_t byte_count, struct error *err)
{
    struct gguf_builder builder;
    uint8_t *copy = malloc(byte_count + 1);
    assert_non_null(copy);
    memcpy(copy + 1, bytes, byte_count);
    gguf_builder_init(&builder, "m.model");
    enum status status =
        sentencepiece_model_read(&builder, copy + 1, byte_count, 0, "m.model", err);
    gguf_builder_release(&builder);
    free(copy);
    return status;
}

static void expect_refused(const struct message *message, const char *what)
{
    struct error err = {0};
    assert_int_not_equal(read_copy(message->bytes, message->byte_count, &err), OK);
    if (strncmp(err.message, "m.model: ", 9) != 0 || strstr(err.message, what) == NULL) {
        fail_msg("'%s' is not the message expected (%s)", err.message, what);
    }
}

static void the_sample_is_read(void **state)
{
    (void)state;
    struct error err = {0};
    struct message message = sound();
    if (read_copy(message.bytes, message.byte_count, &err) != OK) {
        fail_msg("refused: %s", err.message);
    }
}

/* Cut between two fields, a message is one with fewer. */
static void every_truncation_is_refused_or_read(void **state)
{
    (void)state;
    struct message message = sound();
    uint32_t refused_count = 0;
    for (uint64_t length = 0; length < message.byte_count; length++) {
        struct error err = {0};
        if (read_copy(message.bytes, length, &err) != OK) {
            assert_true(strncmp(err.message, "m.model: ", 9) == 0);
            refused_count++;
        }
    }
    assert_true(refused_count + 8 > message.byte_count);
}

static void every_flipped_bit_is_refused_or_read(void **state)
{
    (void)state;
    struct message message = sound();
    for (uint64_t bit = 0; bit < 8 * message.byte_count; bit++) {
        struct message flipped = message;
        struct error err = {0};
        flipped.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (read_copy(flipped.bytes, flipped.byte_count, &err) != OK) {
            assert_true(strncmp(err.message, "m.model: ", 9) == 0);
        }
    }
}

static void what_means_nothing_is_named(void **state)
{
    (void)state;
    struct message message = {.byte_count = 0};
    expect_refused(&message, "pieces: 0, allowed are 1 to");
    put_trainer(&message, 2);
    expect_refused(&message, "pieces: 0, allowed are 1 to");
    message = sound();
    put_piece(&message, "b", NAN, 1);
    expect_refused(&message, "pieces[4]: ill-formed");
    message = sound();
    put_piece(&message, "b", INFINITY, 1);
    expect_refused(&message, "pieces[4]: ill-formed");
    message = sound();
    put_piece(&message, "", 0.0f, 1);
    expect_refused(&message, "pieces[4]: ill-formed");
    message = sound();
    put_piece(&message, "b", 0.0f, 99);
    expect_refused(&message, "pieces[4]: ill-formed");
    message = sound();
    put_trainer(&message, 4); /* of characters */
    expect_refused(&message, "model_type: 4, supported are 1");
}

/* A piece as a number, and a group, which has been out of use since before the format. */
static void wrong_wire_types_are_refused(void **state)
{
    (void)state;
    struct message message = {.byte_count = 0};
    put_number(&message, 1, 7);
    expect_refused(&message, "pieces: 0, allowed are 1 to");
    message = sound();
    put_byte(&message, 5u << 3 | 3u);
    expect_refused(&message, "not a protocol buffer message");
    message = sound();
    put_byte(&message, 1u << 3 | 2u);
    put_byte(&message, 100); /* bytes that are not there */
    expect_refused(&message, "not a protocol buffer message");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_is_read),
        cmocka_unit_test(every_truncation_is_refused_or_read),
        cmocka_unit_test(every_flipped_bit_is_refused_or_read),
        cmocka_unit_test(what_means_nothing_is_named),
        cmocka_unit_test(wrong_wire_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
