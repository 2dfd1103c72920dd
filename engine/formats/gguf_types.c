/* One table in the order of ggml's numbers; its gaps (4, 5, 31-33, 36-38) are types that ggml has
 * withdrawn from files. Lookups happen once a tensor, so a scan is fast enough.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_types.h"

#include <assert.h>
#include <stddef.h>

#define SUPPORTED(number, name, values, bytes, dtype)                                              \
    {                                                                                              \
        number, name, values, bytes, true, dtype                                                   \
    }
#define NAMED(number, name, values, bytes)                                                         \
    {                                                                                              \
        number, name, values, bytes, false, DTYPE_COUNT                                            \
    }

static const struct gguf_tensor_type types[] = {
    SUPPORTED(0, "f32", 1, 4, DTYPE_F32),
    SUPPORTED(1, "f16", 1, 2, DTYPE_F16),
    SUPPORTED(2, "q4_0", 32, 18, DTYPE_Q4_0),
    SUPPORTED(3, "q4_1", 32, 20, DTYPE_Q4_1),
    SUPPORTED(6, "q5_0", 32, 22, DTYPE_Q5_0),
    SUPPORTED(7, "q5_1", 32, 24, DTYPE_Q5_1),
    SUPPORTED(8, "q8_0", 32, 34, DTYPE_Q8_0),
    NAMED(9, "q8_1", 32, 36),
    SUPPORTED(10, "q2_K", 256, 84, DTYPE_Q2_K),
    SUPPORTED(11, "q3_K", 256, 110, DTYPE_Q3_K),
    SUPPORTED(12, "q4_K", 256, 144, DTYPE_Q4_K),
    SUPPORTED(13, "q5_K", 256, 176, DTYPE_Q5_K),
    SUPPORTED(14, "q6_K", 256, 210, DTYPE_Q6_K),
    NAMED(15, "q8_K", 256, 292),
    NAMED(16, "iq2_xxs", 256, 66),
    NAMED(17, "iq2_xs", 256, 74),
    NAMED(18, "iq3_xxs", 256, 98),
    NAMED(19, "iq1_s", 256, 50),
    SUPPORTED(20, "iq4_nl", 32, 18, DTYPE_IQ4_NL),
    NAMED(21, "iq3_s", 256, 110),
    NAMED(22, "iq2_s", 256, 82),
    SUPPORTED(23, "iq4_xs", 256, 136, DTYPE_IQ4_XS),
    NAMED(24, "i8", 1, 1),
    NAMED(25, "i16", 1, 2),
    NAMED(26, "i32", 1, 4),
    NAMED(27, "i64", 1, 8),
    NAMED(28, "f64", 1, 8),
    NAMED(29, "iq1_m", 256, 56),
    SUPPORTED(30, "bf16", 1, 2, DTYPE_BF16),
    NAMED(34, "tq1_0", 256, 54),
    NAMED(35, "tq2_0", 256, 66),
    SUPPORTED(39, "mxfp4", 32, 17, DTYPE_MXFP4),
    NAMED(40, "nvfp4", 64, 36),
    NAMED(41, "q1_0", 128, 18),
    NAMED(42, "q2_0", 64, 18),
};

enum {
    TYPE_COUNT = sizeof types / sizeof types[0]
};

const struct gguf_tensor_type *gguf_types_find(uint32_t ggml_type)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].ggml_type == ggml_type) {
            return &types[i];
        }
    }
    return NULL;
}

const struct gguf_tensor_type *gguf_types_from_dtype(enum dtype dtype)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].supported && types[i].dtype == dtype) {
            return &types[i];
        }
    }
    assert(!"a dtype without a stored type");
    return NULL;
}
