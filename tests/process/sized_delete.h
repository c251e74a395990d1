/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * For C++: the operators delete with a size, to be called by name.
 */
#ifndef HAK_TESTS_SIZED_DELETE_H
#define HAK_TESTS_SIZED_DELETE_H

#include <new>

#ifndef __cpp_sized_deallocation // clang before 19 declares them only when it is told to
void operator delete(void *, size_t) noexcept;
void operator delete[](void *, size_t) noexcept;
void operator delete(void *, size_t, std::align_val_t) noexcept;
void operator delete[](void *, size_t, std::align_val_t) noexcept;
#endif

#endif
