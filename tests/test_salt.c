/* test_salt.c - SipHash against its published vectors. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/salt.h"

/* Appendix A of the SipHash paper: key 00..0f, message 00..0e; and the reference implementation's
 * table for messages of 0, 1, 8 and 63 bytes. */
static void hashes_are_those_of_the_paper(void **state)
{
    (void)state;
    const struct salt_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    char message[64];
    for (size_t i = 0; i < sizeof message; i++) {
        message[i] = (char)i;
    }
    assert_true(salt_hash(&key, message, 15) == UINT64_C(0xa129ca6149be45e5));
    assert_true(salt_hash(&key, message, 0) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(salt_hash(&key, message, 1) == UINT64_C(0x74f839c593dc67fd));
    assert_true(salt_hash(&key, message, 8) == UINT64_C(0x93f5f5799a932462));
}

static void keys_and_random_numbers_differ(void **state)
{
    (void)state;
    struct salt_key a = salt_draw_key();
    struct salt_key b = salt_draw_key();
    assert_true(a.low != b.low || a.high != b.high);
    assert_true(salt_hash(&a, "x", 1) != salt_hash(&b, "x", 1));
    assert_true(salt_random() != salt_random());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_the_paper),
        cmocka_unit_test(keys_and_random_numbers_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
