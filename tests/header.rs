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

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use cbindgen::{Builder, Config, ItemType};
use object::read::archive::ArchiveFile;
use object::{elf, Object, ObjectSymbol, SymbolFlags};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

type Names = BTreeSet<String>;

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

// ---- Compilers ------------------------------------------------------------------------------------------------------

fn exists(compiler: &str) -> bool {
    Command::new(compiler)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The C compilers of this machine; at least one.
fn c_compilers() -> &'static [&'static str] {
    static FOUND: OnceLock<Vec<&str>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found: Vec<_> = ["gcc", "clang", "cc"].into_iter().filter(|name| exists(name)).collect();
        // `cc` is one of the other two under another name, where they exist.
        let found = if found.len() > 1 {
            found.into_iter().filter(|name| *name != "cc").collect()
        } else {
            found
        };
        assert!(!found.is_empty(), "this test needs gcc or clang");
        found
    })
}

/// Compiles `file` without output; the error is what the compiler says.
fn compile<S: AsRef<OsStr>>(compiler: &str, args: &[S], file: &Path) -> Result<(), String> {
    let output = Command::new(compiler)
        .args(["-fsyntax-only", "-I"])
        .arg(Path::new(ROOT).join("include"))
        .args(args)
        .arg(file)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{compiler}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

// ---- Names ----------------------------------------------------------------------------------------------------------

/// What one side declares.
#[derive(Debug, Default, PartialEq)]
struct Declared {
    functions: Names,
    types: Names,
    constants: Names,
}

impl Declared {
    /// What the header declares: `hak_name(` is a function, `hak_name_t;` after a brace ends a type, `(*hak_name_t)` is the
    /// type of a function, and a macro without parameters that is no attribute is a constant.
    fn in_header(header: &str) -> Declared {
        let mut declared = Declared::default();
        let text = without_comments(header);
        for line in text.lines() {
            let Some(macro_) = line.strip_prefix("#define ") else {
                continue;
            };
            let name = macro_.split(|c: char| !is_word(c)).next().unwrap();
            let attribute = name == "HAKMEM_H" || name == "HAK_API" || name.starts_with("HAK_ATTR_");
            if !attribute && !macro_[name.len()..].starts_with('(') {
                declared.constants.insert(name.to_owned());
            }
        }
        let code: String = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n");
        let mut rest = code.as_str();
        while let Some(start) = rest.find("hak_") {
            let before = rest[..start].trim_end().chars().next_back();
            let inside_word = rest[..start].chars().next_back().is_some_and(is_word);
            let length = rest[start..].find(|c| !is_word(c)).unwrap_or(rest.len() - start);
            let (name, after) = rest[start..].split_at(length);
            if !inside_word && after.trim_start().starts_with('(') {
                declared.functions.insert(name.to_owned());
            } else if !inside_word && (before == Some('}') || rest[..start].ends_with("(*")) {
                declared.types.insert(name.to_owned());
            }
            rest = after;
        }
        declared.types.extend(opaque_types(header));
        declared
    }

    /// What the bindings declare and make public.
    fn in_bindings(bindings: &str) -> Declared {
        let is_public = |visibility: &syn::Visibility| matches!(visibility, syn::Visibility::Public(_));
        let mut declared = Declared::default();
        for item in items(bindings) {
            match item {
                syn::Item::ForeignMod(block) => {
                    for item in block.items {
                        let syn::ForeignItem::Fn(function) = item else {
                            panic!("only functions are bound")
                        };
                        assert!(is_public(&function.vis), "{} is not public", function.sig.ident);
                        declared.functions.insert(function.sig.ident.to_string());
                    }
                }
                syn::Item::Struct(item) if is_public(&item.vis) => {
                    declared.types.insert(item.ident.to_string());
                }
                syn::Item::Type(item) if is_public(&item.vis) => {
                    declared.types.insert(item.ident.to_string());
                }
                syn::Item::Const(item) if is_public(&item.vis) => {
                    declared.constants.insert(item.ident.to_string());
                }
                _ => {}
            }
        }
        declared
    }
}

/// The types of the header of which programs know no more than the name: `typedef struct hak_name hak_name_t;`.
fn opaque_types(header: &str) -> Names {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines = header.lines().filter_map(|line| line.strip_suffix(';')).map(words);
    lines
        .filter(|words| words.len() == 4 && words[0] == "typedef" && words[1] == "struct")
        .map(|words| words[3].clone())
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn without_comments(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((code, comment)) = rest.split_once("/*") {
        result += code;
        result.push(' ');
        rest = comment.split_once("*/").expect("a comment ends").1;
    }
    result + rest
}

fn libhakmem() -> PathBuf {
    Path::new(env!("OUT_DIR")).join("libhakmem.a")
}

/// The symbols of an archive that `wanted` says are.
fn symbols_of(archive: &Path, wanted: impl Fn(&object::Symbol) -> bool) -> Names {
    let archive = fs::read(archive).unwrap();
    let mut names = Names::new();
    for member in ArchiveFile::parse(&*archive).unwrap().members() {
        let object = object::File::parse(member.unwrap().data(&*archive).unwrap()).unwrap();
        let symbols = object.symbols().filter(&wanted);
        names.extend(symbols.map(|symbol| symbol.name().unwrap().to_owned()));
    }
    names
}

/// The symbols of `libhakmem.a` that programs can link with: defined, global or weak, of default visibility.
///
/// With the feature `override` there are malloc's besides, which are not part of the interface.
fn symbols() -> Names {
    symbols_of(&libhakmem(), |symbol| {
        let SymbolFlags::Elf { st_other, .. } = symbol.flags() else {
            panic!("libhakmem.a holds ELF objects")
        };
        let is_ours = cfg!(not(feature = "override")) || symbol.name().unwrap().starts_with("hak_");
        symbol.is_definition() && symbol.is_global() && st_other & 3 == elf::STV_DEFAULT && is_ours
    })
}

/// Says what one set has and the other has not.
fn compare(what: &str, left: (&str, &Names), right: (&str, &Names)) -> Result<(), String> {
    for ((name, these), (other, those)) in [(left, right), (right, left)] {
        let surplus: Vec<_> = these.difference(those).collect();
        if !surplus.is_empty() {
            return Err(format!("{what} in {name} but not in {other}: {surplus:?}"));
        }
    }
    Ok(())
}

fn check_names(header: &str, bindings: &str) -> Result<(), String> {
    let header = Declared::in_header(header);
    let bindings = Declared::in_bindings(bindings);
    compare(
        "functions",
        ("hakmem.h", &header.functions),
        ("hakmem-sys", &bindings.functions),
    )?;
    compare("types", ("hakmem.h", &header.types), ("hakmem-sys", &bindings.types))?;
    compare(
        "constants",
        ("hakmem.h", &header.constants),
        ("hakmem-sys", &bindings.constants),
    )
}

fn check_symbols(bindings: &str, symbols: &Names) -> Result<(), String> {
    if let Some(name) = symbols.iter().find(|name| !name.starts_with("hak_")) {
        return Err(format!("libhakmem.a exports {name}, which is outside its namespace"));
    }
    compare(
        "functions",
        ("hakmem-sys", &Declared::in_bindings(bindings).functions),
        ("the symbols of libhakmem.a", symbols),
    )
}

// ---- Shadow headers -------------------------------------------------------------------------------------------------

/// Has cbindgen write the items of these types in `bindings` to `folder`/shadow.h.
fn write_shadow(folder: &Path, bindings: &str, prefix: Option<&str>, item_types: Vec<ItemType>) {
    let source = folder.join("bindings.rs");
    fs::write(&source, bindings).unwrap();
    let mut config = Config::from_file(Path::new(ROOT).join("tests/header/cbindgen.toml")).unwrap();
    config.export.item_types = item_types;
    config.export.prefix = prefix.map(str::to_owned);
    if prefix.is_some() {
        // What no bound function mentions is to be compared too.
        config.export.include = Declared::in_bindings(bindings).types.into_iter().collect();
    }
    let shadow = Builder::new().with_config(config).with_src(source).generate().unwrap();
    shadow.write_to_file(folder.join("shadow.h"));
}

fn compile_everywhere(folder: &Path, code: &str) -> Result<(), String> {
    let file = folder.join("check.c");
    fs::write(&file, code).unwrap();
    c_compilers()
        .iter()
        .try_for_each(|compiler| compile(compiler, &["-std=gnu11", "-Werror"], &file))
}

/// Each function of the bindings has the prototype it has in the header.
fn check_prototypes(name: &str, bindings: &str) -> Result<(), String> {
    let folder = scratch(&format!("prototypes-{name}"));
    write_shadow(&folder, bindings, None, vec![ItemType::Functions]);
    let shadow = fs::read_to_string(folder.join("shadow.h")).unwrap();
    for function in Declared::in_bindings(bindings).functions {
        if !shadow.contains(&format!("{function}(")) {
            return Err(format!("cbindgen left out {function}"));
        }
    }
    compile_everywhere(&folder, "#include <hakmem.h>\n#include \"shadow.h\"\n")
}

/// Whether a type is one of the bindings' own.
fn is_structure(of: &syn::Type) -> bool {
    let syn::Type::Path(path) = of else { return false };
    path.path
        .segments
        .last()
        .is_some_and(|name| name.ident.to_string().starts_with("hak_"))
}

/// Each structure has the same fields at the same offsets, and each constant the same value.
fn check_layouts(name: &str, bindings: &str) -> Result<(), String> {
    const PREFIX: &str = "shadow_";
    let folder = scratch(&format!("layouts-{name}"));
    write_shadow(
        &folder,
        bindings,
        Some(PREFIX),
        vec![ItemType::Structs, ItemType::Constants, ItemType::Typedefs],
    );

    let opaque = opaque_types(&header());
    let mut code = String::from("#include <hakmem.h>\n#include \"shadow.h\"\n");
    let mut assert = |condition: String, message: &str| {
        code += &format!("_Static_assert({condition}, \"{message}\");\n");
    };
    for item in items(bindings) {
        match item {
            syn::Item::Struct(item) if opaque.contains(&item.ident.to_string()) => {
                // One that is not public would be known: only pointers to it may exist.
                let is_private = |field: &syn::Field| matches!(field.vis, syn::Visibility::Inherited);
                assert!(item.fields.iter().all(is_private), "{} is opaque", item.ident);
            }
            syn::Item::Struct(item) => {
                let ours = item.ident.to_string();
                let shadow = format!("{PREFIX}{ours}");
                assert(
                    format!("sizeof({ours}) == sizeof({shadow})"),
                    &format!("size of {ours}"),
                );
                assert(
                    format!("_Alignof({ours}) == _Alignof({shadow})"),
                    &format!("alignment of {ours}"),
                );
                for field in item.fields {
                    let name = field.ident.expect("fields have names").to_string();
                    let message = format!("{ours}.{name}");
                    let same_offset = format!("offsetof({ours}, {name}) == offsetof({shadow}, {name})");
                    assert(same_offset, &format!("offset of {message}"));
                    let (a, b) = (format!("(({ours} *)0)->{name}"), format!("(({shadow} *)0)->{name}"));
                    assert(format!("sizeof({a}) == sizeof({b})"), &format!("size of {message}"));
                    // Structures, which are in arrays only, have names of their own on each side.
                    let element = match &field.ty {
                        syn::Type::Array(array) if is_structure(&array.elem) => continue,
                        syn::Type::Array(_) => "[0]",
                        _ => "",
                    };
                    let same_type =
                        format!("__builtin_types_compatible_p(__typeof__({a}{element}), __typeof__({b}{element}))");
                    assert(same_type, &format!("type of {message}"));
                }
            }
            syn::Item::Type(item) => {
                let ours = item.ident.to_string();
                let same = format!("__builtin_types_compatible_p({ours}, {PREFIX}{ours})");
                assert(same, &format!("type {ours}"));
            }
            syn::Item::Const(item) => {
                let ours = item.ident.to_string();
                let shadow = format!("{PREFIX}{ours}");
                assert(format!("{ours} == {shadow}"), &format!("value of {ours}"));
                assert(
                    format!("_Generic({ours}, int: 1, default: 0)"),
                    &format!("type of {ours}"),
                );
            }
            _ => {}
        }
    }
    compile_everywhere(&folder, &code)
}

// ---- The tests: what is right passes --------------------------------------------------------------------------------

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

// ---- The tests: what is wrong does not ------------------------------------------------------------------------------

/// The bindings with one mistake.
fn with_mistake(right: &str, wrong: &str) -> String {
    let bindings = bindings();
    assert_eq!(bindings.matches(right).count(), 1, "the text to be replaced: {right}");
    bindings.replace(right, wrong)
}

/// The error must be about `culprit`, not about a check that is broken itself.
fn assert_finds(result: Result<(), String>, culprit: &str) {
    let error = result.expect_err("the mistake was not found");
    assert!(error.contains(culprit), "{error}");
}

#[test]
fn a_wrong_prototype_is_found() {
    let mistakes = [
        ("hak_collect", "hak_collect(force: c_int)", "hak_collect(force: usize)"),
        ("hak_version", "hak_version() -> c_int", "hak_version() -> u32"),
        (
            "hak_free_sized",
            "hak_free_sized(ptr: *mut c_void, size: usize)",
            "hak_free_sized(ptr: *mut c_void)",
        ),
        (
            "hak_usable_size",
            "hak_usable_size(ptr: *const c_void)",
            "hak_usable_size(ptr: *mut c_void)",
        ),
        (
            "hak_heap_reset",
            "hak_heap_reset(heap: *mut hak_heap_t)",
            "hak_heap_reset(heap: *const hak_heap_t)",
        ),
        (
            "hak_heap_of",
            "hak_heap_of(ptr: *const c_void) -> *mut hak_heap_t",
            "hak_heap_of(ptr: *const c_void) -> *mut hak_heap_options_t",
        ),
        (
            "hak_limit_set",
            "callback: hak_limit_callback_t, argument: *mut c_void",
            "callback: hak_limit_callback_t, argument: *const c_void",
        ),
        (
            "hak_option_get",
            "hak_option_get(number: c_uint,",
            "hak_option_get(number: c_int,",
        ),
        (
            "hak_tier_name",
            "hak_tier_name(tier: c_int) -> *const c_char",
            "hak_tier_name(tier: c_int) -> *mut c_char",
        ),
    ];
    for (function, right, wrong) in mistakes {
        let result = check_prototypes(&format!("wrong-{function}"), &with_mistake(right, wrong));
        assert_finds(result, &format!("conflicting types for '{function}'"));
    }
}

#[test]
fn a_wrong_layout_is_found() {
    let mistakes = [
        // Two fields exchanged: the sizes stay.
        (
            "order",
            "offset of hak_stats_t.dirty_bytes",
            "pub dirty_bytes: u64",
            "pub mmap_bytes_: u64",
        ),
        (
            "type",
            "type of hak_stats_t.purged_bytes",
            "pub purged_bytes: u64",
            "pub purged_bytes: i64",
        ),
        ("width", "size of hak_stats_t.heaps", "pub heaps: u64", "pub heaps: u32"),
        (
            "missing",
            "size of hak_tier_stats_t",
            "    /// Requests it could not serve and that no other tier served.\n    pub failed: u64,\n",
            "",
        ),
        (
            "count",
            "size of hak_stats_t.tier",
            "hak_tier_stats_t; HAK_TIER_COUNT as usize]",
            "hak_tier_stats_t; HAK_TIER_MMAP as usize]",
        ),
        (
            "element",
            "type of hak_thread_stats_t.freed",
            "pub freed: [u64; HAK_TIER_COUNT as usize]",
            "pub freed: [i64; HAK_TIER_COUNT as usize]",
        ),
        (
            "pointer",
            "type of hak_option_t.meaning",
            "pub meaning: *const c_char",
            "pub meaning: *mut c_char",
        ),
        (
            "sign",
            "type of hak_option_t.standard",
            "pub standard: i64",
            "pub standard: u64",
        ),
        (
            "heap",
            "type of hak_heap_stats_t.peak_bytes",
            "pub peak_bytes: u64",
            "pub peak_bytes: f64",
        ),
        (
            "option of a heap",
            "size of hak_heap_options_t.limit_bytes",
            "pub limit_bytes: usize",
            "pub limit_bytes: u32",
        ),
        (
            "snapshot",
            "size of hak_ace_snapshot_t.classes",
            "[hak_ace_class_t; HAK_ACE_SNAPSHOT_CLASSES]",
            "[hak_ace_class_t; 63]",
        ),
        (
            "function",
            "type hak_limit_callback_t",
            "extern \"C\" fn(argument: *mut c_void, size: usize) -> c_int>",
            "extern \"C\" fn(argument: *mut c_void, size: u32) -> c_int>",
        ),
        (
            "int",
            "size of hak_config_t.replaces_malloc",
            "pub replaces_malloc: c_int",
            "pub replaces_malloc: u8",
        ),
    ];
    for (name, culprit, right, wrong) in mistakes {
        let mut bindings = with_mistake(right, wrong);
        if name == "order" {
            bindings = bindings.replace("pub mmap_bytes: u64", "pub dirty_bytes: u64");
            bindings = bindings.replace("pub mmap_bytes_: u64", "pub mmap_bytes: u64");
        }
        assert_finds(check_layouts(&format!("wrong-{name}"), &bindings), culprit);
    }
}

#[test]
fn a_wrong_constant_is_found() {
    let mistakes = [
        ("HAK_TIER_POOL", "HAK_TIER_POOL: c_int = 2", "HAK_TIER_POOL: c_int = 7"),
        ("HAK_TIER_NONE", "HAK_TIER_NONE: c_int = -1", "HAK_TIER_NONE: c_int = 1"),
    ];
    for (constant, right, wrong) in mistakes {
        let result = check_layouts(&format!("wrong-{constant}"), &with_mistake(right, wrong));
        assert_finds(result, &format!("value of {constant}"));
    }
}

#[test]
fn an_omission_or_a_surplus_is_found() {
    let symbols = symbols();

    let without_function = with_mistake("    pub fn hak_good_size(size: usize) -> usize;\n", "");
    assert_finds(check_names(&header(), &without_function), "hak_good_size");
    assert_finds(check_symbols(&without_function, &symbols), "hak_good_size");

    let with_function = with_mistake(
        "pub fn hak_version()",
        "pub fn hak_nothing();\n    pub fn hak_version()",
    );
    assert_finds(check_names(&header(), &with_function), "hak_nothing");
    assert_finds(check_symbols(&with_function, &symbols), "hak_nothing");

    let without_constant = with_mistake("pub const HAK_TIER_NONE: c_int = -1;", "");
    assert_finds(check_names(&header(), &without_constant), "HAK_TIER_NONE");

    let print = "HAK_API void hak_stats_print";
    let header_with_type = header().replace(print, &format!("typedef struct {{ int n; }} hak_more_t;\n{print}"));
    assert_finds(check_names(&header_with_type, &bindings()), "hak_more_t");

    let mut with_symbol = symbols.clone();
    with_symbol.insert("malloc".to_owned());
    assert_finds(check_symbols(&bindings(), &with_symbol), "malloc");
}
