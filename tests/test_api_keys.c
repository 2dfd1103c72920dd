/* test_api_keys.c - which Authorization values open the door.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/api_keys.h"

#include <unistd.h>

/* A file with these bytes; path is filled in. */
static void write_file(char *path, size_t path_bytes, const char *bytes)
{
    snprintf(path, path_bytes, "/tmp/sluice_keys_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    close(fd);
}

static enum status open_keys(struct api_keys **keys, const char *bytes, struct error *err)
{
    char path[64];
    write_file(path, sizeof path, bytes);
    enum status status = api_keys_open(keys, path, err);
    unlink(path);
    return status;
}

static bool accepts(const struct api_keys *keys, const char *value)
{
    return api_keys_accept(keys, value, strlen(value));
}

static void whole_keys_are_accepted_and_nothing_else(void **state)
{
    (void)state;
    struct api_keys *keys = NULL;
    struct error error = {0};
    assert_int_equal(open_keys(&keys, "# comment\n\n one \r\ntwo\n#three\nlast", &error), OK);
    assert_true(accepts(keys, "Bearer one"));
    assert_true(accepts(keys, "bearer two"));
    assert_true(accepts(keys, "BEARER  last"));
    static const char *const wrong[] = {"",
                                        "Bearer",
                                        "Bearer ",
                                        "Bearer on",
                                        "Bearer onex",
                                        "Bearer one ",
                                        "Bearer #three",
                                        "Bearer three",
                                        "Basic one",
                                        "one",
                                        "Bearerone",
                                        "Bearer One",
                                        "Bearer comment"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (accepts(keys, wrong[i])) {
            fail_msg("'%s' was accepted", wrong[i]);
        }
    }
    assert_false(api_keys_accept(keys, "Bearer one\0", 11));
    char huge[4096];
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    char value[sizeof huge + 8];
    snprintf(value, sizeof value, "Bearer %s", huge);
    assert_false(accepts(keys, value));
    api_keys_close(keys);
}

static void no_path_means_no_keys(void **state)
{
    (void)state;
    struct api_keys *keys = (struct api_keys *)(uintptr_t)1;
    struct error error = {0};
    assert_int_equal(api_keys_open(&keys, NULL, &error), OK);
    assert_null(keys);
}

static void files_that_protect_nothing_are_refused(void **state)
{
    (void)state;
    struct api_keys *keys = NULL;
    struct error error = {0};
    assert_int_equal(open_keys(&keys, "", &error), ERR_FORMAT);
    assert_int_equal(open_keys(&keys, "# only comments\n\n", &error), ERR_FORMAT);
    assert_int_equal(open_keys(&keys, "two words\n", &error), ERR_FORMAT);
    assert_non_null(strstr(error.message, "line 1"));
    assert_int_equal(open_keys(&keys, "good\nb\x01d\n", &error), ERR_FORMAT);
    assert_non_null(strstr(error.message, "line 2"));
    char long_line[300];
    memset(long_line, 'k', sizeof long_line - 1);
    long_line[sizeof long_line - 1] = '\0';
    assert_int_equal(open_keys(&keys, long_line, &error), ERR_FORMAT);
    long_line[256] = '\0';
    assert_int_equal(open_keys(&keys, long_line, &error), OK);
    api_keys_close(keys);
    assert_int_equal(api_keys_open(&keys, "/nonexistent/keys", &error), ERR_IO);
    assert_non_null(strstr(error.message, "/nonexistent/keys"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_keys_are_accepted_and_nothing_else),
        cmocka_unit_test(no_path_means_no_keys),
        cmocka_unit_test(files_that_protect_nothing_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
