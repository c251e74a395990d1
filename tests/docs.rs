//! The tables in `docs/` say what the tables in the C sources say.

use std::{fs, path::Path};

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
