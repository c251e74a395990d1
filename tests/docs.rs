//! The tables in `docs/` say what the C sources and the tests say; the Rust crates have an example for all that is public.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, path::Path};

use proc_macro2::{TokenStream, TokenTree};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The arguments of every `X(...)` in a C table, with line continuations and quotes taken away.
fn rows(source: &str) -> Vec<Vec<String>> {
    let text = source.replace("\\\n", " ");
    let table = text
        .lines()
        .filter(|line| line.starts_with("#define HAK_OPTIONS(X)") || line.starts_with("#define HAK_SECURE_OPTIONS(X)"))
        .map(|line| line.replace("HAK_SECURE_OPTIONS(X)", "")); // the one that is part of the other
    let constant = |name: &str| {
        let start = format!("#define {name} ");
        source
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .map(str::to_owned)
    };
    table
        .flat_map(|line| line.split(" X(").skip(1).map(str::to_owned).collect::<Vec<_>>())
        .map(|row| {
            let row = &row[..row.rfind(')').expect("a row ends with a parenthesis")];
            row.splitn(6, ',')
                .map(|field| field.trim().trim_matches('"').to_owned())
                .map(|field| constant(&field).unwrap_or(field)) // what a build may set
                .collect()
        })
        .collect()
}

#[test]
fn tuning_lists_every_option_with_its_default_and_meaning() {
    let options = rows(&read("c_src/core/options.h"));
    assert!(options.len() >= 9, "the table was not found: {options:?}");
    let tuning = read("docs/tuning.md");
    for option in &options {
        let row = format!("| `HAKMEM_{}` | {} | {} |", option[1], option[2], option[5]);
        assert!(tuning.contains(&row), "docs/tuning.md lacks the row\n{row}");
    }
    let documented = tuning.matches("\n| `HAKMEM_").count();
    assert_eq!(
        documented,
        options.len(),
        "docs/tuning.md has rows for options that do not exist"
    );
}

#[test]
fn security_counts_the_programs_of_misuse() {
    let programs = |folder: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.is_file()).count()
    };
    let plain = programs("tests/misuse");
    let secure = programs("tests/misuse/secure");
    let security = read("docs/security.md");
    // A row: the mistake, what becomes of it in the default build, in the secure one, programs.
    let rows: Vec<(bool, usize)> = security
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
            Some((cells.get(1)?.starts_with("always"), cells.get(3)?.parse().ok()?))
        })
        .collect();
    let always: usize = rows.iter().filter(|row| row.0).map(|row| row.1).sum();
    let all: usize = rows.iter().map(|row| row.1).sum();
    assert_eq!(
        (always, all),
        (plain, plain + secure),
        "docs/security.md: programs that the default build catches, and all"
    );
}

/// The first figure of each line of a table of `tests/instructions`, by the line's name.
fn counts(path: &str) -> BTreeMap<String, String> {
    let table = read(path);
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| {
        let mut words = line.split_whitespace().map(str::to_owned);
        words.next().zip(words.next())
    });
    pairs.collect()
}

#[test]
fn profiling_has_the_committed_counts_of_instructions() {
    let without = counts("tests/instructions/table.txt");
    let with = counts("tests/instructions/profile.txt");
    let profiling = read("docs/profiling.md");
    let rows = profiling
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let mut found = 0;
    for (path, _) in rows.filter(|(path, _)| without.contains_key(*path)) {
        let row = format!("| `{path}` | {} | {} |", without[path], with[path]);
        assert!(profiling.contains(&row), "docs/profiling.md lacks the row\n{row}");
        found += 1;
    }
    assert!(found >= 10, "the table was not found");
}

// ---- Examples of the Rust crates ------------------------------------------------------------------------------------

/// What is public in a source file, and its documentation. Tokens tell it, so that what stands in macros is seen, too.
#[derive(Default)]
struct Items(Vec<(String, String)>);

const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "type", "mod", "static"];

impl Items {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let word = |place: usize| match tokens.get(place) {
            Some(TokenTree::Ident(word)) => word.to_string(),
            _ => String::new(),
        };
        let mut docs = String::new();
        let mut place = 0;
        while place < tokens.len() {
            match &tokens[place] {
                TokenTree::Punct(sign) if sign.as_char() == '#' => {
                    if let Some(TokenTree::Group(attribute)) = tokens.get(place + 1) {
                        docs += &doc_line(attribute.stream()).unwrap_or_default();
                        place += 1;
                    }
                }
                TokenTree::Ident(first) if first == "pub" => {
                    let mut at = place + 1;
                    while ["const", "unsafe", "extern"].contains(&&*word(at)) && !word(at + 1).is_empty() {
                        // A constant is what has a name and a colon behind.
                        if word(at) == "const" && !KEYWORDS.contains(&&*word(at + 1)) && word(at + 1) != "unsafe" {
                            break;
                        }
                        at += 1;
                    }
                    // Names in macros that only its use gives are none; nor are fields, which have no keyword.
                    if (word(at) == "const" || KEYWORDS.contains(&&*word(at))) && !word(at + 1).is_empty() {
                        self.0.push((word(at + 1), std::mem::take(&mut docs)));
                    }
                    docs.clear();
                }
                // A use of the macro `figures`: STRUCT of TWIN { ... }
                TokenTree::Ident(name) if word(place + 1) == "of" && !word(place + 2).is_empty() => {
                    self.0.push((name.to_string(), std::mem::take(&mut docs)));
                }
                TokenTree::Group(group) => {
                    docs.clear();
                    self.read(group.stream());
                }
                _ => {}
            }
            place += 1;
        }
    }
}

/// The text of `doc = "..."`.
fn doc_line(attribute: TokenStream) -> Option<String> {
    let value = syn::parse2::<syn::MetaNameValue>(attribute).ok()?;
    match value.value {
        syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }) if value.path.is_ident("doc") => Some(text.value() + "\n"),
        _ => None,
    }
}

/// The code in a documentation that `cargo test` runs.
fn examples(docs: &str) -> String {
    let mut code = String::new();
    let mut inside = None;
    for line in docs.lines() {
        match (line.trim().strip_prefix("```"), inside) {
            (Some(_), Some(_)) => inside = None,
            (Some(kind), None) => inside = Some(kind.is_empty()),
            (None, Some(true)) => code += &format!("{line}\n"),
            _ => {}
        }
    }
    code
}

/// The sources of a crate that have something public: what `lib.rs` declares as `pub mod` or names in a `pub use`.
fn public_sources(folder: &str) -> Vec<String> {
    let root = read(&format!("{folder}/lib.rs"));
    let mut sources = vec![root.clone()];
    for line in root.lines() {
        let module = line.strip_prefix("mod ").or_else(|| line.strip_prefix("pub mod "));
        let Some(module) = module.and_then(|rest| rest.strip_suffix(';')) else {
            continue;
        };
        if line.starts_with("pub") || root.contains(&format!("\npub use {module}::")) {
            sources.push(read(&format!("{folder}/{module}.rs")));
        }
    }
    sources
}

fn public_items(sources: &[String]) -> Items {
    let mut items = Items::default();
    for source in sources {
        items.read(source.parse().unwrap());
    }
    items
}

/// Every public function, method, type, constant and module of `hakmem-rs` has an example of its own. Fields and variants have
/// those of their type, methods of other crates' traits those of the trait. A module's text is in its file, which is read as
/// one of the module's items.
#[test]
fn every_public_item_of_hakmem_rs_has_an_example() {
    let mut sources = public_sources("hakmem-rs/src");
    sources.push(read("hakmem-rs/src/profile/pprof.rs"));
    let items = public_items(&sources).0;
    for expected in [
        "Heap",
        "allocate_zeroed",
        "AceClass",
        "VARIABLES",
        "figures",
        "set_with",
        "SharedHeap",
        "write_pprof",
        "ALL",
    ] {
        assert!(
            items.iter().any(|(name, _)| name == expected),
            "{expected} was not found"
        );
    }
    let is_module = |name: &str| ["limit", "profile"].contains(&name);
    let without: Vec<_> = items
        .iter()
        .filter(|(name, docs)| examples(docs).is_empty() && !is_module(name))
        .map(|(name, _)| name)
        .collect();
    assert!(without.is_empty(), "no example in the documentation of {without:?}");
    for module in ["limit", "profile"] {
        let text = read(&format!("hakmem-rs/src/{module}.rs"));
        let docs: Vec<_> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
        assert!(
            !examples(&docs.join("\n")).is_empty(),
            "no example in the documentation of {module}"
        );
    }
}

/// Every function, type and constant of `hakmem-sys` is used in an example: what calls a C function is rarely one call.
#[test]
fn every_item_of_hakmem_sys_is_in_an_example() {
    let sources = public_sources("hakmem-sys/src");
    let items = public_items(&sources).0;
    assert!(items.len() > 60, "{} items", items.len());
    let mut code: String = items.iter().map(|(_, docs)| examples(docs)).collect();
    let docs: Vec<_> = sources[0].lines().map_while(|line| line.strip_prefix("//!")).collect();
    code += &examples(&docs.join("\n"));
    let words: BTreeSet<_> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let unused: Vec<_> = items
        .iter()
        .map(|(name, _)| &**name)
        .filter(|name| !words.contains(name))
        .collect();
    assert!(unused.is_empty(), "in no example: {unused:?}");
}

#[test]
fn what_is_public_is_found_with_its_examples() {
    let source = r#"
        /// With one.
        ///
        /// ```
        /// f();
        /// ```
        #[must_use]
        pub const unsafe fn f() {}
        /// Text only.
        /// ```text
        /// f();
        /// ```
        pub const LIMIT: u32 = 1;
        /// Not public.
        pub(crate) fn g() {}
        fn h() {}
        macro_rules! m { () => { impl S { /// In a macro.
            pub fn i(&self) {} } } }
        figures! {
            /// Of a macro.
            Figures of Twin { /// A field.
                a, }
        }
        /// A structure.
        pub struct S { /// A field.
            pub a: u32 }
        extern "C" { /// Foreign.
            pub fn j(); }
    "#;
    let items = public_items(&[source.to_owned()]).0;
    let names: Vec<_> = items.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["f", "LIMIT", "i", "Figures", "S", "j"]);
    let with: Vec<_> = items
        .iter()
        .filter(|(_, docs)| !examples(docs).is_empty())
        .map(|(name, _)| &**name)
        .collect();
    assert_eq!(with, ["f"]);
    assert!(
        items[3].1.contains("Of a macro") && items[5].1.contains("Foreign"),
        "{items:?}"
    );
}
