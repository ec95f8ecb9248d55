/* The little of WASI preview 1 that the guest uses. A C library would do, and take a minute to be
 * built the first time. */
#ifndef DEMO_WASI_H
#define DEMO_WASI_H

#include <stdint.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

typedef struct {
    const void *data;
    uint32_t nbytes;
} piece;

WASI(fd_read) int32_t fd_read(int32_t fd, const piece *pieces, uint32_t count, uint32_t *nbytes);
WASI(fd_write) int32_t fd_write(int32_t fd, const piece *pieces, uint32_t count, uint32_t *nbytes);
WASI(fd_close) int32_t fd_close(int32_t fd);
WASI(path_open)
int32_t path_open(int32_t folder, uint32_t follow, const char *path, uint32_t length,
                  uint32_t how, uint64_t rights, uint64_t inherited, uint32_t flags, int32_t *fd);
WASI(proc_exit) _Noreturn void proc_exit(int32_t status);

enum { INPUT = 0, OUTPUT = 1, ERRORS = 2, FIRST_FOLDER = 3 };
enum { CREATE_AND_TRUNCATE = 1 | 8 };
static const uint64_t MAY_READ = 1 << 1, MAY_WRITE = 1 << 6;

static inline uint32_t length_of(const char *text)
{
    uint32_t length = 0;
    while (text[length])
        length++;
    return length;
}

static inline int write_all(int32_t fd, const void *data, uint32_t nbytes)
{
    const char *at = data;
    while (nbytes) {
        piece rest = {at, nbytes};
        uint32_t written;
        if (fd_write(fd, &rest, 1, &written))
            return 0;
        at += written, nbytes -= written;
    }
    return 1;
}

static inline void say(const char *text)
{
    write_all(OUTPUT, text, length_of(text));
}

static inline _Noreturn void give_up(const char *why)
{
    write_all(ERRORS, why, length_of(why));
    write_all(ERRORS, "\n", 1);
    proc_exit(1);
}

/* Read all there is, up to `room` bytes; returns how many. */
static inline uint32_t read_all(int32_t fd, char *out, uint32_t room)
{
    uint32_t have = 0, got = 1;
    while (have < room && got) {
        piece rest = {out + have, room - have};
        if (fd_read(fd, &rest, 1, &got))
            give_up("a file cannot be read");
        have += got;
    }
    return have;
}

static inline int32_t open_in(int32_t folder, const char *name, int writing)
{
    int32_t fd;
    if (path_open(folder, 0, name, length_of(name), writing ? CREATE_AND_TRUNCATE : 0,
                  writing ? MAY_WRITE : MAY_READ, 0, 0, &fd))
        give_up(name);
    return fd;
}

static inline void say_number(uint32_t number)
{
    char digits[12], *at = digits + sizeof digits;
    *--at = 0;
    do
        *--at = '0' + number % 10;
    while (number /= 10);
    say(at);
}

#endif
