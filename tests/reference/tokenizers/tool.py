"""Talks to tests/tool_tokenize: texts there, ids and decoded text back.

SPDX-License-Identifier: Apache-2.0
"""
import struct
import subprocess


class Refused(Exception):
    pass


def run(tool, path, texts, *options):
    """[(ids, decoded bytes)] of texts, each str or bytes."""
    raw = [t.encode() if isinstance(t, str) else t for t in texts]
    data = b"".join(struct.pack("<I", len(t)) + t for t in raw)
    done = subprocess.run([tool, path, *options], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr.decode(errors="replace").strip())
    answers = []
    at = 0
    for _ in raw:
        (count,) = struct.unpack_from("<I", done.stdout, at)
        ids = struct.unpack_from(f"<{count}I", done.stdout, at + 4)
        at += 4 + 4 * count
        (length,) = struct.unpack_from("<I", done.stdout, at)
        answers.append((list(ids), done.stdout[at + 4:at + 4 + length]))
        at += 4 + length
    return answers
