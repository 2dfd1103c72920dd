"""Who can be in a story of story_grammar: kinds of heroes, friends and grown-ups, where they live
and what they are called. A plot names a class, and gets a member of it.

SPDX-License-Identifier: Apache-2.0"""
import dataclasses

GIRLS = ("Lily Lucy Mia Sara Anna Amy Sue Jane Sally Molly Emma Ella Daisy Rose Mary Lola Kitty "
         "Jenny Ellie Sophie Grace Ruby Nora Clara Zoe Betty Polly Katie Maya Ava").split()
BOYS = ("Tim Tom Ben Max Jack Sam Bob Billy Timmy Tommy Joe John Peter Leo Jim Mark Fred Danny "
        "Henry Bobby Johnny Jimmy Sammy Harry Oscar Toby Charlie Alex Luke Finn").split()
SHE_ANIMALS = "Bella Poppy Tilly Dotty Pip Luna Hazel Nutmeg Honey Coco Minnie Flora Pearl".split()
HE_ANIMALS = "Rusty Spot Bobo Pip Buddy Hoppy Bruno Milo Teddy Pepper Biscuit Tuck Otto".split()

# species: where it lives; what a story calls small is small enough to be lifted by a child
HABITATS = {
    "house": "dog puppy cat kitten",
    "farm": "pig goat lamb pony horse donkey cow sheep duck hen",
    "forest": "fox bear rabbit bunny mouse hedgehog squirrel deer badger mole",
    "jungle": "lion elephant monkey tiger zebra",
    "pond": "frog turtle duckling beaver",
    "sky": "bird sparrow robin owl crow",
    "water": "fish"}
CLASSES = {
    "child": "girl boy",
    "girl": "girl",
    "boy": "boy",
    "land": "dog puppy cat kitten pig goat lamb pony donkey cow fox bear rabbit bunny mouse hedgehog "
            "squirrel deer badger lion elephant monkey tiger horse",
    "small": "puppy kitten rabbit bunny mouse hedgehog squirrel duckling mole lamb",
    "digger": "mouse rabbit mole badger fox dog bunny",
    "climber": "squirrel monkey cat kitten",
    "big": "bear elephant lion horse cow tiger",
    "pet": "dog puppy cat kitten rabbit",
    "dog": "dog puppy",
    "cat": "cat kitten",
    "bird": "bird sparrow robin owl crow",
    "songbird": "bird sparrow robin",
    "swimmer": "frog turtle duckling beaver fish duck",
    "walker": "frog turtle duckling beaver",
    "fish": "fish",
    "farm": "pig goat lamb pony donkey cow sheep hen duck"}
# grown-ups and folk of tales: (kind, pronoun)
FOLK = {"royal": ("king he", "queen she", "princess she", "prince he"),
        "worker": ("baker he", "farmer he", "gardener she", "cook she", "fisherman he", "miller he",
                   "tailor she", "shoemaker he"),
        "old": ("old man he", "old woman she"),
        "heir": ("princess she", "prince he"),
        "robot": ("robot he",),
        "dragon": ("dragon he", "dragon she")}
PARENTS = (("mom", "she"), ("mom", "she"), ("mother", "she"), ("dad", "he"), ("dad", "he"),
           ("father", "he"), ("grandma", "she"), ("grandpa", "he"))
HOMES = {
    "child": "in a {small|little|quiet} {village|town}|in a {small|little|cozy} house {near the "
             "woods|by the sea|on a hill|by a river}|in a {big|busy} {town|city}",
    "house": "in a {small|little|cozy} house {near the park|on a hill|by the river|with a garden}|"
             "in a {quiet|small} {village|town}",
    "farm": "on a {small|big|green|sunny} farm|on a farm {near the woods|by a river|under a hill}",
    "forest": "in a {big|deep|green|quiet} forest|in {the|a big} forest {near a river|under a hill}|"
              "at the edge of {a|the} forest|in a {big|green|dark} wood",
    "jungle": "in a {big|green|hot|deep} jungle|in a jungle by a {wide|long} river",
    "pond": "by a {small|quiet|blue|green} pond|at a pond in the {woods|meadow|forest}",
    "sky": "in a {tall|big|old} {tree|oak tree} {in the park|by the river|in the forest}|"
           "in a nest in {a|an old} {tree|apple tree}",
    "water": "in a {small|blue|clear|quiet} {pond|lake}|in the {big|deep} blue {sea|lake}",
    "folk": "in a {small|far|quiet} {town|land}|in a {land|town} {by the sea|in the hills}",
    "royal": "in a {big|tall|white} castle|in a castle {on a hill|by the sea}"}
ADJECTIVES = "little little little small young brave curious kind cheerful clever gentle".split()


@dataclasses.dataclass
class Person:
    """One of the cast. `name` is empty where the story only says "the little fox"."""
    kind: str
    pronoun: str
    name: str
    adjective: str
    habitat: str
    possessive: str = ""  # of a parent: whose, as "$his"

    @property
    def title(self):
        return f"{self.adjective} {self.kind}".strip()

    def form(self, attribute, rng, called):
        """What `$x.attribute` reads as. `called`: the kinds of all others, for "the fox"."""
        she = self.pronoun == "she"
        plain = {"he": self.pronoun, "him": "her" if she else "him", "his": "her" if she else "his",
                 "himself": "herself" if she else "himself", "kind": self.kind,
                 "title": self.title, "name": self.name or f"the {self.title}",
                 "the": f"the {self.kind}",
                 "call": self.name or (self.kind.capitalize() if self.possessive else self.title)}
        if attribute in plain:
            return plain[attribute]
        if attribute == "a":
            word = rng.choice(("named", "named", "called"))
            return f"a {self.title}" + (f" {word} {self.name}" if self.name else "")
        if self.possessive:
            return f"{self.possessive} {self.kind}"
        if self.name and self.kind not in called and rng.random() < 0.12:
            return f"the {self.title if rng.random() < 0.4 else self.kind}"
        return self.name or f"the {self.kind if rng.random() < 0.35 else self.title}"


def habitat_of(kind):
    for habitat, kinds in HABITATS.items():
        if kind in kinds.split():
            return habitat
    return "child" if kind in ("girl", "boy") else "folk"


def choose_kind(classes, rng, taken):
    """(kind, pronoun or none) of one of the classes, unlike those taken where there is a choice."""
    group = rng.choice(classes)
    if group in FOLK:
        kind, pronoun = rng.choice(FOLK[group]).rsplit(" ", 1)
        return kind, pronoun
    kinds = CLASSES.get(group, group).split()
    fresh = [kind for kind in kinds if kind not in taken or kind in ("girl", "boy")]
    kind = rng.choice(fresh or kinds)
    return kind, {"girl": "she", "boy": "he"}.get(kind)


def cast(classes, rng, others, adjectives=None, hero=False):
    """A new Person of one of the classes, told apart from the others."""
    if classes == ["parent"]:
        kind, pronoun = rng.choice(PARENTS)
        return Person(kind, pronoun, "", "", "", "$his")
    taken = [person.kind for person in others]
    kind, pronoun = choose_kind(classes, rng, taken)
    pronoun = pronoun or rng.choice(("he", "she"))
    habitat = habitat_of(kind)
    if kind in ("king", "queen", "princess", "prince"):
        habitat = "royal"
    adjective = rng.choice(adjectives or ADJECTIVES)
    if kind.startswith("old ") or (not hero and habitat == "folk"):
        adjective = rng.choice(("kind", "friendly", "good"))
    names = {("child", "she"): GIRLS, ("child", "he"): BOYS}.get((habitat, pronoun))
    if names is None:
        names = (SHE_ANIMALS + GIRLS[:20]) if pronoun == "she" else (HE_ANIMALS + BOYS[:20])
    named = habitat == "child" or rng.random() < (0.6 if hero else 0.4)
    if habitat in ("folk",) and not hero:
        named = False
    used = {person.name for person in others}
    name = rng.choice([n for n in names if n not in used]) if named else ""
    if not hero and habitat == "child":
        adjective = rng.choice(("", "", "little", "kind", "friendly"))
    elif not hero and name:
        adjective = rng.choice(("", "little", "friendly", "kind"))
    return Person(kind, pronoun, name, adjective, habitat)
