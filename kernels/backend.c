/* backend.c - the devices this program knows, by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/backend.h"

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/cpu_integer.h"
#include "kernels/cpu/cpu_ops.h"

#include <assert.h>
#include <string.h>

struct known_backend {
    const char *name;
    enum status (*open)(struct backend **out, const struct backend_options *options,
                        struct error *err);
};

static const struct known_backend KNOWN[] = {
    {"cpu", cpu_backend_open},
};

enum {
    KNOWN_COUNT = sizeof KNOWN / sizeof KNOWN[0],
    NAMES_BYTES = 128
};

static void list_names(char names[NAMES_BYTES])
{
    size_t used = 0;
    names[0] = '\0';
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        size_t name_bytes = strlen(KNOWN[i].name);
        assert(used + name_bytes + 2 < NAMES_BYTES);
        if (used > 0) {
            names[used++] = ' ';
        }
        memcpy(names + used, KNOWN[i].name, name_bytes + 1);
        used += name_bytes;
    }
}

static void check_ops(const struct backend_ops *ops)
{
    assert(ops->name && ops->close && ops->alloc && ops->free && ops->upload && ops->download);
    assert(ops->copy && ops->synchronize && ops->weight_import && ops->embed && ops->rmsnorm);
    assert(ops->matmul && ops->rope && ops->kv_write && ops->attention && ops->attention_merge);
    assert(ops->gated_activation && ops->gather_rows);
}

enum status backend_open(struct backend **out, const struct backend_options *options,
                         struct error *err)
{
    *out = NULL;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (strcmp(KNOWN[i].name, options->name) == 0) {
            enum status status = KNOWN[i].open(out, options, err);
            if (status == OK) {
                check_ops((*out)->ops);
            }
            return status;
        }
    }
    char names[NAMES_BYTES];
    list_names(names);
    return error_set(err, ERR_NOT_FOUND, "no backend is called '%s'; there are: %s", options->name,
                     names);
}

void backend_close(struct backend *be)
{
    if (be != NULL) {
        be->ops->close(be);
    }
}

uint64_t backend_packed_bytes(const struct tensor *weight, enum precision precision)
{
    return cpu_integer_packed_bytes(weight, precision);
}

uint64_t backend_input_bytes(const struct tensor *weight, enum precision precision)
{
    return cpu_integer_input_bytes(weight, precision);
}

const char *backend_isa_name(enum isa isa_max)
{
    switch (cpu_ops_isa(isa_max)) {
    case ISA_AVX512:
    case ISA_AVX512_OLD:
        return "avx512";
    case ISA_AVX2:
        return "avx2";
    default:
        return "scalar";
    }
}
