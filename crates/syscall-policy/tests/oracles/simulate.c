/*
 * libseccomp's simulator (tools/scmp_bpf_sim.c of its source package), asked about many calls instead of one.
 *
 * Standard input: "program FILE ARCH" (AUDIT_ARCH_*), then any number of "call NUMBER ARCH ARGUMENT..." with six
 * arguments, all in hexadecimal; and so on. Standard output: for each call what the simulator prints.
 */
#include <setjmp.h>
#include <stdlib.h>

static jmp_buf over;

#define main its_main
#define exit(status) longjmp(over, 1)
#include "scmp_bpf_sim.c"
#undef main
#undef exit

int main(void)
{
	static bpf_instr_raw code[BPF_PRG_MAX_LEN];
	static struct bpf_program program = { 0, code };
	static char word[16], name[512];
	struct seccomp_data call;
	uint32_t number, entry;
	uint64_t args[6];
	FILE *file;

	while (scanf("%15s", word) == 1) {
		if (strcmp(word, "program") == 0) {
			if (scanf("%511s %" SCNx32, name, &arch) != 2 || (file = fopen(name, "r")) == NULL)
				return 1;
			program.i_cnt = fread(code, sizeof(code[0]), BPF_PRG_MAX_LEN, file);
			fclose(file);
			continue;
		}
		if (scanf("%" SCNx32 " %" SCNx32, &number, &entry) != 2)
			return 1;
		memset(&call, 0, sizeof(call));
		for (int at = 0; at < 6; at++) {
			if (scanf("%" SCNx64, &args[at]) != 1)
				return 1;
			call.args[at] = htot64(arch, args[at]);
		}
		call.nr = htot32(arch, number);
		call.arch = htot32(arch, entry);
		if (setjmp(over) == 0)
			bpf_execute(&program, &call);
	}
	return 0;
}
