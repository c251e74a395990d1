//! What Rust programs do, on the allocator of the process: the standard collections, `Arc`, serde_json, regex. They cannot be
//! given another allocator on stable Rust, so nothing here is generic over one; see [`crate::programs`].
//!
//! An operation is what each says: the containers do not tell how often they allocate. What is made is made from a seeded
//! generator, and what comes out is checked, in the timed part too where it is cheap.

use std::{
    alloc::System,
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    hint::black_box,
    sync::{Arc, Mutex},
};

use super::{measured, no_variant, Case, Outcome, Setting, Tally, Workload};
use crate::rng::Rng;

pub const WORKLOADS: &[Workload] = &[BTREE, HASH, ARC, JSON, PATTERNS];

/// An operation is an entry, the slots are the entries of a map.
const BTREE: Workload = Workload {
    name: "btree",
    what: "a BTreeMap from strings to byte vectors, filled in random order and dropped",
    settings: COLLECTIONS,
    ..Workload::PLAIN
};

/// The same.
const HASH: Workload = Workload {
    name: "hash",
    what: "a HashMap of counts of words, filled from a text and dropped",
    settings: COLLECTIONS,
    ..Workload::PLAIN
};

const COLLECTIONS: &[Setting] = &[("all", 1, 1_000_000, 20_000), ("all", 2, 500_000, 20_000)];

/// An operation is an `Arc` that is made; the slots are places that all threads share.
const ARC: Workload = Workload {
    name: "arc",
    what: "Arcs that threads make, share and drop; the last to drop one frees it",
    settings: &[("all", 2, 2_000_000, 1024), ("all", 4, 1_000_000, 1024)],
    ..Workload::PLAIN
};

/// An operation is a record; the slots are the records of a document.
const JSON: Workload = Workload {
    name: "json",
    what: "documents of some MiB parsed by serde_json and dropped",
    variants: &[
        ("value", "to serde_json::Value"),
        ("typed", "to structures of the program's own"),
    ],
    settings: JSON_SETTINGS,
    ..Workload::PLAIN
};

const JSON_SETTINGS: &[Setting] = &[
    ("value", 1, 100_000, 10_000),
    ("value", 2, 50_000, 10_000),
    ("typed", 1, 200_000, 10_000),
];

/// An operation is a pattern compiled; the slots are the lines that it is tried on.
const PATTERNS: Workload = Workload {
    name: "patterns",
    what: "regular expressions compiled, used on some lines and dropped",
    settings: &[("all", 1, 600, 50), ("all", 2, 300, 50)],
    ..Workload::PLAIN
};

pub fn run(case: &Case) -> Result<Outcome, String> {
    match case.workload.as_str() {
        "btree" => Ok(loops(case, |_| (), |(), rng| btree(rng, case.slots))),
        "hash" => Ok(loops(case, |rng| text(rng, case.slots), |text, _| hash(text))),
        "arc" => Ok(arc(case)),
        "json" => match case.variant.as_str() {
            "value" => Ok(loops(case, |rng| document(rng, case.slots), |json, _| json_value(json))),
            "typed" => Ok(loops(case, |rng| document(rng, case.slots), |json, _| json_typed(json))),
            _ => Err(no_variant(case)),
        },
        "patterns" => Ok(loops(case, |rng| lines(rng, case.slots), |lines, _| patterns(lines))),
        other => Err(format!("no workload is called {other}")),
    }
}

/// Each thread does the step, which returns how many operations it was, until it has done as many as the case says.
fn loops<T>(case: &Case, input: impl Fn(&mut Rng) -> T + Sync, step: impl Fn(&T, &mut Rng) -> u64 + Sync) -> Outcome {
    measured::<System, _>(
        case,
        |thread| {
            let mut rng = Rng::new(case.seed, thread as u64);
            (input(&mut rng), rng, Tally::default())
        },
        |(input, rng, tally)| {
            while tally.allocs < case.ops {
                tally.allocs += step(input, rng);
            }
        },
        |(_, _, tally)| (tally, Default::default()),
    )
}

/// Letters, as many as asked for.
fn push_word(text: &mut String, rng: &mut Rng, letters: usize) {
    for _ in 0..letters {
        text.push(char::from(b'a' + rng.below(26) as u8));
    }
}

fn btree(rng: &mut Rng, entries: usize) -> u64 {
    let mut map = BTreeMap::new();
    for _ in 0..entries {
        let number = rng.draw();
        map.insert(
            format!("{number:016x}"),
            vec![number as u8; 8 + (number >> 32) as usize % 120],
        );
    }
    let sum: usize = map.values().map(Vec::len).sum();
    assert!(sum >= 8 * map.len() && map.len() <= entries);
    drop(black_box(map));
    entries as u64
}

/// Words of which some are frequent.
fn text(rng: &mut Rng, words: usize) -> String {
    let mut text = String::new();
    for _ in 0..words {
        if rng.coin() {
            let _ = write!(text, "word{} ", rng.below(200));
        } else {
            let letters = 3 + rng.below(12);
            push_word(&mut text, rng, letters);
            text.push(' ');
        }
    }
    text
}

fn hash(text: &str) -> u64 {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for word in text.split_ascii_whitespace() {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    let words = counts.values().sum();
    drop(black_box(counts));
    words
}

/// A message of 40 to 295 bytes.
struct Message {
    from: usize,
    text: Box<str>,
}

/// Each thread puts messages into places that all share and takes copies of others', of which it keeps some for a while.
fn arc(case: &Case) -> Outcome {
    const KEPT: usize = 64;
    let places: Vec<Mutex<Arc<Message>>> = (0..case.slots.max(1))
        .map(|_| {
            Mutex::new(Arc::new(Message {
                from: 0,
                text: "first".into(),
            }))
        })
        .collect();
    let line = "x".repeat(256);
    measured::<System, _>(
        case,
        |thread| {
            let kept: Vec<Option<Arc<Message>>> = vec![None; KEPT];
            (thread, kept, Rng::new(case.seed, thread as u64), Tally::default())
        },
        |(thread, kept, rng, tally)| {
            for _ in 0..case.ops {
                let message = Arc::new(Message {
                    from: *thread,
                    text: line[..rng.below(256)].into(),
                });
                let old = std::mem::replace(&mut *lock(&places[rng.below(places.len())]), message);
                let other = Arc::clone(&lock(&places[rng.below(places.len())]));
                assert!(other.from < case.threads && other.text.len() < 256);
                kept[rng.below(KEPT)] = Some(other);
                drop(old);
                tally.allocs += 1;
            }
        },
        |(_, _, _, tally)| (tally, Default::default()),
    )
}

fn lock<T>(place: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    place.lock().expect("no thread panics")
}

/// Orders with their items, some of which are nested deeper: about 400 bytes each.
fn document(rng: &mut Rng, records: usize) -> String {
    let mut json = String::from("[");
    for id in 0..records {
        if id != 0 {
            json.push(',');
        }
        let mut name = String::new();
        let letters = 5 + rng.below(20);
        push_word(&mut name, rng, letters);
        let (price, paid) = (rng.below(100_000) as f64 / 100.0, rng.coin());
        let _ = write!(
            json,
            r#"{{"id":{id},"name":"{name}","paid":{paid},"price":{price},"note":null,"items":["#
        );
        for item in 0..rng.below(6) {
            let comma = if item == 0 { "" } else { "," };
            let count = rng.below(10);
            let _ = write!(
                json,
                r#"{comma}{{"sku":"{name}-{item}","count":{count},"tags":["new","a \"b\" c"]}}"#
            );
        }
        let _ = write!(
            json,
            r#"],"address":{{"street":"{name} road","city":"{name}","zip":"{id:05}"}}}}"#
        );
    }
    json.push(']');
    json
}

fn json_value(json: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(json).expect("the document is valid");
    let records = value.as_array().expect("it is an array");
    assert_eq!(records[records.len() - 1]["id"], records.len() - 1);
    let count = records.len() as u64;
    drop(black_box(value));
    count
}

#[derive(serde::Deserialize)]
struct Order {
    id: usize,
    name: String,
    note: Option<String>,
    items: Vec<Item>,
    address: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct Item {
    sku: String,
    tags: Vec<String>,
}

fn json_typed(json: &str) -> u64 {
    let orders: Vec<Order> = serde_json::from_str(json).expect("the document is valid");
    let last = orders.last().expect("it has records");
    assert!(last.id == orders.len() - 1 && last.note.is_none() && last.address["city"] == last.name);
    assert!(last
        .items
        .iter()
        .all(|item| item.sku.starts_with(&last.name) && item.tags.len() == 2));
    let count = orders.len() as u64;
    drop(black_box(orders));
    count
}

/// Patterns as programs have them, and whether they match the lines below.
const EXPRESSIONS: [(&str, bool); 6] = [
    (r"^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})Z", true),
    (r"(?i)\b(error|warning|info)\b", true),
    (r"([a-z0-9._%+-]+)@([a-z0-9.-]+\.[a-z]{2,})", true),
    (r"\b(?:\d{1,3}\.){3}\d{1,3}\b", true),
    (r#""([^"\\]|\\.)*""#, true),
    (r"^\p{Greek}+\s+(?P<rest>.*)$", false),
];

/// Lines of a log.
fn lines(rng: &mut Rng, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| {
            let mut user = String::new();
            push_word(&mut user, rng, 8);
            let (hour, a, b) = (rng.below(24), rng.below(256), rng.below(256));
            format!(
                "2024-05-17T{hour:02}:00:{:02}Z INFO {user}@example.org from 10.0.{a}.{b}: \"GET /{user}\"",
                n % 60
            )
        })
        .collect()
}

fn patterns(lines: &[String]) -> u64 {
    for (expression, matches) in EXPRESSIONS {
        let pattern = regex::Regex::new(expression).expect("the pattern is valid");
        let found = lines.iter().filter_map(|line| pattern.captures(line)).count();
        assert_eq!(found, if matches { lines.len() } else { 0 }, "{expression}");
        drop(black_box(pattern));
    }
    EXPRESSIONS.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::Request;

    #[test]
    fn every_workload_does_what_was_asked_for() {
        for workload in WORKLOADS {
            let request = Request {
                ops: Some(30),
                slots: Some(10),
                ..Request::default()
            };
            let cases = workload.cases(&request).unwrap();
            assert!(!cases.is_empty());
            for case in cases {
                let outcome = run(&case).unwrap();
                assert_eq!(outcome.tally.allocs, 30 * case.threads as u64, "{case:?}");
            }
        }
    }

    #[test]
    fn what_is_made_depends_on_the_seed_alone() {
        let make = |seed| document(&mut Rng::new(seed, 0), 20) + &text(&mut Rng::new(seed, 1), 20);
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
    }
}
