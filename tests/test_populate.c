/* test_populate.c - memory is usable at once, and faulting it in from behind changes nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kernels/cpu/populate.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    HUGE_PAGE = 2 << 20,
    BYTES = 24 * HUGE_PAGE + 4096,
    PROBES_MAX = 4000, /* of 5 ms: far more than the thread can need */
};

static void memory_is_zeroed_aligned_and_writable_to_its_ends(void **state)
{
    (void)state;
    uint8_t *memory = populate_alloc(BYTES);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % HUGE_PAGE, 0);
    for (size_t i = 0; i < BYTES; i += 4096) {
        assert_int_equal(memory[i], 0);
    }
    memory[0] = 1;
    memory[BYTES - 1] = 2;
    populate_free(memory);
}

static bool last_page_is_present(uint8_t *memory)
{
    unsigned char present = 0;
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t last = (BYTES - 1) / page_bytes * page_bytes;
    assert_int_equal(mincore(memory + last, page_bytes, &present), 0);
    return (present & 1) != 0;
}

static void what_is_written_meanwhile_stays(void **state)
{
    (void)state;
    uint8_t *memory = populate_alloc(BYTES);
    assert_non_null(memory);
    size_t end = BYTES - HUGE_PAGE; /* the last pages are left to the thread */
    for (size_t i = 0; i < end; i += 1000) {
        memory[i] = (uint8_t)(i / 1000 + 1);
    }
    int probes = 0;
    while (!last_page_is_present(memory) && probes++ < PROBES_MAX) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
#ifdef MADV_POPULATE_WRITE
    if (madvise(memory, 4096, MADV_POPULATE_WRITE) == 0) {
        assert_true(last_page_is_present(memory));
    }
#endif
    for (size_t i = 0; i < end; i += 1000) {
        assert_int_equal(memory[i], (uint8_t)(i / 1000 + 1));
    }
    populate_free(memory);
}

static void memory_can_go_before_it_has_come(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        uint8_t *memory = populate_alloc((size_t)64 * BYTES);
        assert_non_null(memory);
        memory[(size_t)i * BYTES] = 1;
        populate_free(memory);
    }
}

static void more_than_an_address_space_is_refused(void **state)
{
    (void)state;
    assert_null(populate_alloc(SIZE_MAX));
    assert_null(populate_alloc(SIZE_MAX / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_writable_to_its_ends),
        cmocka_unit_test(what_is_written_meanwhile_stays),
        cmocka_unit_test(memory_can_go_before_it_has_come),
        cmocka_unit_test(more_than_an_address_space_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
