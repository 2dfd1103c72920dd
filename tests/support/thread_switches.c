/* thread_switches.c - see thread_switches.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/thread_switches.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    WATCHED_MS = 1200
};

/* Adds one thread's status file, if its name begins so. */
static void add_thread(struct thread_switches *counts, const char *tid, const char *name)
{
    char path[300];
    char line[256];
    snprintf(path, sizeof path, "/proc/self/task/%s/status", tid);
    FILE *file = fopen(path, "r");
    int named = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        uint64_t count;
        const char *second = strchr(line, '\t');
        if (strncmp(line, "Name:", 5) == 0 && second != NULL) {
            named = strncmp(second + 1, name, strlen(name)) == 0;
            counts->thread_count += named != 0;
        } else if (named && (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &count) == 1 ||
                             sscanf(line, "nonvoluntary_ctxt_switches: %" SCNu64, &count) == 1)) {
            counts->switch_count += count;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

struct thread_switches thread_switches_count(const char *name)
{
    struct thread_switches counts = {0};
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task = NULL; tasks != NULL && (task = readdir(tasks)) != NULL;) {
        if (task->d_name[0] != '.') {
            add_thread(&counts, task->d_name, name);
        }
    }
    if (tasks != NULL) {
        closedir(tasks);
    }
    return counts;
}

static void sleep_ms(uint32_t ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

int thread_switches_stay(const char *name, uint32_t thread_count, uint32_t settle_ms)
{
    sleep_ms(settle_ms);
    struct thread_switches before = thread_switches_count(name);
    sleep_ms(WATCHED_MS);
    struct thread_switches after = thread_switches_count(name);
    return before.thread_count == thread_count && after.thread_count == thread_count &&
           before.switch_count > 0 && before.switch_count == after.switch_count;
}
