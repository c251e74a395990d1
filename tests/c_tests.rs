//! Builds and runs the C tests, so that `cargo test` needs nothing but a C compiler.
//!
//! One test here is one C program: `c::<name>` for `tests/c/test_*.c` (the public interface, linked with the
//! `libhakmem.a` that the build script made) and `tests/c/unit_*.c` (which include the whole core, assertions on), and
//! `misuse::<name>` for `tests/misuse/*.c` (which must abort with the message that their first lines state), and
//! `process::<name>::<allocator>` for `tests/process/*` (which call malloc itself: `tests/process/process.h`). A new file
//! is a new test. `fuzz::replay` runs the corpus of `tests/fuzz`. A program is compiled when its test runs, so in parallel and only
//! if asked for, and again only when something it is made from is newer.
//!
//! `cargo test -p hakmem-src --test c_tests -- c::test_sizes` runs one. HAK_TEST_SEED and HAK_TEST_SHORT are explained in
//! `tests/c/testing.h`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use libtest_mimic::{Arguments, Failed, Trial};

/// How long a program may run; a hung one is killed and its output shown.
const TIMEOUT: Duration = Duration::from_secs(300);

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for source in sources("tests/c", &["test_", "unit_"]) {
        trials.push(Trial::test(format!("c::{}", stem(&source)), move || {
            run_c_test(&source)
        }));
    }
    for source in sources("tests/misuse", &[""]) {
        trials.push(Trial::test(format!("misuse::{}", stem(&source)), move || {
            run_misuse(&source)
        }));
    }
    for source in sources("tests/process", &[""]) {
        trials.extend(process_trials(&source));
    }
    trials.push(Trial::test("fuzz::replay", run_fuzz_replay));
    libtest_mimic::run(&arguments, trials).exit();
}

fn run_c_test(source: &Path) -> Result<(), Failed> {
    let name = stem(source);
    let mut build = Program::new(source, &name);
    build.include("tests/c").include("tests/third_party/cmocka");
    if name.starts_with("unit_") {
        build.include("c_src").depends_on("c_src");
    } else {
        build.links_library();
    }
    build.object(cmocka()?);
    run(Command::new(build.build()?), &name)
}

fn run_misuse(source: &Path) -> Result<(), Failed> {
    static CHECKER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let checker = CHECKER.get_or_init(|| Program::new(&root().join("tests/misuse/support/expect.c"), "expect").build());
    let name = format!("misuse_{}", stem(source));
    let program = Program::new(source, &name).links_library().build()?;
    let mut command = Command::new(checker.clone()?);
    command.arg(program).arg(source);
    run(command, &name)
}

/// The fuzzer's state machine, without libFuzzer, on its corpus and a few random inputs.
fn run_fuzz_replay() -> Result<(), Failed> {
    let folder = root().join("tests/fuzz");
    let mut build = Program::new(&folder.join("replay.c"), "fuzz_replay");
    build
        .include("c_src")
        .depends_on("c_src")
        .depends_on("tests/fuzz")
        .arguments(&["-DHAK_DEBUG=2", "-DFUZZ_CORPUS=\"tests/fuzz/corpus\""]);
    let mut command = Command::new(build.build()?);
    command.current_dir(root());
    run(command, "fuzz_replay")
}

/// One for each allocator of the line "runs: ..."; those in C++ are ignored where there is no compiler for it.
fn process_trials(source: &Path) -> Vec<Trial> {
    let text = fs::read_to_string(source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let runs = text
        .lines()
        .find_map(|line| line.split_once("runs: "))
        .unwrap_or_else(|| panic!("{} has no line \"runs: ...\"", source.display()))
        .1;
    let missing = is_cpp(source) && !has_cpp();
    let trial = |allocator| {
        let source = source.to_owned();
        let name = format!("process::{}::{allocator}", stem(&source));
        let trial = Trial::test(name, move || run_process(&source, allocator)).with_ignored_flag(missing);
        trial.with_kind(if missing { "no C++ compiler" } else { "" })
    };
    let allocators = ["system", "preload", "static", "background"].into_iter();
    allocators
        .filter(|allocator| runs.split_whitespace().any(|word| word == *allocator))
        .map(trial)
        .collect()
}

fn run_process(source: &Path, allocator: &'static str) -> Result<(), Failed> {
    let name = format!("process_{}", stem(source));
    process_libraries()?;
    let override_object = override_object()?;
    let no_builtin = ["-fno-builtin"]; // clang takes malloc to leave errno alone
    let program = {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(()); // two tests may be of the same program
        let _guard = ONE_AT_A_TIME.lock();
        if allocator == "static" {
            Program::new(source, &format!("{name}_static"))
                .arguments(&no_builtin)
                .object(override_object)
                .build()?
        } else {
            Program::new(source, &name).arguments(&no_builtin).build()?
        }
    };
    let mut command = Command::new(program);
    if allocator == "preload" || allocator == "background" {
        command.env("LD_PRELOAD", shared_library()?);
    }
    if allocator == "background" {
        command
            .env("HAKMEM_BACKGROUND", "1")
            .env("HAK_TEST_ALLOCATOR", "preload");
    } else {
        command.env("HAK_TEST_ALLOCATOR", allocator);
    }
    run(command, &format!("{name}_{allocator}"))
}

/// The core with malloc in it, as an object.
fn override_object() -> Result<PathBuf, String> {
    static OBJECT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    OBJECT
        .get_or_init(|| {
            let object = work_dir().join("override.o");
            let sources = [files(&root().join("c_src")), files(&root().join("include"))].concat();
            if is_current(&object, &sources) {
                return Ok(object);
            }
            let flags = fs::read_to_string(root().join("c_src/flags.txt")).map_err(|error| error.to_string())?;
            let mut command = compiler(false);
            command
                .args(flags.lines().filter(|line| !line.is_empty() && !line.starts_with('#')))
                .args(["-fPIC", "-DHAK_OVERRIDE=1", "-c", "-o"])
                .arg(&object)
                .arg("-I")
                .arg(root().join("include"))
                .arg("-I")
                .arg(root().join("c_src"))
                .arg(root().join("c_src/hakmem.c"));
            compile(command)?;
            Ok(object)
        })
        .clone()
}

/// libhakmem.so, as CMakeLists.txt links it.
fn shared_library() -> Result<PathBuf, String> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            let mut library = Program::new(&override_object()?, "libhakmem.so");
            library.arguments(&["-shared", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,nodelete"]);
            library.build()
        })
        .clone()
}

/// The shared libraries that process tests load, built beside the programs.
fn process_libraries() -> Result<(), String> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let build = |source: &PathBuf| -> Result<(), String> {
        let mut library = Program::new(source, &format!("lib_{}.so", stem(source)));
        library.arguments(&["-shared", "-fPIC"]);
        let text = fs::read_to_string(source).map_err(|error| error.to_string())?;
        if text.contains("links: libhakmem.a") {
            library.links_library();
        }
        if text.contains("links: libhakmem.so") {
            library.object(shared_library()?);
        }
        library.build().map(drop)
    };
    let sources = || sources("tests/process/lib", &[""]).into_iter();
    BUILT
        .get_or_init(|| {
            sources()
                .filter(|source| has_cpp() || !is_cpp(source))
                .try_for_each(|source| build(&source))
        })
        .clone()
}

/// Runs a test program to its end. What it prints is part of the failure.
fn run(mut command: Command, name: &str) -> Result<(), Failed> {
    let log_path = work_dir().join(format!("{name}.log"));
    let log = File::create(&log_path).map_err(|error| format!("{}: {error}", log_path.display()))?;
    let second = log.try_clone().map_err(|error| error.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(second)
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let deadline = Instant::now() + TIMEOUT;
    let verdict = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => break describe(status),
            None if Instant::now() > deadline => {
                // Both may fail only when it has just ended, which is what they are for.
                let _ = child.kill();
                let _ = child.wait();
                break format!("hung, and was killed after {} seconds", TIMEOUT.as_secs());
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let output = fs::read(&log_path).unwrap_or_default();
    Err(format!("{name} {verdict}. Its output:\n{}", String::from_utf8_lossy(&output)).into())
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

// ---- Compiling ------------------------------------------------------------------------------------------------------

/// A C program of one source file, and what it is linked with.
struct Program {
    source: PathBuf,
    name: String,
    includes: Vec<PathBuf>,
    objects: Vec<PathBuf>,
    arguments: Vec<&'static str>,
    dependencies: Vec<PathBuf>,
}

impl Program {
    fn new(source: &Path, name: &str) -> Self {
        let mut program = Self {
            source: source.to_owned(),
            name: name.to_owned(),
            includes: Vec::new(),
            objects: Vec::new(),
            arguments: Vec::new(),
            dependencies: vec![source.to_owned()],
        };
        program.include("include");
        let folder = source.parent().expect("a source file is in a folder");
        for header in files(&folder.join("support")).into_iter().chain(files(folder)) {
            if header.extension() == Some(OsStr::new("h")) {
                program.dependencies.push(header);
            }
        }
        program.dependencies.extend(files(&root().join("include")));
        program
    }

    fn include(&mut self, folder: &str) -> &mut Self {
        self.includes.push(root().join(folder));
        self
    }

    fn object(&mut self, path: PathBuf) -> &mut Self {
        self.dependencies.push(path.clone());
        self.objects.push(path);
        self
    }

    fn arguments(&mut self, arguments: &[&'static str]) -> &mut Self {
        self.arguments.extend(arguments);
        self
    }

    fn depends_on(&mut self, folder: &str) -> &mut Self {
        self.dependencies.extend(files(&root().join(folder)));
        self
    }

    /// `libhakmem.a` as the build script of this package made it: what Rust programs get.
    fn links_library(&mut self) -> &mut Self {
        self.object(Path::new(env!("OUT_DIR")).join("libhakmem.a"))
    }

    fn build(&self) -> Result<PathBuf, String> {
        let program = work_dir().join(&self.name);
        if is_current(&program, &self.dependencies) {
            return Ok(program);
        }
        // Written under another name and moved, so that an interrupted build leaves nothing that looks current.
        let unfinished = program.with_extension("new");
        let mut command = compiler(is_cpp(&self.source));
        for include in &self.includes {
            command.arg("-I").arg(include);
        }
        command
            .args(&self.arguments)
            .arg("-o")
            .arg(&unfinished)
            .arg(&self.source)
            .args(&self.objects)
            .args(["-pthread", "-ldl"]);
        compile(command)?;
        fs::rename(&unfinished, &program).map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(program)
    }
}

/// The object file of the test framework.
fn cmocka() -> Result<PathBuf, String> {
    static OBJECT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    OBJECT
        .get_or_init(|| {
            let folder = root().join("tests/third_party/cmocka");
            let object = work_dir().join("cmocka.o");
            if is_current(&object, &files(&folder)) {
                return Ok(object);
            }
            let mut command = compiler(false);
            command
                .args(["-w", "-DHAVE_CONFIG_H", "-c", "-I"])
                .arg(&folder)
                .arg("-o")
                .arg(&object);
            compile({
                command.arg(folder.join("cmocka.c"));
                command
            })?;
            Ok(object)
        })
        .clone()
}

/// The compiler that `cc` finds (the environment variables CC and CXX win), with the flags that all programs share.
fn compiler(cpp: bool) -> Command {
    let environment = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let target = format!("{}-unknown-linux-{environment}", std::env::consts::ARCH);
    let mut command = cc::Build::new()
        .cpp(cpp)
        .cargo_metadata(false)
        .target(&target)
        .host(&target)
        .opt_level(1)
        .debug(true)
        .out_dir(work_dir())
        .get_compiler()
        .to_command();
    let standard = if cpp { "-std=c++17" } else { "-std=c11" };
    command.args([standard, "-D_GNU_SOURCE", "-pthread"]);
    command
}

fn is_cpp(source: &Path) -> bool {
    source.extension() == Some(OsStr::new("cpp"))
}

fn has_cpp() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let output = compiler(true).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    })
}

fn compile(mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// Whether `product` exists and is newer than everything it is made from, this harness included.
fn is_current(product: &Path, dependencies: &[PathBuf]) -> bool {
    let modified = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    let Some(built) = modified(product) else { return false };
    let harness = std::env::current_exe().ok();
    dependencies
        .iter()
        .chain(&harness)
        .all(|path| modified(path).is_some_and(|time| time < built))
}

// ---- Files ----------------------------------------------------------------------------------------------------------

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// In the target folder; cargo makes it.
fn work_dir() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c_tests");
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    folder
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The C and C++ sources in a folder whose name begins with one of the prefixes, sorted.
fn sources(folder: &str, prefixes: &[&str]) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut sources: Vec<PathBuf> = entries
        .map(|entry| {
            entry
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
                .path()
        })
        .filter(|path| path.extension() == Some(OsStr::new("c")) || is_cpp(path))
        .filter(|path| prefixes.iter().any(|prefix| stem(path).starts_with(prefix)))
        .collect();
    assert!(!sources.is_empty(), "no tests in {}", folder.display());
    sources.sort();
    sources
}

/// All files below a folder; none when there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
