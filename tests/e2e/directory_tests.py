"""A Hugging Face directory served as it was published.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import tempfile

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


def test_the_models_own_sampling_is_the_default():
    data = os.environ.get("SLUICE_DATA") or "../shared/data"
    folder = os.path.abspath(os.path.join(data, "models", "tinystories-656k"))
    if not os.path.exists(folder):
        raise Skipped(f"no {folder}")
    with open(os.path.join(folder, "reference.json"), encoding="utf-8") as file:
        entry = next(entry for entry in json.load(file)["greedy"] if entry["prompt"])
    body = {"prompt": entry["prompt"], "return_token_ids": True,
            "max_tokens": len(entry["output_ids"])}

    def answer(d, **more):
        status, _, got = d.request("POST", "/v1/completions", {**body, **more})
        assert status == 200, got
        return got["choices"][0]["token_ids"]

    with tempfile.TemporaryDirectory() as made:
        for name in os.listdir(folder):
            if name != "generation_config.json":
                os.symlink(os.path.join(folder, name), os.path.join(made, name))
        with open(os.path.join(made, "generation_config.json"), "w", encoding="utf-8") as file:
            json.dump({"do_sample": False, "eos_token_id": 2}, file)
        with Daemon(demo=True, model=made, kv_cache_dtype="f32") as d:
            assert "sampling_defaults" in d.log_text() and "temperature 0" in d.log_text()
            assert answer(d) == entry["output_ids"]
            assert answer(d, temperature=1, seed=1) != entry["output_ids"]
        with Daemon(demo=True, model=made, generation_config="none", kv_cache_dtype="f32") as d:
            assert "sampling_defaults" not in d.log_text()
            assert answer(d, seed=1) == answer(d, temperature=1, seed=1) != entry["output_ids"]
