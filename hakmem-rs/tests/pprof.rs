//! The profile in pprof's form, read again by a decoder of its own: by the numbers that the format has, not by the types that
//! it was written with.

use std::collections::HashMap;
use std::env;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use flate2::read::GzDecoder;
use hakmem_rs::profile::{self, Snapshot};

#[global_allocator]
static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;

const MEAN: usize = 4096;

/// A message of protobuf: the values of its fields, by number. Those of numbers are also given packed.
#[derive(Default)]
struct Message<'a> {
    numbers: HashMap<u64, Vec<u64>>,
    bytes: HashMap<u64, Vec<&'a [u8]>>,
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return number;
        }
    }
    unreachable!()
}

impl<'a> Message<'a> {
    fn decode(mut bytes: &'a [u8]) -> Message<'a> {
        let mut message = Message::default();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            match key & 7 {
                0 => message.numbers.entry(key >> 3).or_default().push(varint(&mut bytes)),
                2 => {
                    let length = varint(&mut bytes);
                    let (value, rest) = bytes.split_at(usize::try_from(length).unwrap());
                    message.bytes.entry(key >> 3).or_default().push(value);
                    bytes = rest;
                }
                other => panic!("the format has no fields of kind {other}"),
            }
        }
        message
    }

    fn number(&self, field: u64) -> u64 {
        self.numbers.get(&field).map_or(0, |numbers| numbers[0])
    }

    /// A repeated field of numbers, packed.
    fn list(&self, field: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        for mut bytes in self.bytes.get(&field).into_iter().flatten().copied() {
            while !bytes.is_empty() {
                numbers.push(varint(&mut bytes));
            }
        }
        numbers
    }

    fn messages(&self, field: u64) -> Vec<Message<'a>> {
        let all = self.bytes.get(&field).into_iter().flatten();
        all.map(|bytes| Message::decode(bytes)).collect()
    }
}

#[inline(never)]
fn blocks(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| vec![1; 10_000]).collect()
}

/// A profile with blocks that are live and blocks that are freed, and what is written of it.
fn written() -> (Snapshot, Vec<u8>) {
    // There is one profile in a process.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    profile::reset();
    profile::start(MEAN).unwrap();
    let kept = blocks(300);
    drop(blocks(200));
    let snapshot = profile::snapshot();
    let mut file = Vec::new();
    snapshot.write_pprof(&mut file).unwrap();
    profile::stop();
    drop(kept);
    (snapshot, file)
}

#[test]
fn what_is_written_is_what_was_recorded() {
    let (snapshot, file) = written();
    let mut bytes = Vec::new();
    GzDecoder::new(&*file).read_to_end(&mut bytes).unwrap();
    let profile = Message::decode(&bytes);

    let strings: Vec<_> = profile.bytes[&6]
        .iter()
        .map(|text| std::str::from_utf8(text).unwrap())
        .collect();
    let string = |place: u64| strings[usize::try_from(place).unwrap()];
    assert_eq!(strings[0], "");
    let of_type = |message: &Message| (string(message.number(1)), string(message.number(2)));
    let types: Vec<_> = profile.messages(1).iter().map(of_type).collect();
    let expected = [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ];
    assert_eq!(types, expected);
    assert_eq!(of_type(&profile.messages(11)[0]), ("space", "bytes"));
    assert_eq!(profile.number(12), MEAN as u64);
    assert_eq!(string(profile.number(14)), "inuse_space");
    assert!(profile.number(9) > 1_700_000_000_000_000_000, "nanoseconds since 1970");

    // Code of files, the program first.
    let mappings = profile.messages(3);
    let program = env::current_exe().unwrap();
    assert_eq!(string(mappings[0].number(5)), program.to_str().unwrap());
    assert!(mappings.len() > 1, "the C library is another file");
    let locations: HashMap<u64, Message> = profile.messages(4).into_iter().map(|l| (l.number(1), l)).collect();
    for location in locations.values() {
        let mapping = mappings
            .iter()
            .find(|mapping| mapping.number(1) == location.number(2))
            .expect("all code here is of a file");
        assert!((mapping.number(2)..mapping.number(3)).contains(&location.number(3)));
    }

    // The stacks, in their order, with their addresses and figures.
    let samples = profile.messages(2);
    assert_eq!(samples.len(), snapshot.iter().count());
    for (sample, stack) in samples.iter().zip(&snapshot) {
        let addresses: Vec<_> = sample
            .list(1)
            .iter()
            .map(|id| locations[id].number(3) as usize + 1)
            .collect();
        assert_eq!(addresses, stack.addresses);
        let figures = [
            stack.total_blocks,
            stack.total_bytes,
            stack.live_blocks,
            stack.live_bytes,
        ];
        assert_eq!(sample.list(2), figures);
    }
    let live: u64 = samples.iter().map(|sample| sample.list(2)[3]).sum();
    let total: u64 = samples.iter().map(|sample| sample.list(2)[1]).sum();
    assert!(
        (2_700_000..3_600_000).contains(&live) && total > live + 1_500_000,
        "{live} of {total}"
    );
}

/// What reads such files besides: where Go is installed, its pprof.
#[test]
fn pprof_reads_it() {
    if Command::new("go")
        .arg("version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        println!("no Go here");
        return;
    }
    let path = env::temp_dir().join(format!("hakmem-{}.pb.gz", std::process::id()));
    std::fs::File::create(&path).unwrap().write_all(&written().1).unwrap();
    let output = Command::new("go")
        .args(["tool", "pprof", "-raw"])
        .arg(&path)
        .env("PPROF_TMPDIR", env::temp_dir())
        .output()
        .unwrap();
    std::fs::remove_file(path).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        text.contains("alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]"),
        "{text}"
    );
    assert!(text.contains(env::current_exe().unwrap().to_str().unwrap()), "{text}");
}
