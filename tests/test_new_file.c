/* test_new_file.c - a file is there whole or not at all, and what was there stays until then.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/new_file.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sluice-new-file-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
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

static void put(const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void expect_content(const char *text)
{
    char got[64] = "";
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    got[fread(got, 1, sizeof got - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(got, text);
}

static void a_committed_file_is_there(void **state)
{
    struct new_file file;
    struct error err = {0};
    struct stat info;
    (void)state;
    umask(022);
    assert_int_equal(new_file_open(&file, path, false, 5, &err), OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(new_file_write(&file, "he", 2, &err), OK);
    assert_int_equal(new_file_write(&file, "llo", 3, &err), OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(new_file_commit(&file, &err), OK);
    new_file_discard(&file);
    expect_content("hello");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0644);
    assert_int_equal(entry_count(), 1);
}

static void a_discarded_file_leaves_nothing(void **state)
{
    struct new_file file;
    struct error err = {0};
    (void)state;
    assert_int_equal(new_file_open(&file, path, false, 0, &err), OK);
    assert_int_equal(new_file_write(&file, "hello", 5, &err), OK);
    assert_int_equal(entry_count(), 1);
    new_file_discard(&file);
    assert_int_equal(entry_count(), 0);
}

static void what_is_there_stays_unless_it_is_to_be_replaced(void **state)
{
    struct new_file file;
    struct error err = {0};
    (void)state;
    put("old");
    assert_int_equal(new_file_open(&file, path, false, 0, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, path));
    new_file_discard(&file);
    expect_content("old");
    assert_int_equal(new_file_open(&file, path, true, 3, &err), OK);
    assert_int_equal(new_file_write(&file, "new", 3, &err), OK);
    expect_content("old");
    assert_int_equal(new_file_commit(&file, &err), OK);
    new_file_discard(&file);
    expect_content("new");
    assert_int_equal(entry_count(), 1);
}

static void what_comes_to_be_there_meanwhile_stays(void **state)
{
    struct new_file file;
    struct error err = {0};
    (void)state;
    assert_int_equal(new_file_open(&file, path, false, 0, &err), OK);
    put("somebody's");
    assert_int_equal(new_file_commit(&file, &err), ERR_IO);
    new_file_discard(&file);
    expect_content("somebody's");
    assert_int_equal(entry_count(), 1);
}

static void places_that_are_none_are_refused(void **state)
{
    struct new_file file;
    struct error err = {0};
    char deep[256];
    (void)state;
    snprintf(deep, sizeof deep, "%s/absent/out", folder);
    assert_int_equal(new_file_open(&file, deep, false, 0, &err), ERR_IO);
    assert_non_null(strstr(err.message, deep));
    new_file_discard(&file);
    assert_int_equal(new_file_open(&file, folder, true, 0, &err), ERR_INVALID);
    new_file_discard(&file);
    assert_int_equal(entry_count(), 0);
}

/* The size is known before: a limit, or a full disk, is met at once, and when not, on writing. */
static void too_large_files_are_noticed(void **state)
{
    struct rlimit before;
    struct new_file file;
    struct error err = {0};
    static const char bytes[8192];
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum status early = new_file_open(&file, path, false, sizeof bytes, &err);
    if (early == OK) { /* a file system that cannot reserve */
        early = new_file_write(&file, bytes, sizeof bytes, &err);
    }
    new_file_discard(&file);
    enum status opened = new_file_open(&file, path, false, 0, &err);
    enum status late = new_file_write(&file, bytes, sizeof bytes, &err);
    new_file_discard(&file);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(early, ERR_IO);
    assert_int_equal(opened, OK);
    assert_int_equal(late, ERR_IO);
    assert_int_equal(entry_count(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(a_committed_file_is_there),
        TEST(a_discarded_file_leaves_nothing),
        TEST(what_is_there_stays_unless_it_is_to_be_replaced),
        TEST(what_comes_to_be_there_meanwhile_stays),
        TEST(places_that_are_none_are_refused),
        TEST(too_large_files_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
