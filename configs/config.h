/* config.h - the one struct of settings: flags over environment over file over defaults.
 *
 * Filled once by main, then constant and shared. Every option is a row of the table in config.c:
 * its flag, environment variable (SLUICE_...), key in the file, type, range, default and help.
 * Ownership: strings belong to the config until config_release.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIGS_CONFIG_H
#define CONFIGS_CONFIG_H

#include "configs/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct config {
    /* model */
    char *model;             /* path of a GGUF file; NULL: the embedded demo model */
    char *served_model_name; /* NULL: the file's base name without .gguf */
    char *chat_template;     /* path of a template that replaces the model's own, or NULL */
    char *tool_parser;       /* auto, none, or a format of calls */
    char *reasoning_parser;  /* auto, none, or marks of reasoning */
    char *generation_config; /* auto, none: whether the model's own sampling is the default */
    uint64_t max_model_len;  /* prompt + output; 0 = what the model was trained for */

    /* engine */
    uint64_t threads;           /* 0 = one per core this process may use */
    char *isa;                  /* auto, scalar, avx2, avx512 */
    char *activation_precision; /* auto, f32, a16, a8 */
    uint64_t max_num_seqs;
    uint64_t max_num_batched_tokens;
    uint64_t max_chunk_tokens; /* most of one prompt in one step; 0 = the whole budget */
    uint64_t max_waiting;      /* queued requests; more are refused */
    uint64_t max_preemptions;  /* of one request; 0 = no limit */
    char *scheduling_policy;   /* fcfs, priority */
    uint64_t block_size;       /* tokens of a KV block */
    uint64_t
        kv_cache_memory_bytes; /* 0 = room for max_num_seqs requests, at most a quarter of RAM */
    char *kv_cache_dtype;      /* f16, bf16, f32 */
    bool enable_prefix_caching;

    /* http */
    char *host;
    uint64_t port; /* 0 = any free one, named in the log */
    uint64_t http_threads;
    char *api_key_file; /* one key a line; NULL: no key needed */
    bool allow_public;  /* bind beyond loopback without a key */
    uint64_t max_connections;
    uint64_t max_connections_per_ip; /* 0 = no limit */
    uint64_t max_body_bytes;
    uint64_t header_timeout_ms;    /* absolute: first byte to last header */
    uint64_t body_timeout_ms;      /* absolute: last header to last body byte */
    uint64_t idle_timeout_ms;      /* a kept-alive connection doing nothing */
    uint64_t request_timeout_ms;   /* a request's whole life; 0 = no limit */
    uint64_t keepalive_comment_ms; /* silence on a stream before a comment is sent */
    uint64_t default_max_tokens; /* chat: when the client names none; 0 = the rest of the context */
    uint64_t shutdown_timeout_ms; /* SIGTERM: how long accepted work may run on */

    /* log */
    char *log_format; /* text, json */
    char *log_level;  /* debug, info, warning, error */

    /* what to do instead of serving */
    bool check_config;
    bool plan;
    bool health_check;
    bool version;
    bool help;
};

/* Reads arguments, environment and file (--config, or SLUICE_CONFIG). getenv_fn is getenv, or a
 * test's. An error names the option, the value and where it came from. */
typedef char *(*config_getenv_fn)(const char *name);
enum status config_load(struct config *config, int argument_count, char **arguments,
                        config_getenv_fn getenv_fn, struct error *err);

void config_release(struct config *config);

/* All options, one a paragraph: flag, aliases, environment variable, default, range. */
void config_print_help(FILE *out);

/* The settings in force, as a file that config_load would read back. */
void config_print(const struct config *config, FILE *out);

#endif
