/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/hf_folder.h"

#include "tests/test.h"

#include <dirent.h>
#include <unistd.h>

static const char *const tokenizer =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"<end>\",\"special\":true,"
    "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false}],"
    "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
    "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,"
    "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
    "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
    "\"byte_fallback\":false,\"vocab\":{\"<end>\":0,\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,"
    "\"f\":6,\"ab\":7},\"merges\":[[\"a\",\"b\"]]}}";

static void path_of(char *path, size_t path_bytes, const struct hf_folder *folder, const char *name)
{
    snprintf(path, path_bytes, "%s/%s", folder->path, name);
}

void hf_folder_write(const struct hf_folder *folder, const char *name, const void *bytes,
                     uint64_t byte_count)
{
    char path[400];
    path_of(path, sizeof path, folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, byte_count, file), byte_count);
    assert_int_equal(fclose(file), 0);
}

void hf_folder_remove(const struct hf_folder *folder, const char *name)
{
    char path[400];
    path_of(path, sizeof path, folder, name);
    unlink(path);
}

void hf_folder_make(struct hf_folder *folder)
{
    snprintf(folder->path, sizeof folder->path, "/tmp/test_hf_XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    hf_folder_write(folder, "tokenizer.json", tokenizer, strlen(tokenizer));
}

void hf_folder_drop(struct hf_folder *folder)
{
    DIR *dir = opendir(folder->path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            hf_folder_remove(folder, entry->d_name);
        }
    }
    closedir(dir);
    assert_int_equal(rmdir(folder->path), 0);
}

void hf_folder_write_weights(const struct hf_folder *folder, const char *name,
                             const char *const *tensors)
{
    enum {
        HEADER_BYTES = 16384
    };
    char header[HEADER_BYTES] = "{";
    size_t used = 1;
    uint64_t value_count = 0;
    for (; *tensors != NULL; tensors++) {
        char tensor[256];
        unsigned rows = 0;
        unsigned values = 0;
        assert_int_equal(sscanf(*tensors, "%255s %u %u", tensor, &rows, &values), 3);
        uint64_t end = value_count + (uint64_t)rows * (values > 0 ? values : 1);
        char shape[64];
        snprintf(shape, sizeof shape, values > 0 ? "[%u,%u]" : "[%u]", rows, values);
        used += (size_t)snprintf(
            header + used, sizeof header - used,
            "%s\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%llu,%llu]}",
            used > 1 ? "," : "", tensor, shape, (unsigned long long)value_count * 4,
            (unsigned long long)end * 4);
        assert_true(used < sizeof header - 16);
        value_count = end;
    }
    header[used++] = '}';
    while (used % 8 != 0) {
        header[used++] = ' ';
    }
    uint64_t byte_count = 8 + used + 4 * value_count;
    uint8_t *bytes = calloc(1, byte_count);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)((uint64_t)used >> (8 * i));
    }
    memcpy(bytes + 8, header, used);
    for (uint64_t i = 0; i < value_count; i++) {
        float value = (float)i;
        memcpy(bytes + 8 + used + 4 * i, &value, sizeof value);
    }
    hf_folder_write(folder, name, bytes, byte_count);
    free(bytes);
}

void hf_folder_write_tensors(const struct hf_folder *folder, const char *name,
                             const struct hf_folder_tensor *tensors, uint32_t tensor_count)
{
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *header = open_memstream(&text, &text_bytes);
    assert_non_null(header);
    uint64_t offset = 0;
    for (uint32_t i = 0; i < tensor_count; i++) {
        const struct hf_folder_tensor *tensor = &tensors[i];
        fprintf(header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i > 0 ? "," : "{", tensor->name,
                tensor->dtype);
        for (uint32_t d = 0; d < tensor->dim_count; d++) {
            fprintf(header, "%s%llu", d > 0 ? "," : "", (unsigned long long)tensor->shape[d]);
        }
        fprintf(header, "],\"data_offsets\":[%llu,", (unsigned long long)offset);
        offset += tensor->byte_count;
        fprintf(header, "%llu]}", (unsigned long long)offset);
    }
    fprintf(header, "}");
    assert_int_equal(fclose(header), 0);
    uint8_t *bytes = malloc(8 + text_bytes + offset);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)((uint64_t)text_bytes >> (8 * i));
    }
    memcpy(bytes + 8, text, text_bytes);
    uint64_t at = 8 + text_bytes;
    for (uint32_t i = 0; i < tensor_count; i++) {
        memcpy(bytes + at, tensors[i].bytes, tensors[i].byte_count);
        at += tensors[i].byte_count;
    }
    hf_folder_write(folder, name, bytes, at);
    free(bytes);
    free(text);
}
