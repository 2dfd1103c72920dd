/* client.c - one slot per open connection. Requests with the same timeout end in the order they
 * began, so the slots under way form a queue and only its head can be overdue.
 *
 * All bytes of one read carry one timestamp, taken just after the read: what the kernel gave
 * together came together.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/client.h"

#include "tests/load/bounds.h"
#include "tests/load/chunk.h"
#include "tests/load/response.h"
#include "tests/load/sse_reader.h"
#include "tests/load/ticks.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    READ_BYTES = 262144,
    NO_SLOT = -1,
    TIMER_MARK = -1, /* epoll data of the timer */
    KEEP_WHY_BYTES = 4096
};

enum slot_state {
    SLOT_FREE, /* no connection */
    SLOT_IDLE, /* a connection, no request */
    SLOT_BUSY,
};

struct slot {
    enum slot_state state;
    int fd;
    int next; /* in the free list, the idle list or the queue of those under way */
    int previous;
    uint32_t tag;
    uint32_t cancel_after;
    uint32_t tries;
    bool keep_text;
    bool reused; /* the connection served a request before */
    bool wants_write;
    bool got_bytes;
    bool stream_done;
    bool bad_json;
    bool stream_error;
    bool leave; /* the client is to go away now */
    bool unstarted;
    uint64_t now; /* of the read being handled */
    size_t sent;
    struct record *record;
    struct buffer request;
    struct buffer text;
    struct buffer why; /* start of an error's body */
    struct response response;
    struct sse_reader reader;
};

struct client {
    struct target target;
    struct client_options options;
    struct client_events events;
    int epoll;
    int timer;
    uint64_t timer_due;
    struct slot *slots;
    int free_head;
    int idle_head;
    int busy_head;
    int busy_tail;
    uint32_t busy_count;
    uint32_t unstarted; /* under way, but without a connection: to be answered next */
    char *bytes;
};

/* ---- lists ---- */

static int pop(struct client *client, int *head)
{
    int index = *head;
    if (index != NO_SLOT) {
        *head = client->slots[index].next;
    }
    return index;
}

static void push(struct client *client, int *head, int index)
{
    client->slots[index].next = *head;
    *head = index;
}

static void queue_busy(struct client *client, int index)
{
    struct slot *slot = &client->slots[index];
    slot->next = NO_SLOT;
    slot->previous = client->busy_tail;
    if (client->busy_tail != NO_SLOT) {
        client->slots[client->busy_tail].next = index;
    } else {
        client->busy_head = index;
    }
    client->busy_tail = index;
    client->busy_count++;
}

static void unqueue_busy(struct client *client, int index)
{
    struct slot *slot = &client->slots[index];
    if (slot->previous != NO_SLOT) {
        client->slots[slot->previous].next = slot->next;
    } else {
        client->busy_head = slot->next;
    }
    if (slot->next != NO_SLOT) {
        client->slots[slot->next].previous = slot->previous;
    } else {
        client->busy_tail = slot->previous;
    }
    client->busy_count--;
}

/* An idle connection may be closed by the server at any time: then it leaves the middle. */
static void unlist_idle(struct client *client, int index)
{
    int *link = &client->idle_head;
    while (*link != index) {
        assert(*link != NO_SLOT);
        link = &client->slots[*link].next;
    }
    *link = client->slots[index].next;
}

/* ---- connections ---- */

static void disconnect(struct slot *slot)
{
    if (slot->fd >= 0) {
        close(slot->fd);
        slot->fd = -1;
    }
    slot->reused = false;
}

static void watch(struct client *client, int index, bool wants_write, bool is_new)
{
    struct slot *slot = &client->slots[index];
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0)};
    event.data.u64 = (uint64_t)index;
    epoll_ctl(client->epoll, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, slot->fd, &event);
    slot->wants_write = wants_write;
}

static bool connect_slot(struct client *client, int index)
{
    struct slot *slot = &client->slots[index];
    slot->fd =
        socket(client->target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (slot->fd < 0) {
        return false;
    }
    int on = 1;
    setsockopt(slot->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(slot->fd, (const struct sockaddr *)&client->target.address,
                client->target.address_bytes) != 0 &&
        errno != EINPROGRESS) {
        return false;
    }
    watch(client, index, true, true);
    return true;
}

/* ---- the end of a request ---- */

static enum outcome outcome_of_status(int status)
{
    if (status == 429) {
        return OUTCOME_HTTP_429;
    }
    if (status == 503) {
        return OUTCOME_HTTP_503;
    }
    if (status >= 500) {
        return OUTCOME_HTTP_5XX;
    }
    return status >= 400 ? OUTCOME_HTTP_4XX : OUTCOME_BAD_HTTP;
}

static enum outcome outcome_of(const struct slot *slot)
{
    const struct response *response = &slot->response;
    if (!slot->got_bytes) {
        return OUTCOME_RESET;
    }
    if (response->status == 0) {
        return OUTCOME_BAD_HTTP;
    }
    if (response->status != 200) {
        return outcome_of_status(response->status);
    }
    if (slot->stream_error) {
        return OUTCOME_STREAM_ERROR;
    }
    if (slot->bad_json) {
        return OUTCOME_BAD_JSON;
    }
    if (!response->event_stream) {
        return OUTCOME_BAD_HTTP;
    }
    return slot->stream_done ? OUTCOME_DONE : OUTCOME_TRUNCATED;
}

/* Hands out the answer and makes the slot ready for another request. */
static void finish(struct client *client, int index, enum outcome outcome, bool keep_connection)
{
    struct slot *slot = &client->slots[index];
    unqueue_busy(client, index);
    slot->record->outcome = (uint8_t)outcome;
    if (slot->record->ended == 0) {
        slot->record->ended = ticks_now();
    }
    if (keep_connection) {
        slot->state = SLOT_IDLE;
        slot->reused = true;
        push(client, &client->idle_head, index);
    } else {
        disconnect(slot);
        slot->state = SLOT_FREE;
        push(client, &client->free_head, index);
    }
    char why[CLIENT_WHY_BYTES];
    snprintf(why, sizeof why, "%s%s%.*s", outcome_name(outcome), slot->why.used > 0 ? ": " : "",
             (int)(slot->why.used < 150 ? slot->why.used : 150),
             slot->why.used > 0 ? slot->why.bytes : "");
    struct client_answer answer = {.tag = slot->tag,
                                   .record = slot->record,
                                   .text = slot->text.bytes,
                                   .text_bytes = slot->text.used,
                                   .why = why};
    client->events.on_answer(client->events.context, &answer);
}

static void writable(struct client *client, int index)
{
    struct slot *slot = &client->slots[index];
    while (slot->sent < slot->request.used) {
        ssize_t step = send(slot->fd, slot->request.bytes + slot->sent,
                            slot->request.used - slot->sent, MSG_NOSIGNAL);
        if (step < 0) {
            /* Whatever else is wrong, reading will say so. */
            if (errno != EAGAIN && errno != EINTR) {
                watch(client, index, false, false);
            } else if (!slot->wants_write) {
                watch(client, index, true, false);
            }
            return;
        }
        slot->sent += (size_t)step;
    }
    if (slot->wants_write) {
        watch(client, index, false, false);
    }
}

/* A try that cannot start is answered later: here the answer's receiver might call us again. */
static void begin_try(struct client *client, int index)
{
    struct slot *slot = &client->slots[index];
    slot->sent = 0;
    slot->got_bytes = false;
    response_reset(&slot->response);
    sse_reader_reset(&slot->reader);
    if (slot->fd >= 0) {
        writable(client, index);
    } else if (!connect_slot(client, index)) {
        buffer_text(&slot->why, strerror(errno));
        slot->unstarted = true;
        client->unstarted++;
    }
}

/* The server closes a kept connection when it likes; that it did so just as we wrote is no
 * failure of the request, which it never saw. */
static void connection_ended(struct client *client, int index)
{
    struct slot *slot = &client->slots[index];
    if (!slot->got_bytes && slot->reused && slot->tries < BOUND_CONNECT_TRIES) {
        disconnect(slot);
        slot->tries++;
        begin_try(client, index);
        return;
    }
    bool never_connected = slot->sent == 0 && !slot->got_bytes;
    response_end(&slot->response);
    finish(client, index, never_connected ? OUTCOME_CONNECT : outcome_of(slot), false);
}

/* ---- what comes in ---- */

static void take_output(struct client *client, struct slot *slot, const struct chunk *chunk)
{
    struct record *record = slot->record;
    uint64_t gap = record->first == 0 ? 0 : slot->now - record->last;
    record->first = record->first == 0 ? slot->now : record->first;
    record->last = slot->now;
    record->chunk_count++;
    record->gap_most = gap > record->gap_most ? gap : record->gap_most;
    if (slot->keep_text && slot->text.used + chunk->text.byte_count <= BOUND_HISTORY_BYTES) {
        buffer_append(&slot->text, chunk->text.bytes, chunk->text.byte_count);
    }
    client->events.on_chunk(client->events.context, record, gap);
    slot->leave = slot->cancel_after > 0 && record->chunk_count >= slot->cancel_after;
}

struct event_context {
    struct client *client;
    struct slot *slot;
};

static void take_event(void *context, const char *data, size_t data_bytes)
{
    struct event_context *event = context;
    struct slot *slot = event->slot;
    if (slot->leave || slot->stream_done) {
        return;
    }
    if (data_bytes >= 6 && memcmp(data, "[DONE]", 6) == 0) {
        slot->stream_done = true;
        slot->record->ended = slot->now;
        return;
    }
    struct chunk chunk;
    if (!chunk_parse(&chunk, data, data_bytes)) {
        slot->bad_json = true;
        return;
    }
    if (chunk.has_error && !slot->stream_error) {
        slot->stream_error = true;
        buffer_append(&slot->why, chunk.error.bytes, chunk.error.byte_count);
    }
    if (chunk.has_usage) {
        struct record *record = slot->record;
        record->has_usage = true;
        record->input_tokens = (uint32_t)chunk.prompt_tokens;
        record->output_tokens = (uint32_t)chunk.completion_tokens;
        record->cached_tokens = (uint32_t)chunk.cached_tokens;
    }
    if (chunk.has_output) {
        take_output(event->client, slot, &chunk);
    }
}

static void take_body(void *context, const char *bytes, size_t byte_count)
{
    struct event_context *event = context;
    struct slot *slot = event->slot;
    if (slot->response.status == 200 && slot->response.event_stream) {
        if (!sse_reader_feed(&slot->reader, bytes, byte_count, take_event, event)) {
            slot->bad_json = true;
        }
    } else if (slot->why.used + byte_count <= KEEP_WHY_BYTES) {
        buffer_append(&slot->why, bytes, byte_count);
    }
}

static void take_bytes(struct client *client, int index, size_t byte_count)
{
    struct slot *slot = &client->slots[index];
    struct event_context event = {.client = client, .slot = slot};
    slot->now = ticks_now();
    slot->got_bytes = true;
    size_t taken = response_feed(&slot->response, client->bytes, byte_count, take_body, &event);
    if (slot->leave) {
        slot->record->ended = slot->now;
        finish(client, index, OUTCOME_CANCELLED, false);
    } else if (slot->response.state == RESPONSE_BAD) {
        finish(client, index, outcome_of(slot), false);
    } else if (slot->response.state == RESPONSE_DONE) {
        /* Bytes after the answer belong to nothing we asked. */
        bool keep = client->target.keep_alive && !slot->response.close_after &&
                    taken == byte_count && slot->sent == slot->request.used;
        finish(client, index, outcome_of(slot), keep);
    }
}

static void readable(struct client *client, int index)
{
    struct slot *slot = &client->slots[index];
    ssize_t got = recv(slot->fd, client->bytes, READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (slot->state == SLOT_IDLE) {
        unlist_idle(client, index);
        disconnect(slot);
        slot->state = SLOT_FREE;
        push(client, &client->free_head, index);
        return;
    }
    if (got > 0) {
        take_bytes(client, index, (size_t)got);
        return;
    }
    if (got < 0) {
        buffer_clear(&slot->why);
        buffer_text(&slot->why, strerror(errno));
    }
    connection_ended(client, index);
}

static void handle(struct client *client, int index, uint32_t events)
{
    struct slot *slot = &client->slots[index];
    if (slot->state == SLOT_FREE) {
        return;
    }
    int fd = slot->fd;
    if (slot->state == SLOT_BUSY && (events & EPOLLOUT) != 0) {
        writable(client, index);
    }
    if ((events & (uint32_t)(EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 && slot->fd == fd) {
        readable(client, index);
    }
}

/* ---- the outside ---- */

static bool open_slots(struct client *client)
{
    client->slots = calloc(client->options.open_max, sizeof *client->slots);
    client->bytes = malloc(READ_BYTES);
    if (client->slots == NULL || client->bytes == NULL) {
        return false;
    }
    client->free_head = client->idle_head = client->busy_head = client->busy_tail = NO_SLOT;
    for (int index = (int)client->options.open_max - 1; index >= 0; index--) {
        client->slots[index].fd = -1;
        push(client, &client->free_head, index);
    }
    return true;
}

enum status client_open(struct client **out, const struct target *target,
                        const struct client_options *options, const struct client_events *events,
                        struct error *err)
{
    *out = NULL;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the client");
    }
    client->target = *target;
    client->options = *options;
    client->events = *events;
    client->timer_due = TICKS_NEVER;
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    client->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (!open_slots(client) || client->epoll < 0 || client->timer < 0) {
        enum status status = error_set(err, ERR_IO, "no client for %u requests: %s",
                                       options->open_max, strerror(errno));
        client_close(client);
        return status;
    }
    struct epoll_event event = {.events = EPOLLIN};
    event.data.u64 = (uint64_t)(int64_t)TIMER_MARK;
    epoll_ctl(client->epoll, EPOLL_CTL_ADD, client->timer, &event);
    *out = client;
    return OK;
}

void client_close(struct client *client)
{
    if (client == NULL) {
        return;
    }
    for (uint32_t i = 0; client->slots != NULL && i < client->options.open_max; i++) {
        struct slot *slot = &client->slots[i];
        disconnect(slot);
        buffer_release(&slot->request);
        buffer_release(&slot->text);
        buffer_release(&slot->why);
        response_release(&slot->response);
        sse_reader_release(&slot->reader);
    }
    free(client->slots);
    free(client->bytes);
    if (client->epoll >= 0) {
        close(client->epoll);
    }
    if (client->timer >= 0) {
        close(client->timer);
    }
    free(client);
}

uint32_t client_under_way(const struct client *client)
{
    return client->busy_count;
}

void client_send(struct client *client, uint32_t tag, struct record *record,
                 const struct buffer *body, uint32_t cancel_after, bool keep_text)
{
    int index = pop(client, &client->idle_head);
    if (index == NO_SLOT) {
        index = pop(client, &client->free_head);
    }
    assert(index != NO_SLOT);
    struct slot *slot = &client->slots[index];
    slot->state = SLOT_BUSY;
    slot->tag = tag;
    slot->cancel_after = cancel_after;
    slot->keep_text = keep_text;
    slot->tries = 1;
    slot->record = record;
    slot->stream_done = slot->bad_json = slot->stream_error = false;
    slot->leave = slot->unstarted = false;
    buffer_clear(&slot->request);
    buffer_clear(&slot->text);
    buffer_clear(&slot->why);
    target_request(&client->target, client->options.path, body, &slot->request);
    record->sent = ticks_now();
    queue_busy(client, index);
    begin_try(client, index);
}

static void set_timer(struct client *client, uint64_t due)
{
    if (due == client->timer_due) {
        return;
    }
    struct itimerspec when = {0};
    if (due != TICKS_NEVER) {
        when.it_value.tv_sec = (time_t)(due / TICKS_PER_SECOND);
        when.it_value.tv_nsec = (long)(due % TICKS_PER_SECOND);
    }
    timerfd_settime(client->timer, TFD_TIMER_ABSTIME, &when, NULL);
    client->timer_due = due;
}

static uint64_t deadline(const struct client *client)
{
    if (client->busy_head == NO_SLOT) {
        return TICKS_NEVER;
    }
    return client->slots[client->busy_head].record->sent + client->options.timeout;
}

static void end_overdue(struct client *client)
{
    uint64_t now = ticks_now();
    while (deadline(client) <= now) {
        finish(client, client->busy_head, OUTCOME_TIMEOUT, false);
    }
}

static void end_unstarted(struct client *client)
{
    /* Only those of now: an answer may start another request that cannot start either. */
    uint32_t count = client->unstarted;
    for (int index = client->busy_head; count > 0 && index != NO_SLOT;) {
        int next = client->slots[index].next;
        if (client->slots[index].unstarted) {
            client->slots[index].unstarted = false;
            client->unstarted--;
            count--;
            finish(client, index, OUTCOME_CONNECT, false);
        }
        index = next;
    }
}

void client_wait(struct client *client, uint64_t until)
{
    bool must_not_sleep = client->unstarted > 0;
    end_unstarted(client);
    uint64_t overdue = deadline(client);
    set_timer(client, overdue < until ? overdue : until);
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(client->epoll, events, EVENTS_MAX, must_not_sleep ? 0 : -1);
    for (int i = 0; i < count; i++) {
        int index = (int)(int64_t)events[i].data.u64;
        if (index == TIMER_MARK) {
            client->timer_due = TICKS_NEVER - 1; /* spent: to be set again */
            uint64_t expirations;
            (void)!read(client->timer, &expirations, sizeof expirations);
        } else {
            handle(client, index, events[i].events);
        }
    }
    end_overdue(client);
}
