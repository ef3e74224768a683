/*
 * Builds filters with libseccomp: reads policies as text, writes programs as files.
 *
 *   program FILE ARCH DEFAULT OPTIMIZE     begins one: AUDIT_ARCH_*, SECCOMP_RET_*, level of SCMP_FLTATR_CTL_OPTIMIZE
 *   rule NAME NUMBER ACTION COUNT {ARGUMENT MASK VALUE}...
 *   end                                    writes it
 *
 * Says on standard output, for each rule that the library cannot take, why: "unknown NAME", "number NAME N" for one
 * that it knows by another number, "refused NAME ERRNO"; and "end LENGTH" for each program.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void give_up(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error));
	exit(1);
}

/* The library takes numbers of the machine it runs on, and finds the name in the table of the other architecture. */
static int machine_number(const char *name, int number, uint32_t arch)
{
	int theirs = seccomp_syscall_resolve_name_arch(arch, name);

	/* Its own table is older than the kernel, but for its own machine it takes any number. */
	if (arch == seccomp_arch_native() && theirs < 0)
		return number;
	/* From -100 on downwards: calls that are in socketcall or ipc as well. */
	if (theirs < 0 && (theirs > -100 || theirs < -224)) {
		printf("unknown %s\n", name);
		return __NR_SCMP_ERROR;
	}
	if (theirs >= 0 && theirs != number) {
		printf("number %s %d\n", name, theirs);
		return __NR_SCMP_ERROR;
	}
	return seccomp_syscall_resolve_name(name);
}

static void add_rule(scmp_filter_ctx ctx, uint32_t arch)
{
	char name[64];
	int number, rc;
	uint32_t action;
	unsigned count, argument;
	struct scmp_arg_cmp args[6];

	if (scanf("%63s %d %" SCNx32 " %u", name, &number, &action, &count) != 4 || count > 6)
		give_up("a rule", EINVAL);
	memset(args, 0, sizeof(args));
	for (unsigned at = 0; at < count; at++) {
		if (scanf("%u %" SCNx64 " %" SCNx64, &argument, &args[at].datum_a, &args[at].datum_b) != 3)
			give_up("a comparison", EINVAL);
		args[at].arg = argument;
		args[at].op = SCMP_CMP_MASKED_EQ;
	}
	number = machine_number(name, number, arch);
	if (number == __NR_SCMP_ERROR)
		return;
	rc = seccomp_rule_add_array(ctx, action, number, count, args);
	if (rc < 0)
		printf("refused %s %d\n", name, -rc);
}

int main(void)
{
	char word[16], file[512];
	uint32_t arch = 0, action, optimize;
	scmp_filter_ctx ctx = NULL;
	struct stat written;
	int fd, rc;

	while (scanf("%15s", word) == 1) {
		if (strcmp(word, "program") == 0) {
			if (scanf("%511s %" SCNx32 " %" SCNx32 " %" SCNu32, file, &arch, &action, &optimize) != 4)
				give_up("a program", EINVAL);
			ctx = seccomp_init(action);
			if (ctx == NULL)
				give_up("seccomp_init", EINVAL);
			if (arch != seccomp_arch_native()) {
				/* In this order: byte orders cannot be mixed. */
				rc = seccomp_arch_remove(ctx, seccomp_arch_native());
				if (rc == 0)
					rc = seccomp_arch_add(ctx, arch);
				if (rc < 0)
					give_up("seccomp_arch_add", -rc);
			}
			rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
			if (rc == 0)
				rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, optimize);
			if (rc < 0)
				give_up("seccomp_attr_set", -rc);
		} else if (strcmp(word, "rule") == 0 && ctx != NULL) {
			add_rule(ctx, arch);
		} else if (strcmp(word, "end") == 0 && ctx != NULL) {
			fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
			if (fd < 0)
				give_up(file, errno);
			rc = seccomp_export_bpf(ctx, fd);
			if (rc < 0)
				give_up("seccomp_export_bpf", -rc);
			if (fstat(fd, &written) < 0)
				give_up(file, errno);
			printf("end %lld\n", (long long)written.st_size / 8);
			close(fd);
			seccomp_release(ctx);
			ctx = NULL;
		} else {
			give_up(word, EINVAL);
		}
	}
	return 0;
}
