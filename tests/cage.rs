//! Children that are held: each kind of misbehaviour is one failed question, and the next one is
//! answered. Has no harness, as it starts itself as the child.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    process::{ExitCode, Stdio},
    time::Duration,
};

use unface::cage::{self, Allowance, CageError, Launcher, Pool};

/// Bytes that a question may take.
const LITTLE: u64 = 64 << 20;

/// What the child does. Each misbehaviour is what a taken-over decoder would try.
fn handler(question: Vec<u8>, answer: &mut dyn Write) -> io::Result<()> {
    let text = String::from_utf8_lossy(&question).into_owned();
    let (what, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let told = match what {
        "echo" => rest.to_owned(),
        "open" => format!("{:?}", fs::File::open(rest).map_err(|e| e.kind())),
        "create" => format!("{:?}", fs::File::create(rest).map_err(|e| e.kind())),
        "list" => format!("{:?}", fs::read_dir(rest).map(|_| ()).map_err(|e| e.kind())),
        "variables" => std::env::vars_os().count().to_string(),
        "threads" => std::thread::spawn(|| "done".to_owned()).join().unwrap(),
        "connect" => format!("{:?}", std::net::TcpStream::connect("127.0.0.1:9")),
        "resolve" => {
            use std::net::ToSocketAddrs;
            format!("{:?}", "example.org:80".to_socket_addrs().map(|_| ()))
        }
        "socket" => format!("{:?}", std::os::unix::net::UnixStream::pair().map(|_| ())),
        "program" => format!("{:?}", std::process::Command::new("/bin/true").status()),
        "signal" => {
            let parent = rustix::process::Pid::from_raw(rest.parse().unwrap()).unwrap();
            let sent = rustix::process::kill_process(parent, rustix::process::Signal::USR1);
            format!("{sent:?}")
        }
        "abort" => std::process::abort(),
        "recurse" => recurse(1).to_string(),
        "spin" => loop {
            std::hint::black_box(0);
        },
        "sleep" => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        "eat" => {
            let mut all = Vec::new();
            loop {
                all.push(std::hint::black_box(vec![1u8; 16 << 20]));
            }
        }
        "leave" => std::process::exit(3),
        "babble" => {
            answer.write_all(&[7; 100])?;
            String::new()
        }
        other => panic!("{other}"),
    };
    answer.write_all(&(told.len() as u64).to_le_bytes())?;
    answer.write_all(told.as_bytes())
}

#[allow(unconditional_recursion)]
fn recurse(n: u64) -> u64 {
    std::hint::black_box([n; 1024]);
    recurse(n + 1) + std::hint::black_box(1)
}

fn read(from: &mut dyn Read) -> io::Result<String> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > 1 << 30 {
        return Err(io::Error::other("an absurd length"));
    }
    let mut text = String::new();
    from.take(length).read_to_string(&mut text)?;
    Ok(text)
}

fn ask(pool: &Pool, question: &str) -> Result<String, CageError> {
    // Only what never ends is to be short of time, however busy the machine is.
    let endless = matches!(question, "spin" | "sleep");
    let seconds = if endless { 1 } else { 100 };
    let allowance = Allowance {
        memory: LITTLE,
        time: Duration::from_secs(seconds),
        patience: Duration::from_secs(6 * seconds),
    };
    pool.ask(&[question.as_bytes()], allowance, true, read)
}

/// That `question` ends the child in this way, and the next one is answered by another.
#[track_caller]
fn ends(pool: &Pool, question: &str, why: &str) {
    let error = ask(pool, question).unwrap_err().to_string();
    assert!(error.contains(why), "{question}: {error}");
    assert_eq!(
        ask(pool, "echo again").unwrap(),
        "again",
        "after {question}"
    );
}

/// That `question` is answered with a refusal of the system's.
#[track_caller]
fn refused(pool: &Pool, question: &str) {
    let answer = ask(pool, question).unwrap();
    assert!(
        answer.contains("Err(PermissionDenied)"),
        "{question}: {answer}"
    );
}

fn answers_come_and_children_are_used_again(pool: &Pool) {
    for n in 0..50 {
        assert_eq!(ask(pool, &format!("echo {n}")).unwrap(), n.to_string());
    }
    let large = "x".repeat(5 << 20);
    assert_eq!(ask(pool, &format!("echo {large}")).unwrap(), large);
    std::thread::scope(|scope| {
        for t in 0..4 {
            scope.spawn(move || {
                for n in 0..20 {
                    let text = format!("{t} {n}");
                    assert_eq!(ask(pool, &format!("echo {text}")).unwrap(), text);
                }
            });
        }
    });
}

fn a_child_sees_no_variables(pool: &Pool) {
    assert_eq!(ask(pool, "variables").unwrap(), "0");
}

fn threads_of_its_own_are_allowed(pool: &Pool) {
    assert_eq!(ask(pool, "threads").unwrap(), "done");
}

fn a_crash_is_one_failed_question(pool: &Pool) {
    ends(pool, "abort", "it gave up");
    ends(pool, "recurse", "broke its decoder");
    ends(pool, "leave", "broke its decoder");
    ends(pool, "babble", "makes no sense");
}

fn time_and_memory_are_bounded(pool: &Pool) {
    ends(pool, "spin", "busy for more than 1 s");
    ends(pool, "sleep", "busy for more than 1 s");
    ends(pool, "eat", "broke its decoder");
}

fn files_can_be_neither_read_nor_made(pool: &Pool) {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    refused(pool, "open /etc/passwd");
    refused(pool, &format!("create {}", made.display()));
    refused(pool, "list /");
    assert!(!made.exists());
}

fn there_is_no_network_and_no_other_process(pool: &Pool) {
    let why = "what no decoder needs";
    ends(pool, "connect", why);
    // The resolver begins with files that can't be read; some give up there, which is as good.
    let resolved = ask(pool, "resolve");
    assert!(
        resolved
            .as_ref()
            .map_or(true, |answer| answer.contains("Err")),
        "{resolved:?}"
    );
    ends(pool, "socket", why);
    ends(pool, "program", why);
    ends(pool, &format!("signal {}", std::process::id()), why);
}

/// What `program` in the cage says and how it ends. `input`, `output`: its files, if any.
fn run(
    launcher: Launcher,
    program: &str,
    args: &[&str],
    input: Option<&Path>,
    output: Option<&Path>,
) -> (bool, String) {
    let mut command = launcher.command(Path::new(program)).unwrap();
    command.env_clear().args(args);
    command.stdin(input.map_or(Stdio::null(), |p| fs::File::open(p).unwrap().into()));
    if let Some(path) = output {
        command.stdout(fs::File::options().write(true).open(path).unwrap());
    }
    let out = command.stderr(Stdio::piped()).output().unwrap();
    let said = [&out.stdout[..], &out.stderr[..]].concat();
    (
        out.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn programs_reach_their_own_files_only(launcher: Launcher) {
    let dir = tempfile::tempdir().unwrap();
    let [input, output, other] = ["in", "out", "other"].map(|n| dir.path().join(n));
    for path in [&input, &output, &other] {
        fs::write(path, "content").unwrap();
    }
    let cat = ["/bin/cat", "/usr/bin/cat"];
    let cat = cat.iter().find(|p| Path::new(p).exists()).unwrap();
    let own = run(launcher, cat, &["/proc/self/fd/0"], Some(&input), None);
    assert_eq!(own, (true, "content".into()), "its own input");
    let others = run(
        launcher,
        cat,
        &[other.to_str().unwrap()],
        Some(&input),
        None,
    );
    assert!(!others.0 && others.1.contains("denied"), "{others:?}");
    let secret = run(launcher, cat, &["/etc/passwd"], None, None);
    assert!(!secret.0 && secret.1.contains("denied"), "{secret:?}");

    let shell = "/bin/sh";
    let write = |script: &str| {
        run(
            launcher,
            shell,
            &["-c", script],
            Some(&input),
            Some(&output),
        )
    };
    assert!(write("echo covered > /proc/self/fd/1").0);
    assert_eq!(fs::read_to_string(&output).unwrap(), "covered\n");
    for script in [
        format!("echo no > {}", other.display()),
        format!("echo no > {}", dir.path().join("new").display()),
        "echo no > /proc/self/fd/0".into(),
        "exec /usr/bin/env".into(),
    ] {
        let result = write(&script);
        assert!(!result.0, "{script}: {result:?}");
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "content");
    assert_eq!(fs::read_to_string(&input).unwrap(), "content");
    assert!(!dir.path().join("new").exists());
}

fn programs_have_no_network(launcher: Launcher) {
    if !Path::new("/bin/bash").exists() {
        println!("    skipped: there is no bash");
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("echo hello > /dev/tcp/127.0.0.1/{port}");
    // Outside it must be reached, or the test would test nothing.
    let outside = std::process::Command::new("/bin/bash")
        .args(["-c", &script])
        .stderr(Stdio::null())
        .status();
    if !outside.unwrap().success() {
        println!("    skipped: there is no network here at all");
        return;
    }
    let result = run(launcher, "/bin/bash", &["-c", &script], None, None);
    assert!(
        !result.0 && result.1.contains("not permitted"),
        "{result:?}"
    );
}

/// A test's name, whether it needs the whole cage, and what it does.
type Trial<A> = (&'static str, bool, fn(A));

fn main() -> ExitCode {
    let launcher = match cage::enter(&handler) {
        Ok(launcher) => launcher,
        Err(code) => return code,
    };
    // `cargo test` asks every target for its list.
    if std::env::args().any(|a| a == "--list") {
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let pool = Pool::new(launcher, 8 * LITTLE).unwrap();
    let strength = pool.strength();
    println!("held by {strength}");
    let full = strength.missing().is_none();
    let on_pool: [Trial<&Pool>; 7] = [
        (
            "answers_come_and_children_are_used_again",
            false,
            answers_come_and_children_are_used_again,
        ),
        (
            "a_child_sees_no_variables",
            false,
            a_child_sees_no_variables,
        ),
        (
            "threads_of_its_own_are_allowed",
            false,
            threads_of_its_own_are_allowed,
        ),
        (
            "a_crash_is_one_failed_question",
            false,
            a_crash_is_one_failed_question,
        ),
        (
            "time_and_memory_are_bounded",
            false,
            time_and_memory_are_bounded,
        ),
        (
            "files_can_be_neither_read_nor_made",
            true,
            files_can_be_neither_read_nor_made,
        ),
        (
            "there_is_no_network_and_no_other_process",
            true,
            there_is_no_network_and_no_other_process,
        ),
    ];
    let on_programs: [Trial<Launcher>; 2] = [
        (
            "programs_reach_their_own_files_only",
            true,
            programs_reach_their_own_files_only,
        ),
        ("programs_have_no_network", true, programs_have_no_network),
    ];
    let pool = &pool;
    let all = on_pool
        .into_iter()
        .map(|(name, full, test)| (name, full, Box::new(move || test(pool)) as Box<dyn Fn()>))
        .chain(on_programs.into_iter().map(|(name, full, test)| {
            (
                name,
                full,
                Box::new(move || test(launcher)) as Box<dyn Fn()>,
            )
        }));
    for (name, needs_full, test) in all {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        if needs_full && !full {
            println!("test {name} ... skipped: this system holds children by less");
            continue;
        }
        // A failure is a panic, which ends the program with a code of failure.
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}
