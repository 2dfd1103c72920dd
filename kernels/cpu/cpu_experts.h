/* cpu_experts.h - which experts a row goes to, and how their answers become one.
 *
 * Each function but the sort does one row, from that row's inputs alone.
 * Thread: any worker for distinct rows; the sort, one. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_EXPERTS_H
#define KERNELS_CPU_CPU_EXPERTS_H

#include "kernels/backend.h"

/* Writes a row's weights and, where places will stand, the indices of the chosen experts. */
void cpu_experts_choose(const struct experts_route_args *args, uint32_t row);

/* Once every row has chosen: sorts the choices by expert. */
void cpu_experts_sort(const struct expert_routes *routes);

void cpu_experts_combine(const struct experts_combine_args *args, uint32_t row);

#endif
