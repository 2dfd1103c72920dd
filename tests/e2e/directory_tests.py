"""A Hugging Face directory served as it was published.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os

from daemon import Daemon, Skipped


def test_a_hugging_face_directory_is_served():
    data = os.environ.get("SLUICE_DATA") or "../shared/data"
    folder = os.path.join(data, "models", "tinystories-656k")
    if not os.path.exists(folder):
        raise Skipped(f"no {folder}")
    with open(os.path.join(folder, "reference.json"), encoding="utf-8") as file:
        expected = json.load(file)["greedy"]
    with Daemon(demo=True, model=folder + "/", kv_cache_dtype="f32") as d:
        _, _, models = d.request("GET", "/v1/models")
        assert [model["id"] for model in models["data"]] == ["tinystories-656k"], models
        for entry in expected:
            if not entry["prompt"]:
                continue
            status, _, got = d.request("POST", "/v1/completions", {
                "prompt": entry["prompt"], "temperature": 0, "return_token_ids": True,
                "max_tokens": len(entry["output_ids"])})
            assert status == 200, got
            choice = got["choices"][0]
            assert choice["prompt_token_ids"] == entry["prompt_ids"], (choice, entry)
            assert choice["token_ids"] == entry["output_ids"], (choice, entry)
