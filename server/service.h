/* service.h - what a service manager (systemd) and this process tell each other.
 *
 * Every function does nothing where no manager listens: in a shell, a container, a test.
 * Thread: main. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include "configs/error.h"

#include <stdbool.h>
#include <stdint.h>

/* The listening socket the manager opened for us, or -1: we open our own. */
enum status service_socket(int *fd, struct error *err);

/* One line for `systemctl status`. */
void service_loading(const char *model);
void service_progress(const char *model, const char *phase, uint32_t percent);
void service_ready(const char *address, const char *model_name);

/* The end has begun, and may take this long: the manager must not cut it short. */
void service_stopping(uint32_t request_count, uint64_t drain_ms);

/* Within this time a sign of life is due, or the manager kills and restarts us; 0: none is. */
uint64_t service_watchdog_us(void);

/* Gives the sign of life, which only somebody who has just seen progress may do. */
void service_keep_alive(void);

#endif
