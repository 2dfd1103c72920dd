/* demo_model.h - the model that is part of the program: served where none is named.
 *
 * Trained by this project; configs/demo/README.md says how and on what, and what it can do.
 * Thread: any; constant. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_DEMO_MODEL_H
#define ENGINE_DEMO_MODEL_H

#include "configs/error.h"
#include "engine/formats/gguf.h"

/* Parses the file embedded in the program; its bytes live as long as the process. */
enum status demo_model_open(struct gguf *out, struct error *err);

#endif
