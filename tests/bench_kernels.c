/* bench_kernels.c - time of each op beside the ceilings of this machine, measured in the same run.
 *
 * Prints 'name value unit' lines. Every figure is the best of several turns: other work on the
 * machine only ever adds time. Usage: bench_kernels [threads [isa [name]]], with isa scalar, avx2
 * or avx512 and name the beginning of the lines wanted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/ceilings.h"
#include "tests/support/kernel_rig.h"

#include "kernels/cpu/threads.h"
#include "kernels/quant.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

enum {
    TURNS = 7,
    STREAM_BYTES = 192 << 20, /* well beyond the last-level cache */
};

struct bench {
    struct backend *be;
    uint32_t thread_count;
    enum isa isa_max;
    const char *wanted;
    double bandwidth; /* bytes a second */
    double flops;     /* a second; 0 when not known */
    double byte_ops;  /* a second, of products of bytes; 0 when not known */
};

typedef void (*bench_fn)(struct backend *be, const void *args);

/* Wall time; of a single thread its processor time, which a busy machine does not lengthen. */
static double seconds_now(uint32_t thread_count)
{
    struct timespec now;
    clock_gettime(thread_count == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Seconds of one call: the best turn of enough calls to be measurable. */
static double time_of(const struct bench *bench, bench_fn op, const void *args)
{
    double best = INFINITY;
    uint32_t calls = 1;
    for (int turn = 0; turn < TURNS;) {
        double start = seconds_now(bench->thread_count);
        for (uint32_t i = 0; i < calls; i++) {
            op(bench->be, args);
        }
        double spent = seconds_now(bench->thread_count) - start;
        if (spent < 0.005 && calls < 1u << 20) {
            calls *= 2;
            continue;
        }
        best = spent / calls < best ? spent / calls : best;
        turn++;
    }
    return best;
}

static bool is_wanted(const struct bench *bench, const char *name)
{
    return strncmp(name, bench->wanted, strlen(bench->wanted)) == 0;
}

/* `peak`: operations a second that the machine could do, 0 when not known. The roof is the longer
 * of what memory and arithmetic need at their ceilings. */
static void report_peak(const struct bench *bench, const char *name, double seconds, double bytes,
                        double flops, double peak)
{
    printf("%s.us %.1f us\n", name, seconds * 1e6);
    printf("%s.bandwidth %.1f GB/s\n", name, bytes / seconds * 1e-9);
    printf("%s.of_bandwidth %.0f %%\n", name, 100 * bytes / seconds / bench->bandwidth);
    if (flops > 0) {
        printf("%s.compute %.1f GFLOP/s\n", name, flops / seconds * 1e-9);
    }
    if (flops > 0 && peak > 0) {
        double roof = fmax(bytes / bench->bandwidth, flops / peak);
        printf("%s.of_compute %.0f %%\n", name, 100 * flops / seconds / peak);
        printf("%s.of_roof %.0f %%\n", name, 100 * roof / seconds);
    }
    fflush(stdout);
}

static void report(const struct bench *bench, const char *name, double seconds, double bytes,
                   double flops)
{
    report_peak(bench, name, seconds, bytes, flops, bench->flops);
}

static void measure_ceilings(struct bench *bench)
{
    struct ceilings ceilings = ceilings_measure(bench->thread_count);
    bench->bandwidth = ceilings.read;
    bench->flops = ceilings.fma;
    bench->byte_ops = ceilings.dot;
    ceilings_print(&ceilings);
}

/* ---- ops ---- */

static void call_matmul(struct backend *be, const void *args)
{
    be->ops->matmul(be, args);
}

/* A backend for one case, so that its packed weights go with it. */
static struct backend *open_backend(const struct bench *bench)
{
    struct backend *be = NULL;
    struct error err = {0};
    struct backend_options options = {
        .name = "cpu", .thread_count = bench->thread_count, .isa_max = bench->isa_max};
    if (backend_open(&be, &options, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    return be;
}

/* With the stored weight and f32 inputs, or with a packed one and inputs of 8 or 16 bits. */
static double time_matmul(const struct bench *bench, struct matmul_args *args, const char *inputs)
{
    struct matmul_args packed = *args;
    struct tensor weight = *args->weight;
    struct error err = {0};
    struct bench own = *bench;
    if (strcmp(inputs, "f32") == 0) {
        return time_of(bench, call_matmul, args);
    }
    weight.use = strcmp(inputs, "a16") == 0 ? TENSOR_PRODUCT_FINE : TENSOR_PRODUCT;
    packed.weight = &weight;
    own.be = open_backend(bench);
    if (own.be->ops->weight_import(own.be, &weight, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    double seconds = time_of(&own, call_matmul, &packed);
    backend_close(own.be);
    return seconds;
}

static void bench_matmul(const struct bench *bench, enum dtype dtype, const char *inputs,
                         uint32_t k_count, uint32_t out_dim, uint32_t row_count)
{
    const struct quant_format *format = quant_format_get(dtype);
    char name[96];
    uint64_t random = 1;
    snprintf(name, sizeof name, "matmul.%s.%s.%ux%u.rows%u", format->name, inputs, k_count, out_dim,
             row_count);
    if (!is_wanted(bench, name)) {
        return;
    }
    /* The same row of weights many times over: quantising millions of values would take longer
     * than the measurement. */
    uint64_t row_bytes = quant_row_bytes(dtype, k_count);
    uint8_t *bytes = malloc(row_bytes * out_dim);
    void *row = kernel_rig_weights(&random, dtype, k_count);
    assert_non_null(bytes);
    for (uint32_t n = 0; n < out_dim; n++) {
        memcpy(bytes + n * row_bytes, row, row_bytes);
    }
    struct tensor weight = {
        .data = bytes, .dtype = dtype, .dim_count = 2, .shape = {out_dim, k_count}};
    float *in = kernel_rig_floats(&random, (size_t)row_count * k_count);
    float *out = kernel_rig_floats(&random, (size_t)row_count * out_dim);
    struct matmul_args args = {.out = out, .in = in, .weight = &weight, .row_count = row_count};
    struct tensor packed = weight;
    packed.use = TENSOR_PRODUCT;
    bool integer = strcmp(inputs, "f32") != 0;
    double peak = integer ? bench->byte_ops / (strcmp(inputs, "a16") == 0 ? 2 : 1) : bench->flops;
    double byte_count =
        integer ? (double)backend_packed_bytes(&packed, PRECISION_A8) : (double)row_bytes * out_dim;
    double seconds = time_matmul(bench, &args, inputs);
    report_peak(bench, name, seconds, byte_count, 2.0 * k_count * out_dim * row_count, peak);
    free(bytes);
    kernel_rig_free(row);
    kernel_rig_free(in);
    kernel_rig_free(out);
}

static void call_attention(struct backend *be, const void *args)
{
    be->ops->attention(be, args);
}

struct attention_shape {
    const char *name;
    uint32_t head_count;
    uint32_t kv_head_count;
    uint32_t head_dim;
    float softcap;
};

/* span_count requests with `row_count` new tokens each, at the end of `length` positions. */
static void bench_attention(const struct bench *bench, const struct attention_shape *shape,
                            enum dtype dtype, uint32_t span_count, uint32_t row_count,
                            uint32_t length)
{
    enum {
        BLOCK_TOKENS = 16
    };
    char name[96];
    snprintf(name, sizeof name, "attention%s.%s.%s.spans%u.rows%u.keys%u",
             shape->softcap > 0.0f ? ".capped" : "", quant_format_get(dtype)->name, shape->name,
             span_count, row_count, length);
    if (!is_wanted(bench, name)) {
        return;
    }
    uint64_t random = 2;
    uint32_t span_blocks = (length + BLOCK_TOKENS - 1) / BLOCK_TOKENS;
    uint32_t block_count = span_blocks * span_count;
    size_t values = (size_t)block_count * BLOCK_TOKENS * shape->kv_head_count * shape->head_dim;
    size_t heads = (size_t)span_count * row_count * shape->head_count;
    float *floats = kernel_rig_floats(&random, values);
    size_t byte_count = quant_row_bytes(dtype, values);
    struct kv_layer kv = {.keys = bench->be->ops->alloc(bench->be, byte_count),
                          .values = bench->be->ops->alloc(bench->be, byte_count),
                          .dtype = dtype,
                          .block_count = block_count,
                          .block_tokens = BLOCK_TOKENS,
                          .kv_head_count = shape->kv_head_count,
                          .head_dim = shape->head_dim};
    struct attention_span *spans = calloc(span_count, sizeof *spans);
    uint32_t *block_ids = calloc(block_count, sizeof *block_ids);
    if (kv.keys == NULL || kv.values == NULL || spans == NULL || block_ids == NULL) {
        fprintf(stderr, "no memory for %s\n", name);
        exit(1);
    }
    quant_format_get(dtype)->quantize(kv.keys, floats, values);
    quant_format_get(dtype)->quantize(kv.values, floats, values);
    kernel_rig_free(floats);
    for (uint32_t i = 0; i < block_count; i++) { /* blocks lie in random order */
        uint32_t j = kernel_rig_random_below(&random, i + 1);
        block_ids[i] = block_ids[j];
        block_ids[j] = i;
    }
    for (uint32_t s = 0; s < span_count; s++) {
        spans[s] = (struct attention_span){.first_row = s * row_count,
                                           .row_count = row_count,
                                           .start = length - row_count,
                                           .block_ids = block_ids + (size_t)s * span_blocks};
    }
    float *q = kernel_rig_floats(&random, heads * shape->head_dim);
    float *out = kernel_rig_floats(&random, heads * shape->head_dim);
    struct attention_args args = {.out = out,
                                  .q = q,
                                  .kv = &kv,
                                  .spans = spans,
                                  .span_count = span_count,
                                  .head_count = shape->head_count,
                                  .scale = 1.0f / sqrtf((float)shape->head_dim),
                                  .softcap = shape->softcap};
    double seconds = time_of(bench, call_attention, &args);
    double seen = (double)length - (row_count - 1) / 2.0; /* keys of an average row */
    report(bench, name, seconds, 2.0 * (double)byte_count,
           4.0 * (double)heads * seen * shape->head_dim);
    bench->be->ops->free(bench->be, kv.keys, byte_count);
    bench->be->ops->free(bench->be, kv.values, byte_count);
    free(spans);
    free(block_ids);
    kernel_rig_free(q);
    kernel_rig_free(out);
}

static void call_rmsnorm(struct backend *be, const void *args)
{
    be->ops->rmsnorm(be, args);
}

static void call_layernorm(struct backend *be, const void *args)
{
    be->ops->layernorm(be, args);
}

static void call_gated(struct backend *be, const void *args)
{
    be->ops->gated_activation(be, args);
}

static void call_scale_cap(struct backend *be, const void *args)
{
    be->ops->scale_cap(be, args);
}

/* One op on row_count rows of dim values, each of which moves `value_bytes`. */
static void bench_row_op(const struct bench *bench, const char *op, bench_fn call, const void *args,
                         uint32_t dim, uint32_t row_count, double value_bytes)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%u.rows%u", op, dim, row_count);
    if (is_wanted(bench, name)) {
        report(bench, name, time_of(bench, call, args), value_bytes * dim * row_count, 0);
    }
}

static void bench_rows(const struct bench *bench, uint32_t dim, uint32_t row_count)
{
    uint64_t random = 3;
    size_t count = (size_t)dim * row_count;
    float *in = kernel_rig_floats(&random, count);
    float *up = kernel_rig_floats(&random, count);
    float *out = kernel_rig_floats(&random, count);
    struct rmsnorm_args norm = {
        .out = out, .in = in, .weight = up, .row_count = row_count, .dim = dim, .epsilon = 1e-6f};
    bench_row_op(bench, "rmsnorm", call_rmsnorm, &norm, dim, row_count, 8);
    struct layernorm_args layernorm = {.out = out,
                                       .in = in,
                                       .weight = up,
                                       .bias = up,
                                       .row_count = row_count,
                                       .dim = dim,
                                       .epsilon = 1e-5f};
    bench_row_op(bench, "layernorm", call_layernorm, &layernorm, dim, row_count, 8);
    struct gated_activation_args gated = {
        .out = out, .gate = in, .up = up, .row_count = row_count, .dim = dim};
    bench_row_op(bench, "silu", call_gated, &gated, dim, row_count, 12);
    gated.activation = ACTIVATION_GELU;
    bench_row_op(bench, "gelu", call_gated, &gated, dim, row_count, 12);
    struct scale_cap_args cap = {
        .x = out, .row_count = row_count, .dim = dim, .scale = 1.0f, .cap = 30.0f};
    bench_row_op(bench, "cap", call_scale_cap, &cap, dim, row_count, 8);
    kernel_rig_free(in);
    kernel_rig_free(up);
    kernel_rig_free(out);
}

static void no_item(void *context, uint32_t item, uint32_t worker)
{
    (void)context;
    (void)item;
    (void)worker;
}

struct pool_call {
    struct threads *pool;
    uint32_t item_count;
};

static void call_pool(struct backend *be, const void *args)
{
    const struct pool_call *call = args;
    (void)be;
    threads_parallel_for(call->pool, call->item_count, no_item, NULL);
}

/* What an op pays for being shared out: calls in a row, of an empty item a thread. */
static void bench_sharing(const struct bench *bench)
{
    struct pool_call call = {.item_count = bench->thread_count};
    struct error err = {0};
    if (!is_wanted(bench, "threads.empty_call")) {
        return;
    }
    if (threads_open(&call.pool, bench->thread_count, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    printf("threads.empty_call %.0f ns\n", time_of(bench, call_pool, &call) * 1e9);
    threads_close(call.pool);
}

static void bench_all(const struct bench *bench)
{
    static const struct attention_shape QWEN = {"14of2x64", 14, 2, 64, 0};
    static const struct attention_shape LLAMA = {"32of8x64", 32, 8, 64, 0};
    static const struct attention_shape WIDE = {"8of8x128", 8, 8, 128, 0};
    static const struct attention_shape GEMMA = {"8of4x256", 8, 4, 256, 50.0f};
    static const uint32_t ROWS[] = {2, 4, 8, 32, 128};
    static const enum dtype MAIN[] = {DTYPE_F32, DTYPE_F16, DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_K};
    static const char *const INPUTS[] = {"f32", "a8", "a16"};
    for (int d = 0; d < DTYPE_COUNT; d++) {
        uint64_t row_bytes = quant_row_bytes((enum dtype)d, 2048);
        struct tensor row = {.dtype = (enum dtype)d, .dim_count = 2, .shape = {1, 2048}};
        uint32_t ways = backend_packed_bytes(&row, PRECISION_A8) > 0 ? 3 : 1;
        for (uint32_t i = 0; i < ways; i++) {
            uint32_t out_dim = (uint32_t)(STREAM_BYTES / row_bytes);
            bench_matmul(bench, (enum dtype)d, INPUTS[i], 2048, out_dim, 1);
            /* from the cache: what decoding costs */
            bench_matmul(bench, (enum dtype)d, INPUTS[i], 2048, 256, 1);
            bench_matmul(bench, (enum dtype)d, INPUTS[i], 2048, 8192, 16);
        }
    }
    for (size_t d = 0; d < sizeof MAIN / sizeof MAIN[0]; d++) {
        for (size_t r = 0; r < sizeof ROWS / sizeof ROWS[0]; r++) {
            for (uint32_t i = 0; i < (MAIN[d] == DTYPE_F32 || MAIN[d] == DTYPE_F16 ? 1u : 3u);
                 i++) {
                bench_matmul(bench, MAIN[d], INPUTS[i], 2048, 8192, ROWS[r]);
            }
        }
    }
    for (uint32_t i = 0; i < 3; i++) { /* the shapes of Qwen2.5-0.5B */
        bench_matmul(bench, DTYPE_Q8_0, INPUTS[i], 896, 4864, 1);
        bench_matmul(bench, DTYPE_Q8_0, INPUTS[i], 4864, 896, 1);
        bench_matmul(bench, DTYPE_Q8_0, INPUTS[i], 896, 4864, 16);
        bench_matmul(bench, DTYPE_Q8_0, INPUTS[i], 4864, 896, 16);
        bench_matmul(bench, DTYPE_Q4_0, INPUTS[i], 896, 151936, 1);
        bench_matmul(bench, DTYPE_Q4_0, INPUTS[i], 896, 151936, 16);
    }
    bench_sharing(bench);
    bench_attention(bench, &QWEN, DTYPE_F16, 1, 1, 8192);
    bench_attention(bench, &QWEN, DTYPE_F16, 16, 1, 4096);
    bench_attention(bench, &LLAMA, DTYPE_F16, 16, 1, 4096);
    bench_attention(bench, &WIDE, DTYPE_F16, 1, 1, 256); /* from the cache */
    bench_attention(bench, &WIDE, DTYPE_F16, 16, 1, 2048);
    bench_attention(bench, &WIDE, DTYPE_BF16, 16, 1, 2048);
    bench_attention(bench, &QWEN, DTYPE_F16, 1, 512, 1024);
    bench_attention(bench, &LLAMA, DTYPE_F16, 1, 512, 4096);
    struct attention_shape uncapped = GEMMA;
    uncapped.softcap = 0.0f;
    bench_attention(bench, &GEMMA, DTYPE_F16, 16, 1, 2048);
    bench_attention(bench, &uncapped, DTYPE_F16, 16, 1, 2048);
    bench_attention(bench, &GEMMA, DTYPE_F16, 1, 512, 1024);
    bench_attention(bench, &uncapped, DTYPE_F16, 1, 512, 1024);
    bench_rows(bench, 4096, 1);
    bench_rows(bench, 4096, 64);
}

int main(int argument_count, char **arguments)
{
    static const struct {
        const char *name;
        enum isa isa;
    } CAPS[] = {{"scalar", ISA_SCALAR}, {"avx2", ISA_AVX2}, {"avx512", ISA_AVX512}};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    long threads = argument_count > 1 ? strtol(arguments[1], NULL, 10) : processors;
    enum isa isa = ISA_AUTO;
    for (int i = 0; argument_count > 2 && i < 3; i++) {
        isa = strcmp(arguments[2], CAPS[i].name) == 0 ? CAPS[i].isa : isa;
    }
    struct backend_options options = {
        .name = "cpu", .thread_count = (uint32_t)(threads > 0 ? threads : 1), .isa_max = isa};
    struct bench bench = {.thread_count = options.thread_count,
                          .isa_max = isa,
                          .wanted = argument_count > 3 ? arguments[3] : ""};
    struct error err = {0};
    if (backend_open(&bench.be, &options, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("threads %u threads\n", bench.thread_count);
    printf("isa %s table\n", backend_isa_name(isa));
    measure_ceilings(&bench);
    bench_all(&bench);
    backend_close(bench.be);
    return 0;
}
