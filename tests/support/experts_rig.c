/* experts_rig.c - see the header. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/experts_rig.h"
#include "tests/support/kernel_rig.h"

struct expert_routes experts_rig_open(uint32_t row_count, uint32_t expert_count,
                                      uint32_t used_count)
{
    size_t choice_count = (size_t)row_count * used_count;
    return (struct expert_routes){
        .ends = kernel_rig_alloc(expert_count * sizeof(uint32_t)),
        .rows = kernel_rig_alloc(choice_count * sizeof(uint32_t)),
        .places = kernel_rig_alloc(choice_count * sizeof(uint32_t)),
        .weights = kernel_rig_alloc(choice_count * sizeof(float)),
        .row_count = row_count,
        .used_count = used_count,
        .expert_count = expert_count,
    };
}

void experts_rig_close(const struct expert_routes *routes)
{
    kernel_rig_free(routes->ends);
    kernel_rig_free(routes->rows);
    kernel_rig_free(routes->places);
    kernel_rig_free(routes->weights);
}

uint32_t experts_rig_expert_at(const struct expert_routes *routes, uint32_t place)
{
    uint32_t expert = 0;
    while (expert < routes->expert_count && place >= routes->ends[expert]) {
        expert++;
    }
    assert_true(expert < routes->expert_count);
    return expert;
}

uint32_t experts_rig_choice(const struct expert_routes *routes, uint32_t row, uint32_t rank)
{
    return experts_rig_expert_at(routes, routes->places[(size_t)row * routes->used_count + rank]);
}

void experts_rig_check_sorted(const struct expert_routes *routes)
{
    uint32_t choice_count = routes->row_count * routes->used_count;
    bool *seen = calloc(choice_count, sizeof *seen);
    assert_non_null(seen);
    for (uint32_t i = 0; i < choice_count; i++) {
        uint32_t place = routes->places[i];
        assert_true(place < choice_count && !seen[place]);
        seen[place] = true;
        assert_int_equal(routes->rows[place], i / routes->used_count);
    }
    uint32_t first = 0;
    for (uint32_t expert = 0; expert < routes->expert_count; expert++) {
        assert_true(routes->ends[expert] >= first);
        for (uint32_t place = first; place + 1 < routes->ends[expert]; place++) {
            assert_true(routes->rows[place] < routes->rows[place + 1]);
        }
        first = routes->ends[expert];
    }
    assert_int_equal(first, choice_count);
    free(seen);
}
