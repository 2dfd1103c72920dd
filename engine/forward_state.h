/* forward_state.h - the forward pass's own state, shared by the files that make up one step.
 *
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORWARD_STATE_H
#define ENGINE_FORWARD_STATE_H

#include "engine/forward.h"
#include "kernels/workspace.h"

/* Rotations of one kind of layer for the rows of a step. */
struct forward_angles {
    float *cos;          /* [rows, rotary_dim / 2] in the workspace */
    float *sin;          /* the same shape */
    double *frequencies; /* on the host: [rotary_dim / 2] */
    double magnitude;    /* of cos and sin */
    float *host_cos;     /* as cos */
    float *host_sin;
};

struct forward {
    const struct model *model;
    struct backend *be;
    struct kv_store *store;
    struct forward_options options;

    struct workspace workspace; /* holds what follows, down to `logits`, of the step that runs */
    float *hidden;              /* [rows, dim] the residual stream */
    float *normed;              /* [rows, dim] */
    float *q;                   /* [rows, head_count, head_dim] */
    float *k;                   /* [rows, kv_head_count, head_dim] */
    float *v;                   /* the same shape; empty where keys are values too */
    float *attended;            /* as q */
    float *queries;      /* [rows, head_count, the larger of a head's query and value] of latent
                       attention, and so the next; else empty */
    float *q_down;       /* [rows, q_rank] */
    float *gate;         /* [rows, ffn_dim], or as wide as all experts of a row */
    float *up;           /* the same shape; empty when the ffn is plain */
    float *branch;       /* [rows, dim] what attention or ffn will add; often empty */
    float *scores;       /* [rows, expert_count]; from here on, empty in a dense model */
    float *routing;      /* the arrays of a struct expert_routes */
    float *routed;       /* [rows * used, dim] in and out of experts */
    float *shared;       /* [rows, dim] out of the shared expert */
    float *shared_share; /* [rows] */
    float *logits;       /* [logits rows, vocab] */
    struct expert_routes routes; /* in `routing`, for all layers in turn */

    struct forward_angles angles[LAYER_ROPE_COUNT]; /* that of LAYER_ROPE_NONE is unused */
    float *host_logits;
    struct attention_span *spans; /* [span_count_max] */
};

#endif
