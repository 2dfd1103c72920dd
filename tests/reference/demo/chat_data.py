"""Instruction-style documents: stories asked for in many ways, and small talk.

The markup is ChatML, as the models' chat template writes it. SPDX-License-Identifier: Apache-2.0"""
import collections
import re

SYSTEM = ("You are a friendly storyteller.", "You are a helpful assistant.",
          "You tell short stories for children.")

ASK_ABOUT = ("Tell me a story about {0}.", "Write a short story about {0}.",
             "Please tell me a story about {0}.", "I want to hear a story about {0}.",
             "Can you tell me a story about {0}?", "Make up a little story about {0}!",
             "Write a story for children about {0}.", "tell me a story about {0}",
             "A story about {0}, please.")
ASK_WORDS = ("Write a story with the words {0}.", "Tell me a story that uses the words {0}.",
             "Write a short story. Use the words {0}.")
ASK_ANY = ("Tell me a story.", "Tell me a short story.", "Write a story.", "Please tell me a story.",
           "Can you tell me a story?", "I would like to hear a story.", "Tell me a bedtime story.",
           "Write a short story for children.", "Tell me another story.", "A story, please!")
ASK_ON = ("Continue this story: {0}", "How does this story go on? {0}", "Finish the story: {0}")
OPENINGS = ("", "", "", "", "Here is a story. ", "Of course! ")

SMALL_TALK = (
    (("Hello!", "Hi!", "Hello", "Hey there!", "Hi", "Good morning!", "Good evening!"),
     ("Hello! What would you like to hear a story about?",
      "Hello! I can tell you a story. What should it be about?")),
    (("Who are you?", "What are you?", "What is your name?", "Tell me about yourself."),
     ("I am the little demo model of sluice. I tell short stories.",)),
    (("What can you do?", "How can you help me?", "What do you do?", "Help!"),
     ("I can tell short stories. Ask me for a story about a dog, a girl or a tree!",)),
    (("How are you?", "How are you today?", "Are you well?"),
     ("I am very well, thank you! Would you like to hear a story?",)),
    (("Thank you!", "Thanks!", "Thank you very much.", "That was nice."),
     ("You are welcome! Would you like another story?",)),
    (("Bye!", "Goodbye!", "Good night!", "See you!"),
     ("Goodbye! Come back soon for another story.",)),
    (("What color is the sky?", "Which color is the sky?"), ("The sky is blue.",)),
    (("What color is grass?", "What color is a leaf?"), ("It is green.",)),
    (("What color is snow?", "What color is milk?"), ("It is white.",)),
    (("What does a cow say?", "What sound does a cow make?"), ("A cow says moo.",)),
    (("What does a dog say?", "What sound does a dog make?"), ("A dog says woof.",)),
    (("What does a cat say?", "What sound does a cat make?"), ("A cat says meow.",)),
    (("What does a duck say?",), ("A duck says quack.",)),
    (("Where do fish live?", "Where does a fish live?"), ("Fish live in the water.",)),
    (("Where do birds live?", "Where does a bird sleep?"), ("Birds live in a nest in a tree.",)),
    (("What do rabbits eat?", "What does a rabbit eat?"), ("Rabbits like to eat carrots.",)),
    (("What do bees make?",), ("Bees make honey.",)),
    (("What do we see at night?", "What is in the sky at night?"),
     ("At night we can see the moon and the stars.",)),
    (("Is fire hot or cold?", "Is fire hot?"), ("Fire is hot. Do not touch it!",)),
    (("Is ice hot or cold?", "Is ice cold?"), ("Ice is cold.",)),
    (("What is one plus one?", "How much is one and one?"), ("One and one is two.",)),
    (("What is two plus two?", "How much is two and two?"), ("Two and two is four.",)),
    (("How many legs does a dog have?", "How many legs does a cat have?"), ("It has four legs.",)),
    (("How many days are in a week?",), ("There are seven days in a week.",)),
    (("What do you say when you get a gift?",), ("You say thank you.",)),
    (("I am sad.", "I feel sad today."),
     ("I am sorry that you are sad. A story may help. Would you like to hear one?",)),
    (("I am happy.", "I feel happy today!"), ("I am glad that you are happy!",)),
    (("What is the weather today?", "What time is it?", "Who is the president?",
      "What is the capital of France?", "Write a program.", "Solve this equation."),
     ("I do not know. I am a small model and can only tell stories.",)),
)

PERSON = re.compile(r"\b(?:a|an) ((?:\w+ ){0,2}?(?:girl|boy|dog|cat|bird|bear|rabbit|bunny|mouse|"
                    r"fish|frog|duck|man|woman|lion|fox|tree|car|squirrel|monkey|princess|king))"
                    r"(?: (?:named|called) ([A-Z]\w+))?")


def turn(role, text):
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def rare_words(stories):
    """word -> whether it is worth asking for: neither everywhere nor nearly nowhere."""
    counts = collections.Counter(word for story in stories
                                 for word in set(re.findall(r"\b[a-z]{3,}\b", story)))
    return {word for word, count in counts.items() if 3 <= count <= len(stories) // 20}


def ask_for(story, rare, rng):
    """(what somebody could have asked, the story as the answer)"""
    kind = rng.random()
    words = [word for word in dict.fromkeys(re.findall(r"\b[a-z]{3,}\b", story)) if word in rare]
    hero = PERSON.search(story[:300])
    if kind < 0.40 and hero:
        about = ("an " if hero.group(1)[0] in "aeiou" else "a ") + hero.group(1)
        if hero.group(2) and rng.random() < 0.7:
            about += " named " + hero.group(2)
        return rng.choice(ASK_ABOUT).format(about), story
    if kind < 0.60 and words:
        word = rng.choice(words)
        article = "an" if word[0] in "aeiou" else "a"
        return rng.choice(ASK_ABOUT).format(f"{article} {word}"), story
    if kind < 0.75 and len(words) >= 3:
        chosen = rng.sample(words, rng.choice((2, 3)))
        return rng.choice(ASK_WORDS).format(", ".join(chosen[:-1]) + " and " + chosen[-1]), story
    if kind < 0.85:
        sentences = re.split(r"(?<=[.!?]) ", story, maxsplit=2)
        if len(sentences) == 3:
            return rng.choice(ASK_ON).format(" ".join(sentences[:2])), sentences[2]
    return rng.choice(ASK_ANY), story


def with_article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def hero_of(story, rng):
    """"a little fox", "a fox named Rusty": what a story of the grammar is about."""
    hero = story.hero
    about = with_article(hero.title if rng.random() < 0.25 else hero.kind)
    if hero.name and rng.random() < 0.5:
        about += " named " + hero.name
    return about


def ask_for_told(story, rng):
    """(what somebody could have asked, a story of story_grammar as the answer)"""
    kind = rng.random()
    if kind < 0.38:
        return rng.choice(ASK_ABOUT).format(hero_of(story, rng)), story.text
    if kind < 0.65 and story.abouts:
        return rng.choice(ASK_ABOUT).format(rng.choice(story.abouts)), story.text
    if kind < 0.75 and story.nouns:
        about = hero_of(story, rng) + " and " + with_article(rng.choice(story.nouns))
        return rng.choice(ASK_ABOUT).format(about), story.text
    if kind < 0.83 and len(story.words) >= 3:
        chosen = rng.sample(story.words, rng.choice((2, 3)))
        return rng.choice(ASK_WORDS).format(", ".join(chosen[:-1]) + " and " + chosen[-1]), story.text
    if kind < 0.90:
        sentences = re.split(r"(?<=[.!?]) ", story.text, maxsplit=2)
        if len(sentences) == 3:
            return rng.choice(ASK_ON).format(" ".join(sentences[:2])), sentences[2]
    return rng.choice(ASK_ANY), story.text


def small_talk(rng):
    questions, answers = rng.choice(SMALL_TALK)
    return turn("user", rng.choice(questions)) + turn("assistant", rng.choice(answers))


def dialogues(question, answer, rng, stories_only):
    """A request and its answer, often with small talk around it, sometimes some on its own."""
    document = turn("system", rng.choice(SYSTEM)) if rng.random() < 0.3 else ""
    if not stories_only and rng.random() < 0.3:
        document += small_talk(rng)
    document += turn("user", question)
    document += turn("assistant", rng.choice(OPENINGS) + answer)
    if not stories_only and rng.random() < 0.3:
        document += small_talk(rng)
    documents = [document]
    if not stories_only and rng.random() < 0.4:
        documents.append("".join(small_talk(rng) for _ in range(rng.choice((1, 1, 2)))))
    return documents


def make(stories, rename, rng, stories_only=False):
    rare = rare_words(stories)
    documents = []
    for story in stories * (1 if stories_only else 3):
        documents += dialogues(*ask_for(rename(story), rare, rng), rng, stories_only)
    return documents


def make_asked(stories, rng, stories_only=False):
    """Chats of story_grammar's stories."""
    documents = []
    for story in stories:
        documents += dialogues(*ask_for_told(story, rng), rng, stories_only)
    return documents
