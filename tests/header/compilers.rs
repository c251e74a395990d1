//! The C compilers of this machine.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::ROOT;

pub fn exists(compiler: &str) -> bool {
    Command::new(compiler)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The C compilers of this machine; at least one.
pub fn c_compilers() -> &'static [&'static str] {
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
pub fn compile<S: AsRef<OsStr>>(compiler: &str, args: &[S], file: &Path) -> Result<(), String> {
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
