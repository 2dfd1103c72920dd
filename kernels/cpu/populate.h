/* populate.h - large zeroed memory that is there at once and faulted in from behind.
 *
 * Zeroing gigabytes takes seconds, which a start should not wait for, and a step that meets pages
 * nobody touched pays for them one by one. So the pages are made present by a thread of their own,
 * while whoever asked already uses them; where the kernel cannot do that (before Linux 5.14) they
 * come on first use. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_POPULATE_H
#define KERNELS_CPU_POPULATE_H

#include <stddef.h>

/* Zeroed, aligned to 2 MiB, in huge pages where there are any; NULL when there is not as much. */
void *populate_alloc(size_t byte_count);

/* memory: from populate_alloc. Waits for its thread, a few milliseconds at most. */
void populate_free(void *memory);

#endif
