"""Runs the end-to-end tests: run.py SLUICED MODEL [WORD], WORD picks tests by name.

Reports as cmocka does, so that one script can count both.
SPDX-License-Identifier: Apache-2.0
"""
import sys
import traceback

import cancel_tests
import command_tests
import directory_tests
import http_tests
import life_tests
import loading_tests
import openai_tests
import shape_tests
import tool_tests
from daemon import Settings, Skipped

MODULES = [shape_tests, openai_tests, http_tests, cancel_tests, life_tests, loading_tests, command_tests,
           tool_tests, directory_tests]


def main():
    Settings.binary, Settings.model = sys.argv[1], sys.argv[2]
    word = sys.argv[3] if len(sys.argv) > 3 else ""
    failed = 0
    for module in MODULES:
        tests = [item for name, item in vars(module).items() if name.startswith("test_") and word in name]
        shared = module.open_shared() if tests and hasattr(module, "open_shared") else None
        for test in tests:
            name = test.__name__[5:]
            try:
                test(shared) if shared else test()
                print(f"[       OK ] {name}", flush=True)
            except Skipped as reason:
                print(f"[  SKIPPED ] {name}: {reason}", flush=True)
            except Exception:  # pylint: disable=broad-except
                failed += 1
                traceback.print_exc(file=sys.stdout)
                print(f"[  FAILED  ] {name}", flush=True)
        if shared and shared.stop() != 0:
            failed += 1
            print(f"[  FAILED  ] {module.__name__}: the daemon ended with {shared.code}\n{shared.log_text()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
