/* service.c - systemd's protocol, spoken by its own library: the messages are simple, but whose
 * environment and which descriptors are meant has cases that are better not written twice.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/service.h"

#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

enum {
    MARGIN_MS = 30000 /* past the drain: farewells, threads, gigabytes to unmap */
};

enum status service_socket(int *fd, struct error *err)
{
    *fd = -1;
    int count = sd_listen_fds(1);
    if (count < 0) {
        return error_set(err, ERR_INVALID, "sockets passed in (LISTEN_FDS): %s", strerror(-count));
    }
    if (count == 0) {
        return OK;
    }
    /* One port has one address to judge and to log; a second would be served by nobody. */
    if (count > 1) {
        return error_set(err, ERR_INVALID, "%d sockets were passed in, and one can be served",
                         count);
    }
    if (sd_is_socket(SD_LISTEN_FDS_START, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
        return error_set(err, ERR_INVALID,
                         "the descriptor passed in is not a listening stream socket "
                         "(ListenStream, Accept=no)");
    }
    *fd = SD_LISTEN_FDS_START;
    return OK;
}

void service_loading(const char *model)
{
    sd_notifyf(0, "STATUS=loading %s", model);
}

void service_progress(const char *model, const char *phase, uint32_t percent)
{
    sd_notifyf(0, "STATUS=loading %s: %s, %" PRIu32 " %%", model, phase, percent);
}

void service_ready(const char *address, const char *model_name)
{
    sd_notifyf(0, "READY=1\nSTATUS=serving %s on %s", model_name, address);
}

void service_stopping(uint32_t request_count, uint64_t drain_ms)
{
    sd_notifyf(0,
               "STOPPING=1\nSTATUS=draining, %" PRIu32 " requests run on\n"
               "EXTEND_TIMEOUT_USEC=%" PRIu64,
               request_count, (drain_ms + MARGIN_MS) * 1000);
}

uint64_t service_watchdog_us(void)
{
    uint64_t limit_us = 0;
    return sd_watchdog_enabled(0, &limit_us) > 0 ? limit_us : 0;
}

void service_keep_alive(void)
{
    if (service_watchdog_us() > 0) {
        sd_notify(0, "WATCHDOG=1");
    }
}
