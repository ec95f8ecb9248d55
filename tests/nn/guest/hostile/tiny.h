/* What a command needs of WASI, without a C library: that takes a minute to be built. */
#ifndef TINY_H
#define TINY_H

#include "wasi_nn.h"

#define WASI(name) \
    __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) int32_t name
#define MAIN __attribute__((export_name("_start"))) void _start(void)

struct piece {
    const void *data;
    uint32_t nbytes;
};

WASI(args_sizes_get)(uint32_t *count, uint32_t *nbytes);
WASI(args_get)(char **args, char *buffer);
WASI(environ_sizes_get)(uint32_t *count, uint32_t *nbytes);
WASI(environ_get)(char **pairs, char *buffer);
WASI(fd_read)(int32_t fd, const struct piece *pieces, uint32_t count, uint32_t *nbytes);
WASI(fd_write)(int32_t fd, const struct piece *pieces, uint32_t count, uint32_t *nbytes);
WASI(fd_close)(int32_t fd);
WASI(path_open)(int32_t folder, uint32_t follow, const char *path, uint32_t length, uint32_t how,
                uint64_t rights, uint64_t inherited, uint32_t flags, int32_t *fd);
WASI(path_symlink)(const char *target, uint32_t length, int32_t folder, const char *path,
                   uint32_t path_length);
WASI(path_link)(int32_t folder, uint32_t follow, const char *path, uint32_t length, int32_t to,
                const char *name, uint32_t name_length);
WASI(path_rename)(int32_t folder, const char *path, uint32_t length, int32_t to, const char *name,
                  uint32_t name_length);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"), noreturn)) void
proc_exit(int32_t status);

/* The first folder, after the three streams. */
#define FOLDER 3
#define CREATE 1
#define READ (1ull << 1)
#define WRITE (1ull << 6)

static inline uint32_t length_of(const char *text) {
    uint32_t n = 0;
    while (text[n]) n++;
    return n;
}

static inline void write_bytes(int32_t fd, const void *data, uint32_t nbytes) {
    struct piece piece = {data, nbytes};
    uint32_t written;
    fd_write(fd, &piece, 1, &written);
}

static inline void say(const char *text) { write_bytes(1, text, length_of(text)); }

static inline void say_number(int64_t value) {
    char digits[24], *at = digits + sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    *--at = '\n';
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) *--at = '-';
    write_bytes(1, at, (uint32_t)(digits + sizeof digits - at));
}

/* End with the number of a line if something is not so; the host shows it as the exit status. */
#define EXPECT(condition)                                             \
    do {                                                              \
        if (!(condition)) {                                           \
            say("not so: " #condition ", line ");                     \
            say_number(__LINE__);                                     \
            proc_exit(1);                                             \
        }                                                             \
    } while (0)

static inline int32_t open_at(const char *path, uint32_t how, uint64_t rights, int32_t *fd) {
    return path_open(FOLDER, 1, path, length_of(path), how, rights, rights, 0, fd);
}

static inline int32_t load_named(const char *name, wasi_nn_graph *graph) {
    return wasi_nn_load_by_name(name, length_of(name), graph);
}

#endif
