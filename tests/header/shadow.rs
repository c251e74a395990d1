//! Bindings that became C again, compared with the header by the compilers.

use std::fs;
use std::path::Path;

use cbindgen::{Builder, Config, ItemType};

use crate::compilers::{c_compilers, compile};
use crate::names::{opaque_types, Declared};
use crate::{header, items, scratch, ROOT};

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
pub fn check_prototypes(name: &str, bindings: &str) -> Result<(), String> {
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
pub fn check_layouts(name: &str, bindings: &str) -> Result<(), String> {
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
