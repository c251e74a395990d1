// The C++ part: blocks of every kind that C++ code gets, some of them before main. Neither file names hakmem's functions, and
// what is compiled here refers to malloc and operator new as any code does.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

static const std::string before_main(1000, 'x');

extern "C" {
// Block number n, or NULL when there are not so many.
const void *part_block(int number) {
  static std::string *const text = new std::string(300, 'y');
  static const std::vector<int> numbers(50000, 7);
  switch (number) {
  case 0:
    return before_main.data();
  case 1:
    return text;
  case 2:
    return text->data();
  case 3:
    return numbers.data();
  case 4:
    return std::malloc(100);
  case 5:
    return std::calloc(3, 20000);
  case 6:
    return ::strdup("by the C library, whose own code allocates it");
  case 7:
    return new char[3 << 20];
  default:
    return nullptr;
  }
}

// What C++ frees, Rust's blocks among it; what is thrown is allocated by libstdc++.
int part_frees(void *of_malloc) {
  std::free(of_malloc);
  try {
    throw std::runtime_error(std::string(5000, 'z'));
  } catch (const std::exception &error) {
    return static_cast<int>(std::strlen(error.what()));
  }
}
}
