//! Builds mimalloc v2 as a peer beside the v3 that the crate `libmimalloc-sys` builds.
//!
//! That crate carries the sources of both but compiles one. The other is compiled here, with the flags that crate uses,
//! from where its build script says its sources are. What it takes (the sources in that place, objcopy) may be missing:
//! then the peer is left out and says why, and the build goes on.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const EXPORTS: [&str; 9] = [
    "bench_mi2_malloc",
    "bench_mi2_zalloc",
    "bench_mi2_realloc",
    "bench_mi2_malloc_aligned",
    "bench_mi2_zalloc_aligned",
    "bench_mi2_realloc_aligned",
    "bench_mi2_free",
    "bench_mi2_collect",
    "bench_mi2_version",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=c/mimalloc2.c");
    println!("cargo:rerun-if-env-changed=OBJCOPY");
    println!("cargo:rustc-check-cfg=cfg(mimalloc2)");
    println!("cargo:rustc-check-cfg=cfg(snmalloc_unoptimised)");
    if dependencies_think_of_debugging() {
        println!("cargo:rustc-cfg=snmalloc_unoptimised");
    }
    match build_mimalloc2() {
        Ok(()) => println!("cargo:rustc-cfg=mimalloc2"),
        Err(why) => {
            println!("cargo:warning=mimalloc v2 is left out: {why}");
            println!("cargo:rustc-env=MIMALLOC2_ABSENT={why}");
        }
    }
}

fn build_mimalloc2() -> Result<(), String> {
    let include_v3 =
        env::var("DEP_MIMALLOC_INCLUDE_DIR").map_err(|_| "libmimalloc-sys does not say where its sources are")?;
    let root = Path::new(&include_v3).join("../../v2");
    if !root.join("src/static.c").is_file() {
        return Err("libmimalloc-sys carries no sources of v2 where they were expected".into());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    let mut build = cc::Build::new();
    build
        .file("c/mimalloc2.c")
        .include(root.join("include"))
        .include(root.join("src"))
        .warnings(false)
        .flag("-Wno-error=date-time")
        .flag_if_supported("-ftls-model=initial-exec")
        .opt_level(3)
        .define("MI_DEBUG", "0")
        .define("MI_BUILD_RELEASE", None)
        .define("NDEBUG", None);
    let mut objects = build
        .try_compile_intermediates()
        .map_err(|e| one_line(&e.to_string()))?;
    let object = objects.pop().ok_or("the compiler made no object")?;

    let local = out.join("mimalloc2-local.o");
    let objcopy = env::var("OBJCOPY").unwrap_or_else(|_| "objcopy".into());
    let status = Command::new(&objcopy)
        .args(EXPORTS.map(|name| format!("--keep-global-symbol={name}")))
        .args([&object, &local])
        .status()
        .map_err(|e| format!("cannot run {objcopy} (binutils): {e}"))?;
    if !status.success() {
        return Err(format!("{objcopy} failed: {status}"));
    }
    cc::Build::new()
        .object(local)
        .try_compile("bench_mi2")
        .map_err(|e| one_line(&e.to_string()))
}

/// snmalloc's build script compiles without optimisation when the profile has debug information of any kind. The workspace's
/// release profile has line tables, and has to take them from dependencies again: `[profile.release.package."*"]`.
fn dependencies_think_of_debugging() -> bool {
    let manifest = "../Cargo.toml";
    println!("cargo:rerun-if-changed={manifest}");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|v| v == value);
    let text = std::fs::read_to_string(manifest).unwrap_or_default();
    let taken_back = text
        .lines()
        .any(|line| line.trim() == "[profile.release.package.\"*\"]");
    is("PROFILE", "release") && is("DEBUG", "true") && !taken_back
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
