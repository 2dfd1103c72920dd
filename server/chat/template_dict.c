/* template_dict.c - entries in an array; past a handful an open-addressing index finds them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_dict.h"

#include "server/chat/template_compare.h"

#include <string.h>

enum {
    DICT_FIRST_ENTRIES = 8,
    DICT_SCANNED_ENTRIES = 8 /* up to here a scan beats an index */
};

struct template_dict *template_dict_new(struct template_run *run)
{
    struct template_dict *dict = template_run_alloc(run, sizeof *dict);
    if (dict != NULL) {
        *dict = (struct template_dict){0};
    }
    return dict;
}

static bool matches(struct template_run *run, const struct template_entry *entry,
                    struct template_value key, uint64_t hash, bool *equal)
{
    *equal = false;
    return entry->hash != hash || template_compare_equal(run, entry->key, key, equal);
}

/* Entry number, or count when the key is not there. */
static bool locate(struct template_run *run, const struct template_dict *dict,
                   struct template_value key, uint64_t hash, size_t *place)
{
    bool equal = false;
    if (dict->index == NULL) {
        for (*place = 0; *place < dict->count; (*place)++) {
            if (!matches(run, &dict->entries[*place], key, hash, &equal)) {
                return false;
            }
            if (equal) {
                return true;
            }
        }
        return true;
    }
    size_t mask = dict->index_size - 1;
    for (size_t slot = (size_t)hash & mask; dict->index[slot] != 0; slot = (slot + 1) & mask) {
        *place = dict->index[slot] - 1;
        if (!template_run_spend(run, 1) ||
            !matches(run, &dict->entries[*place], key, hash, &equal)) {
            return false;
        }
        if (equal) {
            return true;
        }
    }
    *place = dict->count;
    return true;
}

static void index_entry(struct template_dict *dict, size_t place)
{
    size_t mask = dict->index_size - 1;
    size_t slot = (size_t)dict->entries[place].hash & mask;
    while (dict->index[slot] != 0) {
        slot = (slot + 1) & mask;
    }
    dict->index[slot] = (uint32_t)place + 1;
}

/* Keeps the index at most half full. */
static bool rebuild_index(struct template_run *run, struct template_dict *dict)
{
    size_t size = 4 * dict->capacity;
    uint32_t *index = template_run_alloc_array(run, size, sizeof *index);
    if (index == NULL) {
        return false;
    }
    memset(index, 0, size * sizeof *index);
    dict->index = index;
    dict->index_size = size;
    for (size_t i = 0; i < dict->count; i++) {
        index_entry(dict, i);
    }
    return true;
}

static bool grow(struct template_run *run, struct template_dict *dict)
{
    size_t capacity = dict->capacity > 0 ? 2 * dict->capacity : DICT_FIRST_ENTRIES;
    struct template_entry *entries = template_run_alloc_array(run, capacity, sizeof *dict->entries);
    if (entries == NULL) {
        return false;
    }
    if (dict->count > 0) {
        memcpy(entries, dict->entries, dict->count * sizeof *entries);
    }
    dict->entries = entries;
    dict->capacity = capacity;
    return capacity <= DICT_SCANNED_ENTRIES || rebuild_index(run, dict);
}

bool template_dict_set(struct template_run *run, struct template_dict *dict,
                       struct template_value key, struct template_value value)
{
    uint64_t hash = 0;
    size_t place = 0;
    if (!template_run_spend(run, 1) || !template_compare_hash(run, key, &hash) ||
        !locate(run, dict, key, hash, &place)) {
        return false;
    }
    if (place < dict->count) {
        dict->entries[place].value = value;
        return true;
    }
    if (dict->count == UINT32_MAX - 1) {
        return template_run_fail(run, "a dict has too many keys");
    }
    if (dict->count == dict->capacity && !grow(run, dict)) {
        return false;
    }
    dict->entries[dict->count] = (struct template_entry){.key = key, .value = value, .hash = hash};
    dict->count++;
    if (dict->index != NULL) {
        index_entry(dict, dict->count - 1);
    }
    return true;
}

bool template_dict_find(struct template_run *run, const struct template_dict *dict,
                        struct template_value key, const struct template_value **found)
{
    uint64_t hash = 0;
    size_t place = 0;
    *found = NULL;
    if (!template_compare_hash(run, key, &hash) || !locate(run, dict, key, hash, &place)) {
        return false;
    }
    if (place < dict->count) {
        *found = &dict->entries[place].value;
    }
    return true;
}

const struct template_value *template_dict_find_text(const struct template_dict *dict,
                                                     const char *key)
{
    for (size_t i = 0; i < dict->count; i++) {
        if (template_value_is_text(dict->entries[i].key, key)) {
            return &dict->entries[i].value;
        }
    }
    return NULL;
}

static bool view_item(struct template_run *run, const struct template_entry *entry,
                      enum template_view view, struct template_value *out)
{
    if (view == TEMPLATE_VIEW_ITEMS) {
        return template_run_pair(run, entry->key, entry->value, out);
    }
    *out = view == TEMPLATE_VIEW_KEYS ? entry->key : entry->value;
    return true;
}

bool template_dict_view(struct template_run *run, const struct template_dict *dict,
                        enum template_view view, struct template_value *out)
{
    struct template_value *items = template_run_alloc_array(run, dict->count, sizeof *items);
    if (items == NULL || !template_run_spend(run, dict->count)) {
        return false;
    }
    for (size_t i = 0; i < dict->count; i++) {
        if (!view_item(run, &dict->entries[i], view, &items[i])) {
            return false;
        }
    }
    if (!template_run_list(run, TEMPLATE_VIEW, items, dict->count, out)) {
        return false;
    }
    out->view = (uint8_t)view;
    return true;
}
