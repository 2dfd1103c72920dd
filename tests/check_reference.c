/* Are the numbers right? Logits against the double-precision reference model for every weight
 * type, family and rope scaling; and against what an independent float64 program wrote down about
 * two trained models (reference.json), where the test data is there.
 * The error of a row of logits is its largest deviation over its largest value: float32 sums of a
 * few hundred products leave about 1e-6, a wrong formula 1e-2 or more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/model_file.h"
#include "kernels/quant.h"
#include "tests/support/forward_rig.h"
#include "tests/support/reference_model.h"
#include "tests/support/synth_model.h"

#include <jansson.h>
#include <math.h>

enum {
    TOKENS = 48, /* three times the original context of the scaled models */
    BLOCK_TOKENS = 16,
    TEXT_TOKENS_MAX = 512, /* the longest text of the test data has 416 */
};

static const double f32_tolerance = 1e-5;
static const double trained_tolerance = 1e-5;
static const char *const archs[] = {"llama", "qwen2", "qwen3", "qwen2moe", "qwen3moe"};

static void *zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count > 0 ? count : 1, bytes);
    assert_non_null(memory);
    return memory;
}

/* A file with the model it makes, run in one piece. */
struct machine {
    struct forward_rig rig;
    uint32_t *block_ids;
    uint32_t token_count_max;
};

static void open_machine(struct machine *machine, const struct gguf *file, enum isa isa_max,
                         enum precision precision, enum dtype kv_dtype, uint32_t token_count_max)
{
    uint32_t block_count = token_count_max / BLOCK_TOKENS + 1;
    machine->token_count_max = token_count_max;
    machine->block_ids = zeroed(block_count, sizeof *machine->block_ids);
    for (uint32_t i = 0; i < block_count; i++) {
        machine->block_ids[i] = block_count - 1 - i;
    }
    forward_rig_open(&machine->rig, file,
                     &(struct forward_rig_options){.thread_count = 2,
                                                   .isa_max = isa_max,
                                                   .precision = precision,
                                                   .kv_dtype = kv_dtype,
                                                   .block_tokens = BLOCK_TOKENS,
                                                   .block_count = block_count,
                                                   .token_count_max = token_count_max,
                                                   .span_count_max = 1});
}

static void close_machine(struct machine *machine)
{
    forward_rig_close(&machine->rig);
    free(machine->block_ids);
}

static void run_machine(struct machine *machine, const uint32_t *token_ids, uint32_t start,
                        uint32_t token_count, float *logits)
{
    assert_true(start + token_count <= machine->token_count_max);
    struct forward_rig_piece piece = {
        .token_ids = token_ids,
        .block_ids = machine->block_ids,
        .start = start,
        .token_count = token_count,
        .logits = logits,
    };
    forward_rig_step(&machine->rig, &piece, 1);
}

/* The largest error of any row, each relative to the row's largest logit. */
static double worst_error(const float *logits, const double *expected, uint32_t row_count,
                          uint32_t vocab_count)
{
    double worst = 0.0;
    for (uint32_t row = 0; row < row_count; row++) {
        double largest = 0.0;
        double deviation = 0.0;
        for (uint32_t i = 0; i < vocab_count; i++) {
            size_t at = (size_t)row * vocab_count + i;
            largest = fmax(largest, fabs(expected[at]));
            double difference = fabs((double)logits[at] - expected[at]);
            deviation = difference <= deviation ? deviation : difference; /* NaN comes through */
        }
        double error = deviation / largest;
        worst = error <= worst ? worst : error;
    }
    return worst;
}

static void compare_on_isa(const struct synth_options *options, const struct gguf *file,
                           enum isa isa_max, const double *expected, const uint32_t *token_ids)
{
    struct machine machine;
    open_machine(&machine, file, isa_max, PRECISION_F32, DTYPE_F32, TOKENS);
    float *logits = zeroed((size_t)TOKENS * options->vocab_count, sizeof *logits);
    run_machine(&machine, token_ids, 0, TOKENS, logits);
    double error = worst_error(logits, expected, TOKENS, options->vocab_count);
    print_message("  %-6s %-6s %-6s rope %d: error %.2g\n", backend_isa_name(isa_max),
                  options->arch, quant_format_get(options->dtype)->name, (int)options->rope, error);
    assert_true(error < f32_tolerance);
    free(logits);
    close_machine(&machine);
}

/* Writes the model, runs it in double precision, and on every instruction set there is. */
static void compare(const struct synth_options *options)
{
    uint64_t byte_count = 0;
    struct gguf file;
    struct error err;
    uint8_t *bytes = synth_model_bytes(options, &byte_count);
    assert_non_null(bytes);
    assert_int_equal(gguf_parse(&file, bytes, byte_count, "synthetic", &err), OK);
    uint32_t token_ids[TOKENS];
    for (uint32_t i = 0; i < TOKENS; i++) {
        token_ids[i] = (i * i * 31 + i * 7 + 3) % options->vocab_count;
    }
    struct reference_model *reference = reference_model_open(&file);
    double *expected = zeroed((size_t)TOKENS * options->vocab_count, sizeof *expected);
    reference_model_run(reference, token_ids, TOKENS, expected);
    for (enum isa isa = ISA_SCALAR; isa < ISA_AUTO; isa++) {
        if (isa == ISA_SCALAR ||
            strcmp(backend_isa_name(isa), backend_isa_name((enum isa)(isa - 1))) != 0) {
            compare_on_isa(options, &file, isa, expected, token_ids);
        }
    }
    reference_model_close(reference);
    free(expected);
    gguf_close(&file);
    free(bytes);
}

static void preset(struct synth_options *options, const char *arch)
{
    assert_true(synth_model_preset(options, "micro"));
    options->arch = arch;
    options->rope_original = TOKENS / 3;
}

static void every_family_agrees_under_every_rope_scaling(void **state)
{
    (void)state;
    static const enum synth_rope ropes[] = {SYNTH_ROPE_PLAIN, SYNTH_ROPE_LINEAR, SYNTH_ROPE_YARN,
                                            SYNTH_ROPE_LLAMA3};
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++) {
        for (size_t j = 0; j < sizeof ropes / sizeof ropes[0]; j++) {
            struct synth_options options;
            preset(&options, archs[i]);
            options.rope = ropes[j];
            options.head_dim = 64; /* with this base, YaRN's ramp has seven pairs */
            options.rope_theta = 100.0f;
            options.tied = j % 2 == 0;
            compare(&options);
        }
    }
}

static void every_weight_type_agrees(void **state)
{
    (void)state;
    for (enum dtype dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        struct synth_options options;
        preset(&options, archs[dtype % 3]);
        options.dim = 256;
        options.head_dim = 64;
        options.ffn_dim = 512;
        options.dtype = dtype;
        options.output_dtype = dtype;
        compare(&options);
    }
}

static void head_shapes_out_of_the_ordinary_agree(void **state)
{
    (void)state;
    const struct {
        uint32_t head_count;
        uint32_t kv_head_count;
        uint32_t head_dim; /* Qwen 3: head_count * head_dim is not dim */
    } rows[] = {{6, 2, 10}, {1, 1, 64}, {8, 8, 8}, {5, 1, 26}, {14, 2, 64}, {4, 2, 128}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct synth_options options;
        preset(&options, archs[i % 3]);
        options.head_count = rows[i].head_count;
        options.kv_head_count = rows[i].kv_head_count;
        options.head_dim = rows[i].head_dim;
        compare(&options);
    }
}

static const char *const expert_archs[] = {"qwen2moe", "qwen3moe"};

static void every_weight_type_agrees_in_experts(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * DTYPE_COUNT; i++) {
        struct synth_options options;
        preset(&options, expert_archs[i % 2]);
        options.dim = 256;
        options.head_dim = 64;
        options.expert_ffn_dim = 256;
        options.shared_ffn_dim = 512;
        options.dtype = (enum dtype)(i / 2);
        options.output_dtype = options.dtype;
        compare(&options);
    }
}

static void expert_shapes_and_routers_out_of_the_ordinary_agree(void **state)
{
    (void)state;
    const struct {
        uint32_t expert_count;
        uint32_t used_count;
        uint32_t expert_ffn_dim;
        uint32_t shared_ffn_dim;
        enum synth_router router;
    } rows[] = {
        {1, 1, 33, 1, SYNTH_ROUTER_PLAIN},   {4, 4, 48, 80, SYNTH_ROUTER_PLAIN},
        {64, 8, 16, 40, SYNTH_ROUTER_PLAIN}, {8, 1, 48, 80, SYNTH_ROUTER_PLAIN},
        {6, 2, 48, 80, SYNTH_ROUTER_EQUAL}, /* four experts without a row */
        {6, 1, 48, 80, SYNTH_ROUTER_EQUAL}, /* all rows on one */
        {8, 3, 48, 80, SYNTH_ROUTER_PAIRS}, /* the last of three is always one of two equals */
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct synth_options options;
        preset(&options, expert_archs[i % 2]);
        options.expert_count = rows[i / 2].expert_count;
        options.expert_used_count = rows[i / 2].used_count;
        options.expert_ffn_dim = rows[i / 2].expert_ffn_dim;
        options.shared_ffn_dim = rows[i / 2].shared_ffn_dim;
        options.router = rows[i / 2].router;
        compare(&options);
    }
}

/* The shape of the trained mixture of experts that the demonstration uses. */
static void a_small_mixture_of_experts_agrees(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F16, DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_K};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        struct synth_options options;
        assert_true(synth_model_preset(&options, "tiny-moe"));
        options.dtype = dtypes[i];
        options.output_dtype = dtypes[i];
        compare(&options);
    }
}

/* ---- trained models: files of several writers (M-50); check_parity.c has those of transformers,
 * test_quantize.c our own ---- */

/* A trained model in one weight type, what is known about it, and the machine that runs it. */
struct trained {
    struct gguf file;
    json_t *reference;
    struct machine machine;
};

static void open_trained_files(struct trained *trained, const char *reference_path,
                               const char *model_path, enum precision precision,
                               enum dtype kv_dtype)
{
    json_error_t json_err;
    trained->reference = json_load_file(reference_path, 0, &json_err);
    assert_non_null(trained->reference);
    struct error err;
    if (model_file_open(&trained->file, model_path, &err) != OK) {
        fail_msg("%s", err.message);
    }
    open_machine(&trained->machine, &trained->file, ISA_AUTO, precision, kv_dtype, TEXT_TOKENS_MAX);
}

static void open_trained(struct trained *trained, const char *data, const char *model,
                         const char *variant, enum precision precision, enum dtype kv_dtype)
{
    char reference_path[4096];
    char model_path[4096];
    snprintf(reference_path, sizeof reference_path, "%s/models/%s/reference.json", data, model);
    snprintf(model_path, sizeof model_path, "%s/models/%s/derived/%s-%s.gguf", data, model, model,
             variant);
    open_trained_files(trained, reference_path, model_path, precision, kv_dtype);
}

static void close_trained(struct trained *trained)
{
    close_machine(&trained->machine);
    gguf_close(&trained->file);
    json_decref(trained->reference);
}

/* The ids of a JSON array; from calloc. */
static uint32_t *read_ids(const json_t *array, uint32_t *token_count)
{
    *token_count = (uint32_t)json_array_size(array);
    uint32_t *token_ids = zeroed(*token_count + 1, sizeof *token_ids);
    for (uint32_t i = 0; i < *token_count; i++) {
        token_ids[i] = (uint32_t)json_integer_value(json_array_get(array, i));
    }
    return token_ids;
}

static uint32_t largest_of(const float *logits, uint32_t vocab_count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab_count; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

/* Token by token, each the model's own choice. Returns how many texts were far enough from a tie
 * to be held to the reference: 0 or 1. */
static uint32_t check_greedy(struct machine *machine, const json_t *entry, double gap)
{
    if (json_number_value(json_object_get(entry, "min_top2_gap")) < gap) {
        return 0;
    }
    uint32_t vocab_count = machine->rig.model.params.vocab_count;
    uint32_t prompt_count = 0;
    uint32_t output_count = 0;
    uint32_t *prompt = read_ids(json_object_get(entry, "prompt_ids"), &prompt_count);
    uint32_t *expected = read_ids(json_object_get(entry, "output_ids"), &output_count);
    uint32_t *token_ids = zeroed(prompt_count + output_count, sizeof *token_ids);
    float *logits = zeroed((size_t)prompt_count * vocab_count, sizeof *logits);
    memcpy(token_ids, prompt, prompt_count * sizeof *prompt);
    run_machine(machine, token_ids, 0, prompt_count, logits);
    const float *last = logits + (size_t)(prompt_count - 1) * vocab_count;
    for (uint32_t i = 0; i < output_count; i++) {
        uint32_t position = prompt_count + i;
        token_ids[position] = largest_of(last, vocab_count);
        if (token_ids[position] != expected[i]) {
            fail_msg("\"%s\": output %u is %u, not %u",
                     json_string_value(json_object_get(entry, "prompt")), i, token_ids[position],
                     expected[i]);
        }
        run_machine(machine, token_ids, position, 1, logits);
        last = logits;
    }
    assert_true(output_count > 0);
    free(prompt);
    free(expected);
    free(token_ids);
    free(logits);
    return 1;
}

/* Written with five decimals, of logits up to about 20. */
static void check_logits(struct machine *machine, const json_t *entry)
{
    uint32_t vocab_count = machine->rig.model.params.vocab_count;
    uint32_t prompt_count = 0;
    uint32_t *prompt = read_ids(json_object_get(entry, "prompt_ids"), &prompt_count);
    float *logits = zeroed((size_t)prompt_count * vocab_count, sizeof *logits);
    run_machine(machine, prompt, 0, prompt_count, logits);
    const float *last = logits + (size_t)(prompt_count - 1) * vocab_count;
    const json_t *all = json_object_get(entry, "all");
    assert_int_equal(json_array_size(all), vocab_count);
    for (uint32_t i = 0; i < vocab_count; i++) {
        double expected = json_number_value(json_array_get(all, i));
        assert_true(fabs((double)last[i] - expected) < 2e-4);
    }
    const json_t *top = json_object_get(entry, "top10");
    assert_int_equal(largest_of(last, vocab_count),
                     json_integer_value(json_array_get(json_array_get(top, 0), 0)));
    free(prompt);
    free(logits);
}

/* The logarithm of the sum of all exponentials. */
static double log_total(const float *logits, uint32_t vocab_count)
{
    double largest = (double)logits[largest_of(logits, vocab_count)];
    double total = 0.0;
    for (uint32_t i = 0; i < vocab_count; i++) {
        total += exp((double)logits[i] - largest);
    }
    /* The largest itself has added 1. */
    return largest + log(fmax(total, 1.0));
}

static double negative_log_likelihood(const float *logits, uint32_t vocab_count, uint32_t token_id)
{
    return log_total(logits, vocab_count) - (double)logits[token_id];
}

/* The mean over a text's tokens but the first, for logits [token_count, vocab]. */
static double mean_nll(const float *logits, uint32_t vocab_count, const uint32_t *token_ids,
                       uint32_t token_count)
{
    double sum = 0.0;
    for (uint32_t i = 0; i + 1 < token_count; i++) {
        sum += negative_log_likelihood(logits + (size_t)i * vocab_count, vocab_count,
                                       token_ids[i + 1]);
    }
    return sum / (token_count - 1);
}

/* The largest relative error of the mean negative log-likelihood of a text. */
static double worst_nll_error(struct trained *trained)
{
    uint32_t vocab_count = trained->machine.rig.model.params.vocab_count;
    double worst = 0.0;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(trained->reference, "teacher_forced"), i, entry)
    {
        uint32_t token_count = 0;
        uint32_t *token_ids = read_ids(json_object_get(entry, "ids"), &token_count);
        float *logits = zeroed((size_t)token_count * vocab_count, sizeof *logits);
        run_machine(&trained->machine, token_ids, 0, token_count, logits);
        double expected = json_number_value(json_object_get(entry, "mean_nll"));
        double nll = mean_nll(logits, vocab_count, token_ids, token_count);
        double error = fabs(nll - expected) / expected;
        worst = error <= worst ? worst : error;
        free(token_ids);
        free(logits);
    }
    return worst;
}

/* Greedy ids of every text whose choices were all `gap` apart; there are some of them. */
static void check_texts(struct trained *trained, double gap)
{
    uint32_t checked_count = 0;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(trained->reference, "greedy"), i, entry)
    {
        checked_count += check_greedy(&trained->machine, entry, gap);
    }
    assert_true(checked_count >= 2);
}

static const char *const trained_models[] = {"stories260K", "tinystories-656k"};

static void trained_models_in_f32_are_reproduced(void **state)
{
    (void)state;
    const char *data = test_data_folder();
    if (data == NULL) {
        skip();
    }
    for (size_t m = 0; m < sizeof trained_models / sizeof trained_models[0]; m++) {
        struct trained trained;
        open_trained(&trained, data, trained_models[m], "F32", PRECISION_F32, DTYPE_F32);
        double error = worst_nll_error(&trained);
        print_message("  %s F32: NLL off by %.2g\n", trained_models[m], error);
        assert_true(error < 1e-5);
        check_texts(&trained, 0.0);
        size_t i;
        json_t *entry;
        json_array_foreach(json_object_get(trained.reference, "logits"), i, entry)
        {
            check_logits(&trained.machine, entry);
        }
        close_trained(&trained);
    }
}

/* The logits of the first text, from a file or directory. */
static float *first_text_logits(const char *reference_path, const char *model_path,
                                uint32_t *value_count)
{
    struct trained trained;
    uint32_t token_count = 0;
    open_trained_files(&trained, reference_path, model_path, PRECISION_F32, DTYPE_F32);
    const json_t *text = json_array_get(json_object_get(trained.reference, "teacher_forced"), 0);
    uint32_t *token_ids = read_ids(json_object_get(text, "ids"), &token_count);
    *value_count = token_count * trained.machine.rig.model.params.vocab_count;
    float *logits = zeroed(*value_count, sizeof *logits);
    run_machine(&trained.machine, token_ids, 0, token_count, logits);
    free(token_ids);
    close_trained(&trained);
    return logits;
}

/* A Hugging Face directory: against its own reference, and against the file that was converted from
 * it, where the rows of q and k are in another order. */
static void a_trained_directory_is_reproduced(void **state)
{
    (void)state;
    const char *data = test_data_folder();
    if (data == NULL) {
        skip();
    }
    struct trained trained;
    char reference_path[4096];
    char folder[4096];
    char converted[4096];
    snprintf(folder, sizeof folder, "%s/models/tinystories-656k", data);
    snprintf(reference_path, sizeof reference_path, "%s/models/tinystories-656k/reference.json",
             data);
    snprintf(converted, sizeof converted,
             "%s/models/tinystories-656k/derived/tinystories-656k-F32.gguf", data);
    open_trained_files(&trained, reference_path, folder, PRECISION_F32, DTYPE_F32);
    double error = worst_nll_error(&trained);
    print_message("  tinystories-656k, directory: NLL off by %.2g\n", error);
    assert_true(error < 1e-5);
    check_texts(&trained, 0.0);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(trained.reference, "logits"), i, entry)
    {
        check_logits(&trained.machine, entry);
    }
    close_trained(&trained);

    uint32_t value_count = 0;
    float *of_folder = first_text_logits(reference_path, folder, &value_count);
    float *of_file = first_text_logits(reference_path, converted, &value_count);
    for (uint32_t v = 0; v < value_count; v++) {
        assert_true(fabs((double)of_folder[v] - (double)of_file[v]) < 1e-4);
    }
    free(of_folder);
    free(of_file);
}

/* 11 bits of mantissa move the logits of these models by up to about 0.01. */
static void keys_and_values_in_f16_change_no_clear_choice(void **state)
{
    (void)state;
    const char *data = test_data_folder();
    if (data == NULL) {
        skip();
    }
    for (size_t m = 0; m < sizeof trained_models / sizeof trained_models[0]; m++) {
        struct trained trained;
        open_trained(&trained, data, trained_models[m], "F32", PRECISION_F32, DTYPE_F16);
        double error = worst_nll_error(&trained);
        print_message("  %s F32, f16 KV: NLL off by %.2g\n", trained_models[m], error);
        assert_true(error < 2e-4);
        check_texts(&trained, 0.02);
        close_trained(&trained);
    }
}

/* Against the reference model on the same file, over the first text. */
static void check_against_double(struct trained *trained)
{
    uint32_t vocab_count = trained->machine.rig.model.params.vocab_count;
    uint32_t token_count = 0;
    const json_t *text = json_array_get(json_object_get(trained->reference, "teacher_forced"), 0);
    uint32_t *token_ids = read_ids(json_object_get(text, "ids"), &token_count);
    float *logits = zeroed((size_t)token_count * vocab_count, sizeof *logits);
    double *expected = zeroed((size_t)token_count * vocab_count, sizeof *expected);
    struct reference_model *reference = reference_model_open(&trained->file);
    reference_model_run(reference, token_ids, token_count, expected);
    run_machine(&trained->machine, token_ids, 0, token_count, logits);
    double error = worst_error(logits, expected, token_count, vocab_count);
    print_message("    against double precision: error %.2g\n", error);
    assert_true(error < trained_tolerance);
    reference_model_close(reference);
    free(token_ids);
    free(logits);
    free(expected);
}

/* Bounds: what each quantisation costs these models in likelihood, measured, and half as much. */
static void trained_models_in_other_types_stay_close(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        const char *variant;
        double nll_tolerance;
    } rows[] = {
        {"stories260K", "F16", 2.5e-4},       {"stories260K", "Q6_K-fallback", 1.2e-2},
        {"tinystories-656k", "F16", 1e-4},    {"tinystories-656k", "BF16", 1e-4},
        {"tinystories-656k", "Q8_0", 3e-3},   {"tinystories-656k", "Q5_1", 1.5e-2},
        {"tinystories-656k", "Q5_0", 1.2e-2}, {"tinystories-656k", "Q4_1", 7.5e-2},
        {"tinystories-656k", "Q4_0", 4.5e-2}, {"tinystories-656k", "IQ4_NL", 2.5e-2},
    };
    const char *data = test_data_folder();
    if (data == NULL) {
        skip();
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trained trained;
        open_trained(&trained, data, rows[i].model, rows[i].variant, PRECISION_F32, DTYPE_F32);
        double error = worst_nll_error(&trained);
        print_message("  %s %s: NLL off by %.2g\n", rows[i].model, rows[i].variant, error);
        assert_true(error < rows[i].nll_tolerance);
        check_against_double(&trained);
        close_trained(&trained);
    }
}

/* What all texts' logits are with one precision, one text behind the other. */
struct said {
    float *logits;
    size_t row_count;
    uint32_t vocab_count;
    double mean_nll; /* of the texts */
};

static struct said say_texts(const char *variant, enum precision precision, const char *data)
{
    struct trained trained;
    struct said said = {.logits = NULL};
    open_trained(&trained, data, "tinystories-656k", variant, precision, DTYPE_F32);
    said.vocab_count = trained.machine.rig.model.params.vocab_count;
    const json_t *texts = json_object_get(trained.reference, "teacher_forced");
    said.logits =
        zeroed(json_array_size(texts) * TEXT_TOKENS_MAX * said.vocab_count, sizeof *said.logits);
    size_t i;
    json_t *entry;
    json_array_foreach(texts, i, entry)
    {
        uint32_t token_count = 0;
        uint32_t *token_ids = read_ids(json_object_get(entry, "ids"), &token_count);
        float *logits = said.logits + said.row_count * said.vocab_count;
        run_machine(&trained.machine, token_ids, 0, token_count, logits);
        said.mean_nll += mean_nll(logits, said.vocab_count, token_ids, token_count) /
                         (double)json_array_size(texts);
        said.row_count += token_count;
        free(token_ids);
    }
    close_trained(&trained);
    return said;
}

/* The mean divergence of one precision's predictions from another's, in nats: unlike the
 * likelihood of a text it has no sign, so errors cannot cancel. */
static double mean_divergence(const struct said *said, const struct said *expected)
{
    double sum = 0.0;
    for (size_t row = 0; row < expected->row_count; row++) {
        const float *p = expected->logits + row * expected->vocab_count;
        const float *q = said->logits + row * expected->vocab_count;
        double p_total = log_total(p, expected->vocab_count);
        double q_total = log_total(q, expected->vocab_count);
        for (uint32_t i = 0; i < expected->vocab_count; i++) {
            double p_log = (double)p[i] - p_total;
            sum += exp(p_log) * (p_log - ((double)q[i] - q_total));
        }
    }
    return sum / (double)expected->row_count;
}

/* Against f32 inputs on the same file. Bounds: measured, and half as much. */
static void integer_inputs_cost_next_to_no_likelihood(void **state)
{
    (void)state;
    static const struct {
        enum precision precision;
        const char *name;
        double nll_tolerance;
        double divergence_tolerance;
    } rows[] = {{PRECISION_A16, "a16", 1e-5, 1e-8},
                {PRECISION_AUTO, "auto", 9e-4, 6e-4},
                {PRECISION_A8, "a8", 1.5e-3, 9e-4}};
    static const char *const variants[] = {"Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL"};
    const char *data = test_data_folder();
    if (data == NULL) {
        skip();
    }
    for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++) {
        struct said expected = say_texts(variants[v], PRECISION_F32, data);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct said said = say_texts(variants[v], rows[i].precision, data);
            double error = fabs(said.mean_nll / expected.mean_nll - 1.0);
            double divergence = mean_divergence(&said, &expected);
            print_message("  %s %s: NLL off by %.2g, divergence %.2g\n", variants[v], rows[i].name,
                          error, divergence);
            assert_true(error < rows[i].nll_tolerance);
            assert_true(divergence < rows[i].divergence_tolerance);
            free(said.logits);
        }
        free(expected.logits);
    }
}

/* The shipped models, against what the float32 definition they were trained with computes from the
 * weights as stored (tests/reference/demo/golden.py). */
static void demo_models_are_reproduced(void **state)
{
    (void)state;
    static const char *const names[] = {"sluice-demo", "sluice-demo-draft", "sluice-demo-moe"};
    for (size_t m = 0; m < sizeof names / sizeof names[0]; m++) {
        char reference_path[128];
        char model_path[128];
        snprintf(reference_path, sizeof reference_path, "tests/golden/demo/%s.json", names[m]);
        snprintf(model_path, sizeof model_path, "configs/demo/%s.gguf", names[m]);
        struct trained trained;
        open_trained_files(&trained, reference_path, model_path, PRECISION_F32, DTYPE_F32);
        double error = worst_nll_error(&trained);
        print_message("  %s: NLL off by %.2g\n", names[m], error);
        assert_true(error < 1e-5);
        check_texts(&trained, 1e-3);
        check_logits(&trained.machine,
                     json_array_get(json_object_get(trained.reference, "logits"), 0));
        check_against_double(&trained);
        close_trained(&trained);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_agrees_under_every_rope_scaling),
        cmocka_unit_test(every_weight_type_agrees),
        cmocka_unit_test(head_shapes_out_of_the_ordinary_agree),
        cmocka_unit_test(every_weight_type_agrees_in_experts),
        cmocka_unit_test(expert_shapes_and_routers_out_of_the_ordinary_agree),
        cmocka_unit_test(a_small_mixture_of_experts_agrees),
        cmocka_unit_test(demo_models_are_reproduced),
        cmocka_unit_test(trained_models_in_f32_are_reproduced),
        cmocka_unit_test(a_trained_directory_is_reproduced),
        cmocka_unit_test(keys_and_values_in_f16_change_no_clear_choice),
        cmocka_unit_test(trained_models_in_other_types_stay_close),
        cmocka_unit_test(integer_inputs_cost_next_to_no_likelihood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
