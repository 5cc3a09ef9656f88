/*
 * Makes every flush to disk cost at least a given time.
 *
 * On a developer's machine a flush is often nearly free; on a cloud disk it costs
 * half a millisecond to two. A design that is only fast with a free flush is not
 * fast, so measurements are repeated with this library loaded into the server:
 *
 *     cc -O2 -shared -fPIC -o slow-flush.so slow-flush.c -ldl
 *     SLOW_FLUSH_US=1000 LD_PRELOAD=$PWD/slow-flush.so pg_ctl -D DIR -w start
 *
 * It wraps fsync and fdatasync: sleep first, then the real call, whose result is
 * returned unchanged. Nothing is skipped, so durability stays what it was. The
 * server must use wal_sync_method = fdatasync (the default on Linux) or fsync; the
 * open_* methods flush within write and are not seen here.
 *
 * SLOW_FLUSH_US is the added time in microseconds; 1000 if it is not set.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

typedef int (*flush_fn)(int);

static flush_fn real_fsync;
static flush_fn real_fdatasync;
static struct timespec delay = {.tv_sec = 0, .tv_nsec = 1000 * 1000};

__attribute__((constructor)) static void slow_flush_init(void)
{
    const char *setting = getenv("SLOW_FLUSH_US");

    if (setting != NULL) {
        long microseconds = strtol(setting, NULL, 10);

        if (microseconds >= 0) {
            delay.tv_sec = microseconds / 1000000;
            delay.tv_nsec = (microseconds % 1000000) * 1000;
        }
    }
    real_fsync = (flush_fn)dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (flush_fn)dlsym(RTLD_NEXT, "fdatasync");
}

/* Sleeps the whole delay, also when a signal arrives in between. */
static void wait_before_flush(void)
{
    struct timespec left = delay;

    while (nanosleep(&left, &left) == -1 && errno == EINTR) {
    }
}

int fsync(int fd)
{
    wait_before_flush();
    return real_fsync(fd);
}

int fdatasync(int fd)
{
    wait_before_flush();
    return real_fdatasync(fd);
}
