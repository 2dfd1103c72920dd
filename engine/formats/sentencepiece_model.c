/* sentencepiece_model.c - counts the pieces, then takes each with its score and type.
 *
 * GGUF took SentencePiece's numbers of piece types over, so they pass as they are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/sentencepiece_model.h"

#include "configs/limits.h"
#include "engine/formats/protobuf.h"
#include "engine/tokenizer/charsmap.h"
#include "engine/tokenizer/tokenizer_keys.h"
#include "engine/tokenizer/vocabulary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum model_field {
    MODEL_PIECES = 1,
    MODEL_TRAINER = 2,
    MODEL_NORMALIZER = 3,
    PIECE_TEXT = 1,
    PIECE_SCORE = 2,
    PIECE_TYPE = 3,
    TRAINER_MODEL_TYPE = 3,
    TRAINER_SPACE_AS_SUFFIX = 24,
    TRAINER_UNK_ID = 40,
    TRAINER_BOS_ID = 41,
    TRAINER_EOS_ID = 42,
    TRAINER_PAD_ID = 43,
    NORMALIZER_NAME = 1,
    NORMALIZER_CHARSMAP = 2,
    NORMALIZER_DUMMY_PREFIX = 3,
    NORMALIZER_REMOVE_EXTRA = 4,
    NORMALIZER_ESCAPE = 5,
};

enum model_type {
    MODEL_UNIGRAM = 1,
    MODEL_BPE = 2,
};

enum {
    HOLE_TEXT_BYTES = 16 /* "[PAD4194303]" and a zero */
};

struct model {
    const char *path;
    uint32_t piece_count;
    uint32_t count; /* pieces and holes */
    struct gguf_string *texts;
    float *scores;
    int32_t *types;
    char *hole_texts;
    uint64_t model_type;
    bool space_as_suffix;
    int64_t ids[TRAINER_PAD_ID - TRAINER_UNK_ID + 1]; /* unk, bos, eos, pad; -1: none */
    bool dummy_prefix;
    bool remove_extra_spaces;
    bool escape_spaces;
    struct gguf_string charsmap;
};

static enum status ill_formed(const struct model *m, const char *what, struct error *err)
{
    return error_set(err, ERR_FORMAT, "%s: %s: not a protocol buffer message", m->path, what);
}

static enum status read_trainer(struct model *m, struct protobuf_field message, struct error *err)
{
    struct protobuf_cursor cursor = {message.bytes, message.bytes + message.byte_count};
    struct protobuf_field field;
    int more;
    while ((more = protobuf_next(&cursor, &field)) > 0) {
        if (field.type != PROTOBUF_VARINT) {
            continue;
        }
        if (field.number == TRAINER_MODEL_TYPE) {
            m->model_type = field.value;
        } else if (field.number == TRAINER_SPACE_AS_SUFFIX) {
            m->space_as_suffix = field.value != 0;
        } else if (field.number >= TRAINER_UNK_ID && field.number <= TRAINER_PAD_ID) {
            m->ids[field.number - TRAINER_UNK_ID] = (int32_t)field.value;
        }
    }
    return more < 0 ? ill_formed(m, "trainer_spec", err) : OK;
}

static enum status read_normalizer(struct model *m, struct protobuf_field message,
                                   struct error *err)
{
    struct protobuf_cursor cursor = {message.bytes, message.bytes + message.byte_count};
    struct protobuf_field field;
    int more;
    while ((more = protobuf_next(&cursor, &field)) > 0) {
        if (field.number == NORMALIZER_CHARSMAP && field.type == PROTOBUF_BYTES) {
            m->charsmap = (struct gguf_string){(const char *)field.bytes, field.byte_count};
        } else if (field.number == NORMALIZER_DUMMY_PREFIX) {
            m->dummy_prefix = field.value != 0;
        } else if (field.number == NORMALIZER_REMOVE_EXTRA) {
            m->remove_extra_spaces = field.value != 0;
        } else if (field.number == NORMALIZER_ESCAPE) {
            m->escape_spaces = field.value != 0;
        }
    }
    return more < 0 ? ill_formed(m, "normalizer_spec", err) : OK;
}

static enum status read_piece(struct model *m, uint32_t index, struct protobuf_field message,
                              struct error *err)
{
    struct protobuf_cursor cursor = {message.bytes, message.bytes + message.byte_count};
    struct protobuf_field field;
    int more;
    m->types[index] = TOKEN_NORMAL;
    while ((more = protobuf_next(&cursor, &field)) > 0) {
        if (field.number == PIECE_TEXT && field.type == PROTOBUF_BYTES) {
            m->texts[index] = (struct gguf_string){(const char *)field.bytes, field.byte_count};
        } else if (field.number == PIECE_SCORE && field.type == PROTOBUF_FIXED32) {
            m->scores[index] = protobuf_float(&field);
        } else if (field.number == PIECE_TYPE && field.type == PROTOBUF_VARINT) {
            m->types[index] = field.value < TOKEN_TYPE_COUNT ? (int32_t)field.value : 0;
        }
    }
    if (more < 0 || m->texts[index].byte_count == 0 || !isfinite(m->scores[index]) ||
        m->types[index] < TOKEN_NORMAL) {
        return error_set(err, ERR_FORMAT,
                         "%s: pieces[%u]: ill-formed, without a text, or its score or type is none",
                         m->path, index);
    }
    return OK;
}

/* The first walk over the file: how many pieces, and whether it is well-formed at all. */
static enum status count_pieces(struct model *m, struct protobuf_cursor cursor, struct error *err)
{
    struct protobuf_field field;
    int more;
    uint64_t count = 0;
    while ((more = protobuf_next(&cursor, &field)) > 0) {
        count += field.number == MODEL_PIECES && field.type == PROTOBUF_BYTES;
    }
    if (more < 0) {
        return ill_formed(m, "model", err);
    }
    if (count == 0 || count > LIMIT_MODEL_VOCAB) {
        return error_set(err, ERR_FORMAT, "%s: pieces: %llu, allowed are 1 to %u", m->path,
                         (unsigned long long)count, LIMIT_MODEL_VOCAB);
    }
    m->piece_count = (uint32_t)count;
    return OK;
}

static enum status read_parts(struct model *m, struct protobuf_cursor cursor, struct error *err)
{
    struct protobuf_field field;
    enum status status = OK;
    for (uint32_t i = 0; status == OK && protobuf_next(&cursor, &field) > 0;) {
        if (field.type != PROTOBUF_BYTES) {
            continue;
        }
        if (field.number == MODEL_PIECES) {
            status = read_piece(m, i++, field, err);
        } else if (field.number == MODEL_TRAINER) {
            status = read_trainer(m, field, err);
        } else if (field.number == MODEL_NORMALIZER) {
            status = read_normalizer(m, field, err);
        }
    }
    return status;
}

static enum status check_support(const struct model *m, struct error *err)
{
    if (m->model_type != MODEL_BPE && m->model_type != MODEL_UNIGRAM) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: trainer_spec.model_type: %llu, supported are 1 (unigram), 2 (bpe)",
                         m->path, (unsigned long long)m->model_type);
    }
    const char *field = m->space_as_suffix  ? "trainer_spec.treat_whitespace_as_suffix"
                        : !m->escape_spaces ? "normalizer_spec.escape_whitespaces: false"
                                            : NULL;
    if (field != NULL) {
        return error_set(err, ERR_UNSUPPORTED, "%s: %s is not supported", m->path, field);
    }
    return OK;
}

static enum status allocate(struct model *m, struct error *err)
{
    m->texts = calloc(m->count, sizeof *m->texts);
    m->scores = calloc(m->count, sizeof *m->scores);
    m->types = calloc(m->count, sizeof *m->types);
    m->hole_texts = calloc(m->count, HOLE_TEXT_BYTES);
    if (m->texts == NULL || m->scores == NULL || m->types == NULL || m->hole_texts == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for %u tokens", m->path, m->count);
    }
    return OK;
}

static void fill_holes(struct model *m)
{
    for (uint32_t i = m->piece_count; i < m->count; i++) {
        char *name = m->hole_texts + (size_t)i * HOLE_TEXT_BYTES;
        int length = snprintf(name, HOLE_TEXT_BYTES, "[PAD%u]", i);
        m->texts[i] = (struct gguf_string){name, (uint64_t)length};
        m->types[i] = TOKEN_CONTROL; /* no score of theirs may win a merge */
    }
}

static enum status write_ids(const struct model *m, struct gguf_builder *out, struct error *err)
{
    static const char *const keys[] = {"tokenizer.ggml.unknown_token_id",
                                       "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                                       "tokenizer.ggml.padding_token_id"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (m->ids[i] >= (int64_t)m->piece_count) {
            return error_set(err, ERR_FORMAT, "%s: trainer_spec: %s is %lld, there are %u pieces",
                             m->path, keys[i] + sizeof "tokenizer.ggml", (long long)m->ids[i],
                             m->piece_count);
        }
        gguf_builder_set_u32(out, keys[i], m->ids[i] < 0 ? UINT32_MAX : (uint32_t)m->ids[i]);
    }
    return OK;
}

static enum status write_model(const struct model *m, struct gguf_builder *out, struct error *err)
{
    bool unigram = m->model_type == MODEL_UNIGRAM;
    gguf_builder_set_string(out, "tokenizer.ggml.model", unigram ? "t5" : "llama");
    gguf_builder_set_strings(out, "tokenizer.ggml.tokens", m->texts, m->count);
    gguf_builder_set_f32s(out, "tokenizer.ggml.scores", m->scores, m->count);
    gguf_builder_set_i32s(out, "tokenizer.ggml.token_type", m->types, m->count);
    gguf_builder_set_bool(out, "tokenizer.ggml.add_space_prefix", m->dummy_prefix);
    gguf_builder_set_bool(out, "tokenizer.ggml.remove_extra_whitespaces", m->remove_extra_spaces);
    if (m->charsmap.byte_count > 0) {
        gguf_builder_set_u8s(out, CHARSMAP_KEY, (const uint8_t *)m->charsmap.bytes,
                             m->charsmap.byte_count);
    }
    if (unigram) {
        gguf_builder_set_bool(out, TOKENIZER_KEY_FLOAT_SUMS, true);
    }
    gguf_builder_set_bool(out, "tokenizer.ggml.add_bos_token", !unigram && m->ids[1] >= 0);
    gguf_builder_set_bool(out, "tokenizer.ggml.add_eos_token", unigram && m->ids[2] >= 0);
    return write_ids(m, out, err);
}

enum status sentencepiece_model_read(struct gguf_builder *out, const uint8_t *bytes,
                                     uint64_t byte_count, uint32_t token_count_min,
                                     const char *path, struct error *err)
{
    /* What a field that is absent means. */
    struct model m = {.path = path,
                      .model_type = MODEL_UNIGRAM,
                      .ids = {0, 1, 2, -1},
                      .dummy_prefix = true,
                      .remove_extra_spaces = true,
                      .escape_spaces = true};
    if (byte_count > LIMIT_TOKENIZER_FILE_BYTES) {
        return error_set(err, ERR_FORMAT, "%s: %llu bytes, the limit is %u", path,
                         (unsigned long long)byte_count, LIMIT_TOKENIZER_FILE_BYTES);
    }
    struct protobuf_cursor cursor = {bytes, bytes + byte_count};
    enum status status = count_pieces(&m, cursor, err);
    m.count = m.piece_count > token_count_min ? m.piece_count : token_count_min;
    if (status == OK) {
        status = allocate(&m, err);
    }
    if (status == OK) {
        status = read_parts(&m, cursor, err);
    }
    if (status == OK) {
        status = check_support(&m, err);
    }
    if (status == OK) {
        fill_holes(&m);
        status = write_model(&m, out, err);
    }
    free(m.texts);
    free(m.scores);
    free(m.types);
    free(m.hole_texts);
    return status;
}
