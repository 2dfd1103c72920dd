/* Hugging Face directories: what a small one becomes, and everything that is refused by name. Whether
 * the numbers of real ones are right is for check_parity.c and check_reference.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/hf_model.h"
#include "tests/support/hf_folder.h"

#define CONFIG_SIZES                                                                               \
    "\"hidden_size\":4,\"num_hidden_layers\":1,\"num_attention_heads\":2,\"vocab_size\":8,"        \
    "\"intermediate_size\":6,\"max_position_embeddings\":64,\"rms_norm_eps\":1e-6,"                \
    "\"num_key_value_heads\":1,\"eos_token_id\":0"
#define CONFIG(more) "{\"model_type\":\"llama\"," CONFIG_SIZES more "}"

#define LLAMA_LAYER                                                                                \
    "model.layers.0.input_layernorm.weight 4 0", "model.layers.0.self_attn.q_proj.weight 4 4",     \
        "model.layers.0.self_attn.k_proj.weight 2 4",                                              \
        "model.layers.0.self_attn.v_proj.weight 2 4",                                              \
        "model.layers.0.self_attn.o_proj.weight 4 4",                                              \
        "model.layers.0.post_attention_layernorm.weight 4 0",                                      \
        "model.layers.0.mlp.gate_proj.weight 6 4", "model.layers.0.mlp.up_proj.weight 6 4",        \
        "model.layers.0.mlp.down_proj.weight 4 6", "model.norm.weight 4 0"

static const char *const embedded[] = {"model.embed_tokens.weight 8 4", LLAMA_LAYER, NULL};
static const char *const headed[] = {"lm_head.weight 8 4", LLAMA_LAYER, NULL};
static const char *const both[] = {"model.embed_tokens.weight 8 4", "lm_head.weight 8 4",
                                   LLAMA_LAYER, NULL};

static int make_folder(void **state)
{
    struct hf_folder *folder = calloc(1, sizeof *folder);
    hf_folder_make(folder);
    *state = folder;
    return 0;
}

static int drop_folder(void **state)
{
    hf_folder_drop(*state);
    free(*state);
    return 0;
}

static void write_config(const struct hf_folder *folder, const char *config)
{
    hf_folder_write(folder, "config.json", config, strlen(config));
}

static void open_folder(const struct hf_folder *folder, struct gguf *file)
{
    struct error err = {0};
    if (hf_model_open(file, folder->path, &err) != OK) {
        fail_msg("refused: %s", err.message);
    }
}

/* One line that starts with the directory. */
static void expect_refused(const struct hf_folder *folder, const char *what)
{
    struct gguf file;
    struct error err = {0};
    if (hf_model_open(&file, folder->path, &err) == OK) {
        fail_msg("accepted, though %s", what);
    }
    if (strncmp(err.message, folder->path, strlen(folder->path)) != 0 ||
        strstr(err.message, what) == NULL || strchr(err.message, '\n') != NULL) {
        fail_msg("'%s' is not the message expected (%s)", err.message, what);
    }
}

static void refuse_config(const struct hf_folder *folder, const char *config, const char *what)
{
    write_config(folder, config);
    expect_refused(folder, what);
}

static void a_directory_has_the_keys_and_tensors_of_its_file(void **state)
{
    const struct hf_folder *folder = *state;
    struct gguf file;
    struct error err;
    write_config(folder, CONFIG(",\"rope_theta\":50000.0"));
    hf_folder_write_weights(folder, "model.safetensors", both);
    open_folder(folder, &file);
    struct gguf_string name;
    uint32_t count = 0;
    float theta = 0;
    bool halves = false;
    assert_int_equal(gguf_get_string(&file, "general.name", true, &name, &err), OK);
    assert_true(gguf_string_equal(name, strrchr(folder->path, '/') + 1));
    assert_int_equal(gguf_get_u32(&file, "llama.block_count", true, 1, 1, &count, &err), OK);
    assert_int_equal(gguf_get_u32(&file, "llama.attention.key_length", true, 2, 2, &count, &err),
                     OK);
    assert_int_equal(gguf_get_f32(&file, "llama.rope.freq_base", true, 5e4f, 5e4f, &theta, &err),
                     OK);
    assert_int_equal(gguf_get_bool(&file, "sluice.rope.halves", true, &halves, &err), OK);
    assert_true(halves);
    assert_int_equal(file.tensor_count, 12);
    const struct gguf_tensor *head = gguf_find_tensor(&file, "output.weight");
    assert_true(((const float *)head->tensor.data)[0] == 32.0f);
    assert_int_equal(gguf_find_tensor(&file, "blk.0.ffn_down.weight")->tensor.shape[1], 6);
    gguf_close(&file);
}

/* transformers 5 writes rope_parameters. */
static void old_and_new_rotary_settings_read_alike(void **state)
{
    static const char *const configs[] = {
        CONFIG(",\"rope_theta\":50000.0,\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}"),
        CONFIG(",\"rope_theta\":50000.0,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4}"),
        CONFIG(",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":4.0,"
               "\"rope_theta\":50000.0}"),
    };
    const struct hf_folder *folder = *state;
    hf_folder_write_weights(folder, "model.safetensors", embedded);
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        struct gguf file;
        struct error err;
        struct gguf_string type;
        float value = 0;
        write_config(folder, configs[i]);
        open_folder(folder, &file);
        assert_int_equal(
            gguf_get_f32(&file, "llama.rope.freq_base", true, 5e4f, 5e4f, &value, &err), OK);
        assert_int_equal(gguf_get_f32(&file, "llama.rope.scaling.factor", true, 4, 4, &value, &err),
                         OK);
        assert_int_equal(gguf_get_string(&file, "llama.rope.scaling.type", true, &type, &err), OK);
        assert_true(gguf_string_equal(type, "linear"));
        gguf_close(&file);
    }
}

static void either_matrix_of_a_tied_model_may_be_stored(void **state)
{
    const struct hf_folder *folder = *state;
    struct gguf file;
    write_config(folder, CONFIG(",\"tie_word_embeddings\":true"));
    hf_folder_write_weights(folder, "model.safetensors", headed);
    open_folder(folder, &file);
    assert_non_null(gguf_find_tensor(&file, "token_embd.weight"));
    assert_null(gguf_find_tensor(&file, "output.weight"));
    gguf_close(&file);
    hf_folder_write_weights(folder, "model.safetensors", embedded);
    open_folder(folder, &file);
    assert_non_null(gguf_find_tensor(&file, "token_embd.weight"));
    gguf_close(&file);
    hf_folder_write_weights(folder, "model.safetensors", both);
    expect_refused(folder,
                   "tensor lm_head.weight is not the embedding, though tie_word_embeddings");
    write_config(folder, CONFIG(",\"tie_word_embeddings\":false"));
    hf_folder_write_weights(folder, "model.safetensors", embedded);
    expect_refused(folder, "tensor lm_head.weight is missing, and tie_word_embeddings is false");
    hf_folder_write_weights(folder, "model.safetensors", headed);
    expect_refused(folder, "tensor model.embed_tokens.weight is missing, and tie_word_embeddings");
}

/* M-45 */
static void configurations_are_checked(void **state)
{
    const struct hf_folder *folder = *state;
    hf_folder_write_weights(folder, "model.safetensors", embedded);
    expect_refused(folder, "config.json: cannot be opened");
    refuse_config(folder, "", "config.json: line 1, column 0: not valid JSON");
    refuse_config(folder, "[]", "config.json: the JSON must be an object");
    refuse_config(folder, "{}", "config.json: model_type is missing");
    refuse_config(folder, "{\"model_type\":7}", "config.json: model_type is not a string");
    refuse_config(folder, "{\"model_type\":\"mamba\\n\"}",
                  "config.json: model_type is \"mamba?\"; the known ones are llama, mistral,");
    refuse_config(folder, "{\"model_type\":\"llama\"}", "config.json: hidden_size is missing");
    refuse_config(folder, CONFIG(",\"hidden_act\":\"mish\""),
                  "hidden_act is \"mish\"; of a llama model it must be silu");
    refuse_config(folder, CONFIG(",\"head_dim\":0"), "config.json: head_dim is 0, limits 1 and");
    refuse_config(folder, CONFIG(",\"head_dim\":2.5"), "config.json: head_dim is not an integer");
    refuse_config(folder, CONFIG(",\"sliding_window\":16"),
                  "sliding_window is 16; of a llama model it must be null");
    refuse_config(folder, CONFIG(",\"layer_types\":[\"full_attention\",\"full_attention\"]"),
                  "layer_types has 2 entries for 1 layers");
    refuse_config(folder, CONFIG(",\"layer_types\":[\"chunked_attention\"]"),
                  "layer_types[0] is chunked_attention");
    refuse_config(folder, CONFIG(",\"quantization_config\":{\"quant_method\":\"eetq\"}"),
                  "quantization_config.quant_method is \"eetq\"");
    refuse_config(folder, CONFIG(",\"rope_scaling\":{\"type\":\"spiral\"}"),
                  "rope_scaling.rope_type is \"spiral\"; the known ones are default, linear");
    refuse_config(folder, CONFIG(",\"rope_scaling\":{\"type\":\"linear\"}"),
                  "rope_scaling.factor is missing");
    refuse_config(folder, CONFIG(",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":0.5}"),
                  "rope_parameters.factor is 0.5, limits 1 and 65536");
    refuse_config(folder, CONFIG(",\"rope_scaling\":7"), "rope_scaling is not an object");
    refuse_config(folder, CONFIG(",\"tie_word_embeddings\":1"),
                  "tie_word_embeddings is not true or false");
}

#define TYPED(type, more) "{\"model_type\":\"" type "\"," CONFIG_SIZES more "}"
#define QWEN3_MOE                                                                                  \
    ",\"num_experts\":3,\"num_experts_per_tok\":2,\"moe_intermediate_size\":2,\"head_dim\":2"
#define DEEPSEEK                                                                                   \
    ",\"kv_lora_rank\":4,\"qk_nope_head_dim\":4,\"qk_rope_head_dim\":2,\"v_head_dim\":4,"          \
    "\"n_routed_experts\":4,\"num_experts_per_tok\":2,\"moe_intermediate_size\":2,"                \
    "\"routed_scaling_factor\":1.5"
#define GPT_OSS ",\"num_local_experts\":3,\"num_experts_per_tok\":2"

/* What tells layers and routers apart in mixtures of experts. */
static void configurations_of_mixtures_are_checked(void **state)
{
    const struct hf_folder *folder = *state;
    hf_folder_write_weights(folder, "model.safetensors", embedded);
    refuse_config(folder, TYPED("qwen3_moe", QWEN3_MOE ",\"mlp_only_layers\":[1]"),
                  "mlp_only_layers[0] is no index of one of 1 layers");
    refuse_config(folder, TYPED("qwen3_moe", QWEN3_MOE ",\"decoder_sparse_step\":0"),
                  "decoder_sparse_step is 0, limits 1");
    refuse_config(folder, TYPED("deepseek_v2", DEEPSEEK ",\"first_k_dense_replace\":2"),
                  "first_k_dense_replace is 2, limits 0 and 1");
    refuse_config(folder, TYPED("deepseek_v2", DEEPSEEK ",\"norm_topk_prob\":true"),
                  "norm_topk_prob of a deepseek_v2 model must be false");
    refuse_config(folder, TYPED("deepseek_v2", DEEPSEEK ",\"topk_method\":\"noaux_tc\""),
                  "topk_method is \"noaux_tc\"; of a deepseek_v2 model it must be greedy");
    refuse_config(folder,
                  TYPED("deepseek_v2", DEEPSEEK ",\"topk_method\":\"group_limited_greedy\""),
                  "n_group is missing");
    refuse_config(folder, TYPED("deepseek_v3", DEEPSEEK), "n_group is missing");
    refuse_config(
        folder,
        TYPED("deepseek_v3", DEEPSEEK ",\"n_group\":2,\"topk_group\":1,\"scoring_func\":\"tanh\""),
        "scoring_func is \"tanh\"; of a deepseek_v3 model it must be sigmoid");
    refuse_config(folder, TYPED("deepseek_v3", DEEPSEEK ",\"n_group\":2,\"topk_group\":1"),
                  "tensor model.layers.0.self_attn.kv_a_proj_with_mqa.weight is missing");
    refuse_config(folder, TYPED("gpt_oss", GPT_OSS ",\"swiglu_limit\":8"),
                  "swiglu_limit is 8; of a gpt_oss model it must be 7");
    refuse_config(folder,
                  TYPED("gpt_oss", GPT_OSS ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}"),
                  "rope_scaling.truncate is true; it must be false");
    refuse_config(folder, TYPED("gpt_oss", GPT_OSS),
                  "tensor model.layers.0.self_attn.sinks is missing");
}

static void configurations_of_other_forms_are_checked(void **state)
{
    const struct hf_folder *folder = *state;
    hf_folder_write_weights(folder, "model.safetensors", embedded);
    refuse_config(folder, TYPED("smollm3", ",\"no_rope_layers\":[1,0]"),
                  "no_rope_layers has 2 entries for 1 layers");
    refuse_config(folder, TYPED("gemma3", ""), "text_config is missing");
    refuse_config(folder, TYPED("gemma3", ",\"text_config\":{\"hidden_size\":0}"),
                  "text_config.hidden_size is 0");
    refuse_config(folder,
                  TYPED("cohere", ",\"layer_norm_eps\":1e-5,\"logit_scale\":1,"
                                  "\"use_qk_norm\":true"),
                  "tensor model.layers.0.self_attn.q_norm.weight is missing");
    refuse_config(folder, TYPED("stablelm", ",\"layer_norm_eps\":1e-5,\"qk_layernorm\":1"),
                  "qk_layernorm is not true or false");
    refuse_config(folder, TYPED("stablelm", ",\"layer_norm_eps\":1e-5,\"qk_layernorm\":true"),
                  "tensor model.layers.0.self_attn.q_layernorm.norms.0.weight is missing");
}

static void weights_of_other_models_are_refused(void **state)
{
    const struct hf_folder *folder = *state;
    static const char *const extra[] = {"model.embed_tokens.weight 8 4", LLAMA_LAYER,
                                        "model.layers.0.self_attn.q_norm.weight 2 0", NULL};
    static const char *const deeper[] = {"model.embed_tokens.weight 8 4", LLAMA_LAYER,
                                         "model.layers.1.input_layernorm.weight 4 0", NULL};
    static const char *const less[] = {"model.embed_tokens.weight 8 4", "model.norm.weight 4 0",
                                       NULL};
    write_config(folder, CONFIG(""));
    expect_refused(folder, "neither model.safetensors nor model.safetensors.index.json");
    hf_folder_write_weights(folder, "model.safetensors", extra);
    expect_refused(folder, "model.safetensors: nothing in a llama model of 1 layers uses tensor "
                           "model.layers.0.self_attn.q_norm.weight");
    hf_folder_write_weights(folder, "model.safetensors", deeper);
    expect_refused(folder, "uses tensor model.layers.1.input_layernorm.weight");
    hf_folder_write_weights(folder, "model.safetensors", less);
    expect_refused(folder, "tensor model.layers.0.input_layernorm.weight is missing; every llama "
                           "model has it");
}

static void write_index(const struct hf_folder *folder, const char *map)
{
    char index[4096];
    int length = snprintf(index, sizeof index, "{\"metadata\":{},\"weight_map\":%s}", map);
    hf_folder_write(folder, "model.safetensors.index.json", index, (uint64_t)length);
}

/* M-44 */
static void the_index_of_shards_is_checked(void **state)
{
    const struct hf_folder *folder = *state;
    static const char *const first[] = {"a 2 2", NULL};
    static const char *const second[] = {"b 2 2", NULL};
    static const char *const again[] = {"a 2 2", "b 2 2", NULL};
    write_config(folder, CONFIG(""));
    hf_folder_write_weights(folder, "1.safetensors", first);
    hf_folder_write_weights(folder, "2.safetensors", second);
    write_index(folder, "{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}");
    expect_refused(folder, "is missing"); /* of a sound index: what the family wants */
    write_index(folder, "[]");
    expect_refused(folder, "index.json: weight_map is no object with tensors");
    write_index(folder, "{\"a\":\"../1.safetensors\"}");
    expect_refused(folder, "in weight_map is no plain name");
    write_index(folder, "{\"a\":\"/etc/passwd\"}");
    expect_refused(folder, "in weight_map is no plain name");
    write_index(folder, "{\"a\":\".safetensors\"}");
    expect_refused(folder, "in weight_map is no plain name");
    write_index(folder, "{\"a\":7}");
    expect_refused(folder, "in weight_map is no plain name");
    write_index(folder, "{\"a\":\"3.safetensors\"}");
    expect_refused(folder, "3.safetensors: cannot be opened");
    write_index(folder, "{\"a\":\"1.safetensors\",\"b\":\"1.safetensors\"}");
    expect_refused(folder, "tensor b of weight_map is missing in 1.safetensors");
    write_index(folder, "{\"b\":\"1.safetensors\"}");
    expect_refused(folder, "tensor a is in");
    hf_folder_write_weights(folder, "2.safetensors", again);
    write_index(folder, "{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}");
    expect_refused(folder, "tensor a is also in");
    hf_folder_write(folder, "2.safetensors", "short", 5);
    expect_refused(folder, "2.safetensors: 5 bytes; a safetensors file starts with");
}

static void shards_make_one_model(void **state)
{
    const struct hf_folder *folder = *state;
    static const char *const first[] = {"model.embed_tokens.weight 8 4", NULL};
    static const char *const second[] = {LLAMA_LAYER, NULL};
    char map[2048] = "{\"model.embed_tokens.weight\":\"1.safetensors\"";
    for (size_t i = 0; second[i] != NULL; i++) {
        char name[128];
        assert_int_equal(sscanf(second[i], "%127s", name), 1);
        size_t used = strlen(map);
        snprintf(map + used, sizeof map - used, ",\"%s\":\"2.safetensors\"", name);
    }
    size_t used = strlen(map);
    snprintf(map + used, sizeof map - used, "}");
    write_config(folder, CONFIG(""));
    hf_folder_write_weights(folder, "1.safetensors", first);
    hf_folder_write_weights(folder, "2.safetensors", second);
    write_index(folder, map);
    struct gguf file;
    open_folder(folder, &file);
    assert_int_equal(file.tensor_count, 11);
    gguf_close(&file);
}

static void write_sampling(const struct hf_folder *folder, const char *text)
{
    write_config(folder, CONFIG(""));
    hf_folder_write_weights(folder, "model.safetensors", embedded);
    hf_folder_write(folder, "generation_config.json", text, strlen(text));
}

static void expect_number(const struct gguf *file, const char *key, float expected)
{
    float number = -1;
    struct error err;
    assert_int_equal(gguf_get_f32(file, key, true, 0, 9, &number, &err), OK);
    assert_true(number == expected);
}

static void the_generation_config_becomes_sampling_keys(void **state)
{
    const struct hf_folder *folder = *state;
    struct gguf file;
    uint32_t top_k = 0;
    struct error err;
    write_sampling(folder, "{\"do_sample\":true,\"temperature\":0.5,\"top_p\":0.75,\"top_k\":20,"
                           "\"min_p\":0.25,\"repetition_penalty\":1.5,\"typical_p\":null}");
    open_folder(folder, &file);
    expect_number(&file, "general.sampling.temp", 0.5f);
    expect_number(&file, "general.sampling.top_p", 0.75f);
    expect_number(&file, "general.sampling.min_p", 0.25f);
    expect_number(&file, "general.sampling.penalty_repeat", 1.5f);
    assert_int_equal(gguf_get_u32(&file, "general.sampling.top_k", true, 0, 99, &top_k, &err), OK);
    assert_int_equal(top_k, 20);
    gguf_close(&file);

    /* Greedy, when it says so; null and absent values say nothing. */
    write_sampling(folder, "{\"do_sample\":false,\"temperature\":0.5,\"top_k\":-1,\"top_p\":null}");
    open_folder(folder, &file);
    expect_number(&file, "general.sampling.temp", 0);
    assert_null(gguf_find(&file, "general.sampling.top_p"));
    assert_int_equal(gguf_get_u32(&file, "general.sampling.top_k", true, 0, 99, &top_k, &err), OK);
    assert_int_equal(top_k, 0);
    gguf_close(&file);

    write_sampling(folder, "{\"temperature\":\"hot\"}");
    expect_refused(folder, "generation_config.json: temperature: not a number");
    write_sampling(folder, "{\"top_k\":1.5}");
    expect_refused(folder, "generation_config.json: top_k: not an integer");
    write_sampling(folder, "{\"do_sample\":1}");
    expect_refused(folder, "generation_config.json: do_sample: not true or false");
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(a_directory_has_the_keys_and_tensors_of_its_file),
        FOLDER_TEST(old_and_new_rotary_settings_read_alike),
        FOLDER_TEST(either_matrix_of_a_tied_model_may_be_stored),
        FOLDER_TEST(configurations_are_checked),
        FOLDER_TEST(configurations_of_mixtures_are_checked),
        FOLDER_TEST(configurations_of_other_forms_are_checked),
        FOLDER_TEST(weights_of_other_models_are_refused),
        FOLDER_TEST(the_index_of_shards_is_checked),
        FOLDER_TEST(shards_make_one_model),
        FOLDER_TEST(the_generation_config_becomes_sampling_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
