/* kernel_rig.c - fences are bytes of 0xff, which read as NaN in every float type.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/kernel_rig.h"

#include "kernels/quant.h"

#include <math.h>

enum {
    FENCE_BYTES = 128
};

#if defined(__SANITIZE_ADDRESS__)
#define OWN_FENCES 0
#else
#define OWN_FENCES 1
#endif

struct header {
    size_t byte_count;
    unsigned char pad[FENCE_BYTES - sizeof(size_t)];
};

uint32_t kernel_rig_isas(enum isa isas[3])
{
    static const char *const NAMES[] = {"scalar", "avx2", "avx512"};
    static const enum isa ISAS[] = {ISA_SCALAR, ISA_AVX2, ISA_AVX512};
    uint32_t count = 0;
    for (int i = 0; i < 3; i++) {
        if (strcmp(backend_isa_name(ISAS[i]), NAMES[i]) == 0) {
            isas[count++] = ISAS[i];
        }
    }
    assert_true(count > 0);
    return count;
}

uint32_t kernel_rig_panel_isas(enum isa isas[KERNEL_RIG_PANEL_ISAS_MAX])
{
    uint32_t count = kernel_rig_isas(isas);
    if (strcmp(backend_isa_name(ISA_AVX512_OLD), "avx512") == 0) {
        isas[count++] = ISA_AVX512_OLD;
    }
    return count;
}

static struct backend *backends[ISA_AUTO + 1][KERNEL_RIG_THREADS_MAX + 1];

struct backend *kernel_rig_backend(enum isa isa, uint32_t thread_count)
{
    assert_true(thread_count <= KERNEL_RIG_THREADS_MAX);
    struct backend **kept = &backends[isa][thread_count];
    struct error err = {0};
    struct backend_options options = {.name = "cpu", .thread_count = thread_count, .isa_max = isa};
    if (*kept == NULL && backend_open(kept, &options, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return *kept;
}

int kernel_rig_close(void **state)
{
    (void)state;
    for (int isa = 0; isa <= ISA_AUTO; isa++) {
        for (int threads = 0; threads <= KERNEL_RIG_THREADS_MAX; threads++) {
            backend_close(backends[isa][threads]);
            backends[isa][threads] = NULL;
        }
    }
    return 0;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

float kernel_rig_random(uint64_t *state)
{
    /* The sum of four uniform variables has variance 1/3. */
    float sum = -2.0f;
    uint64_t bits = next_random(state);
    for (int i = 0; i < 4; i++) {
        sum += (float)((bits >> (16 * i)) & 0xffff) / 65536.0f;
    }
    return sum * 1.7320508f;
}

uint32_t kernel_rig_random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(next_random(state) % bound);
}

void kernel_rig_fill(uint64_t *state, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = kernel_rig_random(state);
    }
}

void *kernel_rig_alloc(size_t byte_count)
{
#if OWN_FENCES
    unsigned char *memory = malloc(sizeof(struct header) + byte_count + FENCE_BYTES);
    assert_non_null(memory);
    memset(memory, 0xff, sizeof(struct header) + byte_count + FENCE_BYTES);
    ((struct header *)(void *)memory)->byte_count = byte_count;
    return memory + sizeof(struct header);
#else
    void *memory = malloc(byte_count > 0 ? byte_count : 1);
    assert_non_null(memory);
    memset(memory, 0xff, byte_count);
    return memory;
#endif
}

void kernel_rig_free(void *memory)
{
#if OWN_FENCES
    struct header *header = (struct header *)memory - 1;
    const unsigned char *end = (unsigned char *)memory + header->byte_count;
    for (size_t i = 0; i < sizeof header->pad; i++) {
        assert_int_equal(header->pad[i], 0xff);
    }
    for (size_t i = 0; i < FENCE_BYTES; i++) {
        assert_int_equal(end[i], 0xff);
    }
    free(header);
#else
    free(memory);
#endif
}

float *kernel_rig_floats(uint64_t *state, size_t count)
{
    float *floats = kernel_rig_alloc(count * sizeof *floats);
    kernel_rig_fill(state, floats, count);
    return floats;
}

void *kernel_rig_weights(uint64_t *state, enum dtype dtype, size_t value_count)
{
    float *floats = kernel_rig_floats(state, value_count);
    void *weights = kernel_rig_alloc(quant_row_bytes(dtype, value_count));
    quant_format_get(dtype)->quantize(weights, floats, value_count);
    kernel_rig_free(floats);
    return weights;
}

void kernel_rig_near(double expected, float value, double scale, double tolerance, const char *what)
{
    if (!(fabs(expected - (double)value) <= tolerance * scale + 1e-7)) {
        fail_msg("%s: %.9g instead of %.9g (scale %.3g)", what, (double)value, expected, scale);
    }
}

void kernel_rig_same_bits(const float *a, const float *b, size_t count, const char *what)
{
    if (memcmp(a, b, count * sizeof *a) != 0) {
        fail_msg("%s: not the same bits", what);
    }
}
