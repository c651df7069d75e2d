// stb_image_write as a private part of genmod: in a namespace, its macros put aside before and given back after, so
// that a program may use its own copy of stb in any order. Its memory is in a list, so nothing leaks when it runs out.
#pragma once
#pragma GCC system_header  // stb is not ours to keep free of warnings

// What stb includes has to come before, or it would end up in the namespace.
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cstddef>
#include <new>

#include "genmod/io/impl/stb_macros_push.hpp"

namespace genmod::io::detail::stb {

// The blocks that stb holds in this thread. Whatever is left is freed at the end of the scope.
class Memory {
public:
    Memory() : before_(current()) { current() = this; }
    ~Memory() {
        current() = before_;
        while (first_.next != &first_) ::free(unlink(first_.next));
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    static Memory*& current() {
        thread_local Memory* memory = nullptr;
        return memory;
    }

    // As malloc and realloc, but throws std::bad_alloc. `block` may be null.
    static void* take(void* block, std::size_t bytes) {
        auto* link = block == nullptr ? nullptr : unlink(static_cast<Link*>(block) - 1);
        auto* moved = static_cast<Link*>(::realloc(link, bytes + sizeof(Link)));
        if (moved == nullptr) {
            ::free(link);
            throw std::bad_alloc();
        }
        Link& first = current()->first_;
        *moved = {&first, first.next};
        first.next->previous = moved;
        first.next = moved;
        return moved + 1;
    }

    static void give(void* block) {
        if (block != nullptr) ::free(unlink(static_cast<Link*>(block) - 1));
    }

private:
    struct alignas(std::max_align_t) Link {
        Link* previous;
        Link* next;
    };

    static Link* unlink(Link* link) {
        link->previous->next = link->next;
        link->next->previous = link->previous;
        return link;
    }

    Link first_{&first_, &first_};
    Memory* before_;
};

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#define STBIW_ASSERT(ok) ((void)0)
#define STBIW_MALLOC(bytes) ::genmod::io::detail::stb::Memory::take(nullptr, bytes)
#define STBIW_REALLOC(block, bytes) ::genmod::io::detail::stb::Memory::take(block, bytes)
#define STBIW_FREE(block) ::genmod::io::detail::stb::Memory::give(block)
#include <stb_image_write.h>

}  // namespace genmod::io::detail::stb

#include "genmod/io/impl/stb_macros_pop.hpp"
