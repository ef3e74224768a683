/* What the preloaded libraries have in common. */
#ifndef PRELOAD_H
#define PRELOAD_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Called by the allocator every time: the library does something of its own then. */
void at_every_call(void);

/* How many calls were made since the process was sealed, and how many of them were refused. */
struct tally {
    unsigned calls;
    unsigned refused;
};

extern struct tally tally;

/* Whether a filter is in place (PR_GET_SECCOMP). */
int is_sealed(void);

/* Keeps account of a call's result, and hands it on. */
long count(long result);

/* Makes a call and keeps account of it. */
#define TRY(...) count(syscall(__VA_ARGS__))

/* Says on standard error what was counted, for the test to see that something was. */
void report(const char *name);

#endif
