/* Batch invariance, bit for bit, at the level of logits: one sequence computed alone and in one
 * piece is the truth; cut into chunks, among neighbours, on other blocks, behind a shared prefix,
 * with other threads it must give the same bytes. Each instruction set is held to itself.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kernels/quant.h"
#include "tests/support/forward_rig.h"
#include "tests/support/synth_family.h"
#include "tests/support/synth_model.h"

enum {
    NEIGHBOURS_MAX = 31,
    NEIGHBOUR_TOKENS = 48,   /* a neighbour's length; it starts anew when it gets there */
    NEIGHBOUR_CHUNK_MAX = 5, /* tokens of one neighbour in one step */
    LONG_TOKENS = 300,       /* crosses a range of attention's fixed split of the keys */
    SHORT_TOKENS = 52, /* more rows than share one chunk of weights, where many models are tried */
    LENGTH_MAX = LONG_TOKENS,
};

/* How the sequence under test is run. */
struct plan {
    const char *name;
    uint32_t chunk_tokens; /* 0: the whole sequence in one step */
    uint32_t neighbour_count;
    uint32_t thread_count;
    uint32_t block_tokens;
    bool shuffled_blocks;
};

static const struct plan alone = {"alone, whole", 0, 0, 1, 16, false};

/* A model in memory, one instruction set, one KV type, one sequence. */
struct subject {
    struct synth_options options;
    uint8_t *bytes;
    struct gguf file;
    enum isa isa_max;
    enum dtype kv_dtype;
    uint32_t token_count;
    uint32_t token_ids[LENGTH_MAX];
    uint64_t logits_bytes;
};

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % limit);
}

static void random_tokens(uint32_t *token_ids, uint32_t token_count, uint32_t vocab_count)
{
    for (uint32_t i = 0; i < token_count; i++) {
        token_ids[i] = random_below(vocab_count);
    }
}

static void *zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    assert_non_null(memory);
    return memory;
}

static void open_subject(struct subject *subject, uint32_t token_count)
{
    uint64_t byte_count = 0;
    struct error err;
    subject->bytes = synth_model_bytes(&subject->options, &byte_count);
    assert_non_null(subject->bytes);
    if (gguf_parse(&subject->file, subject->bytes, byte_count, "synthetic", &err) != OK) {
        fail_msg("%s", err.message);
    }
    subject->token_count = token_count;
    subject->logits_bytes = (uint64_t)token_count * subject->options.vocab_count * sizeof(float);
    random_state = 7;
    random_tokens(subject->token_ids, token_count, subject->options.vocab_count);
}

static void close_subject(struct subject *subject)
{
    gguf_close(&subject->file);
    free(subject->bytes);
}

/* Milliseconds a step, every part of the machinery: two layers, grouped heads. */
static void micro_subject(struct subject *subject, const char *arch)
{
    memset(subject, 0, sizeof *subject);
    assert_true(synth_model_preset(&subject->options, "micro"));
    subject->options.arch = arch;
    subject->kv_dtype = DTYPE_F16;
}

/* Rows of 256 values, so that every block format fits. */
static void wide_subject(struct subject *subject, const char *arch, enum dtype dtype)
{
    micro_subject(subject, arch);
    subject->options.layer_count = 1;
    subject->options.dim = 256;
    subject->options.head_dim = 64;
    subject->options.ffn_dim = 256;
    subject->options.expert_ffn_dim = 256;
    subject->options.shared_ffn_dim = 256;
    subject->options.dtype = dtype;
    subject->options.output_dtype = dtype;
}

/* The run of one plan: the sequence and its neighbours, and where each has its blocks. */
struct run {
    const struct subject *subject;
    const struct plan *plan;
    struct forward_rig rig;
    uint32_t neighbour_tokens[NEIGHBOURS_MAX][NEIGHBOUR_TOKENS];
    uint32_t neighbour_starts[NEIGHBOURS_MAX];
    uint32_t *block_ids; /* [1 + neighbours, blocks_each] */
    uint32_t blocks_each;
};

static void deal_blocks(struct run *run, uint32_t block_count)
{
    run->block_ids = zeroed(block_count, sizeof *run->block_ids);
    for (uint32_t i = 0; i < block_count; i++) {
        run->block_ids[i] = i;
    }
    for (uint32_t i = block_count - 1; run->plan->shuffled_blocks && i > 0; i--) {
        uint32_t other = random_below(i + 1);
        uint32_t held = run->block_ids[i];
        run->block_ids[i] = run->block_ids[other];
        run->block_ids[other] = held;
    }
}

static void open_run(struct run *run, const struct subject *subject, const struct plan *plan)
{
    memset(run, 0, sizeof *run);
    run->subject = subject;
    run->plan = plan;
    uint32_t longest =
        subject->token_count > NEIGHBOUR_TOKENS ? subject->token_count : NEIGHBOUR_TOKENS;
    run->blocks_each = longest / plan->block_tokens + 1;
    uint32_t block_count = (1 + plan->neighbour_count) * run->blocks_each;
    deal_blocks(run, block_count);
    for (uint32_t i = 0; i < plan->neighbour_count; i++) {
        random_tokens(run->neighbour_tokens[i], NEIGHBOUR_TOKENS, subject->options.vocab_count);
        run->neighbour_starts[i] = random_below(NEIGHBOUR_CHUNK_MAX);
    }
    forward_rig_open(
        &run->rig, &subject->file,
        &(struct forward_rig_options){
            .thread_count = plan->thread_count,
            .isa_max = subject->isa_max,
            .kv_dtype = subject->kv_dtype,
            .block_tokens = plan->block_tokens,
            .block_count = block_count,
            .token_count_max = subject->token_count + plan->neighbour_count * NEIGHBOUR_CHUNK_MAX,
            .span_count_max = 1 + plan->neighbour_count,
        });
}

static void close_run(struct run *run)
{
    forward_rig_close(&run->rig);
    free(run->block_ids);
}

static struct forward_rig_piece neighbour_piece(struct run *run, uint32_t index, float *scratch)
{
    uint32_t start = run->neighbour_starts[index];
    if (start == NEIGHBOUR_TOKENS) {
        start = 0;
    }
    uint32_t left = NEIGHBOUR_TOKENS - start;
    uint32_t token_count = 1 + random_below(NEIGHBOUR_CHUNK_MAX);
    token_count = token_count < left ? token_count : left;
    run->neighbour_starts[index] = start + token_count;
    return (struct forward_rig_piece){
        .token_ids = run->neighbour_tokens[index],
        .block_ids = run->block_ids + (size_t)(1 + index) * run->blocks_each,
        .start = start,
        .token_count = token_count,
        .logits = random_below(2) == 0 ? scratch : NULL,
    };
}

/* One step: the sequence's next chunk somewhere among its neighbours' chunks. */
static void run_step(struct run *run, uint32_t start, uint32_t token_count, float *logits,
                     float *scratch)
{
    struct forward_rig_piece pieces[1 + NEIGHBOURS_MAX];
    uint32_t neighbour_count = run->plan->neighbour_count;
    uint32_t place = random_below(1 + neighbour_count);
    uint32_t neighbour = 0;
    for (uint32_t i = 0; i <= neighbour_count; i++) {
        if (i == place) {
            pieces[i] = (struct forward_rig_piece){
                .token_ids = run->subject->token_ids,
                .block_ids = run->block_ids,
                .start = start,
                .token_count = token_count,
                .logits = logits + (size_t)start * run->subject->options.vocab_count,
            };
        } else {
            pieces[i] = neighbour_piece(run, neighbour++, scratch);
        }
    }
    forward_rig_step(&run->rig, pieces, 1 + neighbour_count);
}

/* The logits of every token of the sequence, run as the plan says. From calloc. */
static float *logits_of(const struct subject *subject, const struct plan *plan)
{
    struct run run;
    open_run(&run, subject, plan);
    uint32_t chunk = plan->chunk_tokens > 0 ? plan->chunk_tokens : subject->token_count;
    float *logits = zeroed(1, subject->logits_bytes);
    float *scratch =
        zeroed((size_t)NEIGHBOUR_CHUNK_MAX * subject->options.vocab_count, sizeof *scratch);
    for (uint32_t start = 0; start < subject->token_count; start += chunk) {
        uint32_t left = subject->token_count - start;
        run_step(&run, start, chunk < left ? chunk : left, logits, scratch);
    }
    free(scratch);
    close_run(&run);
    return logits;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void assert_same(const struct subject *subject, const char *name, const float *expected,
                        const float *logits)
{
    for (uint64_t i = 0; i < subject->logits_bytes / sizeof(float); i++) {
        uint32_t vocab_count = subject->options.vocab_count;
        if (bits_of(expected[i]) != bits_of(logits[i])) {
            fail_msg("%s, %s %s, %s KV: %s: token %llu, logit %llu is %.9g, not %.9g",
                     backend_isa_name(subject->isa_max), subject->options.arch,
                     quant_format_get(subject->options.dtype)->name,
                     quant_format_get(subject->kv_dtype)->name, name,
                     (unsigned long long)(i / vocab_count), (unsigned long long)(i % vocab_count),
                     (double)logits[i], (double)expected[i]);
        }
    }
}

/* A dead model would agree with itself as well. */
static void assert_alive(const struct subject *subject, const float *logits)
{
    uint32_t vocab_count = subject->options.vocab_count;
    size_t last = (size_t)(subject->token_count - 1) * vocab_count;
    assert_memory_not_equal(logits, logits + last, vocab_count * sizeof(float));
    float low = logits[last];
    float high = logits[last];
    for (uint32_t i = 1; i < vocab_count; i++) {
        low = logits[last + i] < low ? logits[last + i] : low;
        high = logits[last + i] > high ? logits[last + i] : high;
    }
    assert_true(high - low > 0.5f && high - low < 1000.0f);
}

static void check_plans(const struct subject *subject, const struct plan *plans, size_t plan_count)
{
    float *expected = logits_of(subject, &alone);
    assert_alive(subject, expected);
    for (size_t i = 0; i < plan_count; i++) {
        float *logits = logits_of(subject, &plans[i]);
        assert_same(subject, plans[i].name, expected, logits);
        free(logits);
    }
    free(expected);
}

/* The instruction sets of this processor: ISA_SCALAR and what is really better. Under TSan, a
 * hundred times slower, the best alone: how threads share work does not depend on it. */
static uint32_t list_isas(enum isa *isas)
{
#ifdef __SANITIZE_THREAD__
    const enum isa first = ISA_AVX512;
#else
    const enum isa first = ISA_SCALAR;
#endif
    uint32_t count = 0;
    for (enum isa isa = first; isa < ISA_AUTO; isa++) {
        bool same =
            count > 0 && strcmp(backend_isa_name(isa), backend_isa_name(isas[count - 1])) == 0;
        if (!same) {
            isas[count++] = isa;
        }
    }
    return count;
}

static void check_on_every_isa(struct subject *subject, const struct plan *plans, size_t plan_count)
{
    enum isa isas[ISA_AUTO];
    uint32_t isa_count = list_isas(isas);
    for (uint32_t i = 0; i < isa_count; i++) {
        subject->isa_max = isas[i];
        check_plans(subject, plans, plan_count);
    }
}

static void check_long_sequence(const struct plan *plans, size_t plan_count)
{
    static const char *const archs[] = {"llama",    "qwen2",    "qwen3",
                                        "qwen2moe", "qwen3moe", "deepseek2"};
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++) {
        struct subject subject;
        micro_subject(&subject, archs[i]);
        open_subject(&subject, LONG_TOKENS);
        check_on_every_isa(&subject, plans, plan_count);
        close_subject(&subject);
    }
}

/* Windows, caps, norms after, both branches at once, fused tensors, learned positions: whatever a
 * family's layers do, with enough layers for every kind of them. */
static void no_family_shows_how_it_was_run(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {"chunks of 1", 1, 0, 1, 16, false},
        {"chunks of 7 among 3, 2 threads", 7, 3, 2, 16, true},
        {"whole, 3 threads, blocks of 48", 0, 0, 3, 48, true},
    };
    for (uint32_t i = 0; i < synth_family_count; i++) {
        struct subject subject;
        micro_subject(&subject, synth_family_rows[i].arch);
        bool has_periods = strcmp(subject.options.arch, "gemma3") == 0 ||
                           strcmp(subject.options.arch, "smollm3") == 0;
        subject.options.layer_count = has_periods ? 6 : 2;
        open_subject(&subject, 2 * SHORT_TOKENS);
        check_on_every_isa(&subject, plans, sizeof plans / sizeof plans[0]);
        close_subject(&subject);
    }
}

static void chunks_leave_no_trace(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {"chunks of 1", 1, 0, 1, 16, false},
        {"chunks of 7", 7, 0, 1, 16, false},
        {"chunks of 64", 64, 0, 1, 16, false},
        {"whole again", 0, 0, 1, 16, false},
    };
    check_long_sequence(plans, sizeof plans / sizeof plans[0]);
}

static void threads_leave_no_trace(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {"2 threads, chunks of 64", 64, 0, 2, 16, false},
        {"3 threads, chunks of 7", 7, 0, 3, 16, false},
        {"3 threads, whole", 0, 0, 3, 16, false},
    };
    check_long_sequence(plans, sizeof plans / sizeof plans[0]);
}

static void blocks_leave_no_trace(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {"shuffled blocks", 64, 0, 1, 16, true},
        {"blocks of 1, shuffled", 64, 0, 1, 1, true},
        {"blocks of 32, shuffled, 2 threads", 7, 0, 2, 32, true},
        {"blocks of 48, across the ranges of attention", 64, 0, 1, 48, true},
    };
    check_long_sequence(plans, sizeof plans / sizeof plans[0]);
}

/* The subject, which this opens and closes, among every number of neighbours. */
static void check_among_neighbours(struct subject *subject)
{
    open_subject(subject, SHORT_TOKENS / 2);
    static const uint32_t chunks[] = {1, 7, 0};
    struct plan plans[NEIGHBOURS_MAX];
    char names[NEIGHBOURS_MAX][64];
    for (uint32_t i = 0; i < NEIGHBOURS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "among %u neighbours, chunks of %u", i + 1,
                 chunks[i % 3]);
        plans[i] = (struct plan){names[i], chunks[i % 3], i + 1, 1 + i % 3, 16, true};
    }
    check_on_every_isa(subject, plans, NEIGHBOURS_MAX);
    close_subject(subject);
}

static void neighbours_leave_no_trace(void **state)
{
    (void)state;
    struct subject subject;
    micro_subject(&subject, "qwen3");
    check_among_neighbours(&subject);
}

/* Neighbours decide how many rows an expert gets in a step, and where among them one stands. */
static void neighbours_at_the_same_experts_leave_no_trace(void **state)
{
    (void)state;
    static const enum synth_router routers[] = {SYNTH_ROUTER_PLAIN, SYNTH_ROUTER_EQUAL,
                                                SYNTH_ROUTER_PAIRS};
    for (size_t i = 0; i < 2 * sizeof routers / sizeof routers[0]; i++) {
        struct subject subject;
        micro_subject(&subject, i % 2 == 0 ? "qwen2moe" : "qwen3moe");
        subject.options.router = routers[i / 2];
        subject.options.dtype = DTYPE_Q8_0;
        check_among_neighbours(&subject);
    }
}

static void any_number_of_experts_leaves_no_trace(void **state)
{
    (void)state;
    static const uint32_t counts[][2] = {{1, 1}, {8, 1}, {4, 4}, {64, 8}};
    static const struct plan plans[] = {
        {"chunks of 1", 1, 0, 1, 16, false},
        {"chunks of 7 among 6, 2 threads", 7, 6, 2, 16, true},
        {"whole, 3 threads", 0, 0, 3, 16, false},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct subject subject;
        micro_subject(&subject, i % 2 == 0 ? "qwen2moe" : "qwen3moe");
        subject.options.expert_count = counts[i][0];
        subject.options.expert_used_count = counts[i][1];
        open_subject(&subject, 2 * SHORT_TOKENS);
        check_on_every_isa(&subject, plans, sizeof plans / sizeof plans[0]);
        close_subject(&subject);
    }
}

/* Few rows and many rows may take different kernels; every weight type must hide which. */
static void check_every_weight_type(const char *const archs[3])
{
    static const struct plan plans[] = {
        {"chunks of 1", 1, 0, 1, 16, false},
        {"chunks of 7, 3 threads", 7, 0, 3, 16, true},
        {"chunks of 3 among 3", 3, 3, 2, 16, true},
    };
    for (enum dtype dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        struct subject subject;
        wide_subject(&subject, archs[dtype % 3], dtype);
        open_subject(&subject, SHORT_TOKENS);
        check_on_every_isa(&subject, plans, sizeof plans / sizeof plans[0]);
        close_subject(&subject);
    }
}

static void every_weight_type_hides_how_it_was_run(void **state)
{
    (void)state;
    check_every_weight_type((const char *const[]){"llama", "qwen2", "qwen3"});
}

static void every_weight_type_hides_that_its_tensors_are_fused(void **state)
{
    (void)state;
    check_every_weight_type((const char *const[]){"phi3", "gpt2", "glm4"});
}

static void every_weight_type_hides_how_its_experts_were_run(void **state)
{
    (void)state;
    check_every_weight_type((const char *const[]){"qwen2moe", "qwen3moe", "gpt-oss"});
}

static void every_weight_type_hides_how_its_latent_vectors_were_run(void **state)
{
    (void)state;
    check_every_weight_type((const char *const[]){"deepseek2", "deepseek2", "deepseek2"});
}

static void every_kv_type_hides_how_it_was_run(void **state)
{
    (void)state;
    static const enum dtype kv_dtypes[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    static const struct plan plans[] = {
        {"chunks of 7 among 6", 7, 6, 2, 16, true},
        {"chunks of 64", 64, 0, 3, 32, true},
    };
    for (size_t i = 0; i < 2 * sizeof kv_dtypes / sizeof kv_dtypes[0]; i++) {
        struct subject subject;
        micro_subject(&subject, i % 2 == 0 ? "qwen2" : "deepseek2");
        subject.kv_dtype = kv_dtypes[i / 2];
        open_subject(&subject, LONG_TOKENS);
        check_on_every_isa(&subject, plans, sizeof plans / sizeof plans[0]);
        close_subject(&subject);
    }
}

/* The sequence's first shared_tokens are computed under another block table; then it goes on from
 * there with blocks of its own, a partly filled block being copied by the batch. */
static float *logits_behind_prefix(const struct subject *subject, uint32_t shared_tokens)
{
    static const struct plan plan = {"behind a prefix", 0, 1, 2, 16, true};
    struct run run;
    open_run(&run, subject, &plan);
    float *logits = zeroed(1, subject->logits_bytes);
    uint32_t vocab_count = subject->options.vocab_count;
    uint32_t *other = run.block_ids + run.blocks_each;
    struct forward_rig_piece piece = {
        .token_ids = subject->token_ids,
        .block_ids = other,
        .token_count = shared_tokens,
        .logits = logits,
    };
    forward_rig_step(&run.rig, &piece, 1);

    uint32_t whole_blocks = shared_tokens / plan.block_tokens;
    memcpy(run.block_ids, other, whole_blocks * sizeof *other);
    uint32_t rest = shared_tokens % plan.block_tokens;
    if (rest > 0) {
        run.rig.batch.copies[run.rig.batch.copy_count++] = (struct kv_copy){
            .from_block = other[whole_blocks],
            .to_block = run.block_ids[whole_blocks],
            .token_count = rest,
        };
    }
    piece.block_ids = run.block_ids;
    piece.start = shared_tokens;
    piece.token_count = subject->token_count - shared_tokens;
    piece.logits = logits + (size_t)shared_tokens * vocab_count;
    forward_rig_step(&run.rig, &piece, 1);
    close_run(&run);
    return logits;
}

static void check_shared_prefixes(const char *arch)
{
    static const uint32_t shared[] = {16, 32, 100, 256, 299};
    enum isa isas[ISA_AUTO];
    uint32_t isa_count = list_isas(isas);
    struct subject subject;
    micro_subject(&subject, arch);
    open_subject(&subject, LONG_TOKENS);
    for (uint32_t i = 0; i < isa_count; i++) {
        subject.isa_max = isas[i];
        float *expected = logits_of(&subject, &alone);
        for (size_t j = 0; j < sizeof shared / sizeof shared[0]; j++) {
            float *logits = logits_behind_prefix(&subject, shared[j]);
            assert_same(&subject, "behind a prefix", expected, logits);
            free(logits);
        }
        free(expected);
    }
    close_subject(&subject);
}

static void a_shared_prefix_leaves_no_trace(void **state)
{
    (void)state;
    check_shared_prefixes("llama");
    check_shared_prefixes("qwen2moe");
    check_shared_prefixes("deepseek2");
}

static void logits_come_only_for_the_rows_asked_for(void **state)
{
    (void)state;
    struct subject subject;
    micro_subject(&subject, "llama");
    subject.isa_max = ISA_AUTO;
    open_subject(&subject, SHORT_TOKENS);
    float *expected = logits_of(&subject, &alone);
    struct run run;
    open_run(&run, &subject, &alone);
    uint32_t vocab_count = subject.options.vocab_count;
    float *last = zeroed(vocab_count, sizeof *last);
    struct forward_rig_piece piece = {
        .token_ids = subject.token_ids,
        .block_ids = run.block_ids,
        .token_count = SHORT_TOKENS - 1,
    };
    forward_rig_step(&run.rig, &piece, 1);
    piece.start = SHORT_TOKENS - 1;
    piece.token_count = 1;
    piece.logits = last;
    forward_rig_step(&run.rig, &piece, 1);
    size_t offset = (size_t)(SHORT_TOKENS - 1) * vocab_count;
    assert_memory_equal(last, expected + offset, vocab_count * sizeof *last);
    free(last);
    free(expected);
    close_run(&run);
    close_subject(&subject);
}

static void the_plan_states_the_bytes_of_every_buffer(void **state)
{
    (void)state;
    struct model_params params = {.dim = 64,
                                  .head_count = 4,
                                  .kv_head_count = 2,
                                  .head_dim = 16,
                                  .ffn_dim = 160,
                                  .vocab_count = 320,
                                  .rotary_dim = 16,
                                  .residual_scale = 1.0f};
    struct forward_options options = {
        .token_count_max = 16, .span_count_max = 4, .logits_count_max = 8};
    uint64_t activations = 2 * 64 + 2 * 64 + 2 * 32 + 2 * 160 + 2 * 8;
    uint64_t host = 2 * 8 * 16 * 4 + 8 * 8;
    uint64_t floor = activations * 16 * 4 + 2ull * 8 * 320 * 4 + host;
    uint64_t byte_count = forward_bytes(&params, &options);
    assert_true(byte_count >= floor && byte_count < floor + 2048);

    /* With experts: scores, three numbers a choice, a row of the model a choice, and the wider of
     * all used experts and the shared one. */
    params.ffn_dim = 0;
    params.expert_count = 6;
    params.expert_used_count = 3;
    params.expert_ffn_dim = 100;
    params.shared_ffn_dim = 80;
    activations = 2 * 64 + 2 * 64 + 2 * 32 + 2 * 300 + 2 * 8 + 6 + 3 * 3 + 3 * 64 + 64 + 1;
    floor = activations * 16 * 4 + 6ull * 4 + 2ull * 8 * 320 * 4 + host;
    byte_count = forward_bytes(&params, &options);
    assert_true(byte_count >= floor && byte_count < floor + 2048);
    params.shared_ffn_dim = 400;
    assert_int_equal(forward_bytes(&params, &options), byte_count + 2ull * 100 * 16 * 4);
}

/* Each of these needs one buffer more, or one less. */
static void the_plan_states_what_a_family_needs_besides(void **state)
{
    (void)state;
    const struct model_params plain = {.dim = 64,
                                       .head_count = 4,
                                       .kv_head_count = 2,
                                       .head_dim = 16,
                                       .ffn_dim = 160,
                                       .vocab_count = 320,
                                       .rotary_dim = 16,
                                       .residual_scale = 1.0f};
    const struct forward_options options = {
        .token_count_max = 16, .span_count_max = 4, .logits_count_max = 8};
    const uint64_t before = forward_bytes(&plain, &options);
    const uint64_t branch = 64ull * 16 * 4;
    struct model_params params = plain;
    params.parallel = true;
    assert_int_equal(forward_bytes(&params, &options), before + branch);
    params = plain;
    params.norm_place = NORMS_AROUND;
    assert_int_equal(forward_bytes(&params, &options), before + branch);
    params = plain;
    params.residual_scale = 0.5f;
    assert_int_equal(forward_bytes(&params, &options), before + branch);
    params = plain;
    params.window_rope_plain = true; /* cosines and sines, on either side, and frequencies */
    assert_int_equal(forward_bytes(&params, &options), before + 2ull * 2 * 8 * 16 * 4 + 8ull * 8);
    params = plain;
    params.ffn = FFN_PLAIN;
    assert_int_equal(forward_bytes(&params, &options), before - 160ull * 16 * 4);
    params = plain; /* latent vectors of 28 + 4 for 4 heads of 16 and 20, no values, q from 12 */
    params.latent =
        (struct latent_params){.kv_rank = 28, .q_rank = 12, .still_dim = 12, .value_dim = 20};
    params.rotary_dim = 4;
    params.kv_head_count = 1;
    params.head_dim = 32;
    uint64_t attention = 256 + 32 + 80 + 12 + 4;
    uint64_t usual = 128 + 64 + 16;
    uint64_t frequencies = 8ull * (8 - 2);
    uint64_t host = 2ull * (8 - 2) * 16 * 4;
    uint64_t byte_count = forward_bytes(&params, &options);
    assert_int_equal(byte_count, before + (attention - usual) * 16 * 4 - frequencies - host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_states_the_bytes_of_every_buffer),
        cmocka_unit_test(the_plan_states_what_a_family_needs_besides),
        cmocka_unit_test(logits_come_only_for_the_rows_asked_for),
        cmocka_unit_test(no_family_shows_how_it_was_run),
        cmocka_unit_test(chunks_leave_no_trace),
        cmocka_unit_test(threads_leave_no_trace),
        cmocka_unit_test(blocks_leave_no_trace),
        cmocka_unit_test(neighbours_leave_no_trace),
        cmocka_unit_test(neighbours_at_the_same_experts_leave_no_trace),
        cmocka_unit_test(any_number_of_experts_leaves_no_trace),
        cmocka_unit_test(a_shared_prefix_leaves_no_trace),
        cmocka_unit_test(every_weight_type_hides_how_it_was_run),
        cmocka_unit_test(every_weight_type_hides_that_its_tensors_are_fused),
        cmocka_unit_test(every_weight_type_hides_how_its_experts_were_run),
        cmocka_unit_test(every_weight_type_hides_how_its_latent_vectors_were_run),
        cmocka_unit_test(every_kv_type_hides_how_it_was_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
