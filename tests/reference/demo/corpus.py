"""The demo models' training text: cleaned documents by source.

Sources, all in SLUICE_DATA/corpora: TinyStories (two pieces), CC-BY storybooks, public-domain
children's books; `chat` is made of the first by chat_data. The last documents of each source are
held out and never trained on. `grammar` is told by story_grammar, `asked` is more of it as answers;
held out are stories of another seed, and as `new plots` those of plots that nothing is trained on.
PROVENANCE.md beside the models names every origin.
SPDX-License-Identifier: Apache-2.0"""
import json
import lzma
import os
import pathlib
import random
import re

import chat_data
import story_grammar
from story_cast import BOYS, GIRLS

DATA = pathlib.Path(os.environ.get("SLUICE_DATA", "../shared/data")) / "corpora"
HELD_OUT_SHARE = 0.03
NAME_DRAWS = 6  # how often each little story is retold with other names
TOLD_COUNT, ASKED_COUNT, TOLD_HELD_COUNT = 14000, 10000, 120
TOLD_SEED, ASKED_SEED, TOLD_HELD_SEED = 101, 202, 303

NAMES = re.compile(r"\b(" + "|".join(GIRLS + BOYS) + r")\b")

ASCII_SIGNS = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2026": "...",
               "\u2014": " - ", "\u2013": "-", "\u00a0": " "}


def clean(text):
    """Straight quotes and single blanks, one empty line between paragraphs."""
    for sign, plain in ASCII_SIGNS.items():
        text = text.replace(sign, plain)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def marked_texts(name):
    """The texts of a collection whose parts start with a line <<< origin >>>."""
    text = lzma.open(DATA / name, "rt", encoding="utf-8").read()
    return [part.split(">>>", 1)[1] for part in text.split("<<< ")[1:]]


def tiny_stories():
    stories = json.load(open(DATA / "tinystories_train_first1000.json", encoding="utf-8"))
    head = open(DATA / "tinystories_valid_head.txt", encoding="utf-8").read()
    # Stories are told apart from paragraphs by how they begin; the first one is cut.
    begins = re.compile(r"\n\n(?=Once upon a time|Once there (?:was|were)|There once was)")
    stories += begins.split(head)[1:]
    return [clean(story) for story in stories if len(story) > 200]


def storybooks():
    books = []
    for text in marked_texts("storybooks-en-ccby.txt.xz"):
        pages = [" ".join(page.split()) for page in re.split(r"^##.*$", text, flags=re.M)]
        pages = [page for page in pages[1:] if page and "License:" not in page]
        books.append(clean("\n\n".join(pages)))
    return [book for book in books if len(book) > 200]


def books():
    """Children's books in pieces of some paragraphs, without headings and rules."""
    pieces = []
    for text in marked_texts("childrens-books-pd.txt.xz"):
        text = re.sub(r"^(#.*|-{3,}|\*.*\*|!\[.*)$", "", text, flags=re.M)
        text = re.sub(r"[_*\\]", "", text)
        piece = []
        for paragraph in clean(text).split("\n\n"):
            piece.append(paragraph)
            if sum(map(len, piece)) > 3500:
                pieces.append("\n\n".join(piece))
                piece = []
    return [piece for piece in pieces if len(piece) > 500]


def rename(story, rng):
    """The story with other names for its people: the cheapest honest way to more stories."""
    girls, boys = GIRLS[:], BOYS[:]
    rng.shuffle(girls)
    rng.shuffle(boys)
    names = dict(zip(GIRLS + BOYS, girls + boys))
    return NAMES.sub(lambda match: names[match.group(1)], story)


def split(documents):
    """(trained on, held out)"""
    held = max(1, int(len(documents) * HELD_OUT_SHARE))
    return documents[:-held], documents[-held:]


def told(count, seed, new_plots=False):
    return [story.text for story in story_grammar.stories(count, seed, new_plots)]


def asked(count, seed, stories_only=False):
    """Stories of the grammar as answers to what somebody could have asked."""
    rng = random.Random(seed)
    return chat_data.make_asked(story_grammar.stories(count, seed), rng, stories_only)


def load_told():
    """The sources that only stage 2 learns from; `new plots` is only measured."""
    return {"grammar": (told(TOLD_COUNT, TOLD_SEED), told(TOLD_HELD_COUNT, TOLD_HELD_SEED)),
            "asked": (asked(ASKED_COUNT, ASKED_SEED),
                      asked(TOLD_HELD_COUNT, TOLD_HELD_SEED + 1, stories_only=True)),
            "new plots": ([], told(TOLD_HELD_COUNT, TOLD_HELD_SEED + 2, new_plots=True))}


def load(seed=1):
    """{source: (training documents, held-out documents)}; a chat document is already marked up."""
    rng = random.Random(seed)
    tiny, tiny_held = split(tiny_stories())
    drawn, drawn_held = split(storybooks())
    read, read_held = split(books())
    retold = tiny + [rename(story, rng) for _ in range(NAME_DRAWS) for story in tiny]
    chat = chat_data.make(tiny, lambda story: rename(story, rng), rng)
    chat_held = chat_data.make(tiny_held, lambda story: story, rng, stories_only=True)
    return {"tiny": (retold, tiny_held), "storybooks": (drawn, drawn_held),
            "books": (read, read_held), "chat": (chat, chat_held)} | load_told()
