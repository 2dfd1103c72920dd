/* tokenizer_keys.h - what GGUF has no key for, and which values the keys of our own take.
 *
 * The public keys (tokenizer.ggml.*) say what most tokenizers do. Hugging Face's say more; its
 * reader puts the rest under the keys below, and a file without them means what GGUF means.
 * Thread: any; constants. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_TOKENIZER_KEYS_H
#define ENGINE_TOKENIZER_TOKENIZER_KEYS_H

/* String: a name of pretokenizer.c, where tokenizer.ggml.pre has the public name of one that is
 * nearly the same. */
#define TOKENIZER_KEY_PRE "sluice.tokenizer.pre"

/* Array of strings, the steps of normalisation in order: "nfc", "nfd", "nfkc", "nfkd", "lowercase",
 * "strip-left", "strip-right", "prepend" and a text, "replace" and two texts, "squeeze-spaces" (two or
 * more) and a text, "charsmap" and "charsmap-graphemes" (charsmap.h). In force instead of
 * what the pre-tokenizer's name implies. */
#define TOKENIZER_KEY_NORMALIZER "sluice.tokenizer.normalizer"

/* u32: in front of which text a space is put, of enum tokenizer_prefix; in force instead of
 * tokenizer.ggml.add_space_prefix. */
#define TOKENIZER_KEY_PREFIX "sluice.tokenizer.prefix"

/* Array of u32, one a token: of enum tokenizer_token_flags. */
#define TOKENIZER_KEY_TOKEN_FLAGS "sluice.tokenizer.token_flags"

/* Array of u32, two a merge: the tokens that merge, the earliest merge first. A vocabulary of
 * characters ("llama") with this key merges by rank, not by score. */
#define TOKENIZER_KEY_MERGE_PAIRS "sluice.tokenizer.merge_pairs"

/* Bool: a word that is a token is that token, whatever the merges say. */
#define TOKENIZER_KEY_WHOLE_WORDS "sluice.tokenizer.whole_words"

/* Bool: a space of a vocabulary of characters begins a word that nothing merges across. */
#define TOKENIZER_KEY_SPLIT_WORDS "sluice.tokenizer.split_words"

/* Bool: text that no token spells becomes one unknown token, not one a character (default). */
#define TOKENIZER_KEY_FUSE_UNKNOWN "sluice.tokenizer.fuse_unknown"

/* Array of u32: what a plain prompt begins with, where that is more than the one bos token. */
#define TOKENIZER_KEY_BEGIN_IDS "sluice.tokenizer.begin_ids"

/* u32: what decoding drops of the spaces in front, of enum tokenizer_strip. */
#define TOKENIZER_KEY_STRIP "sluice.tokenizer.strip"

/* Bool: sums of scores are kept in single precision, as SentencePiece does: it decides ties. */
#define TOKENIZER_KEY_FLOAT_SUMS "sluice.tokenizer.float_sums"

enum tokenizer_prefix {
    TOKENIZER_PREFIX_EACH = 1,         /* each stretch of text between special tokens */
    TOKENIZER_PREFIX_FIRST = 2,        /* only text that is at the very beginning */
    TOKENIZER_PREFIX_UNLESS_SPACE = 4, /* none in front of a space */
    TOKENIZER_PREFIX_NORMALIZED = 8,   /* tokens are found in normalised text behind it */
    TOKENIZER_PREFIX_ALL = 15,
};

enum tokenizer_token_flags {
    TOKENIZER_TOKEN_STRIP_LEFT = 1,  /* takes the white space in front of it along */
    TOKENIZER_TOKEN_STRIP_RIGHT = 2, /* and behind it */
    TOKENIZER_TOKEN_SINGLE_WORD = 4, /* not inside a word */
    TOKENIZER_TOKEN_NORMALIZED = 8,  /* found in normalised text */
    TOKENIZER_TOKEN_IN_MODEL = 16,   /* what merging may make, too */
    TOKENIZER_TOKEN_FLAGS_ALL = 31,
};

enum tokenizer_strip {
    TOKENIZER_STRIP_NONE = 0,
    TOKENIZER_STRIP_ONE = 1,         /* the first space of a text */
    TOKENIZER_STRIP_FIRST_TOKEN = 2, /* all spaces of its first token */
    TOKENIZER_STRIP_EACH = 3,        /* one of each token, as long as that leaves no text */
};

#endif
