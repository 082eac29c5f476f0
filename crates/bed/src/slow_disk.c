/* Waits before each fsync and fdatasync, then does it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

static int after_a_while(const char *name, int fd)
{
    struct timespec left = {0, WAIT_NANOSECONDS};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd)
{
    return after_a_while("fsync", fd);
}

int fdatasync(int fd)
{
    return after_a_while("fdatasync", fd);
}
