/* Preloaded into a process, it makes every fsync and fdatasync block for a while, as a worn memory card does.
 *
 * While the file SLOW_SYNC_SWITCH exists, each call sleeps SLOW_SYNC_MS first, and then really syncs. Each call that sleeps
 * leaves one byte in the file SLOW_SYNC_TALLY. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void stall(void) {
    const char *off_switch = getenv("SLOW_SYNC_SWITCH");
    const char *tally = getenv("SLOW_SYNC_TALLY");
    const char *ms = getenv("SLOW_SYNC_MS");
    if (!off_switch || !ms || access(off_switch, F_OK) != 0) return;
    int file = tally ? open(tally, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (file >= 0) {
        if (write(file, "x", 1) != 1) {}
        close(file);
    }
    long wanted = strtol(ms, NULL, 10);
    struct timespec pause = { wanted / 1000, (wanted % 1000) * 1000000 };
    while (nanosleep(&pause, &pause) != 0) {}
}

int fsync(int file) {
    stall();
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(file);
}

int fdatasync(int file) {
    stall();
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return real(file);
}
