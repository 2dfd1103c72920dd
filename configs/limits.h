/* limits.h - every compile-time bound of the program, each with its reason.
 *
 * A limit that an operator may want to move is an option in config.c instead; what stands here
 * protects the process or fixes the size of a type. SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIGS_LIMITS_H
#define CONFIGS_LIMITS_H

/* Model files: no published model comes near these; a hostile header meets them first. */
#define LIMIT_GGUF_TENSORS    65536u    /* DeepSeek-V3 split per expert has about 45,000 */
#define LIMIT_GGUF_KEYS       65536u    /* real files have under 100 */
#define LIMIT_GGUF_KEY_BYTES  65535u    /* the specification's own bound */
#define LIMIT_GGUF_NAME_BYTES 64u       /* the specification's own bound, tensor names */
#define LIMIT_GGUF_ARRAY      16777216u /* values in one metadata array; merges reach 280,000 */
#define LIMIT_GGUF_STRING     16777216u /* bytes of one metadata string; templates reach 100 KB */
#define LIMIT_GGUF_DIMS       4u        /* the specification's own bound */
#define LIMIT_SAFETENSORS_HEADER                                                                   \
    33554432u /* bytes; 131,072 tensors take about 16 M. The format's own bound is 100 MB */
#define LIMIT_SAFETENSORS_TENSORS 131072u   /* of a model; DeepSeek-V3 has 91,991 */
#define LIMIT_SAFETENSORS_DIMS    8u        /* of weights: 1 to 5 */
#define LIMIT_TENSOR_NAME         256u      /* bytes, in safetensors; real ones have under 100 */
#define LIMIT_SHARDS              1024u     /* files of one model; largest published: 191 */
#define LIMIT_MODEL_JSON_BYTES    67108864u /* an index or a config.json; the largest is 9 MB */
#define LIMIT_MODEL_JSON_NODES    2097152u  /* values in one of them or in a header: 12 a tensor */
#define LIMIT_MODEL_LAYERS        1024u     /* largest published: 126 */
#define LIMIT_MODEL_DIM           131072u   /* largest published hidden width: 53,248 (an ffn) */
#define LIMIT_MODEL_HEADS         1024u     /* largest published: 128 */
#define LIMIT_MODEL_HEAD_DIM                                                                       \
    1024u /* largest published: 576 (MLA); kernels keep one head on the stack */
#define LIMIT_MODEL_VOCAB   4194304u  /* largest published: 262,144 */
#define LIMIT_MODEL_CONTEXT 16777216u /* largest published: 10 M */
#define LIMIT_MODEL_EXPERTS                                                                        \
    1024u /* of a layer; largest published: 512. Which are taken is a bit map on the stack */
#define LIMIT_MODEL_EXPERTS_USED                                                                   \
    64u /* by one row; 8 is usual. Times LIMIT_MODEL_DIM it keeps buffer rows below 2^24 values */

/* Tokenizer */
#define LIMIT_TOKEN_BYTES          65536u      /* bytes of one token's text */
#define LIMIT_TOKENIZER_MERGES     4194304u    /* real lists reach 280,000 */
#define LIMIT_TOKENIZER_FILE_BYTES 134217728u  /* of a tokenizer.json or .model; Gemma 3's: 33 MB */
#define LIMIT_TOKENIZER_JSON_NODES 8388608u    /* values in one; Gemma 3's has 2.1 M */
#define LIMIT_ENCODE_BYTES         1073741824u /* of one text: offsets into it are 32 bits */
#define LIMIT_TEMPLATE_BYTES       1048576u /* a chat template's source; real ones reach 100 KB */
#define LIMIT_TEMPLATE_STEPS       10000000u /* evaluation steps of one render: stops hostile loops */
#define LIMIT_TEMPLATE_DEPTH       200u      /* nesting of expressions, blocks and macro calls */
#define LIMIT_TEMPLATE_OUTPUT      67108864u /* bytes one render may produce */
#define LIMIT_TEMPLATE_LEVELS      1500u /* nested evaluations: a render needs under 1 MiB of stack */
#define LIMIT_TEMPLATE_MEMORY      268435456u /* bytes of values one render may make */
#define LIMIT_TEMPLATE_TREE        134217728u /* bytes a parsed template may take */
#define LIMIT_TEMPLATE_RANGE       100000u /* numbers of one range(), as Jinja's sandbox has it */
#define LIMIT_TEMPLATE_PARAMETERS  32u     /* of one macro; real ones have up to 6 */

/* Requests */
#define LIMIT_CHOICES            128u /* n: the OpenAI bound */
#define LIMIT_PROMPTS            128u /* prompts of one completions request, times n below LIMIT_CHOICES */
#define LIMIT_TOP_LOGPROBS       20u /* the OpenAI bound */
#define LIMIT_STOP_STRINGS       16u /* OpenAI allows 4, vLLM any number */
#define LIMIT_STOP_BYTES         1024u /* one stop string: held back from streams while it may match */
#define LIMIT_STOP_TOKENS        256u   /* stop_token_ids */
#define LIMIT_TEMPERATURE        2      /* the OpenAI bound */
#define LIMIT_REPETITION_PENALTY 100    /* real ones: 0.8 to 2 */
#define LIMIT_LOGIT_BIAS         1024u  /* the OpenAI bound is 300 */
#define LIMIT_MESSAGES           16384u /* of one chat request */
#define LIMIT_TOOLS              128u   /* the OpenAI bound */
#define LIMIT_TOOL_NAME_BYTES                                                                      \
    64u /* the OpenAI bound: letters, digits, underscores and dashes; dots pass here */
#define LIMIT_CALL_HEADER_BYTES                                                                    \
    4096u /* of a call in an answer, up to its arguments: held back until it is one */

/* HTTP: in front of jansson, whose heap use is 20 to 75 times the body */
#define LIMIT_JSON_DEPTH   128u
#define LIMIT_JSON_NODES   1000000u
#define LIMIT_HEADER_COUNT 64u
#define LIMIT_HEADER_BYTES 16384u /* all headers of a request */
#define LIMIT_URL_BYTES    4096u
#define LIMIT_ANSWER_BYTES                                                                         \
    268435456u /* one answer, and one choice of it: beyond any context in use */

/* Engine */
#define LIMIT_THREADS      256u
#define LIMIT_BLOCK_TOKENS 1024u
#define LIMIT_DRAFT_TOKENS 64u   /* guesses verified in one span */
#define LIMIT_SPANS        4096u /* requests in one step: --max-num-seqs */

#endif
