/* Is every family what Hugging Face transformers says it is? Tiny random models, as directories,
 * against the logits that transformers computes from the same directories
 * (tests/reference/families): every position of prompts up to beyond each window and original
 * context, and greedy continuations, token by token. And batch invariance for each of them, bit for
 * bit: chunks, neighbours, threads, on every instruction set held to itself.
 * Cases: tests/golden/families, and the folder SLUICE_FAMILIES where it is set.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/model_file.h"
#include "engine/quantize.h"
#include "tests/support/family_case.h"
#include "tests/support/forward_rig.h"

#include <math.h>
#include <unistd.h>

enum {
    BLOCK_TOKENS = 16,
    NEIGHBOURS = 3,
    NEIGHBOUR_TOKENS = 4, /* of each neighbour in a step */
};

/* Both sides sum in float32, in different orders. */
static const double tolerance = 1e-4;

/* What is known not to be served, and what the refusal says. A case that is refused without being
 * here, or that is here and no longer refused, fails. */
static const struct {
    const char *case_name;
    const char *says;
} gaps[] = {
    {"falcon-alibi", "alibi of a falcon model must be false"},
};

static const char *const golden_folder = "tests/golden/families";

static void *zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count > 0 ? count : 1, bytes);
    assert_non_null(memory);
    return memory;
}

/* ---- A case's model ---- */

/* The directory itself, or the GGUF file that was made of it. */
static enum status open_file(struct gguf *file, const struct family_case *one, struct error *err)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/model.gguf", one->folder);
    return model_file_open(file, access(path, F_OK) == 0 ? path : one->folder, err);
}

/* Whether the model is served at all: the file's and the model's own checks. file is to be closed
 * when it is. */
static enum status try_model(struct gguf *file, const struct family_case *one, struct error *err)
{
    enum status status = open_file(file, one, err);
    if (status != OK) {
        return status;
    }
    struct backend *be = NULL;
    struct model model;
    status = backend_open(&be, &(struct backend_options){.name = "cpu", .thread_count = 1}, err);
    if (status == OK) {
        status = model_open(&model, file, be, NULL, err);
        if (status == OK) {
            model_close(&model);
        }
        backend_close(be);
    }
    if (status != OK) {
        gguf_close(file);
    }
    return status;
}

static const char *gap_of(const char *case_name)
{
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        if (strcmp(gaps[i].case_name, case_name) == 0) {
            return gaps[i].says;
        }
    }
    return NULL;
}

/* Says what is wrong with how a case was refused or served; true if anything is. */
static bool wrongly_treated(const struct family_case *one, enum status status,
                            const struct error *err)
{
    const char *gap = gap_of(one->name);
    if (status == OK && gap != NULL) {
        print_message("  %-24s is served now: take it out of the table of gaps\n", one->name);
        return true;
    }
    if (status != OK) {
        bool known = gap != NULL && strstr(err->message, gap) != NULL;
        print_message("  %-24s %-8s refused%s: %s\n", one->name, one->dtype,
                      known ? "" : ", which is not a known gap", err->message);
        return !known;
    }
    return false;
}

/* How a sequence is run. */
struct plan {
    const char *name;
    uint32_t chunk_tokens; /* 0: the whole sequence in one step */
    uint32_t thread_count;
    uint32_t neighbour_count;
};

/* A model with room for one sequence and its neighbours. */
struct machine {
    struct forward_rig rig;
    uint32_t *block_ids; /* [1 + NEIGHBOURS, blocks_each] */
    uint32_t blocks_each;
};

static void open_machine(struct machine *machine, const struct gguf *file, enum isa isa_max,
                         uint32_t thread_count, uint32_t token_count_max)
{
    machine->blocks_each = token_count_max / BLOCK_TOKENS + 1;
    uint32_t block_count = (1 + NEIGHBOURS) * machine->blocks_each;
    machine->block_ids = zeroed(block_count, sizeof *machine->block_ids);
    for (uint32_t i = 0; i < block_count; i++) {
        machine->block_ids[i] = block_count - 1 - i;
    }
    forward_rig_open(&machine->rig, file,
                     &(struct forward_rig_options){.thread_count = thread_count,
                                                   .isa_max = isa_max,
                                                   .precision = PRECISION_F32,
                                                   .kv_dtype = DTYPE_F32,
                                                   .block_tokens = BLOCK_TOKENS,
                                                   .block_count = block_count,
                                                   .token_count_max = token_count_max +
                                                                      NEIGHBOURS * NEIGHBOUR_TOKENS,
                                                   .span_count_max = 1 + NEIGHBOURS});
}

static void close_machine(struct machine *machine)
{
    forward_rig_close(&machine->rig);
    free(machine->block_ids);
}

static void run_piece(struct machine *machine, const uint32_t *token_ids, uint32_t start,
                      uint32_t token_count, float *logits)
{
    struct forward_rig_piece piece = {
        .token_ids = token_ids,
        .block_ids = machine->block_ids,
        .start = start,
        .token_count = token_count,
        .logits = logits,
    };
    forward_rig_step(&machine->rig, &piece, 1);
}

/* ---- Parity ---- */

/* The worst of a case, and how much was compared. */
struct score {
    double tolerance; /* of the error */
    double error;     /* relative to a row's largest logit */
    uint32_t token_count;
    uint32_t tokens_equal;
};

static double largest_magnitude(const float *logits, uint32_t vocab_count)
{
    double largest = 0.0;
    for (uint32_t i = 0; i < vocab_count; i++) {
        largest = fmax(largest, fabs((double)logits[i]));
    }
    return largest;
}

static uint32_t largest_of(const float *logits, uint32_t vocab_count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab_count; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

static void note_error(struct score *score, double error)
{
    score->error = error <= score->error ? score->error : error; /* NaN comes through */
}

/* A choice further from a tie than twice the error allowed has one right answer. */
static void note_token(struct score *score, const float *logits, uint32_t vocab_count,
                       uint32_t expected, double gap)
{
    if (gap > 2.0 * score->tolerance * largest_magnitude(logits, vocab_count)) {
        score->token_count++;
        score->tokens_equal += largest_of(logits, vocab_count) == expected;
    }
}

static void compare_row(struct score *score, const float *logits, const float *expected,
                        uint32_t vocab_count)
{
    double largest = largest_magnitude(expected, vocab_count);
    for (uint32_t i = 0; i < vocab_count; i++) {
        note_error(score, fabs((double)logits[i] - (double)expected[i]) / largest);
    }
}

static double norm_of(const float *logits, uint32_t vocab_count)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < vocab_count; i++) {
        sum += (double)logits[i] * (double)logits[i];
    }
    return sqrt(sum / vocab_count);
}

/* Every position by its norm and its choice, some by every logit. */
static void compare_prompt(struct score *score, const struct family_prompt *prompt,
                           const float *logits, uint32_t vocab_count)
{
    for (uint32_t i = 0; i < prompt->token_count; i++) {
        const float *row = logits + (size_t)i * vocab_count;
        double expected = (double)prompt->norms[i];
        note_error(score, fabs(norm_of(row, vocab_count) - expected) / expected);
        note_token(score, row, vocab_count, prompt->largest[i], (double)prompt->gaps[i]);
    }
    for (uint32_t i = 0; i < prompt->row_count; i++) {
        compare_row(score, logits + (size_t)prompt->positions[i] * vocab_count,
                    prompt->logits + (size_t)i * vocab_count, vocab_count);
    }
}

/* Goes on behind the prompt, token by token, along the expected ones. */
static void compare_outputs(struct score *score, struct machine *machine,
                            const struct family_prompt *prompt, const float *prompt_logits,
                            uint32_t vocab_count)
{
    uint32_t prompt_count = prompt->token_count;
    uint32_t *token_ids = zeroed(prompt_count + prompt->output_count, sizeof *token_ids);
    float *last = zeroed(vocab_count, sizeof *last);
    memcpy(token_ids, prompt->token_ids, prompt_count * sizeof *token_ids);
    memcpy(last, prompt_logits + (size_t)(prompt_count - 1) * vocab_count,
           vocab_count * sizeof *last);
    for (uint32_t i = 0; i < prompt->output_count; i++) {
        note_token(score, last, vocab_count, prompt->output_ids[i], (double)prompt->output_gaps[i]);
        token_ids[prompt_count + i] = prompt->output_ids[i];
        run_piece(machine, token_ids, prompt_count + i, 1, last);
    }
    free(token_ids);
    free(last);
}

static struct score score_of(const struct family_case *one, const struct gguf *file,
                             double error_max)
{
    struct score score = {.tolerance = error_max};
    for (uint32_t i = 0; i < one->prompt_count; i++) {
        const struct family_prompt *prompt = &one->prompts[i];
        struct machine machine;
        open_machine(&machine, file, ISA_AUTO, 2, prompt->token_count + prompt->output_count);
        uint32_t vocab_count = machine.rig.model.params.vocab_count;
        assert_int_equal(vocab_count, one->vocab_count);
        float *logits = zeroed((size_t)prompt->token_count * vocab_count, sizeof *logits);
        run_piece(&machine, prompt->token_ids, 0, prompt->token_count, logits);
        compare_prompt(&score, prompt, logits, vocab_count);
        compare_outputs(&score, &machine, prompt, logits, vocab_count);
        free(logits);
        close_machine(&machine);
    }
    return score;
}

/* Prints the line of the table for a file of the case; whether it is right. */
static bool score_holds(const struct family_case *one, const struct gguf *file,
                        const char *type_name, double error_max)
{
    struct score score = score_of(one, file, error_max);
    bool holds = score.error <= error_max && score.tokens_equal == score.token_count;
    print_message("  %-24s %-8s error %.1e, %u of %u tokens equal%s\n", one->name, type_name,
                  score.error, score.tokens_equal, score.token_count, holds ? "" : "  <- differs");
    return holds;
}

static bool case_holds(const struct family_case *one)
{
    struct gguf file;
    struct error err = {0};
    enum status status = try_model(&file, one, &err);
    bool holds = !wrongly_treated(one, status, &err);
    if (status != OK) {
        return holds;
    }
    holds = score_holds(one, &file, one->dtype, tolerance) && holds;
    gguf_close(&file);
    return holds;
}

/* ---- Conversion ---- */

/* What sluiced makes of the model, in one type, opened and scored. Whether it holds. */
static bool conversion_holds(const struct family_case *one, const struct gguf *file,
                             const char *folder, const char *type_name, double error_max)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/%s.gguf", folder, type_name);
    struct error err = {0};
    struct quantize_totals totals;
    struct gguf converted;
    const struct quantize_options options = {
        .output = path, .type_name = type_name, .thread_count = 1, .requantize = true};
    enum status status = quantize_file(file, &options, &totals, &err);
    if (status == OK) {
        status = gguf_open(&converted, path, &err);
    }
    unlink(path);
    if (status != OK) {
        print_message("  %-24s %-8s %s\n", one->name, type_name, err.message);
        return false;
    }
    bool holds = score_holds(one, &converted, type_name, error_max);
    gguf_close(&converted);
    return holds;
}

/* f32 keeps every value; the other bounds are measured, and half as much. Of experts they allow that a
 * router chooses another one. */
static bool conversions_hold(const struct family_case *one)
{
    static const struct {
        const char *type_name;
        double error_max;
        double error_of_experts_max;
    } rows[] = {{"f32", 1e-4, 1e-4}, {"f16", 8e-3, 1.4e-1}, {"q8_0", 8e-2, 1.4e-1}};
    struct gguf file;
    struct model_params params;
    struct error err = {0};
    if (try_model(&file, one, &err) != OK) {
        return true; /* the table of parity speaks of it */
    }
    assert_int_equal(model_read_params(&params, &file, &err), OK);
    char folder[] = "/tmp/sluice-parity-XXXXXX";
    assert_non_null(mkdtemp(folder));
    bool hold = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double error_max =
            params.expert_count > 0 ? rows[i].error_of_experts_max : rows[i].error_max;
        hold = conversion_holds(one, &file, folder, rows[i].type_name, error_max) && hold;
    }
    rmdir(folder);
    gguf_close(&file);
    return hold;
}

/* ---- Batch invariance ---- */

/* One step: the sequence's next chunk, behind the neighbours' chunks. */
static void run_step(struct machine *machine, const struct family_case *one,
                     const struct plan *plan, uint32_t step, struct forward_rig_piece chunk)
{
    struct forward_rig_piece pieces[1 + NEIGHBOURS];
    uint32_t piece_count = 0;
    for (uint32_t i = 0; i < plan->neighbour_count; i++) {
        const struct family_prompt *prompt = &one->prompts[i % one->prompt_count];
        uint32_t chunk_count = (prompt->token_count + NEIGHBOUR_TOKENS - 1) / NEIGHBOUR_TOKENS;
        uint32_t start = step % chunk_count * NEIGHBOUR_TOKENS;
        uint32_t left = prompt->token_count - start;
        pieces[piece_count++] = (struct forward_rig_piece){
            .token_ids = prompt->token_ids,
            .block_ids = machine->block_ids + (size_t)(1 + i) * machine->blocks_each,
            .start = start,
            .token_count = left < NEIGHBOUR_TOKENS ? left : NEIGHBOUR_TOKENS,
        };
    }
    pieces[piece_count++] = chunk;
    forward_rig_step(&machine->rig, pieces, piece_count);
}

/* The logits of every token of the longest prompt, run as the plan says. From calloc. */
static float *logits_of(const struct family_case *one, const struct gguf *file, enum isa isa_max,
                        const struct plan *plan)
{
    const struct family_prompt *prompt = family_case_longest(one);
    struct machine machine;
    open_machine(&machine, file, isa_max, plan->thread_count, prompt->token_count);
    float *logits = zeroed((size_t)prompt->token_count * one->vocab_count, sizeof *logits);
    uint32_t chunk = plan->chunk_tokens > 0 ? plan->chunk_tokens : prompt->token_count;
    uint32_t step = 0;
    for (uint32_t start = 0; start < prompt->token_count; start += chunk) {
        uint32_t left = prompt->token_count - start;
        run_step(&machine, one, plan, step++,
                 (struct forward_rig_piece){
                     .token_ids = prompt->token_ids,
                     .block_ids = machine.block_ids,
                     .start = start,
                     .token_count = chunk < left ? chunk : left,
                     .logits = logits + (size_t)start * one->vocab_count,
                 });
    }
    close_machine(&machine);
    return logits;
}

/* Whether all plans give, on one instruction set, the bits of the whole prompt alone. */
static bool plans_agree(const struct family_case *one, const struct gguf *file, enum isa isa_max)
{
    static const struct plan alone = {"alone, whole", 0, 1, 0};
    static const struct plan plans[] = {
        {"whole, 2 threads", 0, 2, 0},
        {"chunks of 7 among neighbours", 7, 1, NEIGHBOURS},
        {"one by one, 2 threads", 1, 2, 0},
    };
    size_t byte_count =
        (size_t)family_case_longest(one)->token_count * one->vocab_count * sizeof(float);
    float *expected = logits_of(one, file, isa_max, &alone);
    bool agree = true;
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        float *logits = logits_of(one, file, isa_max, &plans[i]);
        if (memcmp(logits, expected, byte_count) != 0) {
            print_message("  %-24s %s: %s: other bits than alone\n", one->name,
                          backend_isa_name(isa_max), plans[i].name);
            agree = false;
        }
        free(logits);
    }
    free(expected);
    return agree;
}

/* On every instruction set of this processor; under TSan, a hundred times slower, on the best. */
static bool case_is_invariant(const struct family_case *one)
{
#ifdef __SANITIZE_THREAD__
    const enum isa first = ISA_AVX512;
#else
    const enum isa first = ISA_SCALAR;
#endif
    struct gguf file;
    struct error err = {0};
    if (try_model(&file, one, &err) != OK) {
        return true; /* the table of parity speaks of it */
    }
    bool agree = true;
    for (enum isa isa = first; isa < ISA_AUTO; isa++) {
        if (isa == first ||
            strcmp(backend_isa_name(isa), backend_isa_name((enum isa)(isa - 1))) != 0) {
            agree = plans_agree(one, &file, isa) && agree;
        }
    }
    gguf_close(&file);
    return agree;
}

/* ---- All cases ---- */

/* Fails, having tried them all, if one does not hold. Returns how many there are. */
static uint32_t check_cases(const char *root, bool (*holds)(const struct family_case *one))
{
    uint32_t case_count = 0;
    uint32_t failed_count = 0;
    char **names = family_case_list(root, &case_count);
    for (uint32_t i = 0; i < case_count; i++) {
        struct family_case one;
        family_case_open(&one, root, names[i]);
        failed_count += !holds(&one);
        family_case_close(&one);
    }
    family_case_list_free(names, case_count);
    if (failed_count > 0) {
        fail_msg("%u of %u cases in %s fail", failed_count, case_count, root);
    }
    return case_count;
}

static void check_generated(bool (*holds)(const struct family_case *one))
{
    const char *root = getenv("SLUICE_FAMILIES");
    if (root == NULL || root[0] == '\0') {
        print_message("skipped: SLUICE_FAMILIES names no folder of generated cases\n");
        skip();
    }
    assert_true(check_cases(root, holds) > 0);
}

static void golden_cases_are_reproduced(void **state)
{
    (void)state;
    assert_true(check_cases(golden_folder, case_holds) > 0);
}

static void golden_cases_are_batch_invariant(void **state)
{
    (void)state;
    assert_true(check_cases(golden_folder, case_is_invariant) > 0);
}

/* Conversion has one thread here: under TSan it takes minutes and shows nothing. */
static void golden_cases_survive_conversion(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip();
#endif
    assert_true(check_cases(golden_folder, conversions_hold) > 0);
}

static void generated_cases_are_reproduced(void **state)
{
    (void)state;
    check_generated(case_holds);
}

static void generated_cases_survive_conversion(void **state)
{
    (void)state;
    check_generated(conversions_hold);
}

static void generated_cases_are_batch_invariant(void **state)
{
    (void)state;
    check_generated(case_is_invariant);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_cases_are_reproduced),
        cmocka_unit_test(golden_cases_survive_conversion),
        cmocka_unit_test(golden_cases_are_batch_invariant),
        cmocka_unit_test(generated_cases_are_reproduced),
        cmocka_unit_test(generated_cases_survive_conversion),
        cmocka_unit_test(generated_cases_are_batch_invariant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
