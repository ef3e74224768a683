/* Counting what is refused, and saying so when the process ends. */
#include "preload.h"

#include <stdio.h>
#include <string.h>

#define PR_GET_SECCOMP 21

struct tally tally;

int is_sealed(void)
{
    return syscall(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
}

long count(long result)
{
    int refused = result == -1 && (errno == EPERM || errno == EACCES || errno == ENOSYS);
    int saved = errno;
    static int sealed;
    if (!sealed)
        sealed = is_sealed();
    if (sealed) {
        tally.calls++;
        tally.refused += refused;
    }
    errno = saved;
    return result;
}

void report(const char *name)
{
    char line[96];
    if (!is_sealed())
        return;
    int length = snprintf(line, sizeof line, "%s: %u calls, %u refused\n", name, tally.calls, tally.refused);
    syscall(SYS_write, 2, line, length);
}
