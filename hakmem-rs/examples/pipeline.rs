//! A pipeline on all cores: records are parsed by one thread and used, changed and freed by others, as rayon steals work.
//!
//! Usage: `cargo run --release -p hakmem-rs --example pipeline -- [RECORDS]`

use std::time::Instant;

use hakmem_rs::{Hakmem, Tier};
use rayon::prelude::*;

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

struct Record {
    name: String,
    values: Vec<f64>,
}

fn line(number: usize) -> String {
    let values: Vec<_> = (0..number % 40).map(|n| (number * n % 1000).to_string()).collect();
    format!("sensor-{:04}:{}", number % 5000, values.join(","))
}

fn parse(line: &str) -> Option<Record> {
    let (name, values) = line.split_once(':')?;
    let values = values.split(',').filter_map(|value| value.parse().ok()).collect();
    Some(Record {
        name: name.to_owned(),
        values,
    })
}

/// The name with the largest sum comes first, and by alphabet.
fn larger(a: (String, f64), b: (String, f64)) -> (String, f64) {
    if (b.1, &a.0) > (a.1, &b.0) {
        b
    } else {
        a
    }
}

fn main() {
    let records: usize = std::env::args()
        .nth(1)
        .map_or(500_000, |number| number.parse().expect("a number"));
    let start = Instant::now();
    let (name, sum) = (0..records)
        .into_par_iter()
        .map(line)
        .filter_map(|line| parse(&line))
        .map(|mut record| {
            record.values.retain(|value| *value > 10.0);
            record.name.make_ascii_uppercase();
            (record.name, record.values.iter().sum::<f64>())
        })
        .reduce(|| (String::new(), 0.0), larger);
    let seconds = start.elapsed().as_secs_f64();
    println!("{name}: {sum}");
    println!(
        "{:.0} records a second on {} threads",
        records as f64 / seconds,
        rayon::current_num_threads()
    );
    let stats = hakmem_rs::stats();
    println!(
        "{} thread heaps; {} blocks of the tiny tier",
        stats.heaps,
        stats.tier(Tier::Tiny).served
    );
    assert!(name.starts_with("SENSOR-") && sum > 0.0);
}
