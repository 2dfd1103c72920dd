/* routes.h - the one table of method + path -> handler, who may call it, and with what body.
 *
 * Thread: any; constant. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include "server/api.h"

#include <stdbool.h>
#include <stddef.h>

enum route_scope {
    ROUTE_OPEN, /* answers anybody: probes carry no keys and learn only "up" or "not up" */
    ROUTE_KEY,  /* needs a key, where the server has any */
};

struct route {
    const char *method; /* GET also serves HEAD */
    const char *path;   /* a trailing slash: anything behind it is the argument */
    enum route_scope scope;
    bool takes_json;
    api_handle_fn handle;
};

enum routes_result {
    ROUTES_FOUND,
    ROUTES_NO_PATH,   /* 404 */
    ROUTES_NO_METHOD, /* 405; allow names the methods there are */
};

/* path without query. argument: what follows a route that ends in a slash. */
enum routes_result routes_find(const char *method, const char *path, const struct route **out,
                               const char **argument, const char **allow);

/* The table, for tests that walk it. */
const struct route *routes_table(size_t *count);

#endif
