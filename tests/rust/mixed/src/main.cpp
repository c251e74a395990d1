// A C++ program with Rust code in it.
extern "C" int report();

int main() { return report(); }
