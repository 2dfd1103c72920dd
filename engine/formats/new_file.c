/* new_file.c - mkstemp beside the place, fsync, rename. SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WRITE_BYTES_MAX = 1 << 30 /* of one call: Linux takes no more than 2^31 */
};

static enum status fail(const struct new_file *file, const char *what, struct error *err)
{
    return error_set(err, errno == ENOMEM ? ERR_MEMORY : ERR_IO, "%.300s: %s: %s", file->path, what,
                     strerror(errno));
}

static enum status check_place(const struct new_file *file, struct error *err)
{
    struct stat info;
    if (lstat(file->path, &info) != 0) {
        return OK; /* nothing there, or nothing we may see: creating the file will tell */
    }
    if (!file->replace) {
        return error_set(err, ERR_INVALID, "%.300s: exists already", file->path);
    }
    if (!S_ISREG(info.st_mode)) {
        return error_set(err, ERR_INVALID, "%.300s: is no regular file", file->path);
    }
    return OK;
}

/* What open() would have given it. Nobody else in this process makes files meanwhile. */
static mode_t usual_mode(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

static enum status create(struct new_file *file, uint64_t byte_count, struct error *err)
{
    size_t room = strlen(file->path) + sizeof ".part-XXXXXX";
    char *part_path = malloc(room);
    if (part_path == NULL) {
        return fail(file, "no memory for its name", err);
    }
    snprintf(part_path, room, "%s.part-XXXXXX", file->path);
    file->fd = mkostemp(part_path, O_CLOEXEC);
    if (file->fd < 0) {
        free(part_path);
        return fail(file, "cannot be created", err);
    }
    file->part_path = part_path;
    if (fchmod(file->fd, usual_mode()) != 0) {
        return fail(file, "cannot be given its mode", err);
    }
    /* Where a file system cannot reserve, writing will tell. */
    int result = byte_count > 0 && byte_count <= INT64_MAX
                     ? fallocate(file->fd, 0, 0, (off_t)byte_count)
                     : 0;
    if (result != 0 && (errno == ENOSPC || errno == EFBIG || errno == EDQUOT)) {
        return error_set(err, ERR_IO, "%.300s: there is no room for its %llu bytes: %s", file->path,
                         (unsigned long long)byte_count, strerror(errno));
    }
    return OK;
}

enum status new_file_open(struct new_file *file, const char *path, bool replace,
                          uint64_t byte_count, struct error *err)
{
    *file = (struct new_file){.path = strdup(path), .fd = -1, .replace = replace};
    if (file->path == NULL) {
        return error_set(err, ERR_MEMORY, "%.300s: no memory for its name", path);
    }
    enum status status = check_place(file, err);
    return status == OK ? create(file, byte_count, err) : status;
}

enum status new_file_write(struct new_file *file, const void *bytes, uint64_t byte_count,
                           struct error *err)
{
    const char *at = bytes;
    while (byte_count > 0) {
        size_t part = byte_count < WRITE_BYTES_MAX ? (size_t)byte_count : WRITE_BYTES_MAX;
        ssize_t written = write(file->fd, at, part);
        if (written < 0 && errno != EINTR) {
            return fail(file, "cannot be written", err);
        }
        if (written > 0) {
            at += written;
            byte_count -= (uint64_t)written;
        }
    }
    return OK;
}

/* Without replace, what has come to be there meanwhile stays. */
static int take_place(const struct new_file *file)
{
    if (file->replace) {
        return rename(file->part_path, file->path);
    }
    int result = renameat2(AT_FDCWD, file->part_path, AT_FDCWD, file->path, RENAME_NOREPLACE);
    if (result != 0 && (errno == EINVAL || errno == ENOSYS)) { /* not on this file system */
        if (access(file->path, F_OK) == 0) {
            errno = EEXIST;
            return -1;
        }
        result = rename(file->part_path, file->path);
    }
    return result;
}

/* The name is on the disk when its folder is. Where folders cannot be synced, nothing is lost that
 * was ours to save. */
static void sync_folder(const struct new_file *file)
{
    char *copy = strdup(file->path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

enum status new_file_commit(struct new_file *file, struct error *err)
{
    if (fsync(file->fd) != 0) {
        return fail(file, "cannot be written", err);
    }
    int result = close(file->fd);
    file->fd = -1;
    if (result != 0) {
        return fail(file, "cannot be written", err);
    }
    if (take_place(file) != 0) {
        return fail(file, "cannot be put in its place", err);
    }
    free(file->part_path);
    file->part_path = NULL;
    sync_folder(file);
    return OK;
}

void new_file_discard(struct new_file *file)
{
    if (file->fd >= 0) {
        close(file->fd);
    }
    if (file->part_path != NULL) {
        unlink(file->part_path);
    }
    free(file->part_path);
    free(file->path);
    *file = (struct new_file){.fd = -1};
}
