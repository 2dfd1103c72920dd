/* mock.c - one thread, one epoll set, one heap of what is due. Each token is written when its time
 * has come, on its own: a client that is measured with this sees the pattern of a real server, not
 * one large read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/mock.h"

#include "configs/option_table.h"
#include "tests/load/bounds.h"
#include "tests/load/exit_code.h"
#include "tests/load/mock_answer.h"
#include "tests/load/ticks.h"
#include "tests/load/timers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 16384,
    EVENTS_MAX = 256,
    OUT_FULL = 65536, /* bytes that wait for a slow reader before more are made */
    LISTENER_MARK = CLIENTS_MAX,
    TIMER_MARK,
    NO_ONE = -1
};

struct mock_options {
    uint64_t port;
    double ttft_ms;
    double itl_ms;
    uint64_t tokens_per_chunk;
    uint64_t parallel;
    uint64_t fail_every;
    uint64_t break_every;
    bool help;
};

#define FIELD(name) offsetof(struct mock_options, name)

/* clang-format off */
static const struct option_row rows[] = {
    {OPTION_HEADING, "Mock server on 127.0.0.1", 0, "", 0, 0, "", ""},
    {OPTION_COUNT, "port", FIELD(port), "8000", 0, 65535, "", "to listen on; 0: any free one, printed"},
    {OPTION_REAL, "ttft-ms", FIELD(ttft_ms), "20", 0, BOUND_WAIT_MS, "", "from the request to its first token"},
    {OPTION_REAL, "itl-ms", FIELD(itl_ms), "5", 0, BOUND_WAIT_MS, "", "between chunks; 0: as fast as they are read"},
    {OPTION_COUNT, "tokens-per-chunk", FIELD(tokens_per_chunk), "1", 1, 10, "", "tokens sent together"},
    {OPTION_COUNT, "parallel", FIELD(parallel), "16384", 1, CLIENTS_MAX, "", "requests answered at once; more wait their turn"},
    {OPTION_COUNT, "fail-every", FIELD(fail_every), "0", 0, 1e9, "", "answer each Nth request with 503; 0: none"},
    {OPTION_COUNT, "break-every", FIELD(break_every), "0", 0, 1e9, "", "cut each Nth stream short; 0: none"},
    {OPTION_SWITCH, "help", FIELD(help), "false", 0, 0, "", "print this"},
};
/* clang-format on */

static const struct option_table table = {rows, sizeof rows / sizeof rows[0]};

struct guest {
    int fd;
    bool streaming; /* job is under way */
    bool waiting;   /* or waits for one of `parallel` */
    bool breaks;    /* its stream will be cut */
    bool wants_write;
    int next;     /* in the queue of those that wait */
    uint64_t due; /* of the next chunk */
    struct mock_job job;
    struct buffer in;
    struct buffer out;
    size_t out_sent;
};

struct mock {
    struct mock_options options;
    int listener;
    int epoll;
    int timer;
    uint64_t timer_due;
    struct guest *guests;
    struct timers timers;
    uint64_t request_count;
    uint32_t running;
    int queue_head;
    int queue_tail;
};

static void start_stream(struct mock *mock, int index);

static void watch(struct mock *mock, int index, bool wants_write, int operation)
{
    struct guest *guest = &mock->guests[index];
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0)};
    event.data.u64 = (uint64_t)index;
    epoll_ctl(mock->epoll, operation, guest->fd, &event);
    guest->wants_write = wants_write;
}

static void start_next(struct mock *mock)
{
    while (mock->queue_head != NO_ONE && mock->running < mock->options.parallel) {
        int index = mock->queue_head;
        mock->queue_head = mock->guests[index].next;
        if (mock->queue_head == NO_ONE) {
            mock->queue_tail = NO_ONE;
        }
        mock->guests[index].waiting = false;
        start_stream(mock, index);
    }
}

static void end_stream(struct mock *mock, int index)
{
    mock->guests[index].streaming = false;
    mock->running--;
    start_next(mock);
}

static void leave_queue(struct mock *mock, int index)
{
    int previous = NO_ONE;
    for (int at = mock->queue_head; at != index; at = mock->guests[at].next) {
        previous = at;
    }
    int next = mock->guests[index].next;
    if (previous == NO_ONE) {
        mock->queue_head = next;
    } else {
        mock->guests[previous].next = next;
    }
    mock->queue_tail = mock->queue_tail == index ? previous : mock->queue_tail;
    mock->guests[index].waiting = false;
}

static void drop(struct mock *mock, int index)
{
    struct guest *guest = &mock->guests[index];
    close(guest->fd);
    guest->fd = -1;
    buffer_release(&guest->in);
    buffer_release(&guest->out);
    if (guest->waiting) {
        leave_queue(mock, index);
    }
    if (guest->streaming) {
        end_stream(mock, index);
    }
}

/* Writes what there is. False when the guest is gone. */
static bool flush_out(struct mock *mock, int index)
{
    struct guest *guest = &mock->guests[index];
    while (guest->out_sent < guest->out.used) {
        ssize_t step = send(guest->fd, guest->out.bytes + guest->out_sent,
                            guest->out.used - guest->out_sent, MSG_NOSIGNAL);
        if (step < 0 && errno == EAGAIN) {
            if (!guest->wants_write) {
                watch(mock, index, true, EPOLL_CTL_MOD);
            }
            return true;
        }
        if (step <= 0) {
            drop(mock, index);
            return false;
        }
        guest->out_sent += (size_t)step;
    }
    buffer_clear(&guest->out);
    guest->out_sent = 0;
    if (guest->wants_write) {
        watch(mock, index, false, EPOLL_CTL_MOD);
    }
    return true;
}

/* Half way through a stream that is to break. */
static bool is_cut(const struct guest *guest)
{
    return guest->breaks && guest->job.sent_tokens * 2 >= guest->job.output_tokens;
}

/* Makes the chunks that are due, none behind a cut: after a stall many are due at once. Returns
 * whether the stream goes on. */
static bool make_chunks(struct mock *mock, struct guest *guest, uint64_t now)
{
    uint64_t gap = (uint64_t)(mock->options.itl_ms * 1e6);
    struct mock_job *job = &guest->job;
    while (guest->due <= now && guest->out.used < OUT_FULL && !is_cut(guest)) {
        uint32_t left = job->output_tokens - job->sent_tokens;
        uint32_t count = (uint32_t)mock->options.tokens_per_chunk;
        mock_answer_tokens(&guest->out, job, count < left ? count : left);
        guest->due += gap;
        if (job->sent_tokens == job->output_tokens) {
            mock_answer_end(&guest->out, job);
            return false;
        }
    }
    return true;
}

static void pump(struct mock *mock, int index)
{
    struct guest *guest = &mock->guests[index];
    bool goes_on = guest->streaming;
    do {
        goes_on = make_chunks(mock, guest, ticks_now());
        if (!flush_out(mock, index)) {
            return;
        }
        if (is_cut(guest)) {
            drop(mock, index);
            return;
        }
        /* With no gap there is always something due, until the reader is full. */
    } while (goes_on && guest->out.used == 0 && guest->due <= ticks_now());
    if (!goes_on) {
        end_stream(mock, index);
    } else if (guest->out.used == 0) {
        timers_add(&mock->timers, guest->due, (uint32_t)index);
    }
}

static void start_stream(struct mock *mock, int index)
{
    struct guest *guest = &mock->guests[index];
    guest->streaming = true;
    mock->running++;
    guest->due = ticks_now() + (uint64_t)(mock->options.ttft_ms * 1e6);
    mock_answer_head(&guest->out);
    timers_add(&mock->timers, guest->due, (uint32_t)index);
}

/* ---- requests ---- */

static void answer_post(struct mock *mock, int index, bool is_chat, const char *body,
                        size_t body_bytes)
{
    struct guest *guest = &mock->guests[index];
    uint64_t number = ++mock->request_count;
    const struct mock_options *options = &mock->options;
    if (options->fail_every > 0 && number % options->fail_every == 0) {
        mock_answer_plain(&guest->out, 503,
                          "{\"error\":{\"message\":\"asked to fail\",\"type\":\"server_error\"}}");
        return;
    }
    const char *why = mock_answer_read(&guest->job, is_chat, body, body_bytes);
    if (why != NULL) {
        mock_answer_plain(&guest->out, 400, why);
        return;
    }
    guest->breaks = options->break_every > 0 && number % options->break_every == 0;
    guest->waiting = true;
    guest->next = NO_ONE;
    if (mock->queue_tail != NO_ONE) {
        mock->guests[mock->queue_tail].next = index;
    } else {
        mock->queue_head = index;
    }
    mock->queue_tail = index;
    start_next(mock);
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void answer(struct mock *mock, int index, const char *head, const char *body,
                   size_t body_bytes)
{
    struct buffer *out = &mock->guests[index].out;
    if (starts_with(head, "POST /v1/completions ")) {
        answer_post(mock, index, false, body, body_bytes);
    } else if (starts_with(head, "POST /v1/chat/completions ")) {
        answer_post(mock, index, true, body, body_bytes);
    } else if (starts_with(head, "GET /v1/models ")) {
        mock_answer_plain(out, 200,
                          "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\","
                          "\"created\":1700000000,\"owned_by\":\"sluice-bench\"}]}");
    } else if (starts_with(head, "GET /health ")) {
        mock_answer_plain(out, 200, "{\"status\":\"ok\"}");
    } else {
        mock_answer_plain(out, 404, "{\"error\":{\"message\":\"no such route\"}}");
    }
}

/* Bytes of the request at the start of `in`; 0 when it is not complete; -1 when it is not one. */
static ssize_t request_length(struct buffer *in, size_t *head_bytes)
{
    const char *text = buffer_string(in);
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL) {
        return in->used > BOUND_HEADER_BYTES ? -1 : 0;
    }
    *head_bytes = (size_t)(end - text) + 4;
    const char *length = strcasestr(text, "\r\ncontent-length:");
    unsigned long long body = 0;
    if (length != NULL && length < end) {
        body = strtoull(length + 17, NULL, 10);
    }
    if (body > BOUND_ANSWER_BYTES) {
        return -1;
    }
    return in->used >= *head_bytes + body ? (ssize_t)(*head_bytes + body) : 0;
}

static void take_requests(struct mock *mock, int index)
{
    struct guest *guest = &mock->guests[index];
    /* One at a time: the next waits in the socket's buffer until this one is answered. */
    while (!guest->streaming && !guest->waiting && guest->in.used > 0) {
        size_t head_bytes = 0;
        ssize_t length = request_length(&guest->in, &head_bytes);
        if (length < 0) {
            drop(mock, index);
            return;
        }
        if (length == 0) {
            return;
        }
        answer(mock, index, guest->in.bytes, guest->in.bytes + head_bytes,
               (size_t)length - head_bytes);
        memmove(guest->in.bytes, guest->in.bytes + length, guest->in.used - (size_t)length);
        guest->in.used -= (size_t)length;
        if (!flush_out(mock, index)) {
            return;
        }
    }
}

static void readable(struct mock *mock, int index)
{
    struct guest *guest = &mock->guests[index];
    char bytes[65536];
    ssize_t got = recv(guest->fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        drop(mock, index);
        return;
    }
    buffer_append(&guest->in, bytes, (size_t)got);
    take_requests(mock, index);
}

/* ---- the loop ---- */

static void accept_guests(struct mock *mock)
{
    for (;;) {
        int fd = accept4(mock->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        if (fd >= CLIENTS_MAX) {
            close(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        mock->guests[fd] = (struct guest){.fd = fd, .next = NO_ONE};
        watch(mock, fd, false, EPOLL_CTL_ADD);
    }
}

static void pump_due(struct mock *mock)
{
    struct timer timer;
    uint64_t now = ticks_now();
    while (timers_take(&mock->timers, now, &timer)) {
        struct guest *guest = &mock->guests[timer.number];
        /* A timer may outlive its stream: then the guest waits for another time. */
        if (guest->fd >= 0 && guest->streaming && guest->due == timer.due) {
            pump(mock, (int)timer.number);
        }
    }
}

static void handle(struct mock *mock, int index, uint32_t events)
{
    struct guest *guest = &mock->guests[index];
    if (guest->fd < 0) {
        return;
    }
    if ((events & (uint32_t)(EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
        readable(mock, index);
    }
    if (guest->fd >= 0 && (events & EPOLLOUT) != 0 && flush_out(mock, index) &&
        guest->out.used == 0 && guest->streaming && guest->due <= ticks_now()) {
        pump(mock, index);
    } else if (guest->fd >= 0 && (events & EPOLLOUT) != 0 && guest->streaming) {
        timers_add(&mock->timers, guest->due, (uint32_t)index);
    }
}

static void wait_round(struct mock *mock)
{
    uint64_t due = timers_next(&mock->timers);
    if (due != mock->timer_due) {
        struct itimerspec when = {0};
        if (due != TICKS_NEVER) {
            when.it_value.tv_sec = (time_t)(due / TICKS_PER_SECOND);
            when.it_value.tv_nsec = (long)(due % TICKS_PER_SECOND);
        }
        timerfd_settime(mock->timer, TFD_TIMER_ABSTIME, &when, NULL);
        mock->timer_due = due;
    }
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(mock->epoll, events, EVENTS_MAX, -1);
    for (int i = 0; i < count; i++) {
        int mark = (int)events[i].data.u64;
        if (mark == LISTENER_MARK) {
            accept_guests(mock);
        } else if (mark == TIMER_MARK) {
            uint64_t expirations;
            (void)!read(mock->timer, &expirations, sizeof expirations);
            mock->timer_due = TICKS_NEVER - 1; /* spent: to be set again */
        } else {
            handle(mock, mark, events[i].events);
        }
    }
    pump_due(mock);
}

static bool listen_on(struct mock *mock, struct error *err)
{
    mock->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(mock->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)mock->options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    if (bind(mock->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(mock->listener, 4096) != 0 ||
        getsockname(mock->listener, (struct sockaddr *)&address, &address_bytes) != 0) {
        error_set(err, ERR_IO, "--port %llu: %s", (unsigned long long)mock->options.port,
                  strerror(errno));
        return false;
    }
    printf("mock: listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return true;
}

static bool open_mock(struct mock *mock, struct error *err)
{
    mock->queue_head = mock->queue_tail = NO_ONE;
    mock->timer_due = TICKS_NEVER;
    mock->guests = calloc(CLIENTS_MAX, sizeof *mock->guests);
    mock->epoll = epoll_create1(EPOLL_CLOEXEC);
    mock->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (mock->guests == NULL || mock->epoll < 0 || mock->timer < 0) {
        error_set(err, ERR_IO, "mock: %s", strerror(errno));
        return false;
    }
    for (int i = 0; i < CLIENTS_MAX; i++) {
        mock->guests[i].fd = -1;
    }
    if (!listen_on(mock, err)) {
        return false;
    }
    struct epoll_event event = {.events = EPOLLIN};
    event.data.u64 = LISTENER_MARK;
    epoll_ctl(mock->epoll, EPOLL_CTL_ADD, mock->listener, &event);
    event.data.u64 = TIMER_MARK;
    epoll_ctl(mock->epoll, EPOLL_CTL_ADD, mock->timer, &event);
    return true;
}

static void close_mock(struct mock *mock)
{
    for (int i = 0; mock->guests != NULL && i < CLIENTS_MAX; i++) {
        if (mock->guests[i].fd >= 0) {
            close(mock->guests[i].fd);
            buffer_release(&mock->guests[i].in);
            buffer_release(&mock->guests[i].out);
        }
    }
    free(mock->guests);
    timers_release(&mock->timers);
    const int fds[] = {mock->listener, mock->epoll, mock->timer};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

int mock_command(int argc, char **argv, const volatile int *stop)
{
    struct mock mock = {.listener = -1, .epoll = -1, .timer = -1};
    struct error err = {0};
    const char *operand = NULL;
    size_t operand_count = 0;
    if (option_table_read(&table, &mock.options, argc, argv, &operand, 0, &operand_count, &err) !=
        OK) {
        fprintf(stderr, "sluice-bench mock: %s\n", err.message);
        return EXIT_CODE_USAGE;
    }
    if (mock.options.help) {
        printf("usage: sluice-bench mock [options]\n\nAnswers OpenAI-style streaming requests "
               "with known latencies, to measure clients.\n");
        option_table_help(&table, stdout);
        return EXIT_CODE_FINE;
    }
    if (!open_mock(&mock, &err)) {
        fprintf(stderr, "sluice-bench mock: %s\n", err.message);
        close_mock(&mock);
        return EXIT_CODE_FAILED;
    }
    while (*stop == 0) {
        wait_round(&mock);
    }
    close_mock(&mock);
    return EXIT_CODE_FINE;
}
