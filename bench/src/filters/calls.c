/*
 * Makes calls beneath a filter, and says how long each takes.
 *
 *   calls FILE COUNT {NUMBER ARGUMENT0 ... ARGUMENT5}...
 *
 * FILE is a program of struct sock_filter, or "-" for none; "buffer" is an argument that points to some memory. Of each
 * call, a line with nanoseconds per call: of the best of some batches, since others use the machine, too.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int confine(const char *name)
{
	static struct sock_filter code[BPF_MAXINSNS];
	struct sock_fprog program = { 0, code };
	FILE *file = fopen(name, "r");

	if (file == NULL)
		return -1;
	program.len = fread(code, sizeof(code[0]), BPF_MAXINSNS, file);
	fclose(file);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

enum { BATCHES = 16 };

int main(int argc, char **argv)
{
	static char buffer[64] __attribute__((aligned(64)));
	long count, call[7];
	double start, took, least;
	char line[32];
	int length;

	if (argc < 3 || (argc - 3) % 7 != 0)
		return 2;
	count = atol(argv[2]) / BATCHES;
	if (strcmp(argv[1], "-") != 0 && confine(argv[1]) < 0)
		return 1;
	for (int first = 3; first < argc; first += 7) {
		for (int at = 0; at < 7; at++) {
			const char *word = argv[first + at];

			call[at] = strcmp(word, "buffer") == 0 ? (long)buffer : strtol(word, NULL, 0);
		}
		least = 1e9;
		for (int batch = 0; batch < BATCHES; batch++) {
			start = seconds();
			for (long at = 0; at < count; at++)
				syscall(call[0], call[1], call[2], call[3], call[4], call[5], call[6]);
			took = seconds() - start;
			least = took < least ? took : least;
		}
		/* Not dprintf, which looks for its place in the file first. */
		length = snprintf(line, sizeof(line), "%.2f\n", least * 1e9 / count);
		if (write(1, line, length) != length)
			return 1;
	}
	return 0;
}
