//! Starts the workers, in an order that is fair to all, and collects their results.
//!
//! Every round runs every case once on every contestant. Even rounds go through the contestants in order, odd ones
//! backwards (A B C, C B A, ...), so that a machine that drifts (heat, other load) drifts for all alike. One contestant
//! runs twice a round, under two labels: what those differ by is noise.

use std::{
    io::Read,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    peers::{self, Presence},
    programs,
    worker::{self, Measurement},
    workloads::{self, Case},
};

/// An allocator in the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contestant {
    pub peer: &'static str,
    /// How it is called when the same allocator takes part with other settings too.
    pub name: Option<String>,
    /// The second run of the same allocator, for the noise floor.
    pub again: bool,
    pub preload: Option<PathBuf>,
    /// What its process finds in its environment.
    pub env: Vec<(&'static str, String)>,
}

impl Contestant {
    pub fn of(peer: &'static str) -> Self {
        Contestant {
            peer,
            name: None,
            again: false,
            preload: None,
            env: Vec::new(),
        }
    }

    pub fn label(&self) -> String {
        let name = self.name.as_deref().unwrap_or(self.peer);
        if self.again {
            format!("{name} (again)")
        } else {
            name.to_owned()
        }
    }
}

/// Who takes part, and who does not and why.
#[derive(Clone, Debug, Default)]
pub struct Field {
    pub contestants: Vec<Contestant>,
    pub absent: Vec<(&'static str, String)>,
}

/// All peers, or those called `only`. The allocator that the noise floor is measured with (hakmem, or the first one if it
/// does not take part) appears a second time, at the end.
pub fn field(only: &[String]) -> Field {
    let mut field = Field::default();
    for peer in &peers::PEERS {
        if !only.is_empty() && !only.iter().any(|name| name == peer.name) {
            continue;
        }
        let preload = match (peer.presence)() {
            Presence::BuiltIn => None,
            Presence::Preload(path) => Some(path),
            Presence::Absent(why) => {
                field.absent.push((peer.name, why));
                continue;
            }
        };
        field.contestants.push(Contestant {
            preload,
            ..Contestant::of(peer.name)
        });
    }
    let twice = field
        .contestants
        .iter()
        .find(|c| c.peer == "hakmem")
        .or(field.contestants.first())
        .cloned();
    if let Some(twice) = twice {
        field.contestants.push(Contestant { again: true, ..twice });
    }
    field
}

/// The order of `count` contestants in a round: forwards in even rounds, backwards in odd ones.
pub fn order(round: usize, count: usize) -> Vec<usize> {
    if round % 2 == 0 {
        (0..count).collect()
    } else {
        (0..count).rev().collect()
    }
}

/// One run of one contestant on one case.
#[derive(Clone, Debug)]
pub struct Run {
    pub case: usize,
    pub contestant: usize,
    pub round: usize,
    /// Its place in the round, from 0.
    pub position: usize,
    pub result: Result<Measurement, String>,
}

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub rounds: usize,
    /// These are made in any case: fewer rounds make no median.
    pub least: usize,
    /// No round begins that would, at the pace so far, end after this.
    pub time: Option<Duration>,
}

/// A worker that takes longer than this is ended and counts as failed.
const WORKER_LIMIT: Duration = Duration::from_secs(120);

/// Runs the comparison; `measure` makes one run, `progress` is told before each. The order of the result is that of the
/// runs.
pub fn compare(
    cases: &[Case],
    contestants: &[Contestant],
    limits: Limits,
    mut progress: impl FnMut(&Case, &Contestant),
    mut measure: impl FnMut(&Contestant, &Case) -> Result<Measurement, String>,
) -> Vec<Run> {
    let start = Instant::now();
    let mut runs = Vec::new();
    for round in 0..limits.rounds {
        if let Some(limit) = limits.time {
            let pace = start.elapsed() / round.max(1) as u32;
            if round >= limits.least && start.elapsed() + pace > limit {
                break;
            }
        }
        for (case_index, case) in cases.iter().enumerate() {
            for (position, index) in order(round, contestants.len()).into_iter().enumerate() {
                let contestant = &contestants[index];
                progress(case, contestant);
                runs.push(Run {
                    case: case_index,
                    contestant: index,
                    round,
                    position,
                    result: measure(contestant, case),
                });
            }
        }
    }
    runs
}

/// Makes one run in a process of its own: this program again, as a worker, or the program of the allocator.
pub fn measure_in_worker(contestant: &Contestant, case: &Case) -> Result<Measurement, String> {
    let mut command = if workloads::RUST.iter().any(|workload| workload.name == case.workload) {
        Command::new(programs::path(contestant.peer)?)
    } else {
        let program = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        let mut command = Command::new(program);
        command.arg(worker::ARGUMENT);
        command
    };
    let case = serde_json::to_string(case).map_err(|e| e.to_string())?;
    command
        .args([contestant.peer, &case])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What this process was started with must not follow into the others.
        .env_remove("LD_PRELOAD")
        .envs(contestant.env.iter().map(|(name, value)| (name, value)));
    if let Some(library) = &contestant.preload {
        command.env("LD_PRELOAD", library);
    }
    let mut child = command.spawn().map_err(|e| format!("cannot start a worker: {e}"))?;
    let deadline = Instant::now() + WORKER_LIMIT;
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no result after {} s", WORKER_LIMIT.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(4)),
        }
    };
    let mut line = String::new();
    let mut complaint = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut line).map_err(|e| e.to_string())?;
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut complaint).map_err(|e| e.to_string())?;
    }
    if !status.success() {
        let complaint = complaint.lines().next_back().unwrap_or_default();
        return Err(format!("the worker failed ({status}): {complaint}"));
    }
    serde_json::from_str(line.trim()).map_err(|e| format!("the worker's result is not understood: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_alternate_their_direction() {
        assert_eq!(order(0, 3), [0, 1, 2]);
        assert_eq!(order(1, 3), [2, 1, 0]);
        assert_eq!(order(2, 3), [0, 1, 2]);
        // Over any pair of rounds, the places of a contestant add up to the same.
        let sum = |who| {
            (0..2)
                .map(|r| order(r, 5).iter().position(|&c| c == who).unwrap())
                .sum()
        };
        assert!((0..5).all(|who| {
            let places: usize = sum(who);
            places == 4
        }));
    }

    fn case() -> Case {
        Case {
            workload: "midlarge".into(),
            name: "own".into(),
            variant: "own".into(),
            threads: 1,
            ops: 1,
            slots: 1,
            seed: 1,
        }
    }

    #[test]
    fn every_contestant_runs_every_case_once_a_round_and_failures_do_not_stop_the_rest() {
        let field = [Contestant::of("system"), Contestant::of("hakmem")];
        let mut seen = Vec::new();
        let runs = compare(
            &[case(), case()],
            &field,
            Limits {
                rounds: 2,
                least: 1,
                time: None,
            },
            |_, who| seen.push(who.peer),
            |_, _| Err("no".into()),
        );
        let (s, h) = ("system", "hakmem");
        assert_eq!(seen, [s, h, s, h, h, s, h, s]);
        assert_eq!(runs.len(), 8);
        assert_eq!((runs[4].round, runs[4].position, runs[4].contestant), (1, 0, 1));
    }

    #[test]
    fn a_time_limit_in_the_past_leaves_the_least_number_of_rounds() {
        let limits = Limits {
            rounds: 50,
            least: 3,
            time: Some(Duration::ZERO),
        };
        let runs = compare(
            &[case()],
            &[Contestant::of("system")],
            limits,
            |_, _| (),
            |_, _| Err("no".into()),
        );
        assert_eq!(runs.len(), 3);
    }

    #[test]
    fn the_field_can_be_restricted_and_repeats_one() {
        let labels = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|s| (*s).to_owned()).collect();
            field(&only)
                .contestants
                .iter()
                .map(Contestant::label)
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(&["hakmem", "system"]), ["system", "hakmem", "hakmem (again)"]);
        assert_eq!(labels(&["system"]), ["system", "system (again)"]);
        assert_eq!(labels(&[]).last().unwrap(), "hakmem (again)");
    }
}
