fn main() {
    println!("cargo:rerun-if-changed=src/part.cpp");
    cc::Build::new().cpp(true).file("src/part.cpp").compile("part");
}
