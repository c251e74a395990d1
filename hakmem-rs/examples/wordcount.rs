//! Counts the words of all text files below a directory on all cores, with hakmem as the allocator.
//!
//! Usage: `cargo run --release -p hakmem-rs --example wordcount -- [DIRECTORY] [WORDS]`
//!
//! Prints the most frequent words, by falling count and then by alphabet, so that the same tree always gives the same
//! list whatever the number of threads; then what the allocator did, tier by tier. Every thread builds its own map and
//! the maps are merged in pairs: most words are allocated by one thread and freed by another.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use hakmem_rs::Hakmem;
use rayon::prelude::*;

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

type Counts = HashMap<String, u64>;

/// Adds every regular file below `directory` to `files`. Hidden entries and symbolic links are skipped, and so is
/// `target`, in which cargo writes while this runs.
fn collect_files(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') || name == "target" {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect_files(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// The words of a text: runs of letters, in lower case.
fn count_words(text: &str) -> Counts {
    let mut counts = Counts::new();
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

/// Adds the smaller map to the larger.
fn merge(left: Counts, right: Counts) -> Counts {
    let (mut large, small) = if left.len() >= right.len() {
        (left, right)
    } else {
        (right, left)
    };
    for (word, count) in small {
        *large.entry(word).or_default() += count;
    }
    large
}

fn main() -> io::Result<()> {
    let mut args = env::args_os().skip(1);
    let directory = args.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let shown = match args.next() {
        Some(number) => number.to_string_lossy().parse().map_err(io::Error::other)?,
        None => 20,
    };

    let mut files = Vec::new();
    collect_files(&directory, &mut files)?;
    // A file that is not UTF-8 is no text; one that vanished meanwhile counts as empty.
    let counts = files
        .par_iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .map(|text| count_words(&text))
        .reduce(Counts::new, merge);

    let total: u64 = counts.values().sum();
    println!(
        "{} files, {total} words, {} of them different",
        files.len(),
        counts.len()
    );
    let mut ranking: Vec<_> = counts.into_iter().collect();
    ranking.sort_unstable_by(|(word_a, count_a), (word_b, count_b)| count_b.cmp(count_a).then(word_a.cmp(word_b)));
    for (word, count) in ranking.iter().take(shown) {
        println!("{count:>10} {word}");
    }
    println!("\n{}", hakmem_rs::stats());
    Ok(())
}
