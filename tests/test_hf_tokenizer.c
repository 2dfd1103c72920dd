/* test_hf_tokenizer.c - tokenizer.json and its neighbours: what they mean, and what is refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/gguf_builder.h"
#include "engine/formats/hf_tokenizer.h"
#include "tests/support/opened_tokenizer.h"
#include "tests/support/vocab_files.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    IDS_MAX = 1 << 16,
};

/* A byte-level model of few letters; %s: further sections, and what model and vocab begin with. */
#define BYTE_LEVEL_STEP                                                                            \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"
#define SECTIONS                                                                                   \
    "\"normalizer\":null,\"pre_tokenizer\":" BYTE_LEVEL_STEP ",\"decoder\":" BYTE_LEVEL_STEP       \
    ",\"post_processor\":null"
#define VOCAB                                                                                      \
    "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\xC4\xA0\":3,\"\xC4\xA0"                                \
    "a\":4,\"<s>\":5}"
#define MERGES "\"merges\":[\"a b\",[\"\xC4\xA0\",\"a\"]]"
#define ADDED                                                                                      \
    "\"added_tokens\":[{\"id\":5,\"content\":\"<s>\",\"special\":true,\"normalized\":false},"      \
    "{\"id\":7,\"content\":\"<x>\",\"special\":false,\"normalized\":false,\"rstrip\":true}]"
#define FILE_OF(added, sections, vocab, merges)                                                    \
    "{" added "," sections ",\"model\":{\"type\":\"BPE\"," vocab "," merges "}}"

#define TEN_UNSPELLED  "XXXXXXXXXX"
#define LONG_UNSPELLED TEN_UNSPELLED TEN_UNSPELLED TEN_UNSPELLED TEN_UNSPELLED TEN_UNSPELLED

static void expect_ids(const struct opened_tokenizer *opened, const char *text, unsigned flags,
                       const uint32_t *expected, size_t count)
{
    uint32_t ids[64];
    size_t id_count = 0;
    struct error err = {0};
    if (tokenizer_encode(opened->tokenizer, text, strlen(text), flags, ids, 64, &id_count, &err) !=
        OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(id_count, count);
    assert_memory_equal(ids, expected, count * sizeof *expected);
}

#define EXPECT_IDS(opened, text, flags, ...)                                                       \
    expect_ids(opened, text, flags, (const uint32_t[]){__VA_ARGS__},                               \
               sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static struct opened_tokenizer parse(const char *json)
{
    struct opened_tokenizer opened;
    struct error err = {0};
    if (opened_tokenizer_parse(&opened, json, strlen(json), &err) != OK) {
        fail_msg("%s", err.message);
    }
    return opened;
}

static void both_forms_of_merges_and_holes_are_read(void **state)
{
    (void)state;
    struct opened_tokenizer opened = parse(FILE_OF(ADDED, SECTIONS, VOCAB, MERGES));
    EXPECT_IDS(&opened, "ab ab a", 0, 2, 3, 2, 4); /* a and b merge before the space and a */
    assert_int_equal(tokenizer_info(opened.tokenizer)->vocab_count, 8);
    assert_int_equal(tokenizer_find(opened.tokenizer, "[PAD6]", 6), 6);
    EXPECT_IDS(&opened, "a<x>  b", 0, 0, 7, 1); /* <x> takes the spaces behind it along */
    EXPECT_IDS(&opened, "a<s>b", TOKENIZER_PARSE_SPECIAL, 0, 5, 1);
    EXPECT_IDS(&opened, "aXb", 0, 2); /* X has no token, nor is there one for the unknown */
    EXPECT_IDS(&opened, "a" LONG_UNSPELLED "b", 0, 2);
    opened_tokenizer_close(&opened);
}

struct refusal {
    const char *json;
    const char *message; /* a part of it */
};

/* M-46 */
static void each_wrong_field_is_named(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"", "not valid JSON"},
        {"[]", "must be an object"},
        {"{}", "model: missing"},
        {"{\"model\":[]}", "model: not an object"},
        {"{\"model\":{\"type\":3}}", "model.type: not a string"},
        {"{\"model\":{\"type\":\"WordPiece\"}}", "model.type: 'WordPiece'"},
        {"{\"model\":{\"byte_fallback\":1}}", "model.byte_fallback: not true or false"},
        {"{\"model\":{\"end_of_word_suffix\":\"</w>\"}}", "model.end_of_word_suffix: '</w>'"},
        {"{\"model\":{}}", "model.vocab: missing"},
        {"{\"model\":{\"vocab\":[]}}", "model.vocab: not an object"},
        {"{\"model\":{\"vocab\":{}}}", "model.vocab: no tokens"},
        {FILE_OF(ADDED, SECTIONS, "\"vocab\":{\"a\":-1}", MERGES), "model.vocab['a']: not an id"},
        {FILE_OF(ADDED, SECTIONS, "\"vocab\":{\"a\":4194304}", MERGES),
         "model.vocab['a']: not an id"},
        {FILE_OF(ADDED, SECTIONS, "\"vocab\":{\"a\":1.5}", MERGES), "model.vocab['a']: not an id"},
        {FILE_OF(ADDED, SECTIONS, "\"vocab\":{\"a\":0,\"b\":0}", MERGES), "id 0 is there twice"},
        {FILE_OF(ADDED, SECTIONS, VOCAB, "\"x\":0"), "model.merges: missing"},
        {FILE_OF(ADDED, SECTIONS, VOCAB, "\"merges\":{}"), "model.merges: not a list"},
        {FILE_OF(ADDED, SECTIONS, VOCAB, "\"merges\":[\"a b\",\"ab\"]"),
         "model.merges[1]: not two tokens"},
        {FILE_OF(ADDED, SECTIONS, VOCAB, "\"merges\":[[\"a\",\"b\",\"c\"]]"),
         "model.merges[0]: not two tokens"},
        {FILE_OF(ADDED, SECTIONS, VOCAB, "\"merges\":[7]"), "model.merges[0]: not two tokens"},
        {FILE_OF(ADDED, SECTIONS, VOCAB, "\"merges\":[\"a c\"]"),
         "model.merges[0]: 'c' is not a token"},
        {FILE_OF(ADDED, SECTIONS, VOCAB, "\"merges\":[\"b a\"]"),
         "model.merges[0]: 'ba' is not a token"},
        {FILE_OF("\"added_tokens\":{}", SECTIONS, VOCAB, MERGES), "added_tokens: not a list"},
        {FILE_OF("\"added_tokens\":[{}]", SECTIONS, VOCAB, MERGES), "added_tokens[0].id: missing"},
        {FILE_OF("\"added_tokens\":[{\"id\":5000000}]", SECTIONS, VOCAB, MERGES),
         "added_tokens[0].id: not an integer of 0 to"},
        {FILE_OF("\"added_tokens\":[{\"id\":6}]", SECTIONS, VOCAB, MERGES),
         "added_tokens[0].content: missing"},
        {FILE_OF("\"added_tokens\":[{\"id\":6,\"content\":\"\"}]", SECTIONS, VOCAB, MERGES),
         "added_tokens[0].content: '' is empty"},
        {FILE_OF("\"added_tokens\":[{\"id\":6,\"content\":\"ab\"}]", SECTIONS, VOCAB, MERGES),
         "'ab' is empty, or not 6 in model.vocab"},
        {FILE_OF("\"added_tokens\":[{\"id\":2,\"content\":\"c\"}]", SECTIONS, VOCAB, MERGES),
         "added_tokens[0].id: 2 is 'ab' already"},
        {FILE_OF("\"added_tokens\":[{\"id\":6,\"content\":\"c\",\"special\":0}]", SECTIONS, VOCAB,
                 MERGES),
         "added_tokens[0].special: not true or false"},
        {FILE_OF("\"added_tokens\":[{\"id\":6,\"content\":\"c\",\"lstrip\":0}]", SECTIONS, VOCAB,
                 MERGES),
         "added_tokens[0].lstrip: not true or false"},
        {FILE_OF(ADDED, SECTIONS, VOCAB, MERGES ",\"unk_token\":\"?\""),
         "model.unk_token: '?' is not a token"},
        {FILE_OF(ADDED, "\"decoder\":" BYTE_LEVEL_STEP, VOCAB, MERGES), "decoder: ByteLevel"},
        {FILE_OF(ADDED, "\"pre_tokenizer\":" BYTE_LEVEL_STEP, VOCAB, MERGES), "decoder: none"},
        {FILE_OF(ADDED, "\"pre_tokenizer\":{\"type\":\"Whitespace\"}", VOCAB, MERGES),
         "pre_tokenizer: Whitespace is not supported"},
        {FILE_OF(ADDED, "\"pre_tokenizer\":{}", VOCAB, MERGES), "pre_tokenizer: a step without"},
        {FILE_OF(ADDED,
                 "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
                 "\"pattern\":{\"Regex\":\"x+\"},\"behavior\":\"Isolated\",\"invert\":false}," //
                 BYTE_LEVEL_STEP "]},\"decoder\":" BYTE_LEVEL_STEP,
                 VOCAB, MERGES),
         "pre_tokenizer: 3 steps beginning with 'x+': not a known one"},
        {FILE_OF(ADDED,
                 "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"A=\"},"
                 "\"pre_tokenizer\":" BYTE_LEVEL_STEP ",\"decoder\":" BYTE_LEVEL_STEP,
                 VOCAB, MERGES),
         "normalizer.precompiled_charsmap: not base64"},
        {FILE_OF(ADDED,
                 "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},"
                 "\"content\":\"\"}",
                 VOCAB, MERGES),
         "normalizer: Replace of the expression 'a'"},
        {FILE_OF(ADDED, SECTIONS "x", VOCAB, MERGES), "not valid JSON"},
        {FILE_OF(ADDED,
                 "\"pre_tokenizer\":" BYTE_LEVEL_STEP ",\"decoder\":" BYTE_LEVEL_STEP
                 ",\"post_processor\":{\"type\":\"BertProcessing\"}",
                 VOCAB, MERGES),
         "post_processor: BertProcessing is not supported"},
        {FILE_OF(ADDED,
                 "\"pre_tokenizer\":" BYTE_LEVEL_STEP ",\"decoder\":" BYTE_LEVEL_STEP
                 ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
                 "{\"SpecialToken\":{\"id\":\"<s>\"}}],\"special_tokens\":{}}",
                 VOCAB, MERGES),
         "post_processor: a SpecialToken that special_tokens has no ids for"},
        {FILE_OF(
             ADDED,
             "\"pre_tokenizer\":" BYTE_LEVEL_STEP ",\"decoder\":" BYTE_LEVEL_STEP
             ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
             "{\"SpecialToken\":{\"id\":\"<s>\"}}],\"special_tokens\":{\"<s>\":{\"ids\":[99]}}}",
             VOCAB, MERGES),
         "post_processor: token 99 of 8"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}",
         "model.vocab[0]: not [text, score]"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e300]]}}",
         "model.vocab[0]: not [text, score]"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}",
         "model.unk_id: not an integer of 0 to 0"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct opened_tokenizer opened;
        struct error err = {0};
        const char *json = refusals[i].json;
        assert_int_not_equal(opened_tokenizer_parse(&opened, json, strlen(json), &err), OK);
        if (strstr(err.message, refusals[i].message) == NULL ||
            strncmp(err.message, "tokenizer.json: ", 16) != 0) {
            fail_msg("'%s' instead of '%s'", err.message, refusals[i].message);
        }
    }
}

/* A directory of files written for one test. */
struct folder {
    char path[64];
};

static struct folder make_folder(void)
{
    struct folder folder = {"/tmp/test_hf_tokenizer.XXXXXX"};
    assert_non_null(mkdtemp(folder.path));
    return folder;
}

static void put(const struct folder *folder, const char *name, const char *text)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void mkdir_additional(const struct folder *folder)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/additional_chat_templates", folder->path);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void remove_folder(const struct folder *folder)
{
    static const char *const names[] = {"additional_chat_templates/tool_use.jinja",
                                        "additional_chat_templates/notes.txt",
                                        "additional_chat_templates/default.jinja",
                                        "vocab.json",
                                        "merges.txt",
                                        "added_tokens.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "generation_config.json",
                                        "config.json",
                                        "chat_template.jinja",
                                        "tokenizer.model"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", folder->path, names[i]);
        unlink(path);
    }
    char inner[PATH_BYTES];
    snprintf(inner, sizeof inner, "%s/additional_chat_templates", folder->path);
    rmdir(inner);
    rmdir(folder->path);
}

static void neighbours_name_the_roles_and_the_template(void **state)
{
    (void)state;
    struct folder folder = make_folder();
    put(&folder, "tokenizer.json", FILE_OF(ADDED, SECTIONS, VOCAB, MERGES));
    put(&folder, "tokenizer_config.json",
        "{\"bos_token\":\"<s>\",\"tokenizer_class\":\"LlamaTokenizerFast\","
        "\"model_max_length\":1000000000000000019884624838656,"
        "\"chat_template\":[{\"name\":\"default\",\"template\":\"D\"},"
        "{\"name\":\"rag\",\"template\":\"R\"}]}");
    put(&folder, "special_tokens_map.json", "{\"eos_token\":{\"content\":\"<x>\"}}");
    put(&folder, "generation_config.json", "{\"eos_token_id\":[7,2]}");
    put(&folder, "config.json", "{\"vocab_size\":10,\"eos_token_id\":7}");
    struct opened_tokenizer opened;
    struct error err = {0};
    if (opened_tokenizer_open(&opened, folder.path, &err) != OK) {
        fail_msg("%s", err.message);
    }
    const struct tokenizer_info *info = tokenizer_info(opened.tokenizer);
    assert_int_equal(info->vocab_count, 10);
    assert_int_equal(info->bos_id, 5);
    assert_int_equal(info->eos_id, 7);
    uint32_t end_count = 0;
    const uint32_t *ends = tokenizer_end_ids(opened.tokenizer, &end_count);
    assert_int_equal(end_count, 2);
    assert_int_equal(ends[0], 7);
    assert_int_equal(ends[1], 2);
    EXPECT_IDS(&opened, "a", TOKENIZER_ADD_SPECIAL, 5, 0);
    /* <x> ends, so it is no text of a user's, though the file calls it ordinary. */
    assert_true(tokenizer_is_special(opened.tokenizer, 7));
    struct gguf_string text = {0};
    assert_int_equal(gguf_get_string(&opened.file, "tokenizer.chat_template", true, &text, &err),
                     OK);
    assert_true(gguf_string_equal(text, "D"));
    assert_int_equal(
        gguf_get_string(&opened.file, "tokenizer.chat_template.rag", true, &text, &err), OK);
    opened_tokenizer_close(&opened);

    mkdir_additional(&folder);
    put(&folder, "additional_chat_templates/tool_use.jinja", "T");
    put(&folder, "additional_chat_templates/notes.txt", "N");
    put(&folder, "chat_template.jinja", "J");
    assert_int_equal(opened_tokenizer_open(&opened, folder.path, &err), OK);
    assert_int_equal(gguf_get_string(&opened.file, "tokenizer.chat_template", true, &text, &err),
                     OK);
    assert_true(gguf_string_equal(text, "J"));
    assert_int_equal(
        gguf_get_string(&opened.file, "tokenizer.chat_template.tool_use", true, &text, &err), OK);
    assert_true(gguf_string_equal(text, "T"));
    /* The files are all there is then. */
    assert_null(gguf_find(&opened.file, "tokenizer.chat_template.rag"));
    assert_null(gguf_find(&opened.file, "tokenizer.chat_template.notes"));
    opened_tokenizer_close(&opened);

    put(&folder, "additional_chat_templates/default.jinja", "D");
    assert_int_equal(opened_tokenizer_open(&opened, folder.path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "default.jinja: there twice"));
    remove_folder(&folder);
}

static void expect_pair_refused(const struct folder *folder, const char *what)
{
    struct opened_tokenizer opened;
    struct error err = {0};
    assert_int_not_equal(opened_tokenizer_open(&opened, folder->path, &err), OK);
    if (strstr(err.message, what) == NULL) {
        fail_msg("%s: without %s", err.message, what);
    }
}

static void a_vocabulary_and_merges_are_enough(void **state)
{
    (void)state;
    struct folder folder = make_folder();
    struct opened_tokenizer opened;
    struct error err = {0};
    expect_pair_refused(&folder, "none of tokenizer.json, tokenizer.model and vocab.json");
    put(&folder, "vocab.json",
        "{\"a\":0,\"b\":1,\"\u0120\":2,\"ab\":3,\"\u0120ab\":4,\"1\":5,\"<|endoftext|>\":6,\"11\":"
        "7}");
    expect_pair_refused(&folder, "merges.txt");
    put(&folder, "merges.txt", "#version: 0.2\r\na b\r\n\u0120 ab\n1 1\n");
    put(&folder, "added_tokens.json", "{\"<x>\":8}");
    put(&folder, "special_tokens_map.json", "{\"pad_token\":\"<x>\"}");
    if (opened_tokenizer_open(&opened, folder.path, &err) != OK) {
        fail_msg("%s", err.message);
    }
    EXPECT_IDS(&opened, "ab ab11", TOKENIZER_PARSE_SPECIAL, 3, 4, 7);
    EXPECT_IDS(&opened, "a<|endoftext|>b<x>", TOKENIZER_PARSE_SPECIAL, 0, 6, 1, 8);
    assert_true(tokenizer_is_special(opened.tokenizer, 8));
    opened_tokenizer_close(&opened);

    /* Qwen 2 takes digits one by one, and composes letters. */
    put(&folder, "tokenizer_config.json",
        "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"added_tokens_decoder\":{\"8\":{\"content\":\"<x>"
        "\","
        "\"special\":true},\"6\":{\"content\":\"<|endoftext|>\",\"special\":true}}}");
    if (opened_tokenizer_open(&opened, folder.path, &err) != OK) {
        fail_msg("%s", err.message);
    }
    EXPECT_IDS(&opened, "ab11", 0, 3, 5, 5);
    opened_tokenizer_close(&opened);

    put(&folder, "tokenizer_config.json", "{\"tokenizer_class\":\"BartTokenizer\"}");
    expect_pair_refused(&folder, "tokenizer_class 'BartTokenizer' is not known");
    put(&folder, "tokenizer_config.json", "{}");
    put(&folder, "merges.txt", "a b\nb q\n");
    expect_pair_refused(&folder, "merges");
    remove_folder(&folder);
}

static void a_template_of_two_tokens_goes_in_front(void **state)
{
    (void)state;
    struct opened_tokenizer opened = parse(FILE_OF(
        ADDED,
        "\"pre_tokenizer\":" BYTE_LEVEL_STEP ",\"decoder\":" BYTE_LEVEL_STEP
        ",\"post_processor\":{\"type\":\"Sequence\",\"processors\":[" BYTE_LEVEL_STEP
        ",{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},"
        "{\"SpecialToken\":{\"id\":\"a\"}},{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{"
        "\"<s>\":{\"ids\":[5]},\"a\":{\"ids\":[0]}}}]}",
        VOCAB, MERGES));
    EXPECT_IDS(&opened, "b", TOKENIZER_ADD_SPECIAL, 5, 0, 1);
    opened_tokenizer_close(&opened);
}

static void wrong_neighbours_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *text;
        const char *message;
    } files[] = {
        {"tokenizer_config.json", "{\"bos_token\":3}", "tokenizer_config.json: bos_token: not"},
        {"tokenizer_config.json", "{\"bos_token\":\"zz\"}", "bos_token: 'zz' is not a token"},
        {"tokenizer_config.json", "{\"bos_token\":{}}", "bos_token.content: missing"},
        {"tokenizer_config.json", "{\"chat_template\":3}", "chat_template: not a string"},
        {"tokenizer_config.json", "{\"chat_template\":[{\"name\":\"a\"}]}", "template: missing"},
        {"special_tokens_map.json", "{", "special_tokens_map.json: line"},
        {"generation_config.json", "{\"eos_token_id\":8}", "generation_config.json: eos_token_id:"},
        {"generation_config.json", "{\"eos_token_id\":[\"a\"]}", "eos_token_id: not an id below 8"},
        {"config.json", "{\"vocab_size\":-1}", "config.json: vocab_size: not an integer"},
        {"config.json", "{\"vocab_size\":7}", "8 tokens, but config.json: vocab_size is 7"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct folder folder = make_folder();
        put(&folder, "tokenizer.json", FILE_OF(ADDED, SECTIONS, VOCAB, MERGES));
        put(&folder, files[i].name, files[i].text);
        struct opened_tokenizer opened;
        struct error err = {0};
        assert_int_not_equal(opened_tokenizer_open(&opened, folder.path, &err), OK);
        if (strstr(err.message, files[i].message) == NULL) {
            fail_msg("'%s' instead of '%s'", err.message, files[i].message);
        }
        remove_folder(&folder);
    }
    struct folder empty = make_folder();
    struct opened_tokenizer opened;
    struct error err = {0};
    assert_int_equal(opened_tokenizer_open(&opened, empty.path, &err), ERR_NOT_FOUND);
    remove_folder(&empty);
}

/* Streamed text is the text of the tokens, and encodes to the same ids again. */
static void check_round_trip(const struct tokenizer *tokenizer, const char *text, size_t text_bytes,
                             const uint32_t *ids, size_t count)
{
    char out[1 << 16];
    size_t written = 0;
    struct detokenizer detokenizer;
    detokenizer_init(&detokenizer, tokenizer, true, false);
    for (size_t i = 0; i < count; i++) {
        written += detokenizer_feed(&detokenizer, ids[i], out + written, sizeof out - written);
    }
    written += detokenizer_finish(&detokenizer, out + written, sizeof out - written);
    assert_int_equal(written, text_bytes);
    assert_memory_equal(out, text, text_bytes);
}

struct vectors {
    const char *key;    /* in vectors.jsonl */
    const char *folder; /* relative to the data */
    bool exact;         /* nothing is unknown to it and no space is lost: text comes back */
};

static bool equal_line(const struct opened_tokenizer *opened, const struct vectors *v, json_t *root)
{
    static uint32_t ids[IDS_MAX];
    json_t *text = json_object_get(root, "text");
    json_t *expected = json_object_get(json_object_get(root, "ids"), v->key);
    size_t count = 0;
    struct error err = {0};
    assert_non_null(expected);
    if (tokenizer_encode(opened->tokenizer, json_string_value(text), json_string_length(text), 0,
                         ids, IDS_MAX, &count, &err) != OK) {
        fail_msg("%s", err.message);
    }
    if (v->exact) {
        check_round_trip(opened->tokenizer, json_string_value(text), json_string_length(text), ids,
                         count);
    }
    bool equal = count == json_array_size(expected);
    for (size_t i = 0; equal && i < count; i++) {
        equal = ids[i] == json_integer_value(json_array_get(expected, i));
    }
    return equal;
}

static void equal_to_the_vectors(void **state)
{
    (void)state;
    static const struct vectors all[] = {
        {"tinystories-656k", "models/tinystories-656k", false},
        {"llama2", "tokenizers/sentencepiece/llama2.tokenizer.model", true},
        {"mistral-v1", "tokenizers/sentencepiece/mistral-v1.tokenizer.model", true},
        {"mistral-v3", "tokenizers/sentencepiece/mistral-v3.tokenizer.model", true},
        {"open_llama_3b", "tokenizers/sentencepiece/open_llama_3b.tokenizer.model", false},
        {"stories260K-tok512", "models/stories260K/tok512.model", false},
    };
    const char *data = test_data_folder();
    if (data == NULL) {
        skip();
    }
    char path[PATH_BYTES];
    size_t byte_count = 0;
    snprintf(path, sizeof path, "%s/tokenizers/vectors.jsonl", data);
    char *lines = vocab_files_read(path, &byte_count);
    assert_non_null(lines);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct opened_tokenizer opened;
        struct error err = {0};
        snprintf(path, sizeof path, "%s/%s", data, all[i].folder);
        if (opened_tokenizer_open(&opened, path, &err) != OK) {
            fail_msg("%s", err.message);
        }
        uint32_t equal = 0;
        uint32_t count = 0;
        for (char *line = lines; *line != '\0'; line = strchr(line, '\n') + 1) {
            json_t *root = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
            count++;
            equal += equal_line(&opened, &all[i], root);
            json_decref(root);
        }
        print_message("%s: %u of %u vectors of %s equal\n", all[i].folder, equal, count,
                      all[i].key);
        assert_int_equal(equal, count);
        opened_tokenizer_close(&opened);
    }
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_of_merges_and_holes_are_read),
        cmocka_unit_test(each_wrong_field_is_named),
        cmocka_unit_test(neighbours_name_the_roles_and_the_template),
        cmocka_unit_test(a_vocabulary_and_merges_are_enough),
        cmocka_unit_test(a_template_of_two_tokens_goes_in_front),
        cmocka_unit_test(wrong_neighbours_are_named),
        cmocka_unit_test(equal_to_the_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
