//! `include/hakmem.h` and `hakmem-sys` are both written by hand; here they cannot drift apart.
//!
//! cbindgen turns the bindings back into C, a *shadow* header, and the C compilers compare it with the real one:
//!
//! - prototypes: one file includes both, and any difference is an error ("conflicting types");
//! - structures and constants: the shadow's have a prefix, and `_Static_assert`s compare sizes, offsets, types, values;
//! - omissions, which no compiler would notice: the names in the header, in the bindings, and among the symbols of
//!   `libhakmem.a` must be the same.
//!
//! Every check also runs over bindings that are wrong on purpose, and has to find that.

mod compilers;
mod mistakes;
mod names;
mod shadow;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::ObjectSymbol;

use compilers::{c_compilers, compile, exists};
use names::{check_names, check_symbols, libhakmem, symbols, symbols_of, Declared};
use shadow::{check_layouts, check_prototypes};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn header() -> String {
    fs::read_to_string(Path::new(ROOT).join("include/hakmem.h")).unwrap()
}

/// The bindings as one file: each module of the crate in the place where it is declared.
fn bindings() -> String {
    let folder = Path::new(ROOT).join("hakmem-sys/src");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let mut text = String::new();
    for line in read("lib.rs").lines() {
        match line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            Some(name) => text += &format!("mod {name} {{\n{}}}\n", read(&format!("{name}.rs"))),
            None => text += &format!("{line}\n"),
        }
    }
    text
}

/// The items of the bindings, those of their modules included.
fn items(bindings: &str) -> Vec<syn::Item> {
    let mut items = Vec::new();
    for item in syn::parse_file(bindings).unwrap().items {
        match item {
            syn::Item::Mod(module) => items.extend(module.content.expect("the modules are put in").1),
            item => items.push(item),
        }
    }
    items
}

/// A new folder for the files of one check.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("header").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

// ---- What is right passes -------------------------------------------------------------------------------------------

#[test]
fn names_agree() {
    check_names(&header(), &bindings()).unwrap();
}

#[test]
fn names_are_found() {
    // A parser that finds nothing would agree with itself.
    for declared in [Declared::in_header(&header()), Declared::in_bindings(&bindings())] {
        assert!(declared.functions.contains("hak_malloc") && declared.functions.contains("hak_realloc_aligned_sized"));
        assert!(declared.types.contains("hak_stats_t") && declared.types.contains("hak_tier_stats_t"));
        assert!(declared.types.contains("hak_limit_callback_t") && declared.types.contains("hak_heap_t"));
        assert!(declared.types.contains("hak_config_t") && declared.functions.contains("hak_option_get"));
        assert!(declared.types.contains("hak_profile_stats_t") && declared.functions.contains("hak_profile_visit"));
        assert!(declared.constants.contains("HAK_TIER_NONE") && declared.constants.contains("HAK_VERSION"));
    }
}

#[test]
fn prototypes_agree() {
    check_prototypes("real", &bindings()).unwrap();
}

#[test]
fn layouts_and_values_agree() {
    check_layouts("real", &bindings()).unwrap();
}

#[test]
fn the_library_exports_the_bindings_and_nothing_else() {
    check_symbols(&bindings(), &symbols()).unwrap();
}

/// Nor does it need the compiler's own library (popcount, 128-bit division, wide atomics), which not every linker is given.
#[test]
fn the_library_needs_only_the_c_library() {
    let output = Command::new(c_compilers()[0])
        .arg("-print-libgcc-file-name")
        .output()
        .unwrap();
    let libgcc = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let theirs = symbols_of(&libgcc, |symbol| symbol.is_definition());
    assert!(theirs.contains("__popcountdi2"), "{}", libgcc.display());
    let needed = symbols_of(&libhakmem(), |symbol| symbol.is_undefined());
    assert!(needed.contains("abort"), "{needed:?}");
    let both: Vec<_> = needed.intersection(&theirs).collect();
    assert!(both.is_empty(), "{both:?}");
}

#[test]
fn versions_agree() {
    let numbers: Vec<i32> = env!("CARGO_PKG_VERSION")
        .split('.')
        .map(|number| number.parse().unwrap())
        .collect();
    let version = numbers[0] * 10_000 + numbers[1] * 100 + numbers[2];
    assert_eq!(hakmem_sys::HAK_VERSION, version);
    // SAFETY: hak_version has no preconditions.
    assert_eq!(unsafe { hakmem_sys::hak_version() }, version);
}

/// The header is valid in every language it promises, without a warning, included twice.
#[test]
fn the_header_compiles_alone() {
    const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
    let folder = scratch("alone");
    let code = "#include <hakmem.h>\n#include <hakmem.h>\n";
    let c = folder.join("alone.c");
    let cpp = folder.join("alone.cpp");
    fs::write(&c, code).unwrap();
    fs::write(&cpp, code).unwrap();
    let mut failures = Vec::new();
    for compiler in c_compilers() {
        for standard in ["-std=c99", "-std=c11", "-std=c17"] {
            let args = [&WARNINGS[..], &[standard]].concat();
            failures.extend(compile(compiler, &args, &c).err());
        }
    }
    for compiler in ["g++", "clang++"].into_iter().filter(|name| exists(name)) {
        for standard in ["-std=c++11", "-std=c++17"] {
            let args = [&WARNINGS[..], &[standard]].concat();
            failures.extend(compile(compiler, &args, &cpp).err());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
