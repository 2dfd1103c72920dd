/* test_kv_store.c - where the bytes lie, and the copy of a partial block.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kvcache/kv_store.h"
#include "tests/support/fake_backend.h"

static const struct kv_store_options usual = {
    .layer_count = 3,
    .kv_head_count = 2,
    .head_dim = 5, /* odd, so that regions need padding */
    .block_count = 7,
    .block_tokens = 4,
    .dtype = DTYPE_F16,
};

static struct fake_backend fake;
static struct kv_store store;

static void open_store(enum dtype dtype)
{
    struct kv_store_options options = usual;
    options.dtype = dtype;
    fake_backend_init(&fake);
    assert_int_equal(kv_store_init(&store, &fake.be, &options, NULL), OK);
}

static void close_store(void)
{
    kv_store_release(&store);
    assert_int_equal(fake.allocation_count, 0);
    assert_int_equal(fake.allocated_bytes, 0);
}

static size_t region_bytes(enum dtype dtype)
{
    return (size_t)usual.block_count * usual.kv_head_count * usual.block_tokens * usual.head_dim *
           (dtype == DTYPE_F32 ? 4 : 2);
}

static void block_bytes_count_keys_and_values_of_all_layers(void **state)
{
    (void)state;
    struct kv_store_options options = usual;
    assert_int_equal(kv_store_block_bytes(&options), 3 * 2 * 2 * 5 * 4 * 2);
    options.dtype = DTYPE_F32;
    assert_int_equal(kv_store_block_bytes(&options), 3 * 2 * 2 * 5 * 4 * 4);
    options.head_dim = 1u << 31;
    options.kv_head_count = 1u << 31;
    assert_int_equal(kv_store_block_bytes(&options), 0); /* does not fit */
    options = usual;
    options.dtype = DTYPE_Q8_0;
    assert_int_equal(kv_store_block_bytes(&options), 0); /* not a KV type */
}

static void regions_are_aligned_disjoint_and_zeroed(void **state)
{
    (void)state;
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    for (uint32_t t = 0; t < 3; t++) {
        open_store(dtypes[t]);
        const unsigned char *end = store.memory;
        for (uint32_t i = 0; i < usual.layer_count; i++) {
            const unsigned char *keys = store.layers[i].keys;
            const unsigned char *values = store.layers[i].values;
            assert_int_equal((uintptr_t)keys % 64, 0);
            assert_int_equal((uintptr_t)values % 64, 0);
            assert_true(keys >= end);
            assert_true(values >= keys + region_bytes(dtypes[t]));
            end = values + region_bytes(dtypes[t]);
            assert_int_equal(store.layers[i].dtype, dtypes[t]);
            assert_int_equal(store.layers[i].block_count, usual.block_count);
        }
        assert_true(end <= (const unsigned char *)store.memory + store.memory_bytes);
        for (uint64_t i = 0; i < store.memory_bytes; i++) {
            assert_int_equal(((const unsigned char *)store.memory)[i], 0);
        }
        assert_int_equal(fake.allocation_count, 1);
        close_store();
    }
}

static void copy_moves_the_first_tokens_of_every_head_and_nothing_else(void **state)
{
    (void)state;
    open_store(DTYPE_F32);
    size_t count = (size_t)store.memory_bytes / sizeof(float);
    float *memory = store.memory;
    float *before = malloc(count * sizeof *before);
    assert_non_null(before);
    for (size_t i = 0; i < count; i++) {
        memory[i] = (float)i;
    }
    memcpy(before, memory, count * sizeof *before);
    kv_store_copy(&store, 5, 2, 3);

    size_t head_values = (size_t)usual.block_tokens * usual.head_dim;
    for (uint32_t layer = 0; layer < usual.layer_count; layer++) {
        for (uint32_t half = 0; half < 2; half++) {
            const float *region = half == 0 ? store.layers[layer].keys : store.layers[layer].values;
            for (uint32_t head = 0; head < usual.kv_head_count; head++) {
                const float *from = region + (5 * usual.kv_head_count + head) * head_values;
                const float *to = region + (2 * usual.kv_head_count + head) * head_values;
                size_t copied = (size_t)3 * usual.head_dim;
                assert_memory_equal(to, from, copied * sizeof *to);
                assert_true(to[0] == before[from - memory]);
                assert_memory_equal(to + copied, before + (to - memory) + copied,
                                    (head_values - copied) * sizeof *to);
                /* Put it back: at the end all must be as it was. */
                memcpy(memory + (to - memory), before + (to - memory), copied * sizeof *to);
            }
        }
    }
    assert_memory_equal(memory, before, count * sizeof *before);
    free(before);
    close_store();
}

static void keys_that_are_values_take_one_region_and_are_copied_once(void **state)
{
    (void)state;
    struct kv_store_options options = usual;
    options.keys_are_values = true;
    options.dtype = DTYPE_F32;
    assert_int_equal(kv_store_block_bytes(&options), 3 * 2 * 5 * 4 * 4);
    fake_backend_init(&fake);
    assert_int_equal(kv_store_init(&store, &fake.be, &options, NULL), OK);
    const unsigned char *end = store.memory;
    for (uint32_t i = 0; i < usual.layer_count; i++) {
        const unsigned char *keys = store.layers[i].keys;
        assert_ptr_equal(keys, store.layers[i].values);
        assert_int_equal((uintptr_t)keys % 64, 0);
        assert_true(keys >= end);
        end = keys + region_bytes(DTYPE_F32);
    }
    assert_true(end <= (const unsigned char *)store.memory + store.memory_bytes);
    assert_true(store.memory_bytes < 3 * (region_bytes(DTYPE_F32) + 64));
    float *first = store.layers[2].keys;
    size_t block_values = (size_t)usual.kv_head_count * usual.block_tokens * usual.head_dim;
    first[5 * block_values] = 7.0f;
    uint32_t before = fake.copy_count;
    kv_store_copy(&store, 5, 2, 1);
    assert_true(first[2 * block_values] == 7.0f);
    assert_int_equal(fake.copy_count - before, usual.layer_count * usual.kv_head_count);
    close_store();
}

static void copy_of_no_tokens_changes_nothing(void **state)
{
    (void)state;
    open_store(DTYPE_BF16);
    memset(store.memory, 7, (size_t)store.memory_bytes);
    ((unsigned char *)store.memory)[0] = 9;
    kv_store_copy(&store, 0, 1, 0);
    assert_int_equal(((unsigned char *)store.memory)[0], 9);
    assert_int_equal(((unsigned char *)store.memory)[1], 7);
    close_store();
}

static void impossible_options_are_refused_by_name(void **state)
{
    (void)state;
    struct error err = {0};
    fake_backend_init(&fake);
    for (uint32_t i = 0; i < 7; i++) {
        struct kv_store_options options = usual;
        options.dtype = i == 0 ? DTYPE_Q4_0 : options.dtype;
        options.layer_count = i == 1 ? 0 : options.layer_count;
        options.kv_head_count = i == 2 ? 0 : options.kv_head_count;
        options.head_dim = i == 3 ? 0 : options.head_dim;
        options.block_count = i == 4 ? 0 : options.block_count;
        options.block_tokens = i == 5 ? 4096 : options.block_tokens;
        options.head_dim = i == 6 ? UINT32_MAX : options.head_dim;
        options.block_count = i == 6 ? UINT32_MAX : options.block_count;
        err.message[0] = '\0';
        assert_int_equal(kv_store_init(&store, &fake.be, &options, &err), ERR_INVALID);
        assert_true(err.message[0] != '\0');
        kv_store_release(&store);
    }
    assert_int_equal(fake.allocation_count, 0);
}

static void device_without_memory_is_an_error(void **state)
{
    (void)state;
    struct error err = {0};
    fake_backend_init(&fake);
    fake.out_of_memory = true;
    assert_int_equal(kv_store_init(&store, &fake.be, &usual, &err), ERR_MEMORY);
    assert_null(store.layers);
    close_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_bytes_count_keys_and_values_of_all_layers),
        cmocka_unit_test(regions_are_aligned_disjoint_and_zeroed),
        cmocka_unit_test(copy_moves_the_first_tokens_of_every_head_and_nothing_else),
        cmocka_unit_test(keys_that_are_values_take_one_region_and_are_copied_once),
        cmocka_unit_test(copy_of_no_tokens_changes_nothing),
        cmocka_unit_test(impossible_options_are_refused_by_name),
        cmocka_unit_test(device_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
