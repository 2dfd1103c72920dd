/* bounds.h - what the load generator will at most do, each with its reason.
 *
 * A load generator is a weapon when it runs away, and its results are worth nothing when it swaps:
 * everything it keeps is bounded before it starts.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_BOUNDS_H
#define TESTS_LOAD_BOUNDS_H

#define BOUND_REQUESTS      2000000u   /* of one run: about 250 MB of records */
#define BOUND_OPEN          16384u     /* requests under way: one descriptor each */
#define BOUND_SECONDS       86400.0    /* of one run */
#define BOUND_RATE          100000.0   /* requests per second; one core sends fewer */
#define BOUND_TOKENS        1000000u   /* of one prompt or answer */
#define BOUND_LINE_BYTES    1048576u   /* one line of a server-sent event, or of a data file */
#define BOUND_EVENT_BYTES   4194304u   /* the data of one event */
#define BOUND_HEADER_BYTES  65536u     /* all headers of one response */
#define BOUND_HISTORY_BYTES 16777216u  /* a conversation that is sent again each turn */
#define BOUND_FILE_BYTES    1073741824 /* a trace, prompts or result file */
#define BOUND_ITLS          20000000u  /* gaps kept one by one, for --save-detailed */
#define BOUND_SLOTS         1000000u   /* tenths of a second on the timeline: a day and more */
#define BOUND_GROUPS        100000u    /* shared prefixes */
#define BOUND_TURNS         1000u      /* of one conversation */
#define BOUND_WAIT_MS       3600000.0  /* think time, mock delays */
#define BOUND_ANSWER_BYTES  67108864u  /* a whole JSON answer (model list, mock request) */
#define BOUND_CONNECT_TRIES 2u         /* a kept-alive connection may turn out to be closed */

#endif
