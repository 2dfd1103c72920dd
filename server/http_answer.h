/* http_answer.h - answers: at once, when they are whole, or as a stream; and the sleep in between.
 *
 * Thread: http, that of the connection, unless said otherwise.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_ANSWER_H
#define SERVER_HTTP_ANSWER_H

#include "server/http_request.h"

/* Sends what is in request->out, which is left empty. refusal: whose headers go with it, or NULL. */
enum MHD_Result http_answer_text(struct http_request *request, int http_status,
                                 const char *content_type, const struct refusal *refusal);

enum MHD_Result http_answer_refusal(struct http_request *request, const struct refusal *refusal);

/* Sends what request->generation says, in its time. For a whole answer it is called again each
 * time the connection wakes. */
enum MHD_Result http_answer_generation(struct http_request *request);

/* Lets a sleeping request look again. Any thread. context: struct http_request. */
void http_answer_wake(void *context);

/* The client has left. Thread: watch. context: struct http_request. */
void http_answer_gone(void *context);

#endif
