//! Compiles the allocator's one translation unit, `c_src/hakmem.c`, into `libhakmem.a`.
//!
//! The flags are those of `c_src/flags.txt`, which `CMakeLists.txt` reads too. The environment is respected as by every
//! user of the crate `cc`: `CC`, `AR`, and `CFLAGS`, which come last and so win.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The features that are options of the C build.
const FEATURES: [(&str, &str); 6] = [
    ("OVERRIDE", "HAK_OVERRIDE"),
    ("LOCAL_DYNAMIC_TLS", "HAK_LOCAL_DYNAMIC_TLS"),
    ("BACKGROUND", "HAK_BACKGROUND"),
    ("DEBUG", "HAK_DEBUG"),
    ("STATS", "HAK_STATS"),
    ("SECURE", "HAK_SECURE"),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=c_src");
    println!("cargo:rerun-if-changed=include");
    println!("cargo:rerun-if-env-changed=DOCS_RS");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // Dependents read these as DEP_HAKMEM_INCLUDE and DEP_HAKMEM_LIB.
    println!("cargo:include={}", root.join("include").display());
    println!("cargo:lib={}", out.display());

    // docs.rs has no need of a compiled library.
    if env::var_os("DOCS_RS").is_some() {
        return;
    }

    let mut build = cc::Build::new();
    build.file("c_src/hakmem.c").include("include").include("c_src");
    // Warnings are for those who work on the C sources: the CMake option HAK_STRICT. The frame pointer is a register
    // that the fast paths can use, in a program with debug information too.
    build.warnings(false).force_frame_pointer(false);
    for flag in flags(Path::new("c_src/flags.txt")) {
        // The level of optimisation goes the way that keeps cc from adding the one of the program's profile: users do
        // not debug the allocator, and want it as fast in their debug builds.
        match flag.strip_prefix("-O") {
            Some(level) => build.opt_level_str(level),
            None => build.flag(&flag),
        };
    }
    for (feature, option) in FEATURES {
        if env::var_os(format!("CARGO_FEATURE_{feature}")).is_some() {
            build.define(option, "1");
        }
    }
    if env::var_os("CARGO_FEATURE_PROFILE").is_some() {
        build.define("HAK_PROFILE", "1");
    }
    // Compiled to be optimised together with the Rust code (docs/decisions/rust-fast-path.md), which gcc cannot.
    let compiler = build.get_compiler();
    let is_lto = compiler
        .args()
        .iter()
        .any(|arg| arg.to_string_lossy().starts_with("-flto"));
    if is_lto && compiler.is_like_clang() {
        build.define("HAK_INLINE_HITS", "1");
    }
    // What hak_config_print reports.
    let report = format!("{:?}", report(build.get_compiler().args()));
    build.define("HAK_BUILD_FLAGS", Some(report.as_str()));
    build.compile("hakmem");
}

/// The lines of the file that are neither empty nor a comment.
fn flags(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The compiler's arguments in one line, without the include folders: those are paths of the machine that builds.
fn report(args: &[std::ffi::OsString]) -> String {
    let mut words = Vec::new();
    let mut args = args.iter().map(|arg| arg.to_string_lossy());
    while let Some(arg) = args.next() {
        match &*arg {
            "-I" => drop(args.next()),
            word => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}
