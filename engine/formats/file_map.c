/* The file stays mapped after its descriptor is closed. Nothing is read here: pages come when they
 * are needed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status map_descriptor(int fd, const char *path, const uint8_t **bytes,
                                  uint64_t *byte_count, struct error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return error_set(err, ERR_IO, "%s: cannot be examined: %s", path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return error_set(err, ERR_INVALID, "%s: a %s, not a regular file", path,
                         S_ISDIR(info.st_mode)    ? "directory"
                         : S_ISFIFO(info.st_mode) ? "named pipe"
                                                  : "device or socket");
    }
    *byte_count = (uint64_t)info.st_size;
    if (info.st_size == 0) {
        return OK; /* cannot be mapped; the parser says what is wrong with it */
    }
    void *memory = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED) {
        return error_set(err, ERR_IO, "%s: %llu bytes cannot be mapped: %s", path,
                         (unsigned long long)info.st_size, strerror(errno));
    }
    *bytes = memory;
    return OK;
}

enum status file_map_open(const char *path, const uint8_t **bytes, uint64_t *byte_count,
                          struct error *err)
{
    *bytes = (const uint8_t *)"";
    *byte_count = 0;
    /* Without O_NONBLOCK, opening a named pipe would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot be opened: %s",
                         path, strerror(errno));
    }
    enum status status = map_descriptor(fd, path, bytes, byte_count, err);
    close(fd);
    return status;
}

void file_map_close(const uint8_t *bytes, uint64_t byte_count)
{
    if (bytes != NULL && byte_count > 0) {
        munmap((void *)bytes, byte_count);
    }
}
