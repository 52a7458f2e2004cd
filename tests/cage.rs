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
        #[cfg(target_os = "linux")]
        "owner" | "map" | "limits" => probe::with_input(what),
        #[cfg(target_os = "linux")]
        "descriptors" => probe::descriptors(),
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

/// What a taken-over program would try, each a line `name=OK` or `name=number of the error`. The
/// calls themselves, as libraries would turn some of them into others.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod probe {
    use std::{ffi::CString, io};

    /// Of `fcntl`; libc does not name it.
    const F_SETSIG: i64 = 10;

    /// Calls that reach a file of somebody else; `stat` and its kin apart, which only ask.
    const ASKS: [&str; 4] = ["newfstatat", "statx", "faccessat", "readlinkat"];

    pub fn only_asks(name: &str) -> bool {
        ASKS.contains(&name)
    }

    fn call(name: &str, number: libc::c_long, args: &[i64]) -> String {
        let arg = |n: usize| args.get(n).copied().unwrap_or(0);
        // SAFETY: pointers among the arguments are of texts and buffers that outlive the call.
        let result =
            unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
        if result == 0 && matches!(name, "fork" | "clone") {
            std::process::exit(0);
        }
        match result {
            -1 => format!(
                "{name}={}\n",
                io::Error::last_os_error().raw_os_error().unwrap_or(0)
            ),
            _ => format!("{name}=OK\n"),
        }
    }

    macro_rules! calls {
        ($($name:ident($($arg:expr),*)),* $(,)?) => {
            [$((stringify!($name), numbers::$name, vec![$($arg as i64),*])),*]
                .into_iter()
                .map(|(name, number, args)| call(name, number, &args))
                .collect::<String>()
        };
    }

    /// Numbers of calls by their names.
    mod numbers {
        #![allow(non_upper_case_globals)]
        macro_rules! consts {
            ($($name:ident = $number:ident),* $(,)?) => {
                $(pub const $name: libc::c_long = libc::$number;)*
            };
        }
        consts! {
            openat = SYS_openat, newfstatat = SYS_newfstatat, statx = SYS_statx,
            faccessat = SYS_faccessat, readlinkat = SYS_readlinkat, fchmodat = SYS_fchmodat,
            fchownat = SYS_fchownat, utimensat = SYS_utimensat, setxattr = SYS_setxattr,
            lsetxattr = SYS_lsetxattr, removexattr = SYS_removexattr, truncate = SYS_truncate,
            unlinkat = SYS_unlinkat, renameat2 = SYS_renameat2, linkat = SYS_linkat,
            symlinkat = SYS_symlinkat, mkdirat = SYS_mkdirat, mknodat = SYS_mknodat,
            name_to_handle_at = SYS_name_to_handle_at,
            fchmod = SYS_fchmod, fchown = SYS_fchown, fsetxattr = SYS_fsetxattr,
            kill = SYS_kill, tgkill = SYS_tgkill, tkill = SYS_tkill,
            rt_sigqueueinfo = SYS_rt_sigqueueinfo, rt_tgsigqueueinfo = SYS_rt_tgsigqueueinfo,
            prlimit64 = SYS_prlimit64, sched_setaffinity = SYS_sched_setaffinity,
            sched_setscheduler = SYS_sched_setscheduler, sched_setattr = SYS_sched_setattr,
            setpriority = SYS_setpriority, ioprio_set = SYS_ioprio_set, getpgid = SYS_getpgid,
            ptrace = SYS_ptrace, process_vm_readv = SYS_process_vm_readv,
            pidfd_open = SYS_pidfd_open, kcmp = SYS_kcmp, clone = SYS_clone, clone3 = SYS_clone3,
            fcntl = SYS_fcntl, ioctl = SYS_ioctl,
            shmget = SYS_shmget, shmat = SYS_shmat, msgget = SYS_msgget, semget = SYS_semget,
            mq_open = SYS_mq_open, socket = SYS_socket, socketpair = SYS_socketpair,
            io_uring_setup = SYS_io_uring_setup, unshare = SYS_unshare, setns = SYS_setns,
            mount = SYS_mount, chroot = SYS_chroot, bpf = SYS_bpf,
            perf_event_open = SYS_perf_event_open, userfaultfd = SYS_userfaultfd,
            keyctl = SYS_keyctl, add_key = SYS_add_key, inotify_init1 = SYS_inotify_init1,
            fanotify_init = SYS_fanotify_init, landlock = SYS_landlock_create_ruleset,
            chdir = SYS_chdir, mmap = SYS_mmap,
        }
        // The same for both: it may be another call on some machine, and is none on others.
        pub const x32_getpid: libc::c_long = 0x4000_0000 + 39;
        pub const setxattrat: libc::c_long = 463;
        pub const fchmodat2: libc::c_long = 452;
        pub const setpriority_of_user: libc::c_long = libc::SYS_setpriority;
        pub const fcntl_notify: libc::c_long = libc::SYS_fcntl;
        pub const unlock_parent_death: libc::c_long = libc::SYS_prctl;
    }

    /// Everything; `victim`: a file of somebody else, `link`: a link, `segment`: shared memory.
    pub fn all(victim: &str, link: &str, segment: i64) -> String {
        files(victim, link) + &processes() + &kernel(segment)
    }

    fn files(victim: &str, link: &str) -> String {
        let here = i64::from(libc::AT_FDCWD);
        let text = |t: &str| CString::new(t).unwrap();
        let (path, link, new) = (text(victim), text(link), text(&format!("{victim}.new")));
        let (path, link, new) = (path.as_ptr(), link.as_ptr(), new.as_ptr());
        let name = text("user.a");
        let name = name.as_ptr();
        let mut room = [0u8; 4096];
        let room = room.as_mut_ptr();
        let one = [1u64; 16];
        let one = one.as_ptr();
        calls! {
            openat(here, path, libc::O_RDONLY),
            openat(here, path, libc::O_WRONLY),
            openat(here, new, libc::O_CREAT | libc::O_WRONLY, 0o600),
            newfstatat(here, path, room, 0), statx(here, path, 0, 0x7ff, room),
            faccessat(here, path, 0), readlinkat(here, link, room, 4096),
            fchmodat(here, path, 0o666), fchmodat2(here, path, 0o666, 0),
            fchownat(here, path, -1, -1, 0), utimensat(here, path, 0, 0),
            setxattr(path, name, c"b".as_ptr(), 1, 0), lsetxattr(path, name, c"b".as_ptr(), 1, 0),
            setxattrat(here, path, 0, name, one, 128), removexattr(path, name),
            truncate(path, 0), linkat(here, path, here, new, 0),
            symlinkat(path, here, new), mkdirat(here, new, 0o700),
            mknodat(here, new, libc::S_IFREG | 0o600, 0),
            name_to_handle_at(here, path, room, room, 0),
            renameat2(here, path, here, new, 0), unlinkat(here, path, 0),
            fchmod(1, 0o600), fchown(1, -1, -1), fsetxattr(1, name, c"b".as_ptr(), 1, 0),
        }
    }

    fn processes() -> String {
        let mut room = [0u8; 4096];
        let room = room.as_mut_ptr();
        let one = [1u64; 16];
        let one = one.as_ptr();
        // SAFETY: it only asks.
        let parent = unsafe { libc::getppid() };
        calls! {
            kill(parent, 0), tgkill(parent, parent, 0), tkill(parent, 0),
            rt_sigqueueinfo(parent, 0, room), rt_tgsigqueueinfo(parent, parent, 0, room),
            prlimit64(parent, libc::RLIMIT_CORE, 0, room),
            sched_setaffinity(parent, 128, one), sched_setscheduler(parent, 0, room),
            sched_setattr(parent, room, 0), setpriority(0, parent, 19),
            setpriority_of_user(2, 0, 19), ioprio_set(1, parent, 2 << 13), getpgid(parent),
            ptrace(16, parent, 0, 0), process_vm_readv(parent, one, 0, one, 0, 0),
            pidfd_open(parent, 0), kcmp(parent, parent, 0, 0, 0),
            clone(libc::SIGCHLD), clone3(one, 64),
            fcntl(1, libc::F_SETOWN, parent), fcntl_notify(1, F_SETSIG, 9),
            ioctl(1, libc::TIOCSTI, c"x".as_ptr()),
            unlock_parent_death(libc::PR_SET_PDEATHSIG, 0),
        }
    }

    fn kernel(segment: i64) -> String {
        let mut room = [0u8; 4096];
        let room = room.as_mut_ptr();
        let name = c"user.a".as_ptr();
        let ipc = libc::IPC_CREAT | 0o600;
        calls! {
            shmget(libc::IPC_PRIVATE, 4096, ipc), shmat(segment, 0, 0),
            msgget(libc::IPC_PRIVATE, ipc), semget(libc::IPC_PRIVATE, 1, ipc),
            mq_open(c"unface-test".as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o600, 0),
            socket(libc::AF_UNIX, libc::SOCK_STREAM, 0), socket(libc::AF_INET, libc::SOCK_STREAM, 0),
            socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, room),
            io_uring_setup(4, room), setns(0, 0),
            mount(0, c"/".as_ptr(), 0, libc::MS_REC | libc::MS_PRIVATE, 0),
            chroot(c"/usr".as_ptr()), chdir(c"/usr".as_ptr()),
            bpf(0, room, 128), perf_event_open(room, 0, -1, -1, 0), userfaultfd(1),
            keyctl(0, -3, 0), add_key(c"user".as_ptr(), name, c"b".as_ptr(), 1, -3),
            inotify_init1(0), fanotify_init(0, 0), landlock(0, 0, 1), x32_getpid(),
            unshare(libc::CLONE_NEWUSER),
        }
    }

    /// Descriptors that are open, but for standard input, output and error.
    pub fn descriptors() -> String {
        // SAFETY: it only asks.
        let open = |n: &i32| unsafe { libc::fcntl(*n, libc::F_GETFD) } >= 0;
        let open: Vec<String> = (3..1024).filter(open).map(|n| n.to_string()).collect();
        open.join(" ")
    }

    /// What a decoder might try with its own descriptors.
    pub fn with_input(what: &str) -> String {
        match what {
            "owner" => calls! { fcntl(0, libc::F_SETOWN, 1) },
            "map" => calls! { mmap(0, 4096, libc::PROT_READ, libc::MAP_PRIVATE, 0, 0) },
            _ => calls! { prlimit64(1, libc::RLIMIT_CORE, 0, 0) },
        }
    }

    /// A segment of shared memory, for as long as it lives.
    pub struct Segment(pub i32);

    impl Segment {
        pub fn new() -> Self {
            // SAFETY: it makes a segment and attaches nothing.
            Self(unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, libc::IPC_CREAT | 0o600) })
        }
    }

    impl Drop for Segment {
        fn drop(&mut self) {
            // SAFETY: its own segment, attached nowhere in this process.
            unsafe { libc::shmctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
        }
    }
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
    let refused = |said: &str| said.contains("denied") || said.contains("No such file");
    assert!(!others.0 && refused(&others.1), "{others:?}");
    let secret = run(launcher, cat, &["/etc/passwd"], None, None);
    assert!(!secret.0 && refused(&secret.1), "{secret:?}");

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

/// The line of the probe, where it was refused for being another's, or is not there for it.
#[cfg(target_os = "linux")]
fn refused_to_probe(line: &str, namespaces: bool) -> bool {
    let Some((name, error)) = line.split_once('=') else {
        return false;
    };
    let absent = libc::ENOENT.to_string();
    let errors = [libc::EPERM, libc::EACCES, libc::ENOSYS].map(|e| e.to_string());
    // Names can only be kept from it by a root folder of its own.
    (probe::only_asks(name) && !namespaces)
        || errors.iter().any(|e| e == error)
        || (namespaces && error == absent)
}

#[cfg(target_os = "linux")]
fn programs_reach_no_file_and_no_process_of_others(launcher: Launcher, namespaces: bool) {
    let dir = tempfile::tempdir().unwrap();
    let [input, output, victim, link] = ["in", "out", "victim", "link"].map(|n| dir.path().join(n));
    for path in [&input, &output, &victim] {
        fs::write(path, "content").unwrap();
    }
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    let segment = probe::Segment::new();
    let before = fs::metadata(&victim).unwrap();
    let arguments = [
        PROBE,
        victim.to_str().unwrap(),
        link.to_str().unwrap(),
        &segment.0.to_string(),
    ];
    let own = std::env::current_exe().unwrap();
    let (done, said) = run(
        launcher,
        own.to_str().unwrap(),
        &arguments,
        Some(&input),
        Some(&output),
    );
    assert!(done, "{said}");
    let lines = fs::read_to_string(&output).unwrap();
    assert!(lines.lines().count() > 60, "{lines}");
    let reached: Vec<&str> = lines
        .lines()
        .filter(|line| !refused_to_probe(line, namespaces))
        .collect();
    assert!(reached.is_empty(), "{reached:?}");
    let after = fs::metadata(&victim).unwrap();
    assert_eq!(after.permissions(), before.permissions());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "content");
}

#[cfg(target_os = "linux")]
fn decoders_reach_nothing_by_their_own_descriptors(pool: &Pool) {
    for what in ["owner", "map", "limits"] {
        ends(pool, what, "what no decoder needs");
    }
}

/// A file that all children inherit, as those do that a shell opened for the program.
#[cfg(target_os = "linux")]
fn inherited_descriptors_are_closed_in_children(launcher: Launcher) {
    let inherited = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    let bare = std::process::Command::new(std::env::current_exe().unwrap())
        .arg(DESCRIPTORS)
        .output()
        .unwrap();
    assert!(!bare.stdout.is_empty(), "it is inherited without the cage");
    let own = std::env::current_exe().unwrap();
    let program = run(launcher, own.to_str().unwrap(), &[DESCRIPTORS], None, None);
    assert_eq!(program, (true, String::new()));
    let pool = Pool::new(launcher, 8 * LITTLE).unwrap();
    assert_eq!(ask(&pool, "descriptors").unwrap(), "");
}

/// The first argument with which this program is the probe.
const PROBE: &str = "--probe";
/// The first argument with which it prints its descriptors.
const DESCRIPTORS: &str = "--descriptors";

/// This program as what a taken-over program would be.
#[cfg(target_os = "linux")]
fn probe_instead() -> bool {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [PROBE, victim, link, segment] => {
            print!("{}", probe::all(victim, link, segment.parse().unwrap()));
            true
        }
        [DESCRIPTORS] => {
            print!("{}", probe::descriptors());
            true
        }
        _ => false,
    }
}

#[cfg(not(target_os = "linux"))]
fn probe_instead() -> bool {
    false
}

/// A test's name, whether it needs the whole cage, and what it does.
type Trial<A> = (&'static str, bool, fn(A));

/// The same, with what it is done to.
type Bound<'a> = (&'static str, bool, Box<dyn Fn() + 'a>);

fn main() -> ExitCode {
    if probe_instead() {
        return ExitCode::SUCCESS;
    }
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
    #[cfg(target_os = "linux")]
    let on_linux: [Bound<'_>; 3] = [
        (
            "programs_reach_no_file_and_no_process_of_others",
            true,
            Box::new(move || {
                programs_reach_no_file_and_no_process_of_others(launcher, strength.namespaces)
            }),
        ),
        (
            "decoders_reach_nothing_by_their_own_descriptors",
            true,
            Box::new(|| decoders_reach_nothing_by_their_own_descriptors(pool)),
        ),
        (
            "inherited_descriptors_are_closed_in_children",
            true,
            Box::new(move || inherited_descriptors_are_closed_in_children(launcher)),
        ),
    ];
    #[cfg(not(target_os = "linux"))]
    let on_linux: [Bound<'_>; 0] = [];
    let all = on_pool
        .into_iter()
        .map(|(name, full, test)| {
            (
                name,
                full,
                Box::new(move || test(pool)) as Box<dyn Fn() + '_>,
            )
        })
        .chain(on_programs.into_iter().map(|(name, full, test)| {
            (
                name,
                full,
                Box::new(move || test(launcher)) as Box<dyn Fn() + '_>,
            )
        }))
        .chain(on_linux);
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
