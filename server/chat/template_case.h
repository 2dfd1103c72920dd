/* template_case.h - upper, lower and title case, and HTML escaping, of whole strings.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_CASE_H
#define SERVER_CHAT_TEMPLATE_CASE_H

#include "server/chat/template_run.h"

enum template_case {
    TEMPLATE_LOWER,
    TEMPLATE_UPPER,
    TEMPLATE_SWAP,
    TEMPLATE_CAPITAL,   /* the first character up, all others down */
    TEMPLATE_TITLE,     /* each run of letters */
    TEMPLATE_TITLE_GAP, /* each piece after white space, a hyphen or an opening bracket */
};

bool template_case_is_cased(int32_t codepoint); /* a letter that has case */

bool template_case_change(struct template_run *run, const struct template_string *string,
                          enum template_case wanted, struct template_value *out);

/* Text with & < > " ' as HTML entities. */
bool template_case_escape(struct template_run *run, const struct template_string *string,
                          struct template_value *out);

#endif
