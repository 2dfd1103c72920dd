"""Little stories without end: expands the plots in plots/*.txt, this project's own text.

A plot is a chain of beats, each with many wordings; who and what is in it is chosen once and stays
the same over the story. The notation is described in plots/README.md.
SPDX-License-Identifier: Apache-2.0"""
import dataclasses
import pathlib
import random
import re

import story_cast

PLOTS = pathlib.Path(__file__).with_name("plots")
# Plots nobody trains on: how well is a plot told that is new?
HELD_OUT_PLOTS = ("lantern_in_the_dark", "wobbly_bridge", "kite_in_a_tree", "new_neighbour")
OPTIONAL_CHANCE = 0.6
WORDS_MIN, WORDS_MAX = 60, 280

CHOICE = re.compile(r"\{([^{}]*)\}")
MACRO = re.compile(r"@(\w+)(?:\(([^()]*)\))?")
SLOT = re.compile(r"\$(\w+)(?:\.([A-Za-z]+))?")
EVERYDAY = set("with some many under behind near around into from very that after".split())
NOUN_SLOTS = ("toy", "thing", "food", "plant", "wear", "art", "cake", "water", "nose", "place")
HERO_FORMS = ("he", "him", "his", "himself")


@dataclasses.dataclass
class Plot:
    name: str
    head: dict = dataclasses.field(default_factory=dict)
    beats: list = dataclasses.field(default_factory=list)  # (mark, [alternatives])


@dataclasses.dataclass
class Story:
    text: str
    plot: str
    hero: story_cast.Person
    abouts: list  # "a fox who lost a ball"
    words: list  # what the plot chose and the text really says
    nouns: list  # of it, what can be asked for as "a ..."


def read_plots(path):
    """Plots of one file, in order; shared beats are plots without a head."""
    plots = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("=="):
            plots.append(Plot(line[2:].strip()))
        elif line.startswith("#") or not line.strip():
            continue
        elif (head := re.match(r"([a-z_]+(?: / [a-z_]+)*): (.*)", line)) and not plots[-1].beats:
            plots[-1].head.setdefault(head.group(1), []).extend(split_choices(head.group(2)))
        elif line.startswith("|"):
            plots[-1].beats[-1][1].append(line[1:].strip())
        else:
            mark = line[0] if line[0] in "?~" else ""
            plots[-1].beats.append((mark, [line[len(mark):].strip()]))
    return plots


def split_choices(text):
    """At the bars outside braces."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign == "{") - (sign == "}")
        if sign == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def load():
    """({name: plot}, {name: shared beat})"""
    shared = {plot.name: plot for plot in read_plots(PLOTS / "shared.txt")}
    plots = {plot.name: plot for path in sorted(PLOTS.glob("*.txt")) if path.name != "shared.txt"
             for plot in read_plots(path)}
    return plots, shared


class Telling:
    """One story under way: its cast, its things, its chance."""

    def __init__(self, plot, shared, rng):
        self.plot, self.shared, self.rng = plot, shared, rng
        self.people, self.things = {}, {}
        for key, values in plot.head.items():
            if key in ("about", "adj", "tags"):
                continue
            if key in ("hero", "parent") or key.startswith("who_"):
                classes = self.rng.choice(values).split()
                self.people[key.removeprefix("who_")] = story_cast.cast(
                    classes, rng, list(self.people.values()),
                    plot.head.get("adj") if key == "hero" else None, key == "hero")
            else:
                chosen = self.rng.choice(values).split(" / ")
                for name, value in zip(key.split(" / "), chosen, strict=True):
                    self.things[name] = self.choose(value)
        hero = self.people["hero"]
        self.tags = {hero.habitat, hero.kind, "named" if hero.name else "nameless", hero.pronoun,
                     "child" if hero.habitat == "child" else "animal"}
        self.tags |= set(" ".join(plot.head.get("tags", ["fine"])).split())
        if "love" in self.things:
            self.tags.add("love")
        self.things["home"] = self.choose("{" + story_cast.HOMES[hero.habitat] + "}")

    def fits(self, alternative):
        """Whether the conditions in front, as in "[child named] text", hold."""
        found = re.match(r"\[([\w ]+)\]", alternative)
        return not found or set(found.group(1).split()) <= self.tags

    def pick(self, alternatives):
        fitting = [a for a in alternatives if self.fits(a)]
        return re.sub(r"^\[[\w ]+\] *", "", self.rng.choice(fitting)) if fitting else ""

    def slot(self, match):
        name, attribute = match.group(1), match.group(2) or ""
        low = name[0].lower() + name[1:]
        if low in HERO_FORMS:
            out = self.people["hero"].form(low, self.rng, [])
        elif low in self.people:
            person = self.people[low]
            others = [p.kind for p in self.people.values() if p is not person]
            out = self.expand(person.form(attribute.lower(), self.rng, others))
            name = attribute if attribute[:1].isupper() else name
        else:
            out = self.expand(self.things[low])
            out += "." + attribute if attribute else ""
        return out[0].upper() + out[1:] if name[0].isupper() and out else out

    def macro(self, match):
        beat = self.shared[match.group(1)]
        text = "\n".join(self.pick(alternatives) for _, alternatives in beat.beats)
        return self.expand(text.replace("$1", match.group(2) or ""))

    def choose(self, text):
        """The text with every {a|b} decided, innermost first."""
        while CHOICE.search(text):
            text = CHOICE.sub(lambda m: self.rng.choice(m.group(1).split("|")), text)
        return text

    def expand(self, text):
        text = MACRO.sub(self.macro, self.choose(text))
        return SLOT.sub(self.slot, text)

    def beats(self):
        """The beats of this telling in order: optional ones may fall out, ~ neighbours swap."""
        out, swapping = [], []
        for mark, alternatives in self.plot.beats + [("", None)]:
            if mark == "~":
                swapping.append(alternatives)
                continue
            self.rng.shuffle(swapping)
            out += swapping
            swapping = []
            if alternatives and (mark != "?" or self.rng.random() < OPTIONAL_CHANCE):
                out.append(alternatives)
        return [text for text in (tidy(self.expand(self.pick(beat))) for beat in out) if text]

    def tell(self):
        text = paragraphs(self.beats(), self.rng)
        abouts = [articles(self.expand(about)) for about in self.plot.head.get("about", [])]
        words = [word for value in self.things.values() for word in re.findall(r"[a-z]{4,}", value)
                 if word in text.split() and word not in EVERYDAY]
        kinds = [p.kind for p in self.people.values() if p is not self.people["hero"]]
        ends = [self.things[key].split()[-1] for key in NOUN_SLOTS if key in self.things]
        nouns = [noun for noun in kinds + ends if re.search(rf"\b{noun}\b", text)]
        return Story(text, self.plot.name, self.people["hero"], abouts, sorted(set(words)),
                     [noun for noun in nouns if not noun.endswith("s")])


def articles(text):
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)


def tidy(text):
    """Single blanks, a or an, and a capital where a sentence begins."""
    text = articles(re.sub(r"\s+", " ", text).strip())
    text = re.sub(r'([.!?]")\.', r"\1", text)
    text = text.replace('".', '."')
    text = re.sub(r" ([,.!?])", r"\1", text)
    return re.sub(r'(^|(?<=[.!?]) |(?<=\.") )([a-z])', lambda m: m.group(1) + m.group(2).upper(),
                  text)


def paragraphs(beats, rng):
    """Half of the stories in one paragraph, the others in paragraphs of some beats."""
    if rng.random() < 0.5:
        return " ".join(beats)
    parts = []
    while beats:
        count = rng.randint(2, 4)
        parts.append(" ".join(beats[:count]))
        beats = beats[count:]
    if len(parts) > 1 and len(parts[-1]) < 60:
        parts[-2:] = [parts[-2] + " " + parts[-1]]
    return "\n\n".join(parts)


def stories(count, seed, held_out_plots=False):
    """`count` stories of the plots to train on, or of those held out whole."""
    rng = random.Random(seed)
    plots, shared = load()
    names = [name for name in plots if (name in HELD_OUT_PLOTS) == held_out_plots]
    out = []
    while len(out) < count:
        story = Telling(plots[rng.choice(names)], shared, rng).tell()
        if WORDS_MIN <= len(story.text.split()) <= WORDS_MAX:
            out.append(story)
    return out


if __name__ == "__main__":
    import sys
    for told in stories(int(sys.argv[1]), int(sys.argv[2])):
        print(f"[{told.plot}: {told.abouts} {told.words}]\n{told.text}\n")
