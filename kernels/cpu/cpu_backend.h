/* cpu_backend.h - the backend that computes on the processor's own cores and memory.
 *
 * Ops run at once, so synchronize has nothing to wait for; weights are used where they lie.
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_BACKEND_H
#define KERNELS_CPU_CPU_BACKEND_H

#include "kernels/backend.h"

enum status cpu_backend_open(struct backend **out, const struct backend_options *options,
                             struct error *err);

#endif
