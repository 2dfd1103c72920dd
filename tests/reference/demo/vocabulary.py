"""The demo models' vocabulary: 2048 byte-level BPE tokens with GPT-2's word pattern.

SPDX-License-Identifier: Apache-2.0"""
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

SIZE = 2048
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = [END_OF_TEXT, TURN_START, TURN_END]


def train(documents, path):
    vocabulary = tokenizers.Tokenizer(models.BPE())
    vocabulary.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    vocabulary.decoder = decoders.ByteLevel()
    vocabulary.train_from_iterator(documents, trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    vocabulary.save(str(path))
    return vocabulary


def load(path):
    return tokenizers.Tokenizer.from_file(str(path))
