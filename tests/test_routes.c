/* test_routes.c - the table of endpoints. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/routes.h"

static enum routes_result find(const char *method, const char *path, const char **argument,
                               const char **allow)
{
    const struct route *route = NULL;
    *argument = NULL;
    *allow = NULL;
    enum routes_result result = routes_find(method, path, &route, argument, allow);
    assert_int_equal(result == ROUTES_FOUND, route != NULL);
    return result;
}

static void every_row_is_found_by_its_own_method_only(void **state)
{
    (void)state;
    size_t count;
    const struct route *table = routes_table(&count);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        const char *argument;
        const char *allow;
        char path[128];
        bool takes_argument = table[i].path[strlen(table[i].path) - 1] == '/';
        snprintf(path, sizeof path, "%s%s", table[i].path, takes_argument ? "x/y" : "");
        assert_int_equal(find(table[i].method, path, &argument, &allow), ROUTES_FOUND);
        assert_string_equal(argument, takes_argument ? "x/y" : "");
        assert_int_equal(find("DELETE", path, &argument, &allow), ROUTES_NO_METHOD);
        assert_non_null(strstr(allow, table[i].method));
        bool is_get = strcmp(table[i].method, "GET") == 0;
        assert_int_equal(find("HEAD", path, &argument, &allow),
                         is_get ? ROUTES_FOUND : ROUTES_NO_METHOD);
    }
}

static void other_paths_are_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {"",
                                        "/",
                                        "/v1",
                                        "/v1/",
                                        "/v1/models/",
                                        "//v1/models",
                                        "/v1/completions/",
                                        "/V1/models",
                                        "/healthz",
                                        "/v1/modelsx"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const char *argument;
        const char *allow;
        assert_int_equal(find("GET", paths[i], &argument, &allow), ROUTES_NO_PATH);
    }
}

static void only_probes_are_open(void **state)
{
    (void)state;
    size_t count;
    const struct route *table = routes_table(&count);
    size_t open_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (table[i].scope == ROUTE_OPEN) {
            open_count++;
            assert_string_equal(table[i].method, "GET");
            assert_true(strcmp(table[i].path, "/health") == 0 ||
                        strcmp(table[i].path, "/livez") == 0 ||
                        strcmp(table[i].path, "/readyz") == 0);
        }
    }
    assert_int_equal(open_count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_by_its_own_method_only),
        cmocka_unit_test(other_paths_are_not_found),
        cmocka_unit_test(only_probes_are_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
