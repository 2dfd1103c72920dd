/* model_fixture.h - a small valid model file to change one thing about, and what opening it says.
 *
 * start, change through set_ and remove_ (or the writer), then one of open_valid, with finish
 * after it, or expect_refusal. Fails the running test. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_MODEL_FIXTURE_H
#define TESTS_SUPPORT_MODEL_FIXTURE_H

#include "engine/model.h"
#include "tests/support/synth_model.h"

#include <stdint.h>

struct model_fixture {
    struct synth_options options;
    struct gguf_writer writer;
    uint8_t *bytes;
    struct gguf file;
    struct model model;
    struct error err;
};

/* A valid file of the preset "micro" for this architecture. */
void model_fixture_start(struct model_fixture *fixture, const char *arch);
void model_fixture_finish(struct model_fixture *fixture);

/* Replace or add keys of the architecture: suffix is what follows "llama.". */
void model_fixture_set_u32(struct model_fixture *fixture, const char *suffix, uint32_t value);
void model_fixture_set_f32(struct model_fixture *fixture, const char *suffix, float value);
void model_fixture_remove_key(struct model_fixture *fixture, const char *suffix);
void model_fixture_set_string(struct model_fixture *fixture, const char *key, const char *value);

/* Replaces or adds a tensor of zeros. */
void model_fixture_set_tensor(struct model_fixture *fixture, const char *name, enum dtype dtype,
                              uint32_t dim_count, const uint64_t *shape);

/* How many weights the backend was given since start. */
uint32_t model_fixture_imports(void);

/* Writes the file and parses it; it must parse. open_valid opens the model, which must work. */
void model_fixture_parse(struct model_fixture *fixture);
void model_fixture_open_valid(struct model_fixture *fixture);

/* The model is refused with this status and one line that holds the file's name and each of the
 * words (NULL ends them). Finishes the fixture. */
void model_fixture_expect_refusal(struct model_fixture *fixture, enum status expected,
                                  const char *const words[]);

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

#endif
