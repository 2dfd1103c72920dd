/* test_config.c - flags over environment over file over defaults, and every refusal says where.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/config.h"

#include <unistd.h>

static char file_path[64];

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static char *some_environment(const char *name)
{
    static char port[] = "9002";
    static char threads[] = "3";
    if (strcmp(name, "SLUICE_PORT") == 0) {
        return port;
    }
    if (strcmp(name, "SLUICE_THREADS") == 0) {
        return threads;
    }
    if (strcmp(name, "SLUICE_CONFIG") == 0 && file_path[0] != '\0') {
        return file_path;
    }
    return NULL;
}

static void write_file(const char *text)
{
    snprintf(file_path, sizeof file_path, "/tmp/test_config.XXXXXX");
    int fd = mkstemp(file_path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    if (file_path[0] != '\0') {
        unlink(file_path);
        file_path[0] = '\0';
    }
    return 0;
}

enum {
    ARGUMENTS_MAX = 8
};

/* Loads a NULL-terminated list of arguments. */
static enum status load(struct config *config, config_getenv_fn getenv_fn, struct error *err,
                        const char *const *arguments)
{
    char *copies[ARGUMENTS_MAX + 1] = {strdup("sluiced")};
    int count = 1;
    for (; arguments[count - 1] != NULL; count++) {
        assert_true(count < ARGUMENTS_MAX);
        copies[count] = strdup(arguments[count - 1]);
    }
    err->message[0] = '\0';
    enum status status = config_load(config, count, copies, getenv_fn, err);
    for (int i = 0; i < count; i++) {
        free(copies[i]);
    }
    return status;
}

#define LOAD(config, getenv_fn, err, ...)                                                          \
    load(config, getenv_fn, err, (const char *const[]){__VA_ARGS__, NULL})

static void defaults_are_complete(void **state)
{
    (void)state;
    struct config config;
    struct error err;
    assert_int_equal(LOAD(&config, no_environment, &err, NULL), OK);
    assert_null(config.model);
    assert_string_equal(config.host, "127.0.0.1");
    assert_int_equal(config.port, 8080);
    assert_int_equal(config.block_size, 32);
    assert_true(config.enable_prefix_caching);
    assert_false(config.allow_public);
    assert_int_equal(config.max_body_bytes, 8 << 20);
    config_release(&config);
}

static void flags_win_over_environment_over_file(void **state)
{
    (void)state;
    write_file("# settings\nport = 9001\nthreads = 1\n  block_size=16 \n\nhost = ::1\n");
    struct config config;
    struct error err;
    assert_int_equal(LOAD(&config, some_environment, &err, "--port", "9003"), OK);
    assert_int_equal(config.port, 9003);
    assert_int_equal(config.threads, 3);
    assert_int_equal(config.block_size, 16);
    assert_string_equal(config.host, "::1");
    config_release(&config);
}

static void known_spellings_of_a_flag_are_accepted(void **state)
{
    (void)state;
    struct config config;
    struct error err;
    assert_int_equal(LOAD(&config, no_environment, &err, "-m", "a.gguf", "--ctx-size=100",
                          "--max_num_seqs", "4", "--no-enable-prefix-caching"),
                     OK);
    assert_string_equal(config.model, "a.gguf");
    assert_int_equal(config.max_model_len, 100);
    assert_int_equal(config.max_num_seqs, 4);
    assert_false(config.enable_prefix_caching);
    config_release(&config);
    assert_int_equal(LOAD(&config, no_environment, &err, "--kv-cache-memory-bytes", "3G",
                          "--enable-prefix-caching=off", "--plan", "-t", "2"),
                     OK);
    assert_int_equal(config.kv_cache_memory_bytes, UINT64_C(3) << 30);
    assert_false(config.enable_prefix_caching);
    assert_true(config.plan);
    config_release(&config);
}

struct refusal {
    const char *arguments[3];
    const char *message_part;
};

static void bad_flags_are_refused_by_name_value_and_limit(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {{"--port", "99999"}, "port = 99999 is not in 0..65535"},
        {{"--port", "-1"}, "port = '-1' is not a number"},
        {{"--port", "80x"}, "port = '80x' is not a number"},
        {{"--port", ""}, "port = '' is not a number"},
        {{"--port"}, "--port: a value is missing"},
        {{"--port=18446744073709551616"}, "is not a number"},
        {{"--kv-cache-memory-bytes", "1Q"}, "optional K, M, G or T"},
        {{"--kv-cache-memory-bytes", "18446744073709551615T"}, "is not a number"},
        {{"--isa", "sse9"}, "isa = 'sse9' is not one of auto|scalar|avx2|avx512"},
        {{"--isa", "auto|scalar"}, "is not one of"},
        {{"--allow-public=maybe"}, "neither true nor false"},
        {{"--colour", "red"}, "unknown argument '--colour'"},
        {{"--no-port"}, "unknown argument '--no-port'"},
        {{"model.gguf"}, "unknown argument 'model.gguf'"},
        {{"--max-num-seqs", "4096"}, "max-num-batched-tokens = 512 is below max-num-seqs = 4096"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct config config;
        struct error err;
        assert_int_equal(load(&config, no_environment, &err, refusals[i].arguments), ERR_INVALID);
        if (strstr(err.message, refusals[i].message_part) == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, refusals[i].message_part);
        }
    }
}

static void file_errors_name_file_and_line(void **state)
{
    (void)state;
    write_file("port = 1\ncolour = red\n");
    struct config config;
    struct error err;
    assert_int_equal(LOAD(&config, no_environment, &err, "--config", file_path), ERR_INVALID);
    char expected[128];
    snprintf(expected, sizeof expected, "%s:2: unknown setting 'colour'", file_path);
    assert_string_equal(err.message, expected);
}

static void actions_are_for_the_command_line_alone(void **state)
{
    (void)state;
    write_file("version = true\n");
    struct config config;
    struct error err;
    assert_int_equal(LOAD(&config, no_environment, &err, "--config", file_path), ERR_INVALID);
}

static void missing_file_is_an_error(void **state)
{
    (void)state;
    struct config config;
    struct error err;
    assert_int_equal(LOAD(&config, no_environment, &err, "--config=/nonexistent/sluice.conf"),
                     ERR_IO);
    assert_non_null(strstr(err.message, "/nonexistent/sluice.conf"));
}

static void printed_settings_load_back_the_same(void **state)
{
    (void)state;
    struct config config;
    struct error err;
    assert_int_equal(LOAD(&config, no_environment, &err, "--model", "a b.gguf", "--port", "1",
                          "--no-enable-prefix-caching", "--max-body-bytes=4K"),
                     OK);
    char *first = NULL;
    char *second = NULL;
    size_t byte_count = 0;
    FILE *out = open_memstream(&first, &byte_count);
    config_print(&config, out);
    fclose(out);
    config_release(&config);
    write_file(first);
    assert_int_equal(LOAD(&config, no_environment, &err, "--config", file_path), OK);
    out = open_memstream(&second, &byte_count);
    config_print(&config, out);
    fclose(out);
    assert_string_equal(first, second);
    assert_non_null(strstr(second, "model = a b.gguf\n"));
    config_release(&config);
    free(first);
    free(second);
}

static void help_names_variable_default_and_range(void **state)
{
    (void)state;
    char *text = NULL;
    size_t byte_count = 0;
    FILE *out = open_memstream(&text, &byte_count);
    config_print_help(out);
    fclose(out);
    assert_non_null(strstr(text, "--max-model-len, --ctx-size, -c VALUE"));
    assert_non_null(strstr(text, "SLUICE_PORT; default: 8080; 0..65535"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_complete),
        cmocka_unit_test_teardown(flags_win_over_environment_over_file, remove_file),
        cmocka_unit_test(known_spellings_of_a_flag_are_accepted),
        cmocka_unit_test(bad_flags_are_refused_by_name_value_and_limit),
        cmocka_unit_test_teardown(file_errors_name_file_and_line, remove_file),
        cmocka_unit_test_teardown(actions_are_for_the_command_line_alone, remove_file),
        cmocka_unit_test(missing_file_is_an_error),
        cmocka_unit_test_teardown(printed_settings_load_back_the_same, remove_file),
        cmocka_unit_test(help_names_variable_default_and_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
