/* test.h - cmocka, and the headers it wants in front of it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The folder of test data (SLUICE_DATA, else ../shared/data), or NULL with a message when it is
 * absent: the caller then skips. */
static inline const char *test_data_folder(void)
{
    const char *folder = getenv("SLUICE_DATA");
    if (folder == NULL || folder[0] == '\0') {
        folder = "../shared/data";
    }
    char probe[4096];
    snprintf(probe, sizeof probe, "%s/README.md", folder);
    FILE *file = fopen(probe, "rb");
    if (file == NULL) {
        print_message("skipped: no test data at %s (set SLUICE_DATA)\n", folder);
        return NULL;
    }
    fclose(file);
    return folder;
}

#endif
