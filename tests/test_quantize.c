/* test_quantize.c - whole model files: the tensors of the public tools, the same bytes with any number
 * of threads, logits close to the original's, and nothing left behind by a failure.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/demo_model.h"
#include "engine/formats/gguf_builder.h"
#include "engine/model.h"
#include "engine/model_file.h"
#include "engine/quantize.h"
#include "kernels/quant.h"
#include "tests/support/gguf_sample.h"
#include "tests/support/kernel_rig.h"
#include "tests/support/reference_model.h"

#include <dirent.h>
#include <math.h>
#include <unistd.h>

static char folder[64];
static char out_path[128];
static char other_path[128];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sluice-quantize-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(out_path, sizeof out_path, "%s/out.gguf", folder);
    snprintf(other_path, sizeof other_path, "%s/other.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(out_path);
    unlink(other_path);
    return rmdir(folder); /* fails when something was left behind */
}

static int entry_count(void)
{
    int count = 0;
    DIR *opened = opendir(folder);
    assert_non_null(opened);
    while (readdir(opened) != NULL) {
        count++;
    }
    closedir(opened);
    return count - 2;
}

static struct quantize_options options_of(const char *type_name)
{
    return (struct quantize_options){
        .output = out_path, .type_name = type_name, .thread_count = 2, .replace = true};
}

static void open_file(struct gguf *file, const char *path)
{
    struct error err = {0};
    if (gguf_open(file, path, &err) != OK) {
        fail_msg("%s", err.message);
    }
}

/* Writes out_path and opens it. */
static void quantize(struct gguf *out, const struct gguf *file,
                     const struct quantize_options *options)
{
    struct quantize_totals totals;
    struct error err = {0};
    if (quantize_file(file, options, &totals, &err) != OK) {
        fail_msg("%s", err.message);
    }
    open_file(out, options->output);
    assert_int_equal(totals.file_bytes, out->byte_count);
}

static const struct gguf_tensor *find_same(const struct gguf *file,
                                           const struct gguf_tensor *wanted)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)wanted->name.byte_count, wanted->name.bytes);
    const struct gguf_tensor *found = gguf_find_tensor(file, name);
    if (found == NULL) {
        fail_msg("no tensor %s", name);
    }
    return found;
}

/* Every tensor of one is in the other: shape, type and bytes. */
static void expect_same_tensors(const struct gguf *got, const struct gguf *wanted)
{
    assert_int_equal(got->tensor_count, wanted->tensor_count);
    for (uint64_t i = 0; i < wanted->tensor_count; i++) {
        const struct gguf_tensor *a = &wanted->tensors[i];
        const struct gguf_tensor *b = find_same(got, a);
        if (a->ggml_type != b->ggml_type || a->byte_count != b->byte_count ||
            memcmp(a->tensor.data, b->tensor.data, a->byte_count) != 0) {
            fail_msg("%.*s of %s: %s, but %s of other bytes was written", (int)a->name.byte_count,
                     a->name.bytes, wanted->path, a->type_name, b->type_name);
        }
    }
}

/* ---- against the public tools ---- */

static const char *data_path(char out[4096], const char *name)
{
    const char *data = test_data_folder();
    if (data == NULL) {
        return NULL;
    }
    snprintf(out, 4096, "%s/models/%s", data, name);
    return out;
}

static void plain_types_give_the_public_tools_tensors(void **state)
{
    static const char *const types[] = {"q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "f16", "bf16"};
    char path[4096];
    struct gguf source;
    (void)state;
    if (data_path(path, "tinystories-656k/derived/tinystories-656k-F32.gguf") == NULL) {
        skip();
    }
    open_file(&source, path);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char name[128];
        struct gguf wanted;
        struct gguf got;
        snprintf(name, sizeof name, "tinystories-656k/derived/tinystories-656k-%s.gguf", types[i]);
        for (char *c = strrchr(name, '-'); *c != '.'; c++) {
            *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
        }
        open_file(&wanted, data_path(path, name));
        struct quantize_options options = options_of(types[i]);
        quantize(&got, &source, &options);
        expect_same_tensors(&got, &wanted);
        /* metadata too, to the byte: both files are of one size, and differ in order of tensors */
        assert_int_equal(got.byte_count, wanted.byte_count);
        const struct gguf_entry *last = &wanted.entries[wanted.entry_count - 1];
        assert_memory_equal(got.bytes, wanted.bytes, last->offset + 4);
        gguf_close(&got);
        gguf_close(&wanted);
    }
    gguf_close(&source);
}

static void fallbacks_are_the_public_tools(void **state)
{
    char path[4096];
    struct gguf source;
    struct gguf wanted;
    struct gguf got;
    (void)state;
    if (data_path(path, "stories260K/derived/stories260K-F32.gguf") == NULL) {
        skip();
    }
    open_file(&source, path);
    open_file(&wanted, data_path(path, "stories260K/derived/stories260K-Q6_K-fallback.gguf"));
    struct quantize_options options = options_of("Q6_K");
    quantize(&got, &source, &options);
    expect_same_tensors(&got, &wanted);
    gguf_close(&got);
    gguf_close(&wanted);
    gguf_close(&source);
}

/* ---- the order of rows ---- */

/* Rows of each head of 16 from neighbours back to halves: what Hugging Face has. */
static float *split_heads(const struct gguf_tensor *tensor)
{
    uint64_t row_values = tensor_row_values(&tensor->tensor);
    uint64_t row_count = tensor_row_count(&tensor->tensor);
    const float *in = tensor->tensor.data;
    float *rows = malloc(tensor->byte_count);
    assert_non_null(rows);
    for (uint64_t row = 0; row < row_count; row++) {
        uint64_t head = row / 16;
        uint64_t within = row % 16;
        uint64_t target = head * 16 + within % 2 * 8 + within / 2;
        memcpy(rows + target * row_values, in + row * row_values, row_values * sizeof *in);
    }
    return rows;
}

/* The file as a reader of Hugging Face's directories gives it. */
static void open_in_halves(struct gguf *out, const struct gguf *file)
{
    struct gguf_builder builder;
    struct error err = {0};
    gguf_builder_init(&builder, "halves");
    gguf_builder_set_bool(&builder, "sluice.rope.halves", true);
    for (uint64_t i = 0; i < file->entry_count; i++) {
        const struct gguf_entry *entry = &file->entries[i];
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)entry->key.byte_count, entry->key.bytes);
        if (entry->type == GGUF_UINT32) {
            gguf_builder_set_u32(&builder, key, (uint32_t)entry->value.u);
        } else if (entry->type == GGUF_FLOAT32) {
            gguf_builder_set_f32(&builder, key, (float)entry->value.f);
        } else if (entry->type == GGUF_STRING) {
            gguf_builder_set_bytes(&builder, key, entry->value.string);
        } else if (entry->type == GGUF_ARRAY && entry->value.array.type == GGUF_STRING) {
            gguf_builder_set_strings(&builder, key, entry->value.array.strings,
                                     entry->value.array.element_count);
        }
    }
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        struct tensor tensor = file->tensors[i].tensor;
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)file->tensors[i].name.byte_count,
                 file->tensors[i].name.bytes);
        if (strstr(name, "attn_q.weight") != NULL || strstr(name, "attn_k.weight") != NULL) {
            float *rows = split_heads(&file->tensors[i]);
            gguf_builder_own(&builder, rows);
            tensor.data = rows;
        }
        gguf_builder_add_tensor(&builder, name, &tensor);
    }
    assert_int_equal(gguf_builder_finish(&builder, out, &err), OK);
}

static void rows_in_halves_are_put_in_the_order_of_gguf(void **state)
{
    char path[4096];
    struct gguf source;
    struct gguf halves;
    struct gguf got;
    (void)state;
    if (data_path(path, "tinystories-656k/derived/tinystories-656k-F32.gguf") == NULL) {
        skip();
    }
    open_file(&source, path);
    open_in_halves(&halves, &source);
    struct quantize_options options = options_of("f32");
    quantize(&got, &halves, &options);
    assert_null(gguf_find(&got, "sluice.rope.halves"));
    expect_same_tensors(&got, &source);
    gguf_close(&got);
    struct gguf wanted;
    open_file(&wanted, data_path(path, "tinystories-656k/derived/tinystories-656k-Q4_0.gguf"));
    options.type_name = "q4_0";
    quantize(&got, &halves, &options);
    expect_same_tensors(&got, &wanted);
    gguf_close(&got);
    gguf_close(&wanted);
    gguf_close(&halves);
    gguf_close(&source);
}

/* What the public converter made of the same directory, and what the public quantiser made of that. */
static void a_hugging_face_directory_becomes_the_public_file(void **state)
{
    static const char *const types[][2] = {{"f32", "F32"}, {"q8_0", "Q8_0"}, {"bf16", "BF16"}};
    char path[4096];
    char input[4096];
    (void)state;
    if (data_path(input, "tinystories-656k") == NULL) {
        skip();
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char name[128];
        struct gguf wanted;
        struct gguf got;
        struct quantize_totals totals;
        struct error err = {0};
        struct quantize_options options = options_of(types[i][0]);
        if (quantize_run(input, &options, &totals, &err) != OK) {
            fail_msg("%s", err.message);
        }
        snprintf(name, sizeof name, "tinystories-656k/derived/tinystories-656k-%s.gguf",
                 types[i][1]);
        open_file(&wanted, data_path(path, name));
        open_file(&got, out_path);
        expect_same_tensors(&got, &wanted);
        assert_null(gguf_find(&got, "sluice.rope.halves"));
        gguf_close(&got);
        gguf_close(&wanted);
    }
}

/* ---- a made-up file with tensors of several portions ---- */

enum {
    WIDE_ROWS = 1025,
    WIDE_VALUES = 2560, /* rows of ten blocks: portions end inside of rows */
};

static void build_wide(struct gguf_writer *writer, float odd_value)
{
    static float values[WIDE_ROWS * WIDE_VALUES];
    uint64_t seed = 21;
    kernel_rig_fill(&seed, values, sizeof values / sizeof values[0]);
    values[2 * 1048576 + 77] = odd_value; /* in the third portion */
    gguf_writer_init(writer);
    gguf_writer_add_string(writer, "general.architecture", "llama");
    gguf_writer_add_tensor(writer, "blk.0.ffn_up.weight", DTYPE_F32, 2,
                           (uint64_t[]){WIDE_ROWS, WIDE_VALUES}, values);
    gguf_writer_add_tensor(writer, "blk.0.ffn_norm.weight", DTYPE_BF16, 1, (uint64_t[]){7}, NULL);
    gguf_writer_add_tensor(writer, "blk.0.ffn_gate_inp.weight", DTYPE_F16, 2, (uint64_t[]){3, 64},
                           NULL);
    gguf_writer_add_tensor(writer, "blk.0.attn_q.bias", DTYPE_F32, 1, (uint64_t[]){9}, NULL);
    gguf_writer_add_tensor(writer, "output.weight", DTYPE_F32, 2, (uint64_t[]){2, 512}, NULL);
    gguf_writer_add_tensor(writer, "token_embd.weight", DTYPE_F32, 2, (uint64_t[]){2, 512}, NULL);
    gguf_writer_add_tensor(writer, "blk.0.ffn_down.weight", DTYPE_F16, 2, (uint64_t[]){2, 96},
                           NULL);
    gguf_writer_add_tensor(writer, "blk.0.attn_k.weight", DTYPE_F32, 2, (uint64_t[]){2, 40}, NULL);
}

static uint8_t *open_wide(struct gguf *file, float odd_value)
{
    struct gguf_writer writer;
    struct error err = {0};
    uint64_t byte_count = 0;
    build_wide(&writer, odd_value);
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    gguf_writer_release(&writer);
    assert_int_equal(gguf_parse(file, bytes, byte_count, "wide", &err), OK);
    return bytes;
}

static const char *type_of(const struct gguf *file, const char *name)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(file, name);
    assert_non_null(tensor);
    return tensor->type_name;
}

static void threads_do_not_change_a_byte(void **state)
{
    static const char *const types[] = {"q4_K", "q6_K", "q8_0", "bf16"};
    struct gguf file;
    uint8_t *bytes = open_wide(&file, 0.5f);
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct quantize_options options = options_of(types[i]);
        struct gguf first;
        options.thread_count = 1;
        quantize(&first, &file, &options);
        for (uint32_t threads = 2; threads <= 5; threads += 3) {
            struct gguf again;
            options.output = other_path;
            options.thread_count = threads;
            quantize(&again, &file, &options);
            assert_int_equal(first.byte_count, again.byte_count);
            assert_memory_equal(first.bytes, again.bytes, first.byte_count);
            gguf_close(&again);
        }
        gguf_close(&first);
    }
    gguf_close(&file);
    free(bytes);
}

static void each_tensor_gets_the_type_the_rules_say(void **state)
{
    struct gguf file;
    struct gguf got;
    uint8_t *bytes = open_wide(&file, 0.5f);
    struct quantize_options options = options_of("q4_k");
    (void)state;
    quantize(&got, &file, &options);
    assert_string_equal(type_of(&got, "blk.0.ffn_up.weight"), "q4_K");
    assert_string_equal(type_of(&got, "blk.0.ffn_norm.weight"), "f32");
    assert_string_equal(type_of(&got, "blk.0.ffn_gate_inp.weight"), "f32");
    assert_string_equal(type_of(&got, "blk.0.attn_q.bias"), "f32");
    assert_string_equal(type_of(&got, "output.weight"), "q6_K");
    assert_string_equal(type_of(&got, "token_embd.weight"), "q4_K");
    assert_string_equal(type_of(&got, "blk.0.ffn_down.weight"), "q5_0");
    assert_string_equal(type_of(&got, "blk.0.attn_k.weight"), "f16");
    gguf_close(&got);
    options.type_name = "q8_0";
    options.overrides = "blk.0.ffn_up.weight=f32,blk.*.ffn_*=q4_0,output.weight=f16";
    quantize(&got, &file, &options);
    assert_string_equal(type_of(&got, "blk.0.ffn_down.weight"), "q4_0");
    assert_string_equal(type_of(&got, "blk.0.ffn_norm.weight"), "f32");
    assert_string_equal(type_of(&got, "output.weight"), "f16");
    assert_string_equal(type_of(&got, "token_embd.weight"), "q8_0");
    assert_string_equal(type_of(&got, "blk.0.ffn_up.weight"), "f32");
    gguf_close(&got);
    gguf_close(&file);
    free(bytes);
}

struct seen {
    uint64_t count;
    double rms_max;
    double error_max;
    uint64_t bytes_after;
};

static void note_report(void *context, const struct quantize_report *report)
{
    struct seen *seen = context;
    assert_int_equal(report->index, seen->count);
    seen->count++;
    seen->bytes_after += report->bytes_after;
    seen->rms_max = fmax(seen->rms_max, report->relative_rms);
    seen->error_max = fmax(seen->error_max, report->max_error);
}

/* Errors, worked out here from both files. */
static void reports_say_what_was_lost(void **state)
{
    struct gguf file;
    struct gguf got;
    uint8_t *bytes = open_wide(&file, 0.5f);
    struct seen seen = {0};
    struct quantize_options options = options_of("q4_0");
    (void)state;
    options.report = note_report;
    options.context = &seen;
    quantize(&got, &file, &options);
    assert_int_equal(seen.count, file.tensor_count);
    const struct gguf_tensor *before = gguf_find_tensor(&file, "blk.0.ffn_up.weight");
    const struct gguf_tensor *after = gguf_find_tensor(&got, "blk.0.ffn_up.weight");
    size_t count = (size_t)WIDE_ROWS * WIDE_VALUES;
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    quant_format_get(DTYPE_Q4_0)->dequantize(values, after->tensor.data, count);
    const float *wanted = before->tensor.data;
    double squares = 0;
    double power = 0;
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)values[i] - (double)wanted[i];
        squares += difference * difference;
        power += (double)wanted[i] * (double)wanted[i];
        worst = fmax(worst, fabs(difference));
    }
    assert_true(fabs(seen.rms_max - sqrt(squares / power)) < 1e-9);
    assert_true(seen.error_max == worst);
    free(values);
    gguf_close(&got);
    gguf_close(&file);
    free(bytes);
}

static void every_kind_of_entry_goes_over(void **state)
{
    struct gguf_writer writer;
    struct error err = {0};
    uint64_t byte_count = 0;
    struct gguf file;
    struct gguf got;
    (void)state;
    gguf_writer_init(&writer);
    gguf_sample_build(&writer);
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    assert_int_equal(gguf_parse(&file, bytes, byte_count, "sample", &err), OK);
    struct quantize_options options = options_of("f32");
    quantize(&got, &file, &options);
    assert_int_equal(got.entry_count, file.entry_count + 2);
    const struct gguf_entry *last = &file.entries[file.entry_count - 1];
    assert_memory_equal(got.bytes + 24, file.bytes + 24, last->offset + 8 - 24);
    gguf_close(&got);
    gguf_close(&file);
    free(bytes);
    gguf_writer_release(&writer);
}

/* ---- the demo model ---- */

static double logits_difference(const struct gguf *a, const struct gguf *b)
{
    static const uint32_t ids[] = {0, 486, 473, 261, 411, 14, 30, 85, 32, 834, 473, 261};
    enum {
        COUNT = sizeof ids / sizeof ids[0]
    };
    struct reference_model *models[2] = {reference_model_open(a), reference_model_open(b)};
    size_t count = (size_t)reference_model_vocab_count(models[0]) * COUNT;
    double *logits[2];
    for (int m = 0; m < 2; m++) {
        logits[m] = malloc(count * sizeof *logits[m]);
        assert_non_null(logits[m]);
        reference_model_run(models[m], ids, COUNT, logits[m]);
        reference_model_close(models[m]);
    }
    double difference = 0;
    double power = 0;
    for (size_t i = 0; i < count; i++) {
        difference += pow(logits[0][i] - logits[1][i], 2);
        power += pow(logits[0][i], 2);
    }
    free(logits[0]);
    free(logits[1]);
    return sqrt(difference / power);
}

/* Relative differences of logits: for each type about a third above what was measured. */
static void logits_stay_close(void **state)
{
    static const struct {
        const char *type;
        double bound;
    } cases[] = {{"f16", 1e-3}, {"q6_K", 0.02}, {"q5_K", 0.04}, {"q4_K", 0.08}, {"q4_0", 0.1}};
    struct gguf demo;
    struct error err = {0};
    (void)state;
    assert_int_equal(demo_model_open(&demo, &err), OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf got;
        struct model model;
        struct quantize_options options = options_of(cases[i].type);
        options.requantize = true;
        quantize(&got, &demo, &options);
        assert_int_equal(model_open(&model, &got, kernel_rig_backend(ISA_SCALAR, 1), NULL, &err),
                         OK);
        model_close(&model);
        double difference = logits_difference(&demo, &got);
        print_message("   %s: %.5f\n", cases[i].type, difference);
        assert_true(difference > 0 && difference < cases[i].bound);
        gguf_close(&got);
    }
    gguf_close(&demo);
}

/* ---- failures ---- */

/* The failure leaves nothing behind and says each word. */
static void expect_failure(const char *input, const struct quantize_options *options,
                           enum status expected, const char *word)
{
    struct quantize_totals totals;
    struct error err = {0};
    int before = entry_count();
    enum status status = quantize_run(input, options, &totals, &err);
    if (status != expected || strstr(err.message, word) == NULL ||
        strchr(err.message, '\n') != NULL) {
        fail_msg("%d: %s (wanted %d, '%s')", status, err.message, expected, word);
    }
    assert_int_equal(entry_count(), before);
}

static void bad_wishes_are_refused(void **state)
{
    struct quantize_options options = options_of("q9_0");
    (void)state;
    expect_failure(NULL, &options, ERR_INVALID, "q9_0");
    options.type_name = "iq4_nl";
    expect_failure(NULL, &options, ERR_INVALID, "iq4_nl");
    options.type_name = "";
    expect_failure(NULL, &options, ERR_INVALID, "''");
    options.type_name = "q4_0";
    expect_failure(NULL, &options, ERR_INVALID, "lose twice");
    options.type_name = "f16";
    static const char *const bad[][2] = {
        {"x", "PATTERN=TYPE"},       {"=q8_0", "PATTERN=TYPE"},   {"a=b", "'b'"},
        {"a=q8_0,", "PATTERN=TYPE"}, {"no.such=q8_0", "no.such"}, {"*_norm.weight=f16", "_norm"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        options.overrides = bad[i][0];
        expect_failure(NULL, &options, ERR_INVALID, bad[i][1]);
    }
    options.overrides = NULL;
    expect_failure("/absent/model.gguf", &options, ERR_NOT_FOUND, "/absent/model.gguf");
    options.output = "/absent/out.gguf";
    expect_failure(NULL, &options, ERR_IO, "/absent/out.gguf");
}

static void rows_that_no_override_fits_are_named(void **state)
{
    struct gguf file;
    struct quantize_totals totals;
    struct error err = {0};
    uint8_t *bytes = open_wide(&file, 0.5f);
    struct quantize_options options = options_of("q8_0");
    (void)state;
    options.overrides = "blk.0.attn_k.weight=q8_0";
    assert_int_equal(quantize_file(&file, &options, &totals, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "blk.0.attn_k.weight"));
    assert_non_null(strstr(err.message, "40"));
    assert_int_equal(entry_count(), 0);
    gguf_close(&file);
    free(bytes);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void what_is_there_is_not_lost(void **state)
{
    struct quantize_options options = options_of("f16");
    struct quantize_totals totals;
    struct error err = {0};
    (void)state;
    write_text(out_path, "my thesis");
    expect_failure(NULL, &options, ERR_INVALID, "no GGUF file");
    options.replace = false;
    expect_failure(NULL, &options, ERR_INVALID, "exists");
    unlink(out_path);
    assert_int_equal(quantize_run(NULL, &options, &totals, &err), OK);
    expect_failure(NULL, &options, ERR_INVALID, "exists");
    options.replace = true;
    assert_int_equal(quantize_run(NULL, &options, &totals, &err), OK);
    /* never the input, by whatever name */
    expect_failure(out_path, &options, ERR_INVALID, "is the input");
    assert_int_equal(symlink(out_path, other_path), 0);
    options.output = other_path;
    expect_failure(out_path, &options, ERR_INVALID, "is the input");
}

static void values_that_do_not_fit_are_named(void **state)
{
    static const struct {
        float value;
        const char *type;
    } cases[] = {{NAN, "q4_K"},   {INFINITY, "f32"}, {70000.0f, "f16"}, {-1e30f, "q8_0"},
                 {3e38f, "q4_1"}, {1e12f, "q4_K"},   {1e12f, "q6_K"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf file;
        struct quantize_totals totals;
        struct error err = {0};
        uint8_t *bytes = open_wide(&file, cases[i].value);
        /* in another type than the stored one: what is copied is not looked at */
        if (strcmp(cases[i].type, "f32") == 0) {
            file.tensors[0].tensor.dtype = DTYPE_F16;
            file.tensors[0].tensor.shape[1] = WIDE_VALUES;
            ((uint16_t *)(uintptr_t)file.tensors[0].tensor.data)[2 * 1048576 + 77] = 0x7c00;
            file.tensors[0].tensor.shape[0] = WIDE_ROWS;
        }
        struct quantize_options options = options_of(cases[i].type);
        enum status status = quantize_file(&file, &options, &totals, &err);
        if (status != ERR_INVALID || strstr(err.message, "blk.0.ffn_up.weight") == NULL) {
            fail_msg("%s: %d: %s", cases[i].type, status, err.message);
        }
        assert_int_equal(entry_count(), 0);
        gguf_close(&file);
        free(bytes);
    }
}

/* Of a mixture whose experts have a tensor each, the names and bytes of today's files; how the file
 * computes is for check_parity.c. */
static void experts_are_joined(void **state)
{
    static const char *const parts[] = {"gate", "up", "down"};
    static const char *const input = "tests/golden/families/mixtral-base";
    struct quantize_options options = options_of("f32");
    struct quantize_totals totals;
    struct gguf apart;
    struct gguf file;
    struct error err = {0};
    (void)state;
    assert_int_equal(model_file_open(&apart, input, &err), OK);
    assert_int_equal(quantize_run(input, &options, &totals, &err), OK);
    open_file(&file, out_path);
    for (uint32_t p = 0; p < 3; p++) {
        char name[64];
        snprintf(name, sizeof name, "blk.1.ffn_%s_exps.weight", parts[p]);
        const struct gguf_tensor *joined = gguf_find_tensor(&file, name);
        assert_non_null(joined);
        assert_int_equal(joined->tensor.dim_count, 3);
        assert_int_equal(joined->tensor.shape[0], 5);
        const float *values = joined->tensor.data;
        for (uint32_t e = 0; e < 5; e++) {
            snprintf(name, sizeof name, "blk.1.ffn_%s.%u.weight", parts[p], e);
            assert_null(gguf_find_tensor(&file, name));
            const struct tensor *one = &gguf_find_tensor(&apart, name)->tensor;
            uint64_t count = one->shape[0] * one->shape[1];
            float *expected = calloc(count, sizeof *expected);
            assert_non_null(expected);
            quant_format_get(one->dtype)->dequantize(expected, one->data, count);
            assert_memory_equal(values, expected, count * sizeof *expected);
            values += count;
            free(expected);
        }
    }
    gguf_close(&file);
    gguf_close(&apart);
}

static volatile sig_atomic_t stop;

static void stop_after_first(void *context, const struct quantize_report *report)
{
    (void)context;
    (void)report;
    stop = 1;
}

static void a_signal_leaves_no_file(void **state)
{
    struct quantize_options options = options_of("f16");
    (void)state;
    options.stop = &stop;
    options.report = stop_after_first;
    stop = 0;
    expect_failure(NULL, &options, ERR_CANCELLED, "interrupted");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(plain_types_give_the_public_tools_tensors),
        TEST(fallbacks_are_the_public_tools),
        TEST(rows_in_halves_are_put_in_the_order_of_gguf),
        TEST(a_hugging_face_directory_becomes_the_public_file),
        TEST(threads_do_not_change_a_byte),
        TEST(each_tensor_gets_the_type_the_rules_say),
        TEST(reports_say_what_was_lost),
        TEST(every_kind_of_entry_goes_over),
        TEST(logits_stay_close),
        TEST(bad_wishes_are_refused),
        TEST(rows_that_no_override_fits_are_named),
        TEST(what_is_there_is_not_lost),
        TEST(values_that_do_not_fit_are_named),
        TEST(experts_are_joined),
        TEST(a_signal_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
