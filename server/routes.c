/* routes.c - the table, and a walk through it: a dozen rows need no index.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes.h"

#include <string.h>

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", ROUTE_KEY, true, api_chat_handle},
    {"POST", "/v1/completions", ROUTE_KEY, true, api_completions_handle},
    {"GET", "/v1/models", ROUTE_KEY, false, api_models_handle_list},
    {"GET", "/v1/models/", ROUTE_KEY, false, api_models_handle_one},
    {"POST", "/tokenize", ROUTE_KEY, true, api_tokenize_handle},
    {"POST", "/detokenize", ROUTE_KEY, true, api_tokenize_handle_back},
    {"POST", "/apply-template", ROUTE_KEY, true, api_template_handle},
    {"GET", "/health", ROUTE_OPEN, false, api_admin_handle_ready},
    {"GET", "/readyz", ROUTE_OPEN, false, api_admin_handle_ready},
    {"GET", "/livez", ROUTE_OPEN, false, api_admin_handle_live},
    {"GET", "/metrics", ROUTE_KEY, false, api_admin_handle_metrics},
    {"GET", "/version", ROUTE_KEY, false, api_admin_handle_version},
};

enum {
    ROUTE_COUNT = sizeof routes / sizeof routes[0]
};

const struct route *routes_table(size_t *count)
{
    *count = ROUTE_COUNT;
    return routes;
}

/* The argument when the path is this route's, else NULL. */
static const char *match_path(const struct route *route, const char *path)
{
    size_t byte_count = strlen(route->path);
    if (route->path[byte_count - 1] != '/') {
        return strcmp(route->path, path) == 0 ? path + byte_count : NULL;
    }
    bool inside = strncmp(route->path, path, byte_count) == 0 && path[byte_count] != '\0';
    return inside ? path + byte_count : NULL;
}

static bool match_method(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

enum routes_result routes_find(const char *method, const char *path, const struct route **out,
                               const char **argument, const char **allow)
{
    enum routes_result result = ROUTES_NO_PATH;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const char *rest = match_path(&routes[i], path);
        if (rest == NULL) {
            continue;
        }
        if (match_method(&routes[i], method)) {
            *out = &routes[i];
            *argument = rest;
            return ROUTES_FOUND;
        }
        /* No path has two rows, so one row's methods are all there are. */
        *allow = strcmp(routes[i].method, "GET") == 0 ? "GET, HEAD" : "POST";
        result = ROUTES_NO_METHOD;
    }
    return result;
}
