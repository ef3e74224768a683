/*
 * A library that cannot sit still: at its start, every few allocations, and at its end it makes calls whose power no
 * sealed process has, as loggers, resolvers, profilers and agents do. None of them would do harm if it went through.
 */
#define _GNU_SOURCE
#include "preload.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

/* The call that looks at a file has another name where words have 32 bits. */
#ifdef SYS_newfstatat
#define SYS_LOOK SYS_newfstatat
#else
#define SYS_LOOK SYS_fstatat64
#endif

static char buffer[4096];

/* What makes a descriptor gives it back. */
static void shut(long fd)
{
    if (fd >= 0)
        syscall(SYS_close, fd);
}

static void call_on(const char *path, int kind)
{
    struct sockaddr_un address = {AF_UNIX, ""};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    long fd = TRY(SYS_socket, AF_UNIX, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        TRY(SYS_connect, fd, &address, sizeof address);
    else
        TRY(SYS_connect, -1, &address, sizeof address);
    shut(fd);
}

static void look_at(const char *path)
{
    shut(TRY(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
    TRY(SYS_LOOK, AT_FDCWD, path, buffer, 0);
    TRY(SYS_statx, AT_FDCWD, path, 0, 0x7ff, buffer);
    TRY(SYS_faccessat, AT_FDCWD, path, 4, 0);
    TRY(SYS_readlinkat, AT_FDCWD, path, buffer, 64);
}

/* One of many things, each time another. */
static int something(unsigned which)
{
    static const char none[] = "/nonexistent/acme-client-test";
    int two[2] = {-1, -1};
    struct timespec soon = {0, 0};
    switch (which) {
    case 0: call_on("/dev/log", SOCK_DGRAM); break;
    case 1: call_on("/var/run/nscd/socket", SOCK_STREAM); break;
    case 2: shut(TRY(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)); break;
    case 3: shut(TRY(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); break;
    case 4: look_at("/etc/localtime"); break;
    case 5: look_at("/proc/self/maps"); break;
    case 6: look_at("/etc/nsswitch.conf"); break;
    case 7: look_at("/proc/sys/vm/overcommit_memory"); break;
    case 8: TRY(SYS_sched_yield); break;
    case 9: TRY(SYS_tgkill, syscall(SYS_getpid), TRY(SYS_gettid), 0); break;
    case 10: {
        struct sigevent event = {.sigev_notify = SIGEV_NONE};
        int timer = -1;
        if (TRY(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0)
            TRY(SYS_timer_delete, timer);
        break;
    }
    case 11: shut(TRY(SYS_eventfd2, 0, O_CLOEXEC)); break;
    case 12: TRY(SYS_pipe2, two, O_CLOEXEC); shut(two[0]); shut(two[1]); break;
    case 13: shut(TRY(SYS_epoll_create1, O_CLOEXEC)); TRY(SYS_epoll_pwait, -1, buffer, 1, 0, NULL, 8); break;
    case 14: shut(TRY(SYS_inotify_init1, O_CLOEXEC)); break;
    case 15: shut(TRY(SYS_memfd_create, "intruder", 1)); break;
    case 16: shut(TRY(SYS_timerfd_create, CLOCK_MONOTONIC, O_CLOEXEC)); break;
    case 17: TRY(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, two); shut(two[0]); shut(two[1]); break;
    case 18: shut(TRY(SYS_dup, 2)); break;
    case 19: TRY(SYS_getcwd, buffer, sizeof buffer); break;
    case 20: TRY(SYS_chdir, none); break;
    case 21: TRY(SYS_uname, buffer); break;
    case 22: TRY(SYS_sysinfo, buffer); break;
    case 23: TRY(SYS_getrusage, 0, buffer); break;
    case 24: TRY(SYS_times, buffer); break;
    case 25: TRY(SYS_prlimit64, 0, 7, NULL, buffer); break;
    case 26: TRY(SYS_sched_getaffinity, 0, 128, buffer); break;
    case 27: TRY(SYS_sched_getparam, 0, buffer); break;
    case 28: TRY(SYS_getpriority, 0, 0); break;
    case 29: TRY(SYS_shmget, 0x61636d65, 0, 0); break;
    case 30: TRY(SYS_semget, 0x61636d65, 0, 0); break;
    case 31: TRY(SYS_msgget, 0x61636d65, 0); break;
    case 32: TRY(SYS_mq_open, "none", O_RDONLY, 0, NULL); break;
    case 33: TRY(SYS_io_setup, 0, NULL); break;
    case 34: TRY(SYS_statfs, none, buffer); break;
    case 35: TRY(SYS_unlinkat, AT_FDCWD, none, 0); break;
    case 36: TRY(SYS_mkdirat, AT_FDCWD, none, 0700); break;
    case 37: TRY(SYS_renameat2, AT_FDCWD, none, AT_FDCWD, none, 0); break;
    case 38: TRY(SYS_fchmodat, AT_FDCWD, none, 0600); break;
    case 39: TRY(SYS_fchownat, AT_FDCWD, none, 0, 0, 0); break;
    case 40: TRY(SYS_utimensat, AT_FDCWD, none, NULL, 0); break;
    case 41: TRY(SYS_getxattr, none, "user.none", buffer, 16); break;
    case 42: TRY(SYS_mknodat, AT_FDCWD, none, 0010600, 0); break;
    case 43: TRY(SYS_getgroups, 0, NULL); break;
    case 44: TRY(SYS_capget, buffer, NULL); break;
    case 45: TRY(SYS_clone3, NULL, 0); break;
    case 46: TRY(SYS_personality, 0xffffffff); break;
    case 47: TRY(SYS_rt_sigpending, buffer, 8); break;
    case 48: {
        uint64_t nothing = 0;
        TRY(SYS_rt_sigtimedwait, &nothing, NULL, &soon, 8);
        break;
    }
    case 49: TRY(SYS_kill, syscall(SYS_getppid), 0); break;
    case 50: shut(TRY(SYS_pidfd_open, syscall(SYS_getpid), 0)); break;
    case 51: TRY(SYS_landlock_create_ruleset, NULL, 0, 1); break;
    case 52: TRY(SYS_seccomp, 2, 0, buffer); break;
    case 53: TRY(SYS_copy_file_range, -1, NULL, -1, NULL, 1, 0); break;
    case 54: TRY(SYS_sendfile, -1, -1, NULL, 1); break;
    case 55: TRY(SYS_splice, -1, NULL, -1, NULL, 1, 0); break;
    case 56: TRY(SYS_mlock, buffer, 1); TRY(SYS_munlock, buffer, 1); break;
    case 57: TRY(SYS_membarrier, 0, 0, 0); break;
    case 58: TRY(SYS_getpgid, 0); TRY(SYS_getsid, 0); break;
    case 59: TRY(SYS_getitimer, 0, buffer); break;
    case 60: TRY(SYS_wait4, -1000000, NULL, 1, NULL); break;
    case 61: TRY(SYS_setsockopt, -1, 1, 20, buffer, 16); TRY(SYS_getsockname, -1, buffer, NULL); break;
    case 62: TRY(SYS_sendto, -1, buffer, 1, 0, NULL, 0); TRY(SYS_recvfrom, -1, buffer, 1, 0, NULL, NULL); break;
    case 63: TRY(SYS_ioctl, 2, 0x5413, buffer); TRY(SYS_ioctl, 2, 0x5410, buffer); break;
    case 64: TRY(SYS_prctl, 3, 0, 0, 0, 0); TRY(SYS_prctl, 1, 0, 0, 0, 0); break;
    case 65: TRY(SYS_fcntl, 2, F_GETFL); TRY(SYS_fcntl, 2, F_GETLK, buffer); break;
    default: return 0;
    }
    return 1;
}

static void everything(void)
{
    for (unsigned which = 0; something(which); which++)
        ;
}

void at_every_call(void)
{
    static unsigned calls, which;
    static int inside;
    if (inside || calls++ % 4 != 0)
        return;
    int saved = errno;
    inside = 1;
    if (!something(which++))
        which = 0;
    inside = 0;
    errno = saved;
}

__attribute__((constructor)) static void start(void)
{
    everything();
}

void _exit(int status)
{
    everything();
    report("intruder");
    for (;;)
        syscall(SYS_exit_group, status);
}
