/* family_case.c - reads what make.py recorded. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/family_case.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(int holds, const char *path, const char *what)
{
    if (!holds) {
        fprintf(stderr, "family_case: %s: %s\n", path, what);
        abort();
    }
}

static void *zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count > 0 ? count : 1, bytes);
    require(memory != NULL, "memory", "none left");
    return memory;
}

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strchr(entry->d_name, '-') != NULL;
}

char **family_case_list(const char *root, uint32_t *case_count)
{
    struct dirent **entries = NULL;
    int count = scandir(root, &entries, is_case, alphasort);
    *case_count = count > 0 ? (uint32_t)count : 0;
    char **names = zeroed(*case_count, sizeof *names);
    for (uint32_t i = 0; i < *case_count; i++) {
        names[i] = strdup(entries[i]->d_name);
        require(names[i] != NULL, root, "out of memory");
        free(entries[i]);
    }
    free(entries);
    return names;
}

void family_case_list_free(char **names, uint32_t case_count)
{
    for (uint32_t i = 0; i < case_count; i++) {
        free(names[i]);
    }
    free(names);
}

/* Arrays of numbers, from calloc. */
static uint32_t *read_ids(const json_t *array, uint32_t *count)
{
    *count = (uint32_t)json_array_size(array);
    uint32_t *ids = zeroed(*count, sizeof *ids);
    for (uint32_t i = 0; i < *count; i++) {
        ids[i] = (uint32_t)json_integer_value(json_array_get(array, i));
    }
    return ids;
}

static float *read_floats(const json_t *array, uint32_t count, const char *path)
{
    require(json_array_size(array) == count, path, "an array is short");
    float *values = zeroed(count, sizeof *values);
    for (uint32_t i = 0; i < count; i++) {
        values[i] = (float)json_number_value(json_array_get(array, i));
    }
    return values;
}

static void read_prompt(struct family_case *one, const json_t *entry, uint32_t logits_rows)
{
    require(one->prompt_count < FAMILY_CASE_PROMPTS_MAX, one->folder, "too many prompts");
    struct family_prompt *prompt = &one->prompts[one->prompt_count++];
    uint32_t count = 0;
    prompt->token_ids = read_ids(json_object_get(entry, "ids"), &prompt->token_count);
    require(prompt->token_count > 0, one->folder, "an empty prompt");
    prompt->largest = read_ids(json_object_get(entry, "argmax"), &count);
    require(count == prompt->token_count, one->folder, "argmax is short");
    prompt->gaps = read_floats(json_object_get(entry, "gap"), count, one->folder);
    prompt->norms = read_floats(json_object_get(entry, "norm"), count, one->folder);
    uint32_t *positions = read_ids(json_object_get(entry, "rows"), &prompt->row_count);
    require(prompt->row_count <= FAMILY_CASE_ROWS_MAX, one->folder, "too many rows");
    memcpy(prompt->positions, positions, prompt->row_count * sizeof *positions);
    free(positions);
    uint32_t first_row = (uint32_t)json_integer_value(json_object_get(entry, "first_row"));
    require(first_row + prompt->row_count <= logits_rows, one->folder, "logits.f32 is short");
    prompt->logits = one->logits + (size_t)first_row * one->vocab_count;
}

static void read_greedy(struct family_case *one, const json_t *entry)
{
    uint32_t index = (uint32_t)json_integer_value(json_object_get(entry, "prompt"));
    require(index < one->prompt_count, one->folder, "greedy names no prompt");
    struct family_prompt *prompt = &one->prompts[index];
    prompt->output_ids = read_ids(json_object_get(entry, "ids"), &prompt->output_count);
    prompt->output_gaps =
        read_floats(json_object_get(entry, "gap"), prompt->output_count, one->folder);
}

/* Returns how many rows logits.f32 has. */
static uint32_t read_logits(struct family_case *one)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/logits.f32", one->folder);
    FILE *file = fopen(path, "rb");
    require(file != NULL, path, "cannot be opened");
    require(fseek(file, 0, SEEK_END) == 0, path, "cannot be measured");
    size_t value_count = (size_t)ftell(file) / sizeof(float);
    require(fseek(file, 0, SEEK_SET) == 0, path, "cannot be read");
    one->logits = zeroed(value_count, sizeof *one->logits);
    require(fread(one->logits, sizeof(float), value_count, file) == value_count, path,
            "cannot be read");
    fclose(file);
    require(value_count % one->vocab_count == 0, path, "not whole rows");
    return (uint32_t)(value_count / one->vocab_count);
}

void family_case_open(struct family_case *one, const char *root, const char *name)
{
    char path[1100];
    memset(one, 0, sizeof *one);
    snprintf(one->folder, sizeof one->folder, "%s/%s", root, name);
    one->name = one->folder + strlen(root) + 1;
    snprintf(path, sizeof path, "%s/expected.json", one->folder);
    json_error_t json_err;
    one->expected = json_load_file(path, 0, &json_err);
    require(one->expected != NULL, path, json_err.text);
    one->dtype = json_string_value(json_object_get(one->expected, "dtype"));
    one->vocab_count = (uint32_t)json_integer_value(json_object_get(one->expected, "vocab_count"));
    require(one->dtype != NULL && one->vocab_count > 0, path, "names no dtype or vocab_count");
    uint32_t logits_rows = read_logits(one);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(one->expected, "prompts"), i, entry)
    {
        read_prompt(one, entry, logits_rows);
    }
    require(one->prompt_count > 0, path, "has no prompts");
    json_array_foreach(json_object_get(one->expected, "greedy"), i, entry)
    {
        read_greedy(one, entry);
    }
}

void family_case_close(struct family_case *one)
{
    for (uint32_t i = 0; i < one->prompt_count; i++) {
        struct family_prompt *prompt = &one->prompts[i];
        free(prompt->token_ids);
        free(prompt->largest);
        free(prompt->gaps);
        free(prompt->norms);
        free(prompt->output_ids);
        free(prompt->output_gaps);
    }
    free(one->logits);
    json_decref(one->expected);
}

const struct family_prompt *family_case_longest(const struct family_case *one)
{
    const struct family_prompt *longest = &one->prompts[0];
    for (uint32_t i = 1; i < one->prompt_count; i++) {
        longest = one->prompts[i].token_count > longest->token_count ? &one->prompts[i] : longest;
    }
    return longest;
}
