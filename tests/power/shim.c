/* What a power cut needs to know: a library that is loaded before the C library (LD_PRELOAD) and writes down, for every
 * file below one folder, what each write replaced. The files themselves are as the program wrote them, so that other
 * processes see what they should; tests/power/box.py takes back afterwards what no flush had made durable.
 *
 * PNC_POWER_ROOT    the folder, absolute, links resolved; nothing outside of it is looked at
 * PNC_POWER_JOURNAL where it is written down: appended to, one journal for all processes of a box
 * PNC_POWER_STASH   a folder on the same file system, where replaced and removed files are kept
 * PNC_POWER_SWITCH  a mapped file, struct power_switch: faults that are switched on from outside, and counts
 *
 * Rules
 * 1. What is replaced is written down before it is replaced, under one lock: a kill between the two costs nothing.
 * 2. Shared memory of SQLite (-shm) is left alone: nobody expects it to survive.
 * 3. A flush that is to fail is written down as such and flushes nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, SYNC, SYNC_FAILED, CREATE, RENAME, UNLINK, SYNC_FOLDER };

/* Kept in step with box.py, which reads and writes it. */
struct power_switch {
    _Atomic int32_t sync_delay_us; /* each flush takes that much longer */
    _Atomic int32_t sync_errno;    /* the next `sync_failures` flushes fail with it */
    _Atomic int32_t sync_failures;
    _Atomic int32_t read_only;     /* 1: as after a remount */
    _Atomic int64_t room;          /* octets by which files may still grow; negative: any */
    _Atomic int64_t syncs, writes, octets, refused;
};

struct head { /* of an entry in the journal; two texts and the octets that were replaced follow it */
    uint32_t magic, kind;
    uint64_t device, inode, offset, size, other, octets; /* size: of the file before; other: stash number, or new size */
    uint32_t path, path2;
};
#define MAGIC 0x50435554u
#define FDS 4096

static char root[PATH_MAX], stash[PATH_MAX];
static size_t root_len;
static int journal = -1;
static struct power_switch *sw;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic signed char known[FDS]; /* 0 not looked at, 1 ours, -1 not ours, 2 a folder of ours */

#define REAL(name, type, ...)                                                \
    static type (*real_##name)(__VA_ARGS__);                                 \
    static void find_##name(void) {                                          \
        if (!real_##name) *(void **)(&real_##name) = dlsym(RTLD_NEXT, #name); \
    }
REAL(open64, int, const char *, int, ...)
REAL(openat64, int, int, const char *, int, ...)
REAL(close, int, int)
REAL(dup2, int, int, int)
REAL(dup3, int, int, int, int)
REAL(write, ssize_t, int, const void *, size_t)
REAL(pwrite64, ssize_t, int, const void *, size_t, off64_t)
REAL(writev, ssize_t, int, const struct iovec *, int)
REAL(ftruncate64, int, int, off64_t)
REAL(fallocate64, int, int, int, off64_t, off64_t)
REAL(posix_fallocate64, int, int, off64_t, off64_t)
REAL(fsync, int, int)
REAL(fdatasync, int, int)
REAL(rename, int, const char *, const char *)
REAL(unlink, int, const char *)
REAL(unlinkat, int, int, const char *, int)
REAL(renameat, int, int, const char *, int, const char *)

static void find_all(void) {
    find_open64(); find_openat64(); find_close(); find_dup2(); find_dup3(); find_write(); find_pwrite64(); find_writev();
    find_ftruncate64(); find_fallocate64(); find_posix_fallocate64(); find_fsync(); find_fdatasync(); find_rename();
    find_unlink(); find_unlinkat(); find_renameat();
}

__attribute__((constructor)) static void begin(void) {
    find_all();
    const char *folder = getenv("PNC_POWER_ROOT"), *to = getenv("PNC_POWER_JOURNAL");
    const char *kept = getenv("PNC_POWER_STASH"), *control = getenv("PNC_POWER_SWITCH");
    if (!folder || !to || !kept || !control) return;
    snprintf(root, sizeof root, "%s/", folder);
    snprintf(stash, sizeof stash, "%s", kept);
    int fd = real_open64(control, O_RDWR | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *sw, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) real_close(fd);
    journal = real_open64(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (mapped == MAP_FAILED || journal < 0) {
        fprintf(stderr, "power shim: no switch or no journal\n");
        _exit(97);
    }
    sw = mapped;
    root_len = strlen(root);
}

static int ours(const char *path) {
    size_t length = strlen(path);
    if (strncmp(path, root, root_len) != 0) return 0;
    return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

static int whole_path(int folder, const char *path, char *to) {
    if (path[0] == '/') {
        snprintf(to, PATH_MAX, "%s", path);
        return 1;
    }
    char link[64], base[PATH_MAX / 2];
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return 0;
    base[length] = 0;
    return snprintf(to, PATH_MAX, "%s/%s", base, path) < PATH_MAX;
}

/* Whether a descriptor is of a file (1) or folder (2) of ours; -1 otherwise. `path` gets its name if it is. */
static int tracked(int fd, char *path) {
    if (!root_len || fd < 0) return -1;
    signed char is = fd < FDS ? known[fd] : 0;
    if (is < 0) return -1;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    if (is == 0) {
        struct stat64 found;
        size_t plain = root_len - 1;
        int folder = length >= 0 && strncmp(path, root, plain) == 0 && (path[plain] == 0 || path[plain] == '/');
        is = -1;
        if (folder && fstat64(fd, &found) == 0)
            is = S_ISDIR(found.st_mode) ? 2 : S_ISREG(found.st_mode) && ours(path) ? 1 : -1;
        if (fd < FDS) known[fd] = is;
    }
    return is;
}

static void forget(int fd) {
    if (fd >= 0 && fd < FDS) known[fd] = 0;
}

static void put(struct head *head, const char *path, const char *path2, const void *old) {
    head->magic = MAGIC;
    head->path = path ? strlen(path) : 0;
    head->path2 = path2 ? strlen(path2) : 0;
    struct iovec parts[4] = {{head, sizeof *head},
                             {(void *)path, head->path},
                             {(void *)path2, head->path2},
                             {(void *)old, head->octets}};
    ssize_t all = sizeof *head + head->path + head->path2 + head->octets;
    if (real_writev(journal, parts, 4) != all) {
        fprintf(stderr, "power shim: the journal cannot be written\n");
        _exit(98);
    }
}

static struct head head_of(int fd, int kind) {
    struct stat64 found;
    struct head head = {.kind = kind};
    if (fstat64(fd, &found) == 0) {
        head.device = found.st_dev;
        head.inode = found.st_ino;
        head.size = found.st_size;
    }
    return head;
}

/* Rule 1 for `octets` from `offset` on. */
static void note_replaced(int fd, int kind, uint64_t offset, uint64_t octets, uint64_t new_size, const char *path) {
    struct head head = head_of(fd, kind);
    head.offset = offset;
    head.other = new_size;
    uint64_t end = offset + octets < head.size ? offset + octets : head.size;
    uint64_t wanted = end > offset ? end - offset : 0;
    char *old = wanted ? malloc(wanted) : NULL;
    while (old && head.octets < wanted) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        /* The descriptor may be for writing only: the file is opened once more. */
        int again = real_open64(link, O_RDONLY | O_CLOEXEC);
        ssize_t got = pread64(again, old + head.octets, wanted - head.octets, offset + head.octets);
        if (again >= 0) real_close(again);
        if (got <= 0) break;
        head.octets += got;
    }
    put(&head, path, NULL, old);
    free(old);
}

static int refused(int why) {
    sw->refused++;
    errno = why;
    return -1;
}

/* Whether a file may grow to `end`; takes the room it needs. */
static int may_write(int fd, uint64_t end) {
    if (sw->read_only) return refused(EROFS);
    if (sw->room < 0) return 0;
    struct stat64 found;
    if (fstat64(fd, &found) != 0) return 0;
    int64_t more = end > (uint64_t)found.st_size ? (int64_t)(end - found.st_size) : 0;
    if (more > sw->room) return refused(ENOSPC);
    sw->room -= more;
    return 0;
}

static ssize_t write_at(int fd, const void *from, size_t octets, off64_t offset, const char *path) {
    pthread_mutex_lock(&lock);
    ssize_t done = may_write(fd, offset + octets);
    if (done == 0) {
        note_replaced(fd, WRITE, offset, octets, offset + octets, path);
        done = real_pwrite64(fd, from, octets, offset);
        sw->writes++;
        sw->octets += done > 0 ? done : 0;
    }
    int why = errno;
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

ssize_t pwrite64(int fd, const void *from, size_t octets, off64_t offset) {
    char path[PATH_MAX];
    find_pwrite64();
    return tracked(fd, path) == 1 ? write_at(fd, from, octets, offset, path) : real_pwrite64(fd, from, octets, offset);
}
ssize_t pwrite(int fd, const void *from, size_t octets, off_t offset) { return pwrite64(fd, from, octets, offset); }

ssize_t write(int fd, const void *from, size_t octets) {
    char path[PATH_MAX];
    find_write();
    if (tracked(fd, path) != 1) return real_write(fd, from, octets);
    off64_t place = lseek64(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    ssize_t done = write_at(fd, from, octets, place, path);
    if (done > 0) lseek64(fd, place + done, SEEK_SET);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    find_writev();
    if (tracked(fd, path) != 1) return real_writev(fd, parts, count);
    ssize_t all = 0;
    for (int each = 0; each < count; each++) {
        ssize_t done = write(fd, parts[each].iov_base, parts[each].iov_len);
        if (done < 0) return all ? all : -1;
        all += done;
        if ((size_t)done < parts[each].iov_len) break;
    }
    return all;
}

int ftruncate64(int fd, off64_t size) {
    char path[PATH_MAX];
    find_ftruncate64();
    if (tracked(fd, path) != 1) return real_ftruncate64(fd, size);
    pthread_mutex_lock(&lock);
    int done = may_write(fd, 0);
    if (done == 0) {
        struct stat64 found;
        fstat64(fd, &found);
        uint64_t gone = found.st_size > size ? found.st_size - size : 0;
        note_replaced(fd, TRUNCATE, size, gone, size, path);
        if (gone && sw->room >= 0) sw->room += gone;
        done = real_ftruncate64(fd, size);
    }
    int why = errno;
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

/* Growing by zeros is what a truncation to a larger size does too. */
int posix_fallocate64(int fd, off64_t offset, off64_t octets) {
    char path[PATH_MAX];
    find_posix_fallocate64();
    if (tracked(fd, path) != 1) return real_posix_fallocate64(fd, offset, octets);
    struct stat64 found;
    if (fstat64(fd, &found) != 0) return errno;
    pthread_mutex_lock(&lock);
    int done = may_write(fd, offset + octets) == 0 ? 0 : errno;
    if (done == 0) {
        if (offset + octets > found.st_size) note_replaced(fd, TRUNCATE, found.st_size, 0, offset + octets, path);
        done = real_posix_fallocate64(fd, offset, octets);
    }
    pthread_mutex_unlock(&lock);
    return done;
}
int posix_fallocate(int fd, off_t offset, off_t octets) { return posix_fallocate64(fd, offset, octets); }
int fallocate64(int fd, int mode, off64_t offset, off64_t octets) {
    char path[PATH_MAX];
    find_fallocate64();
    if (tracked(fd, path) != 1) return real_fallocate64(fd, mode, offset, octets);
    if (mode != 0) {
        errno = EOPNOTSUPP;
        return -1;
    }
    errno = posix_fallocate64(fd, offset, octets);
    return errno ? -1 : 0;
}
int fallocate(int fd, int mode, off_t offset, off_t octets) { return fallocate64(fd, mode, offset, octets); }

/* A copy inside the kernel would be seen by nobody: callers fall back on reading and writing. */
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t octets, unsigned flags) {
    (void)in, (void)from, (void)out, (void)to, (void)octets, (void)flags;
    errno = EXDEV;
    return -1;
}

static int flush(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    int is = tracked(fd, path);
    if (is < 1) return real(fd);
    sw->syncs++;
    if (sw->sync_delay_us > 0) {
        struct timespec pause = {sw->sync_delay_us / 1000000, (sw->sync_delay_us % 1000000) * 1000L};
        nanosleep(&pause, NULL);
    }
    pthread_mutex_lock(&lock);
    int failing = 0;
    if (sw->sync_failures > 0) {
        sw->sync_failures--;
        failing = sw->sync_errno;
    }
    struct head head = head_of(fd, is == 2 ? SYNC_FOLDER : failing ? SYNC_FAILED : SYNC);
    if (!failing || is == 1) put(&head, path, NULL, NULL);
    pthread_mutex_unlock(&lock);
    return failing ? refused(failing) : 0;
}

int fsync(int fd) {
    find_fsync();
    return flush(fd, real_fsync);
}
int fdatasync(int fd) {
    find_fdatasync();
    return flush(fd, real_fdatasync);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* Keeps the file at `path` in the stash, if there is one; its number there, 0 when there is none. */
static uint64_t keep(const char *path) {
    static _Atomic uint32_t count;
    char to[PATH_MAX + 64];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t number = ((uint64_t)now.tv_sec * 1000000000u + now.tv_nsec) * 16 + (++count & 15);
    snprintf(to, sizeof to, "%s/%llu", stash, (unsigned long long)number);
    return link(path, to) == 0 ? number : 0;
}

static int move(const char *from, const char *to) {
    if (sw->read_only) return refused(EROFS);
    pthread_mutex_lock(&lock);
    struct head head = {.kind = RENAME, .other = keep(to)};
    put(&head, from, to, NULL);
    int done = real_rename(from, to);
    int why = errno;
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int folder, const char *from, int folder2, const char *to) {
    char one[PATH_MAX], two[PATH_MAX];
    find_all();
    struct stat64 found;
    if (root_len && whole_path(folder, from, one) && whole_path(folder2, to, two) && ours(one) && ours(two) &&
        lstat64(one, &found) == 0)
        return move(one, two);
    return real_renameat(folder, from, folder2, to);
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) {
    char whole[PATH_MAX];
    struct stat64 found;
    find_all();
    if (!root_len || flags || !whole_path(folder, path, whole) || !ours(whole) || lstat64(whole, &found) != 0 ||
        !S_ISREG(found.st_mode))
        return real_unlinkat(folder, path, flags);
    if (sw->read_only) return refused(EROFS);
    pthread_mutex_lock(&lock);
    struct head head = {.kind = UNLINK, .other = keep(whole)};
    put(&head, whole, NULL, NULL);
    int done = real_unlinkat(folder, path, flags);
    if (done == 0 && sw->room >= 0 && found.st_nlink == 1) sw->room += found.st_size;
    int why = errno;
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    if (!root_len || !whole_path(folder, path, whole) || !ours(whole))
        return real_openat64(folder, path, flags, mode);
    if (sw->read_only && flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)) return refused(EROFS);
    struct stat64 found;
    int was = lstat64(whole, &found) == 0;
    pthread_mutex_lock(&lock);
    int fd = real_openat64(folder, path, flags & ~O_TRUNC, mode);
    int why = errno;
    if (fd >= 0) forget(fd);
    if (fd >= 0 && !was && fstat64(fd, &found) == 0 && S_ISREG(found.st_mode)) {
        struct head head = head_of(fd, CREATE);
        put(&head, whole, NULL, NULL);
    }
    pthread_mutex_unlock(&lock);
    errno = why;
    if (fd >= 0 && was && flags & O_TRUNC && S_ISREG(found.st_mode)) ftruncate64(fd, 0);
    return fd;
}

#define MODE                                     \
    mode_t mode = 0;                             \
    if (flags & (O_CREAT | __O_TMPFILE)) {       \
        va_list rest;                            \
        va_start(rest, flags);                   \
        mode = va_arg(rest, mode_t);             \
        va_end(rest);                            \
    }
int open64(const char *path, int flags, ...) {
    MODE find_all();
    return opened(AT_FDCWD, path, flags, mode);
}
int open(const char *path, int flags, ...) {
    MODE find_all();
    return opened(AT_FDCWD, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE find_all();
    return opened(folder, path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE find_all();
    return opened(folder, path, flags, mode);
}

int close(int fd) {
    find_close();
    forget(fd);
    return real_close(fd);
}
int dup2(int fd, int to) {
    find_dup2();
    forget(to);
    return real_dup2(fd, to);
}
int dup3(int fd, int to, int flags) {
    find_dup3();
    forget(to);
    return real_dup3(fd, to, flags);
}
