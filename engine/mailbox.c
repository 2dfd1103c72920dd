/* mailbox.c - a ring of pointers under one lock, and a condition to sleep on.
 *
 * The lock is held for a few instructions and never around anything else, so it neither delays
 * the engine nor needs to be cleverer. A wake-up is remembered until the next wait returns, so it
 * cannot fall between looking and sleeping. SPDX-License-Identifier: Apache-2.0 */
#include "engine/mailbox.h"

#include "engine/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct submission **messages; /* [message_count_max], a ring */
    uint32_t message_count_max;
    uint32_t first;
    uint32_t message_count;
    bool woken;
    bool refusing;
};

enum status mailbox_open(struct mailbox **out, uint32_t message_count_max, struct error *err)
{
    assert(message_count_max > 0);
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    struct submission **messages = calloc(message_count_max, sizeof(void *));
    if (mailbox == NULL || messages == NULL) {
        free(mailbox);
        free(messages);
        return error_set(err, ERR_MEMORY, "no memory for a mailbox of %u submissions",
                         message_count_max);
    }
    mailbox->messages = messages;
    mailbox->message_count_max = message_count_max;
    pthread_mutex_init(&mailbox->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&mailbox->arrived, &attributes);
    pthread_condattr_destroy(&attributes);
    *out = mailbox;
    return OK;
}

void mailbox_close(struct mailbox *mailbox)
{
    if (mailbox == NULL) {
        return;
    }
    pthread_cond_destroy(&mailbox->arrived);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox->messages);
    free(mailbox);
}

enum status mailbox_push(struct mailbox *mailbox, struct submission *submission, struct error *err)
{
    pthread_mutex_lock(&mailbox->lock);
    bool refusing = mailbox->refusing;
    bool full = mailbox->message_count == mailbox->message_count_max;
    if (!refusing && !full) {
        uint64_t place = (uint64_t)mailbox->first + mailbox->message_count;
        mailbox->messages[place % mailbox->message_count_max] = submission;
        mailbox->message_count++;
        pthread_cond_signal(&mailbox->arrived);
    }
    pthread_mutex_unlock(&mailbox->lock);
    if (refusing) {
        return error_set(err, ERR_CANCELLED, "the server is shutting down");
    }
    if (full) {
        return error_set(err, ERR_FULL, "the mailbox of %u submissions is full",
                         mailbox->message_count_max);
    }
    return OK;
}

void mailbox_wake(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->woken = true;
    pthread_cond_signal(&mailbox->arrived);
    pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_refuse(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->refusing = true;
    pthread_mutex_unlock(&mailbox->lock);
}

struct submission *mailbox_take(struct mailbox *mailbox)
{
    struct submission *submission = NULL;
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->message_count > 0) {
        submission = mailbox->messages[mailbox->first];
        mailbox->first = (mailbox->first + 1) % mailbox->message_count_max;
        mailbox->message_count--;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return submission;
}

void mailbox_wait(struct mailbox *mailbox, uint64_t timeout_us)
{
    bool endless = timeout_us == MAILBOX_NO_TIMEOUT;
    struct timespec deadline = clock_deadline(endless ? 0 : timeout_us);
    pthread_mutex_lock(&mailbox->lock);
    int result = 0;
    while (mailbox->message_count == 0 && !mailbox->woken && result == 0) {
        result = endless ? pthread_cond_wait(&mailbox->arrived, &mailbox->lock)
                         : pthread_cond_timedwait(&mailbox->arrived, &mailbox->lock, &deadline);
    }
    mailbox->woken = false;
    pthread_mutex_unlock(&mailbox->lock);
}
