/* http_watch.c - slots with generations: an event that epoll reports late, for a connection that
 * has gone and whose slot is in use again, is recognised and dropped.
 *
 * A client that only closes its sending side looks like one that left, and is treated as such.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http_watch.h"

#include "engine/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SWEEP_MS = 200, /* how late a deadline may be noticed */
    EVENTS_AT_ONCE = 64
};

#define WAKE_MARK UINT64_MAX

struct slot {
    int fd; /* -1: free */
    uint32_t generation;
    enum http_watch_phase phase;
    uint64_t deadline_us;
    void *context;
    uint32_t next_free;
};

struct http_watch {
    struct http_watch_calls calls;
    pthread_t thread;
    int epoll_fd;
    int wake_fd;
    pthread_mutex_t lock; /* guards what follows; callbacks run under it */
    bool stopping;
    uint32_t first_free;
    uint32_t slot_count;
    struct slot slots[]; /* [slot_count] */
};

void http_watch_cut(int fd, int http_status)
{
    char line[128];
    const char *reason = http_status == 408 ? "Request Timeout" : "Content Too Large";
    int byte_count = snprintf(line, sizeof line,
                              "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                              http_status, reason);
    /* Whether it arrives is not worth waiting for: the client broke the rules first. */
    ssize_t sent = send(fd, line, (size_t)byte_count, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
    shutdown(fd, SHUT_RDWR);
}

static uint64_t mark_of(const struct http_watch *watch, const struct slot *slot)
{
    return (uint64_t)slot->generation << 32 | (uint64_t)(slot - watch->slots);
}

/* ---- the thread ---- */

static void take_event(struct http_watch *watch, uint64_t mark)
{
    uint32_t index = (uint32_t)mark;
    if (mark == WAKE_MARK || index >= watch->slot_count) {
        return;
    }
    struct slot *slot = &watch->slots[index];
    if (slot->fd >= 0 && slot->phase == HTTP_WATCH_BUSY && mark_of(watch, slot) == mark) {
        watch->calls.gone(slot->context);
    }
}

static void sweep(struct http_watch *watch, uint64_t now_us)
{
    for (uint32_t i = 0; i < watch->slot_count; i++) {
        struct slot *slot = &watch->slots[i];
        if (slot->fd < 0 || slot->phase == HTTP_WATCH_QUIET || now_us < slot->deadline_us) {
            continue;
        }
        if (slot->phase == HTTP_WATCH_BUSY) {
            slot->deadline_us = now_us + watch->calls.tick_us;
            watch->calls.tick(slot->context);
        } else {
            slot->phase = HTTP_WATCH_QUIET;
            http_watch_cut(slot->fd, 408);
        }
    }
}

static void *run(void *argument)
{
    struct http_watch *watch = argument;
    struct epoll_event events[EVENTS_AT_ONCE];
    uint64_t swept_us = 0;
    for (;;) {
        int count = epoll_wait(watch->epoll_fd, events, EVENTS_AT_ONCE, SWEEP_MS);
        uint64_t now_us = clock_now_us();
        pthread_mutex_lock(&watch->lock);
        bool stopping = watch->stopping;
        for (int i = 0; i < count && !stopping; i++) {
            take_event(watch, events[i].data.u64);
        }
        if (now_us - swept_us >= SWEEP_MS * UINT64_C(1000) && !stopping) {
            swept_us = now_us;
            sweep(watch, now_us);
        }
        pthread_mutex_unlock(&watch->lock);
        if (stopping) {
            return NULL;
        }
    }
}

/* ---- opening and closing ---- */

static void release(struct http_watch *watch)
{
    if (watch->epoll_fd >= 0) {
        close(watch->epoll_fd);
    }
    if (watch->wake_fd >= 0) {
        close(watch->wake_fd);
    }
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

static bool open_descriptors(struct http_watch *watch)
{
    watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE_MARK};
    return watch->epoll_fd >= 0 && watch->wake_fd >= 0 &&
           epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, watch->wake_fd, &event) == 0;
}

enum status http_watch_open(struct http_watch **out, uint32_t slot_count,
                            const struct http_watch_calls *calls, struct error *err)
{
    struct http_watch *watch = calloc(1, sizeof *watch + slot_count * sizeof watch->slots[0]);
    if (watch == NULL) {
        return error_set(err, ERR_MEMORY, "no memory to watch %u connections", slot_count);
    }
    watch->calls = *calls;
    watch->slot_count = slot_count;
    pthread_mutex_init(&watch->lock, NULL);
    for (uint32_t i = 0; i < slot_count; i++) {
        watch->slots[i].fd = -1;
        watch->slots[i].next_free = i + 1 < slot_count ? i + 1 : HTTP_WATCH_NONE;
    }
    watch->first_free = slot_count > 0 ? 0 : HTTP_WATCH_NONE;
    int failure =
        open_descriptors(watch) ? pthread_create(&watch->thread, NULL, run, watch) : errno;
    if (failure != 0) {
        release(watch);
        return error_set(err, ERR_IO, "cannot watch connections: %s", strerror(failure));
    }
    *out = watch;
    return OK;
}

void http_watch_close(struct http_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    pthread_mutex_unlock(&watch->lock);
    uint64_t one = 1;
    ssize_t written = write(watch->wake_fd, &one, sizeof one);
    (void)written; /* if it failed, the thread looks by itself within SWEEP_MS */
    pthread_join(watch->thread, NULL);
    release(watch);
}

/* ---- slots ---- */

uint32_t http_watch_add(struct http_watch *watch, int fd, uint64_t deadline_us)
{
    pthread_mutex_lock(&watch->lock);
    uint32_t index = watch->first_free;
    if (index != HTTP_WATCH_NONE) {
        struct slot *slot = &watch->slots[index];
        watch->first_free = slot->next_free;
        slot->fd = fd;
        slot->phase = HTTP_WATCH_READING;
        slot->deadline_us = deadline_us;
    }
    pthread_mutex_unlock(&watch->lock);
    return index;
}

/* In the epoll set exactly while BUSY. */
static void arm(struct http_watch *watch, struct slot *slot, bool busy)
{
    bool was_busy = slot->phase == HTTP_WATCH_BUSY;
    if (was_busy) {
        epoll_ctl(watch->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
        slot->generation++;
    }
    if (busy) {
        /* One shot: a socket that is gone stays so, and must not spin the thread. If this fails
         * (no memory in the kernel), the ticks still find out, by writing. */
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT,
                                    .data.u64 = mark_of(watch, slot)};
        epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, slot->fd, &event);
    }
}

void http_watch_set(struct http_watch *watch, uint32_t index, enum http_watch_phase phase,
                    uint64_t deadline_us, void *context)
{
    assert(index < watch->slot_count);
    pthread_mutex_lock(&watch->lock);
    struct slot *slot = &watch->slots[index];
    assert(slot->fd >= 0);
    arm(watch, slot, phase == HTTP_WATCH_BUSY);
    slot->phase = phase;
    slot->deadline_us = deadline_us;
    slot->context = context;
    pthread_mutex_unlock(&watch->lock);
}

void http_watch_remove(struct http_watch *watch, uint32_t index)
{
    assert(index < watch->slot_count);
    pthread_mutex_lock(&watch->lock);
    struct slot *slot = &watch->slots[index];
    arm(watch, slot, false);
    slot->phase = HTTP_WATCH_QUIET;
    slot->context = NULL;
    slot->fd = -1;
    slot->next_free = watch->first_free;
    watch->first_free = index;
    pthread_mutex_unlock(&watch->lock);
}
