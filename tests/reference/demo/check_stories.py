"""Holds the story grammar to its word: no notation is left in a story, it is told whole, what is
asked for is in the answer, and the plots held out stay out. Needs the standard library alone.

SPDX-License-Identifier: Apache-2.0"""
import random
import re
import sys

import chat_data
import story_grammar

TOLD = 1500
LEFT_OVER = re.compile(r"[${}@|~\[\]_]|\.\.|,,|  |\b[Aa] [aeiou]|[,.!?][A-Za-z]|\bthe the\b")
ENDS = (".", "!", '."', '!"', '?"')


def every_story_is_whole():
    for story in story_grammar.stories(TOLD, 1) + story_grammar.stories(200, 1, True):
        found = LEFT_OVER.search(story.text.replace("\n\n", " "))
        assert not found, f"{story.plot}: {found.group()!r} in {story.text}"
        assert story.text.endswith(ENDS), f"{story.plot}: ends in {story.text[-20:]!r}"
        assert story.text.count('"') % 2 == 0, f"{story.plot}: quotes in {story.text}"
        assert story.text[0].isupper(), story.text


def every_plot_is_told():
    plots, _ = story_grammar.load()
    told = {story.plot for story in story_grammar.stories(TOLD, 2)}
    held = {story.plot for story in story_grammar.stories(200, 2, True)}
    assert held == set(story_grammar.HELD_OUT_PLOTS), held
    assert told | held == set(plots) and not told & held, set(plots) - told - held


def what_is_asked_for_is_told():
    rng = random.Random(3)
    for story in story_grammar.stories(TOLD, 3):
        question, answer = chat_data.ask_for_told(story, rng)
        assert story.hero.kind in story.text, story.text
        for noun in story.nouns:
            assert re.search(rf"\b{noun}\b", story.text), (noun, story.text)
        named = re.search(r" named ([A-Z]\w+)[.?!]", question)
        assert not named or named.group(1) in answer, (question, answer)


def a_seed_is_a_story():
    first, again = story_grammar.stories(50, 4), story_grammar.stories(50, 4)
    assert [story.text for story in first] == [story.text for story in again]
    assert len({story.text for story in first}) == 50


def main():
    failed = 0
    for check in (every_story_is_whole, every_plot_is_told, what_is_asked_for_is_told,
                  a_seed_is_a_story):
        try:
            check()
            print(f"[       OK ] {check.__name__}")
        except AssertionError as why:
            failed += 1
            print(f"[  FAILED  ] {check.__name__}: {why}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
