"""Holds sluice's chat templates against Jinja2 as transformers sets it up, on small templates.

Usage: compare.py TOOL [COUNT]: the program tests/tool_render, and how many templates are made beside the
fixed ones. Texts must be equal; what the peer refuses must be refused. SPDX-License-Identifier: Apache-2.0
"""
import datetime
import json
import struct
import subprocess
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

import snippets

SHOWN_MAX = 25
# What Python shows of its own objects, and filters that sluice leaves out (no chat template has them).
OPAQUE = ["<generator", "<built-in", "<bound method", "<function", " object at 0x", "<class", "macro ", "loopcontext", "generator object", "j)"]
LEFT_OUT = ["urlize", "urlencode", "striptags", "filesizeformat", "xmlattr", "wordwrap", "pprint", "random", "lipsum", "self is"]
# What Jinja never gets to: it folds constants without an error, and fails in a generator only when that is
# asked for something.
LATE = ["cannot be sliced", "is not iterable", "item pairs from a mapping", "has no len()", "unhashable type"]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime.datetime(2024, 7, 26, 12).strftime(form)
    return env


def of_peer(env, template):
    try:
        return env.from_string(template).render(**json.loads(json.dumps(snippets.CONTEXT)))
    except Exception:  # Python's own errors come through as they are
        return None


def of_tool(program, templates):
    context = json.dumps(snippets.CONTEXT).encode()
    given = b"".join(struct.pack("<I", len(t)) + t + struct.pack("<I", len(context)) + context
                     for t in (template.encode() for template in templates))
    out = subprocess.run([program], input=given, stdout=subprocess.PIPE, check=True).stdout
    at, results = 0, []
    while at < len(out):
        good, size = struct.unpack_from("<II", out, at)
        results.append((bool(good), out[at + 8:at + 8 + size].decode(errors="replace")))
        at += 8 + size
    assert len(results) == len(templates), (len(results), len(templates))
    return results


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    env = environment()
    templates = [t for t in snippets.make(count, seed) if not any(w in t for w in LEFT_OUT)]
    bad = compared = 0
    for template, (good, text) in zip(templates, of_tool(program, templates)):
        wanted = of_peer(env, template)
        if wanted is not None and any(word in wanted.lower() for word in OPAQUE):
            continue
        compared += 1
        if good == (wanted is not None) and (not good or text == wanted):
            continue
        if wanted is not None and not good and any(why in text for why in LATE):
            continue
        bad += 1
        if bad <= SHOWN_MAX:
            print(f"  {template!r}\n    wanted {wanted!r}\n    got    {text if good else 'refused: ' + text!r}")
    print(f"templates: {compared} compared, {bad} differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
