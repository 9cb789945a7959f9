/* Preloaded (LD_PRELOAD), shifts the wall clock of a process: CLOCK_REALTIME is ahead by the number of
   seconds in the file that SHIFT_CLOCK names, as it is now. Other clocks are as they were. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
    char digits[24] = "";
    int file = open(getenv("SHIFT_CLOCK"), O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, digits, sizeof digits - 1) < 0)
            digits[0] = 0;
        close(file);
    }
    return atol(digits);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift();
    return failed;
}
