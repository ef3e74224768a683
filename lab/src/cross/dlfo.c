/* _dl_find_object of glibc 2.35 (dlfcn.h), for GCC's unwinder in a program that is linked to musl: the object that has an address,
   and where its table for unwinding is. */
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>

/* struct dl_find_object, of architectures without a base of data (DLFO_STRUCT_HAS_EH_DBASE). */
struct found {
    unsigned long long flags;
    void *start, *end;
    struct link_map *map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct search {
    uintptr_t pc;
    struct found *found;
};

static int look(struct dl_phdr_info *object, size_t size, void *data)
{
    struct search *search = data;
    uintptr_t start = UINTPTR_MAX, end = 0, eh_frame = 0;
    int here = 0;
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uintptr_t from = object->dlpi_addr + part->p_vaddr, to = from + part->p_memsz;
        if (part->p_type == PT_LOAD) {
            start = from < start ? from : start;
            end = to > end ? to : end;
            here |= search->pc >= from && search->pc < to;
        } else if (part->p_type == PT_GNU_EH_FRAME) {
            eh_frame = from;
        }
    }
    if (!here || !eh_frame)
        return 0;
    *search->found = (struct found){.start = (void *)start, .end = (void *)end, .eh_frame = (void *)eh_frame};
    return 1;
}

int _dl_find_object(void *pc, struct found *found)
{
    struct search search = {(uintptr_t)pc, found};
    return dl_iterate_phdr(look, &search) ? 0 : -1;
}
