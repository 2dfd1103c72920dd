/* health_check.h - asks a running sluiced whether it is ready: for containers, whose images have
 * no HTTP client.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HEALTH_CHECK_H
#define SERVER_HEALTH_CHECK_H

#include "configs/error.h"

#include <stdint.h>

/* OK when GET /readyz there answers 200 within a few seconds. A host that means every address
 * ("0.0.0.0", "::") is asked at loopback. */
enum status health_check_ask(const char *host, uint16_t port, struct error *err);

#endif
