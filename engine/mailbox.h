/* mailbox.h - the way in: many HTTP threads -> engine thread.
 *
 * A bounded queue of submissions and a wake-up for anything else the engine should look at
 * (abandoned replies, drain). Pushing is refused when full; taking never waits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MAILBOX_H
#define ENGINE_MAILBOX_H

#include "configs/error.h"

#include <stdbool.h>
#include <stdint.h>

#define MAILBOX_NO_TIMEOUT UINT64_MAX

struct mailbox;
struct submission; /* engine.c's: one accepted generate_params with its reply and token room */

enum status mailbox_open(struct mailbox **out, uint32_t message_count_max, struct error *err);
void mailbox_close(struct mailbox *mailbox);

/* Any thread. ERR_FULL when there is no room, ERR_CANCELLED once refused (draining). */
enum status mailbox_push(struct mailbox *mailbox, struct submission *submission, struct error *err);

/* Any thread: makes the next mailbox_wait return at once. */
void mailbox_wake(struct mailbox *mailbox);

/* Any thread: pushes fail from now on. */
void mailbox_refuse(struct mailbox *mailbox);

/* Engine thread: the next submission or NULL; never waits. */
struct submission *mailbox_take(struct mailbox *mailbox);

/* Engine thread: sleeps until something is pushed or woken, or for timeout_us; with
 * MAILBOX_NO_TIMEOUT for as long as it takes. */
void mailbox_wait(struct mailbox *mailbox, uint64_t timeout_us);

#endif
