//! That arguments reach the cases, and wrong ones are answered.

use super::*;
use clap::CommandFactory;

fn parse(args: &str) -> Result<Cli, String> {
    Cli::try_parse_from(std::iter::once("hakmem-bench").chain(args.split_whitespace())).map_err(|e| e.to_string())
}

/// The cases of midlarge, which these arguments must ask for.
fn midlarge(args: &str) -> Result<(MidLarge, Vec<workloads::Case>), String> {
    let cli = parse(args)?;
    let args = match cli.command {
        None => cli.midlarge,
        Some(Command::Midlarge(args)) => args,
        other => panic!("{other:?}"),
    };
    let cases = workloads::find("midlarge").unwrap().cases(&args.request())?;
    Ok((args, cases))
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn no_arguments_mean_midlarge_with_the_default_cases() {
    let (args, cases) = midlarge("").unwrap();
    let first = &cases[0];
    assert_eq!(first.name, "own, short, 2 threads");
    assert_eq!(
        (first.threads, first.ops, first.slots, first.seed),
        (2, 40_000, 2048, 42)
    );
    assert_eq!(cases.len(), 6);
    assert_eq!(args.limits().rounds, ROUNDS);
    assert_eq!(args.limits().time, Some(TIME_LIMIT));
    assert!(args.takes_the_usual_time());
}

#[test]
fn arguments_reach_the_cases() {
    let (args, cases) = midlarge(
        "midlarge --threads 8 --ops 1000 --slots 64 --seed 7 --variant own,pipe --rounds 2 --only hakmem,system",
    )
    .unwrap();
    let names: Vec<_> = cases.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["own, 8 threads", "pipe, 8 threads"]);
    assert!(cases
        .iter()
        .all(|c| (c.threads, c.ops, c.slots, c.seed) == (8, 1000, 64, 7)));
    assert_eq!((args.limits().rounds, args.limits().time), (2, None));
    assert_eq!(args.sizes.common.only, ["hakmem", "system"]);
}

#[test]
fn quick_keeps_the_reports_command_and_shortens_the_others() {
    let (_, cases) = midlarge("--quick").unwrap();
    assert_eq!(cases[0].ops, 40_000);
    let (_, full) = midlarge("").unwrap();
    assert!(cases[1..]
        .iter()
        .zip(&full[1..])
        .all(|(quick, full)| quick.ops < full.ops));
}

#[test]
fn suites_take_their_workloads_and_make_five_rounds() {
    let cli = parse("small --workload larson,tree --threads 16 --ops 7").unwrap();
    let Some(Command::Small(args)) = cli.command else {
        panic!("{cli:?}")
    };
    assert_eq!(args.workload, ["larson", "tree"]);
    assert_eq!(args.limits(100).least, 5);
    let request = args.request();
    let cases = workloads::find("larson").unwrap().cases(&request).unwrap();
    let [case] = &cases[..] else {
        panic!("two settings became one: {cases:?}")
    };
    assert_eq!(
        (case.name.as_str(), case.threads, case.ops),
        ("larson, 16 threads", 16, 7)
    );
    let cli = parse("large --rounds 1").unwrap();
    let Some(Command::Large(args)) = cli.command else {
        panic!("{cli:?}")
    };
    assert_eq!((args.limits(100).rounds, args.limits(100).time), (1, None));
}

#[test]
fn names_of_cases_are_unique_in_each_suite() {
    for suite in [
        workloads::MIDLARGE,
        workloads::SMALL,
        workloads::CLASSIC,
        workloads::LARGE,
        workloads::RUST,
        workloads::LATENCY,
        workloads::ACE,
    ] {
        let cases = suite.iter().flat_map(|w| w.cases(&Request::default()).unwrap());
        let mut names: Vec<String> = cases.map(|case| case.name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
    }
}

#[test]
fn scale_shares_the_operations_among_the_threads() {
    let cli = parse("scale --threads 1,3,4 --workload own,pipe,prodcons --ops 100").unwrap();
    let Some(Command::Scale(args)) = cli.command else {
        panic!("{cli:?}")
    };
    let cases = scale::cases(&args).unwrap();
    let told: Vec<_> = cases.iter().map(|c| (c.name.as_str(), c.ops)).collect();
    let own = [("own, 1 thread", 100), ("own, 3 threads", 34), ("own, 4 threads", 25)];
    let pipe = [("pipe, 4 threads", 25)];
    let prodcons = [("prodcons, 1 thread", 100), ("prodcons, 4 threads", 25)];
    assert_eq!(told, [&own[..], &pipe, &prodcons].concat());

    let cli = parse("scale --threads 1,3 --workload pipe").unwrap();
    let Some(Command::Scale(args)) = cli.command else {
        panic!("{cli:?}")
    };
    assert!(scale::cases(&args).unwrap_err().contains("even"));
}

#[test]
fn wrong_arguments_are_answered_with_what_is_allowed() {
    for (args, answer) in [
        ("--only hakmen", "possible values: system, mimalloc,"),
        ("--variant private", "possible values: own, shared, pipe"),
        ("larg", "similar subcommands exist: 'midlarge', 'large'"),
        ("small --workload larsen", "possible values: churn, pairs, larson,"),
        ("large --workload larson", "possible values: huge, vector,"),
        (
            "scale --workload pipes",
            "possible values: own, shared, pipe, larson, prodcons",
        ),
        ("--threads 0", "0 is not in 1..=1024"),
        ("--rounds x", "invalid digit"),
    ] {
        let error = parse(args).unwrap_err();
        assert!(error.contains(answer), "{args}: {error}");
    }
}

#[test]
fn pipe_with_an_odd_number_of_threads_is_refused() {
    let error = midlarge("--threads 3").unwrap_err();
    assert!(error.contains("even"), "{error}");
    let (_, cases) = midlarge("--threads 3 --variant own,shared").unwrap();
    assert_eq!(cases.len(), 3);
}
