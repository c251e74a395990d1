//! What the header, the bindings and the library each have, by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use object::read::archive::ArchiveFile;
use object::{elf, Object, ObjectSymbol, SymbolFlags};

use crate::items;

pub type Names = BTreeSet<String>;

/// What one side declares.
#[derive(Debug, Default, PartialEq)]
pub struct Declared {
    pub functions: Names,
    pub types: Names,
    pub constants: Names,
}

impl Declared {
    /// What the header declares: `hak_name(` is a function, `hak_name_t;` after a brace ends a type, `(*hak_name_t)` is the
    /// type of a function, and a macro without parameters that is no attribute is a constant.
    pub fn in_header(header: &str) -> Declared {
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
    pub fn in_bindings(bindings: &str) -> Declared {
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
pub fn opaque_types(header: &str) -> Names {
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

pub fn libhakmem() -> PathBuf {
    Path::new(env!("OUT_DIR")).join("libhakmem.a")
}

/// The symbols of an archive that `wanted` says are.
pub fn symbols_of(archive: &Path, wanted: impl Fn(&object::Symbol) -> bool) -> Names {
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
pub fn symbols() -> Names {
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

pub fn check_names(header: &str, bindings: &str) -> Result<(), String> {
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

pub fn check_symbols(bindings: &str, symbols: &Names) -> Result<(), String> {
    if let Some(name) = symbols.iter().find(|name| !name.starts_with("hak_")) {
        return Err(format!("libhakmem.a exports {name}, which is outside its namespace"));
    }
    compare(
        "functions",
        ("hakmem-sys", &Declared::in_bindings(bindings).functions),
        ("the symbols of libhakmem.a", symbols),
    )
}
