"""Small templates of every construct that public chat templates use, and expressions made at random.

SPDX-License-Identifier: Apache-2.0
"""
import random

CONTEXT = {
    "s": "Hello, World", "t": "  padded text \n", "e": "", "u": "Größe ÄÖ ß 日本", "n": 7, "z": 0, "neg": -3, "f": 2.5,
    "yes": True, "no": False, "none": None, "nums": [3, 1, 2, 5, 4], "words": ["pear", "Apple", "fig", "apple"],
    "mixed": [1, "a", None, True, 2.0, [1], {"k": 1}], "empty": [], "d": {"b": 2, "a": 1, "C": [1, 2]}, "nothing": {},
    "lines": "one\ntwo\n\nthree", "html": "<a href='x'>\"&\"</a>",
    "people": [{"name": "Ann", "age": 30, "tags": ["x", "y"]}, {"name": "bob", "age": 25, "tags": []},
               {"name": "Cy", "age": 30, "boss": {"name": "Ann"}}],
    "messages": [{"role": "system", "content": "Be nice."}, {"role": "user", "content": "Hi"},
                 {"role": "assistant", "content": None, "tool_calls": [
                     {"type": "function", "function": {"name": "f", "arguments": {"x": 1, "y": "é", "z": [1, None]}}}]},
                 {"role": "tool", "content": "42"}, {"role": "user", "content": [{"type": "text", "text": "Bye"}]}],
    "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": [{"v": 3, "kids": []}]}, {"v": 4, "kids": []}]}, {"v": 5, "kids": []}],
}

STATEMENTS = [
    "{% macro m(a, b=2, c='x') %}[{{ a }},{{ b }},{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(a=0, b=none) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m() }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}",
    "{% macro m(a) %}({{ caller(a) }}){% endmacro %}{% call(v) m(5) %}got {{ v }}{% endcall %}",
    "{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}in {{ s }}{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{% if a > 0 %}{{ a }}{{ m(a - 1) }}{% endif %}{% endmacro %}{{ m(4) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1)|upper ~ m('q') }}{{ m('x') is string }}",
    "{% set ns = namespace(x=1, y=[]) %}{% for i in nums %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z is defined }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns.b %}blk{{ ns.a }}{% endset %}{{ ns.a }}{{ ns.b }}",
    "{% set x = 1 %}{% for i in nums %}{% set x = i %}{% endfor %}{{ x }}",
    "{% set x %}a {{ s }} b{% endset %}{{ x|length }}{{ x }}", "{% set x | upper %}abc{% endset %}{{ x }}",
    "{% set x | replace('a', 'b') | upper %}banana{% endset %}{{ x }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = nums %}{{ a }}", "{% set (a, b) = (1, 2) %}{{ a + b }}",
    "{% if no %}a{% elif n > 5 and not no %}b{% else %}c{% endif %}", "{{ 'a' if no }}|{{ 'a' if no else 'b' }}",
    "{% for i in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}"
    "{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(i > 2) }}{{ loop.depth }}"
    "{{ loop.depth0 }};{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %}", "{% for i in nums if i > 2 %}{{ i }}{{ loop.index }}{{ loop.length }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for c in s %}{{ c }}-{% endfor %}", "{% for i in n %}{% endfor %}", "{% for i in missing %}x{% else %}none{% endfor %}",
    "{% for i in nums %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in nums recursive %}{{ i }}{% endfor %}",
    "{% for x in tree recursive %}{{ x.v }}@{{ loop.depth }}({{ loop(x.kids) }}){% endfor %}",
    "{% for i in [1, 2] %}{% for j in [3, 4] %}{{ i }}{{ j }}{{ loop.index }}{% set l = loop %}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for i in nums %}{% set o = loop %}{% for j in 'ab' %}{{ o.index }}{{ loop.index }}{% endfor %}{% endfor %}{{ o is defined }}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter indent(2) | trim %}a\nb{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% generation %}x{{ s }}{% endgeneration %}",
    "{# comment {{ x }} #}a{# #}", "{% raw %}{{ x }}{% y %}{% endraw %}", "{%- raw -%}  {{ x }}  {%- endraw -%}  b",
    "a\n  {%- if yes %}\n  b\n  {%- endif %}\n c\n", "a  \n{% if yes %}\n  b\n    {% endif %}\n  c", "  {% if yes %} x {% endif %}  \n y",
    "{{ s -}}  \n x {{- s }}", "a {{+ s +}} b", "  {%+ if yes %}x{% endif +%}\n y", "{%- for i in nums -%} {{ i }} {%- endfor -%} z",
    "a\n", "a\n\n", "\n{{ s }}\n", "{{ s }}\n\n", "{{ '\\n' }}{{ 'a\\tb\\\\c\\'d\"e' }}{{ \"x'y\" }}", "{{ 'a' 'b' }}", "{{ '\\u00e9\\x41' }}",
    "{{ raise_exception('no ' ~ n) }}", "{{ strftime_now('%d %b %Y|%Y-%m-%d %H:%M:%S %A %B %j %p %I %y %e') }}",
    "{{ strftime_now('%-d %-m %B') }}", "{% do nums %}", "{% include 'x' %}", "{% unknown %}", "{{", "{% if %}x{% endif %}", "{{ 1 + }}",
    "{% for m in messages %}{{ m.role }}:{{ m['content'] }}|{% endfor %}", "{{ messages[-1].content[0].text }}",
    "{% if messages[0]['role'] == 'system' %}{% set sys = messages[0].content %}{% set rest = messages[1:] %}{% endif %}{{ sys }}{{ rest|length }}",
    "{% for m in messages if m.tool_calls %}{{ m.tool_calls[0].function.arguments|tojson }}{% endfor %}",
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% elif m.content is iterable and m.content is not mapping %}"
    "{% for c in m.content %}{{ c.text }}{% endfor %}{% endif %}{% endfor %}",
    "{{ messages|selectattr('role', 'equalto', 'user')|list|length }}", "{{ messages|map(attribute='role')|join(', ') }}",
    "{{ people|groupby('age') }}", "{% for age, group in people|groupby('age') %}{{ age }}:{{ group|map(attribute='name')|join(',') }};{% endfor %}",
    "{% for g in people|groupby('age') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}", "{{ people|groupby('boss.name', default='-')|length }}",
    "{{ people|sum(attribute='age') }}", "{{ people|map(attribute='boss.name', default='none')|list }}", "{{ people|map(attribute='tags.0')|list }}",
    "{{ people|sort(attribute='age,name')|map(attribute='name')|list }}", "{{ people|sort(attribute='name', case_sensitive=true)|map(attribute='name')|list }}",
    "{{ people|rejectattr('boss')|map(attribute='name')|list }}", "{{ people|selectattr('boss', 'defined')|list }}",
    "{{ people|selectattr('age', '>', 26)|list|length }}", "{{ people|selectattr('name', 'in', ['Ann', 'bob'])|map(attribute='age')|list }}",
    "{{ words|map('upper')|list }}", "{{ words|map('replace', 'p', 'P')|join(' ') }}", "{{ words|map('truncate', 3, true, '')|list }}",
    "{{ nums|select('odd')|list }}{{ nums|reject('odd')|list }}", "{{ mixed|select|list }}", "{{ mixed|select('string')|list }}",
    "{{ nums|select('divisibleby', 2)|list }}", "{{ nums|select('>', 2)|list }}", "{{ nums|select('in', [1, 2])|list }}",
    "{{ words|unique|list }}{{ words|unique(true)|list }}", "{{ words|sort }}{{ words|sort(true) }}{{ words|sort(case_sensitive=true) }}",
    "{{ d|dictsort }}{{ d|dictsort(true) }}{{ {'a': 2, 'b': 1}|dictsort(false, 'value') }}{{ {'a': 2, 'b': 1}|dictsort(by='value', reverse=true) }}",
    "{{ nums|batch(2)|list }}{{ nums|batch(2, 'x')|list }}{{ nums|slice(3)|list }}{{ nums|slice(3, 'x')|list }}",
    "{{ nums|first }}{{ nums|last }}{{ empty|first }}|{{ empty|last }}", "{{ nums|min }}{{ nums|max }}{{ words|max }}{{ empty|max }}",
    "{{ nums|join }}{{ nums|join(', ') }}{{ people|join(', ', attribute='name') }}", "{{ nums|sum }}{{ [0.1, 0.2]|sum }}{{ empty|sum(start=5) }}",
    "{{ d|items|list }}{{ missing|items|list }}", "{{ d|tojson }}{{ d|tojson(indent=2) }}{{ u|tojson }}{{ u|tojson(ensure_ascii=true) }}",
    "{{ d|tojson(sort_keys=true) }}{{ d|tojson(separators=(',', ':')) }}{{ d|tojson(indent=4, separators=(',', ': ')) }}{{ html|tojson }}",
    "{{ mixed|tojson(indent=1) }}{{ nothing|tojson(indent=2) }}{{ empty|tojson(indent=2) }}{{ 1.0|tojson }}{{ 1e20|tojson }}{{ none|tojson }}",
    "{{ [1, [2, {'a': []}]]|tojson(indent=2) }}", "{{ missing|tojson }}", "{{ lines|indent }}|{{ lines|indent(2, true) }}|{{ lines|indent('> ') }}|{{ lines|indent(2, blank=true) }}",
    "{{ t|trim }}|{{ 'xxaxx'|trim('x') }}", "{{ s|replace('l', 'L', 2) }}{{ s|replace('', '-') }}", "{{ missing|default('q') }}{{ e|default('q') }}{{ e|default('q', true) }}{{ none|default('q', boolean=true) }}",
    "{{ s|length }}{{ d|length }}{{ nums|count }}", "{{ s|reverse }}{{ nums|reverse|list }}", "{{ s|list }}", "{{ s|wordcount }}{{ s|truncate(5) }}{{ s|truncate(5, true) }}{{ s|truncate(8, false, '..', 0) }}",
    "{{ 'a-%s-%d'|format('x', 3) }}{{ '%(a)s'|format(a=1) }}{{ '%05.2f|%x|%r|%%'|format(f, 255, 'q') }}", "{{ s|center(20) }}|", "{{ '42'|int }}{{ 'x'|int }}{{ 'x'|int(5) }}{{ '0x1f'|int(base=16) }}{{ '4.7'|int }}{{ 4.7|int }}{{ '2.5'|float }}{{ 'x'|float }}",
    "{{ 2.567|round(2) }}{{ 2.5|round }}{{ 3.5|round }}{{ 2.1|round(method='ceil') }}{{ 27|round(-1) }}{{ 2.567|round(1, 'floor') }}", "{{ neg|abs }}{{ f|string ~ n|string }}",
    "{{ html|e }}{{ html|escape }}{{ html|safe }}{{ html|forceescape }}", "{{ u|upper }}{{ u|lower }}{{ u|capitalize }}{{ s|title }}{{ \"it's a fine-day\"|title }}",
    "{{ s[1:5] }}{{ s[::-1] }}{{ s[-3:] }}{{ s[:-3] }}{{ s[10:2:-2] }}{{ s[100:] }}{{ nums[::-1] }}{{ nums[-2:0:-1] }}{{ nums[1:4:2] }}{{ nums[::2] }}", "{{ s[::0] }}",
    "{{ s.upper() }}{{ s.lower() }}{{ s.split(',') }}{{ s.split() }}{{ s.split('o', 1) }}{{ s.rsplit('o', 1) }}{{ lines.splitlines() }}{{ t.strip() }}{{ t.lstrip() }}|{{ t.rstrip() }}|",
    "{{ s.startswith('He') }}{{ s.startswith(('x', 'H')) }}{{ s.endswith('d') }}{{ s.find('o') }}{{ s.rfind('o') }}{{ s.find('q') }}{{ s.count('l') }}{{ s.replace('l', 'r') }}{{ s.replace('l', 'r', 1) }}",
    "{{ '-'.join(words) }}{{ 'a{}b{}'.format(1, 'x') }}{{ '{0}{1}{0}'.format(1, 2) }}{{ '{a:>5}|{b:.2f}'.format(a='x', b=1.5) }}{{ 'x'.zfill(3) }}{{ 'ab'.ljust(4, '.') }}{{ 'ab'.rjust(4) }}{{ 'ab'.center(6, '*') }}",
    "{{ s.partition(', ') }}{{ s.rpartition('o') }}{{ s.index('W') }}{{ s.title() }}{{ s.swapcase() }}{{ s.casefold() }}{{ s.capitalize() }}{{ s.removeprefix('He') }}{{ s.removesuffix('d') }}{{ 'a1'.isalnum() }}{{ '12'.isdigit() }}{{ 'ab'.isalpha() }}{{ ' '.isspace() }}",
    "{{ d.get('a') }}{{ d.get('q') }}{{ d.get('q', 5) }}{{ d.keys()|list }}{{ d.values()|list }}{{ d.items()|list }}{{ d.a }}{{ d['a'] }}{{ d.q }}{{ d.q is defined }}{{ 'a' in d }}{{ 1 in d }}",
    "{{ nums.index(2) }}{{ nums.count(1) }}{{ nums + [9] }}{{ nums * 2 }}{{ [1] + [] }}{{ (1, 2) + (3,) }}{{ (1,) }}{{ () }}", "{{ nums.append(1) }}", "{{ d.update({'x': 1}) }}", "{{ d.pop('a') }}",
    "{{ 7 // 2 }}{{ -7 // 2 }}{{ 7 % 3 }}{{ -7 % 3 }}{{ 7 / 2 }}{{ 2 ** 10 }}{{ 2 ** -1 }}{{ -2 ** 2 }}{{ 1 / 0 }}", "{{ 7.5 // 2 }}{{ -7.5 % 2 }}{{ 1e3 }}{{ 1.0 }}{{ 1_000 }}{{ 0x10 }}{{ 1e16 }}{{ 1.5e-7 }}{{ 123456789012345678 }}",
    "{{ 1 < 2 < 3 }}{{ 1 < 2 > 5 }}{{ 1 == 1.0 }}{{ 'a' < 'b' }}{{ [1, 2] < [1, 3] }}{{ 1 != 2 }}{{ true == 1 }}{{ none == false }}", "{{ 'a' < 1 }}",
    "{{ not yes }}{{ yes and n }}{{ no or 'x' }}{{ e or none }}{{ not e and not none }}{{ yes and no or n }}", "{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ nums }}", "{{ 'a' + 1 }}", "{{ 'a' * 3 }}{{ [0] * 2 }}",
    "{{ n is number }}{{ n is integer }}{{ f is float }}{{ s is string }}{{ d is mapping }}{{ nums is sequence }}{{ s is iterable }}{{ none is none }}{{ missing is undefined }}{{ yes is boolean }}{{ yes is true }}{{ no is false }}{{ n is odd }}{{ n is divisibleby 7 }}{{ n is eq 7 }}{{ n is sameas n }}{{ 'a' is in 'abc' }}{{ 'abc' is lower }}{{ 'ABC' is upper }}{{ n is not none }}{{ s is not defined }}{{ m is callable }}{{ 'upper' is filter }}{{ 'odd' is test }}{{ n is gt 3 }}{{ n is lt(3) }}",
    "{{ missing }}|{{ missing.x }}", "{{ none.x }}|{{ n.x }}|{{ n.x is defined }}", "{{ missing + 1 }}", "{{ missing|length }}{{ missing|list }}{{ missing|join }}|{{ missing|upper }}{{ missing|trim }}", "{{ missing == none }}{{ missing is none }}{{ not missing }}",
    "{{ missing['x'] }}", "{{ missing() }}", "{{ n() }}", "{{ s.nope() }}", "{{ s|nope }}", "{{ s is nope }}", "{{ nums[10] }}|{{ nums['a'] }}|{{ nums[-9] }}", "{{ nums[1.0] }}", "{{ s['upper'] is defined }}{{ d['items'] is defined }}",
    "{{ [1, 'a', none, true, 1.5, {'x': 'it\\'s'}, ('t',)] }}{{ {'a': 'q\"', 1: [], none: ()} }}{{ \"a'b\\\"c\" |list }}{{ ['\\n\\t\\\\é'] }}{{ [u] }}", "{{ range(5)|list }}{{ range(2, 10, 3)|list }}{{ range(5, 0, -2)|list }}{{ range(3)[1] }}{{ range(3) }}", "{{ dict(a=1, b=2) }}{{ dict([('x', 1)]) }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{% set j = joiner('; ') %}{{ j() }}a{{ j() }}b{{ j() }}c", "{{ lipsum is defined }}{{ namespace is defined }}{{ loop is defined }}",
    "{{ {'a': 1}.a }}{{ {'a': {'b': [1, 2]}}['a'].b[-1] }}{{ [[1, 2], [3]][0][1] }}{{ 'abc'[1] }}{{ (1, 2)[0] }}{{ -n }}{{ +n }}{{ (n) }}{{ n if n > 3 else f }}{{ 'x' if missing else 'y' }}{{ (1 if no) is undefined }}",
    "{{ n|string|length }}{{ (n ~ '')|int + 1 }}{{ -1|abs }}{{ 2 + 3|string|length }}{{ not n is none }}{{ n is not none and s in [s] }}{{ 'b' not in 'abc' }}", "{{ 10 | tojson ~ 'x' }}{{ nums | length > 3 }}{{ nums|length - 1 }}{{ s | upper | lower | title }}",
    "{{ loop }}", "{% for i in range(3) %}{{ loop.index }}{% endfor %}{% for m in messages[::-1] %}{{ m.role[0] }}{% endfor %}", "{%- set ns = namespace(found=false) -%}{%- for m in messages -%}{%- if m.role == 'tool' -%}{%- set ns.found = true -%}{%- endif -%}{%- endfor -%}{{ ns.found }}",
    "{{ self is defined }}", "{{ true }}{{ True }}{{ none }}{{ None }}{{ false }}", "{% set x = {'a': 1} %}{% set x = dict(x, b=2) %}{{ x }}", "{% set l = [] %}{% set l = l + [1] %}{{ l }}", "{{ 'tool' in messages|map(attribute='role') }}",
    "{{ nums|map('string')|join }}", "{{ people|map(attribute='name')|map('lower')|select('in', ['ann'])|list }}", "{{ [['a', 1], ['b', 2]]|map('first')|list }}{{ [['b', 1], ['a', 2]]|map('last')|sum }}", "{{ [1, 2, 3]|map('float')|list }}{{ ['1', 'x']|map('int', default=9)|list }}",
    "{{ s|urlize }}", "{{ {'q': 'a b&c', 'r': 1}|urlencode }}{{ 'a b/ü'|urlencode }}", "{{ '<b>x</b> y'|striptags }}", "{{ 1500|filesizeformat }}{{ 1500|filesizeformat(true) }}{{ 1|filesizeformat }}", "{{ {'a': 1, 'b': none}|xmlattr }}", "{{ 'a b c d e f'|wordwrap(5) }}", "{{ d|pprint }}{{ nums|pprint }}", "{{ nums|random is number }}",
]

VALUES = ["s", "t", "e", "u", "n", "z", "neg", "f", "yes", "no", "none", "nums", "words", "mixed", "empty", "d", "nothing", "lines", "html", "missing",
          "people", "messages", "'lit'", "0", "-1", "1.5", "[]", "{}", "(1, 2)", "'a,b,c'", "[1, 'x', 2.5]", "{'k': [1]}", "messages[0]", "people[0].tags", "d.C"]
FILTERS = ["abs", "batch(2)|list", "batch(2, 'f')|list", "capitalize", "center(9)", "count", "default('D')", "default('D', true)", "dictsort", "e", "first", "float", "forceescape",
           "format(1)", "groupby('age')", "indent", "indent(2, true)", "int", "int(-1)", "items", "join", "join('+')", "last", "length", "list", "lower", "map('string')", "map('upper')",
           "map(attribute='name')", "max", "min", "reject", "reject('none')", "rejectattr('age')", "replace('a', 'A')", "reverse", "round", "round(1)", "safe", "select", "select('string')",
           "selectattr('role')", "selectattr('role', 'equalto', 'user')", "slice(2)|list", "sort", "sort(true)", "sum", "title", "tojson", "tojson(indent=2)", "tojson(ensure_ascii=true)", "trim",
           "truncate(6)", "truncate(4, true, '')", "unique", "upper", "map('first')", "map('length')", "map('default', 1)", "map('tojson')", "dictsort(by='value')"]
TESTS = ["defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping", "sequence", "iterable", "callable", "lower", "upper", "odd", "even",
         "divisibleby 3", "eq 7", "ne 7", "gt 1", "lt 1", "ge 0", "le 0", "in [7, 'lit', none]", "sameas none", "escaped"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in"]
METHODS = ["upper()", "lower()", "strip()", "split()", "split(',')", "title()", "capitalize()", "startswith('a')", "endswith('d')", "replace('l', 'L')", "find('o')", "count('l')", "splitlines()",
           "keys()", "values()", "items()", "get('a')", "get('q', 0)", "index(1)", "count(1)", "join(words)", "isdigit()", "lstrip()", "rstrip('d')", "format(1, 2)", "partition(',')", "zfill(15)"]
SLICES = ["[0]", "[-1]", "[1:]", "[:-1]", "[::-1]", "[::2]", "[1:3]", "[-2:]", "[5:1:-1]", "['a']", "['role']", ".name", ".a", "[9]", "[:]", "[-1:0:-2]"]


def expression(rng, depth):
    kind = rng.random()
    if depth == 0 or kind < 0.1:
        return rng.choice(VALUES)
    inner = expression(rng, depth - 1)
    if kind < 0.5:
        return f"{inner}|{rng.choice(FILTERS)}" if rng.random() < 0.7 else f"({inner})|{rng.choice(FILTERS)}"
    if kind < 0.6:
        return f"({inner} is {rng.choice(['', 'not '])}{rng.choice(TESTS)})"
    if kind < 0.72:
        return f"({inner} {rng.choice(BINARY)} {expression(rng, depth - 1)})"
    if kind < 0.82:
        return f"({inner}).{rng.choice(METHODS)}"
    if kind < 0.94:
        return f"({inner}){rng.choice(SLICES)}"
    if kind < 0.97:
        return f"({inner} if {expression(rng, depth - 1)} else {rng.choice(VALUES)})"
    return f"(not {inner})" if rng.random() < 0.5 else f"(-{inner})"


def blanks(rng):
    """White space and its control around tags."""
    parts = []
    for _ in range(rng.randint(1, 4)):
        left, right = rng.choice(["", "-", "+"]), rng.choice(["", "-"])
        space = "".join(rng.choice([" ", "\n", "\t", "x", "  "]) for _ in range(rng.randint(0, 4)))
        tag = rng.choice(["{%L if yes R%}SA{%L endif R%}", "{{L s R}}", "{#L c R#}", "{%L for i in [1, 2] R%}S{{L i R}}S{%L endfor R%}",
                          "{%L set q = 1 R%}", "{%L set q R%}S{%L endset R%}", "{%L if no R%}S{%L else R%}SB{%L endif R%}"])
        parts.append(space + tag.replace("L", left).replace("R", right).replace("S", space) + space)
    return "".join(parts)


def make(count, seed):
    rng = random.Random(seed)
    yield from STATEMENTS
    for _ in range(count):
        if rng.random() < 0.2:
            yield blanks(rng)
        else:
            yield "{{ " + expression(rng, rng.randint(1, 3)) + " }}"
