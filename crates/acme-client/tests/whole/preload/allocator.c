/*
 * An allocator that never uses brk: everything is mapped, named, grown by mremap, and given back by MADV_FREE or munmap.
 * It is slow and wastes memory; its calls are what it is for.
 */
#define _GNU_SOURCE
#include "preload.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define PR_SET_VMA 0x53564d41
#define CLASSES 12   /* blocks of 64 bytes to 128 KiB */
#define SMALLEST 6
#define SLAB (256 * 1024)
#define LARGE CLASSES /* a mapping of its own */

/* Before every block that is handed out. */
struct header {
    size_t size;   /* of what follows */
    uint32_t class;
    uint32_t shift; /* how far the block was moved for its alignment */
};

struct free_block {
    struct free_block *next;
};

static struct free_block *lists[CLASSES];
static atomic_flag lock = ATOMIC_FLAG_INIT;

static void *map(size_t size)
{
    void *pages = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    if (mprotect(pages, size, PROT_READ | PROT_WRITE) != 0) {
        munmap(pages, size);
        return NULL;
    }
    int saved = errno;
    syscall(SYS_prctl, PR_SET_VMA, 0, pages, size, "otherwise");
    madvise(pages, size, MADV_NOHUGEPAGE);
    errno = saved;
    return pages;
}

static size_t whole_pages(size_t size)
{
    return (size + 4095) & ~(size_t)4095;
}

static void enter(void)
{
    while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
        sched_yield();
}

static void leave(void)
{
    atomic_flag_clear_explicit(&lock, memory_order_release);
}

static uint32_t class_of(size_t total)
{
    uint32_t class = 0;
    while (class < CLASSES && ((size_t)1 << (class + SMALLEST)) < total)
        class++;
    return class;
}

static void *take(uint32_t class)
{
    size_t size = (size_t)1 << (class + SMALLEST);
    enter();
    if (lists[class] == NULL) {
        char *slab = map(SLAB);
        for (size_t at = 0; slab != NULL && at + size <= SLAB; at += size) {
            struct free_block *block = (struct free_block *)(slab + at);
            block->next = lists[class];
            lists[class] = block;
        }
    }
    struct free_block *block = lists[class];
    if (block != NULL)
        lists[class] = block->next;
    leave();
    return block;
}

void *memalign(size_t alignment, size_t size)
{
    at_every_call();
    if (alignment < 16)
        alignment = 16;
    size_t total = size + sizeof(struct header) + alignment;
    if (total < size) {
        errno = ENOMEM;
        return NULL;
    }
    uint32_t class = class_of(total);
    char *block = class < CLASSES ? take(class) : map(total = whole_pages(total));
    if (block == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    uintptr_t start = ((uintptr_t)block + sizeof(struct header) + alignment - 1) & ~(uintptr_t)(alignment - 1);
    struct header *header = (struct header *)start - 1;
    size_t whole = class < CLASSES ? (size_t)1 << (class + SMALLEST) : total;
    header->shift = (uint32_t)(start - (uintptr_t)block);
    header->size = whole - header->shift;
    header->class = class < CLASSES ? class : LARGE;
    return (void *)start;
}

void *malloc(size_t size)
{
    return memalign(16, size);
}

void free(void *pointer)
{
    if (pointer == NULL)
        return;
    int saved = errno;
    at_every_call();
    struct header *header = (struct header *)pointer - 1;
    char *block = (char *)pointer - header->shift;
    uint32_t class = header->class;
    size_t whole = header->size + header->shift;
    if (class == LARGE) {
        munmap(block, whole);
    } else {
        enter();
        if (whole >= 2 * 4096)
            madvise(block + 4096, whole - 4096, MADV_FREE);
        ((struct free_block *)block)->next = lists[class];
        lists[class] = (struct free_block *)block;
        leave();
    }
    errno = saved;
}

void *calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    void *pointer = malloc(total);
    return pointer == NULL ? NULL : memset(pointer, 0, total);
}

void *realloc(void *pointer, size_t size)
{
    if (pointer == NULL)
        return malloc(size);
    struct header *header = (struct header *)pointer - 1;
    if (size <= header->size && (header->class != LARGE || size > header->size / 2))
        return pointer;
    if (header->class == LARGE && header->shift <= 4096 && size > SLAB) {
        at_every_call();
        size_t shift = header->shift, total = whole_pages(size + shift);
        char *moved = mremap((char *)pointer - shift, header->size + shift, total, MREMAP_MAYMOVE);
        if (moved == MAP_FAILED)
            return NULL;
        header = (struct header *)(moved + shift) - 1;
        header->size = total - shift;
        return moved + shift;
    }
    void *other = malloc(size);
    if (other != NULL) {
        memcpy(other, pointer, size < header->size ? size : header->size);
        free(pointer);
    }
    return other;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *pointer = memalign(alignment, size);
    if (pointer == NULL)
        return ENOMEM;
    *out = pointer;
    return 0;
}

size_t malloc_usable_size(void *pointer)
{
    return pointer == NULL ? 0 : ((struct header *)pointer - 1)->size;
}
