/* params_unsupported.h - fields that other servers know and this one does not honour.
 *
 * Ignoring them would answer a question that was not asked. Their neutral values pass.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_PARAMS_UNSUPPORTED_H
#define SERVER_PARAMS_UNSUPPORTED_H

#include "server/json_fields.h"

void params_unsupported_check(struct json_fields *fields);

#endif
