//! The profile in the form of `pprof`: a message of `profile.proto`, compressed by gzip.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::string::{String, ToString};
use std::time::SystemTime;
use std::vec::Vec;
use std::{env, fs};

use flate2::{write::GzEncoder, Compression};
use prost::Message;

use super::proto::{Location, Mapping, Profile, Sample, ValueType};
use super::{Snapshot, Stack};

type Value = fn(&Stack) -> u64;

/// What a sample says, in the order of its values.
const VALUES: [(&str, &str, Value); 4] = [
    ("alloc_objects", "count", |stack| stack.total_blocks),
    ("alloc_space", "bytes", |stack| stack.total_bytes),
    ("inuse_objects", "count", |stack| stack.live_blocks),
    ("inuse_space", "bytes", |stack| stack.live_bytes),
];

/// The format has signed numbers.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The string table.
struct Strings {
    all: Vec<String>,
    places: HashMap<String, i64>,
}

impl Strings {
    fn new() -> Strings {
        let mut strings = Strings {
            all: Vec::new(),
            places: HashMap::new(),
        };
        strings.place("");
        strings
    }

    fn place(&mut self, text: &str) -> i64 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = signed(self.all.len() as u64);
        self.all.push(text.to_string());
        self.places.insert(text.to_string(), place);
        place
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueType {
        ValueType {
            kind: self.place(kind),
            unit: self.place(unit),
        }
    }
}

/// The mappings of code in lines of `/proc/self/maps`, with their files; those of `program` first.
fn mappings<'a>(maps: &'a str, program: &Path) -> Vec<(Mapping, &'a str)> {
    let mut all: Vec<_> = maps.lines().filter_map(mapping).collect();
    all.sort_by_key(|(_, file)| Path::new(file) != program);
    for (number, (mapping, _)) in (1..).zip(&mut all) {
        mapping.id = number;
    }
    all
}

/// `START-END PERMISSIONS OFFSET DEVICE INODE     FILE`, when it is code.
fn mapping(line: &str) -> Option<(Mapping, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (permissions, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let file = rest.splitn(3, ' ').nth(2)?.trim_start();
    let mapping = Mapping {
        memory_start: number(start)?,
        memory_limit: number(end)?,
        file_offset: number(offset)?,
        ..Mapping::default()
    };
    (permissions.contains('x') && !file.is_empty()).then_some((mapping, file))
}

/// The message. `mean` is the mean distance of samples in bytes.
fn profile(snapshot: &Snapshot, mappings: &[(Mapping, &str)], mean: u64, time_nanos: i64) -> Profile {
    let mut strings = Strings::new();
    let mut locations: Vec<Location> = Vec::new();
    let mut ids = HashMap::new();
    let mut id_of = |address: usize| {
        *ids.entry(address).or_insert_with(|| {
            // Right before the return address is the call.
            let address = (address as u64).saturating_sub(1);
            let of = mappings
                .iter()
                .find(|(mapping, _)| (mapping.memory_start..mapping.memory_limit).contains(&address));
            let id = locations.len() as u64 + 1;
            locations.push(Location {
                id,
                mapping_id: of.map_or(0, |(mapping, _)| mapping.id),
                address,
            });
            id
        })
    };
    let samples = snapshot.iter().map(|stack| Sample {
        location_id: stack.addresses.iter().map(|&address| id_of(address)).collect(),
        value: VALUES.iter().map(|(_, _, value)| signed(value(stack))).collect(),
    });
    Profile {
        sample: samples.collect(),
        sample_type: VALUES
            .iter()
            .map(|(kind, unit, _)| strings.value_type(kind, unit))
            .collect(),
        mapping: mappings
            .iter()
            .map(|(mapping, file)| Mapping {
                filename: strings.place(file),
                ..*mapping
            })
            .collect(),
        location: locations,
        time_nanos,
        period_type: Some(strings.value_type("space", "bytes")),
        period: signed(mean),
        default_sample_type: strings.place("inuse_space"),
        string_table: strings.all,
    }
}

impl Snapshot {
    /// Writes what was recorded in the form of `pprof`: a gzip-compressed message of its `profile.proto`, with the kinds of
    /// samples that Go has (`inuse_space`, `alloc_objects` and so on), which other tools read, too. Functions are not named in it:
    /// `pprof` finds the names in the program's file, and in those of its libraries.
    ///
    /// ```
    /// # #[global_allocator]
    /// # static ALLOCATOR: hakmem_rs::Hakmem = hakmem_rs::Hakmem;
    /// # use hakmem_rs::profile;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// profile::start(64 << 10)?;
    /// # let block = vec![0u8; 1 << 20];
    /// let mut file = Vec::new(); // or std::fs::File::create("heap.pb.gz")?
    /// profile::snapshot().write_pprof(&mut file)?;
    /// assert!(file.starts_with(&[0x1f, 0x8b]));
    /// # drop(block);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When `writer` has one.
    pub fn write_pprof(&self, writer: impl Write) -> io::Result<()> {
        // Without /proc there are no mappings, and all addresses are of none.
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let program = env::current_exe().unwrap_or_default();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let time_nanos = i64::try_from(now.as_nanos()).unwrap_or(0);
        let profile = profile(self, &mappings(&maps, &program), super::stats().mean_bytes, time_nanos);
        let mut encoder = GzEncoder::new(writer, Compression::default());
        encoder.write_all(&profile.encode_to_vec())?;
        encoder.finish()?.flush()
    }
}
