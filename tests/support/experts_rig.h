/* experts_rig.h - routes in guarded memory, and what must hold of any.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_EXPERTS_RIG_H
#define TESTS_SUPPORT_EXPERTS_RIG_H

#include "kernels/backend.h"

#include <stdint.h>

struct expert_routes experts_rig_open(uint32_t row_count, uint32_t expert_count,
                                      uint32_t used_count);
void experts_rig_close(const struct expert_routes *routes);

/* The expert whose run of places holds this one. */
uint32_t experts_rig_expert_at(const struct expert_routes *routes, uint32_t place);

uint32_t experts_rig_choice(const struct expert_routes *routes, uint32_t row, uint32_t rank);

/* Places are a permutation, ascending by row within an expert, and lead back to their row. */
void experts_rig_check_sorted(const struct expert_routes *routes);

#endif
