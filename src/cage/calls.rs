//! Seccomp filters: which system calls a child may make.
//!
//! Decoders and programs each have an allow-list. The one of programs was learnt by running ffmpeg
//! and ffprobe 5.1 and 7.1 under strace with all codecs that this program uses; calls that are not on
//! it give `ENOSYS`, as on a kernel that lacks them, for which the C libraries have a second way.
//! Calls that reach another file or process give `EPERM`. Numbers of other architectures (32 bits, x32) match
//! nothing on either list.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// The flag with which `clone` makes a thread and not a process.
const THREAD: u64 = libc::CLONE_THREAD as u64;
/// That flag and those that ask for namespaces.
const THREAD_OR_SPACE: u64 = THREAD
    | (libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET) as u64;
/// `PR_GET_AUXV`, which libc does not name.
const GET_AUXV: i32 = 0x4155_5856;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
/// An argument's number, how its low 32 bits are compared, and with what.
type Condition = (u8, Op, u64);

fn apply(rules: Rules, matches: SeccompAction, otherwise: SeccompAction) -> bool {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        return false;
    };
    let program: Result<BpfProgram, _> =
        SeccompFilter::new(rules, otherwise, matches, arch).and_then(TryInto::try_into);
    program.is_ok_and(|p| seccompiler::apply_filter(&p).is_ok())
}

fn errno(number: i32) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

/// Adds a call where all `conditions` hold. A rule that can't be made is left out, and does not
/// stand for any argument.
fn only(rules: &mut Rules, call: i64, conditions: &[Condition]) {
    let conditions: Result<Vec<_>, _> = conditions
        .iter()
        .map(|(number, op, value)| SeccompCondition::new(*number, Len::Dword, op.clone(), *value))
        .collect();
    if let Ok(rule) = conditions.and_then(SeccompRule::new) {
        rules.entry(call).or_default().push(rule);
    }
}

/// Adds a call where argument `number` is one of `values`.
fn one_of(rules: &mut Rules, call: i64, number: u8, values: &[i64]) {
    for &value in values {
        // Of a number the low 32 bits are compared.
        let value = u64::from(value as u32);
        only(rules, call, &[(number, Op::Eq, value)]);
    }
}

fn any(calls: &[i64]) -> Rules {
    calls.iter().map(|&call| (call, Vec::new())).collect()
}

/// `clone` for threads in this process's namespaces; no processes.
fn threads(rules: &mut Rules) {
    let thread = Op::MaskedEq(THREAD_OR_SPACE);
    only(rules, libc::SYS_clone, &[(0, thread, THREAD)]);
}

/// Signals to this process's own threads.
fn own_signals(rules: &mut Rules) {
    let own = i64::from(std::process::id());
    one_of(rules, libc::SYS_tgkill, 0, &[own]);
}

/// Threads, memory, time and signals of a process's own: what every program needs.
const COMMON: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_close,
    libc::SYS_futex,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getrusage,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
];

/// Calls that only ask after files. A library may try them without need, so they fail and do
/// not kill.
fn harmless() -> Vec<i64> {
    let mut calls = vec![
        libc::SYS_openat,
        libc::SYS_newfstatat,
        libc::SYS_fstat,
        libc::SYS_statx,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_readlinkat,
        libc::SYS_getcwd,
        libc::SYS_ioctl,
        libc::SYS_lseek,
        libc::SYS_uname,
        libc::SYS_sysinfo,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getppid,
        libc::SYS_sched_setaffinity,
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_open,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_access,
        libc::SYS_readlink,
    ]);
    calls
}

/// What a decoder needs of the kernel: memory, threads of its own, its two pipes.
fn needed() -> Rules {
    let mut rules = any(COMMON);
    rules.extend(any(&[libc::SYS_clone3]));
    only(&mut rules, libc::SYS_read, &[(0, Op::Eq, 0)]);
    only(&mut rules, libc::SYS_write, &[(0, Op::Le, 2)]);
    // No new code, and no memory of a file's.
    let data = (2, Op::MaskedEq(libc::PROT_EXEC as u64), 0);
    let anonymous = libc::MAP_ANONYMOUS as u64;
    let unnamed = (3, Op::MaskedEq(anonymous), anonymous);
    only(&mut rules, libc::SYS_mmap, &[data.clone(), unnamed]);
    only(&mut rules, libc::SYS_mprotect, &[data]);
    // Whether a descriptor is open, and how; not who is sent signals for it.
    let asked = [libc::F_GETFD, libc::F_GETFL].map(i64::from);
    one_of(&mut rules, libc::SYS_fcntl, 1, &asked);
    one_of(&mut rules, libc::SYS_prlimit64, 0, &[0]);
    // Names of threads and of memory, and what the kernel said at the start.
    let names = [libc::PR_SET_NAME, libc::PR_SET_VMA, GET_AUXV].map(i64::from);
    one_of(&mut rules, libc::SYS_prctl, 0, &names);
    threads(&mut rules);
    own_signals(&mut rules);
    rules
}

/// Only what a decoder needs; anything else ends the process. Gives whether that holds.
pub(super) fn few_calls() -> bool {
    let mut allowed = needed();
    allowed.extend(any(&harmless()));
    // The stricter of two filters counts.
    apply(
        any(&[libc::SYS_clone3]),
        errno(libc::ENOSYS),
        SeccompAction::Allow,
    ) && apply(any(&harmless()), errno(libc::EACCES), SeccompAction::Allow)
        && apply(allowed, SeccompAction::Allow, SeccompAction::KillProcess)
}

/// No network for this process, its threads and its children: only sockets between processes of
/// this machine, as far as the kernel can.
pub(super) fn offline() {
    let mut rules = any(&[libc::SYS_io_uring_setup]);
    let other = (0, Op::Ne, libc::AF_UNIX as u64);
    only(&mut rules, libc::SYS_socket, &[other]);
    let _ = apply(rules, errno(libc::EACCES), SeccompAction::Allow);
}

/// Calls of files that landlock restricts, or that only ask, or that need a descriptor.
fn file_calls() -> Vec<i64> {
    let mut calls = vec![
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_pread64,
        libc::SYS_pwrite64,
        libc::SYS_preadv,
        libc::SYS_pwritev,
        libc::SYS_preadv2,
        libc::SYS_pwritev2,
        libc::SYS_lseek,
        libc::SYS_openat,
        libc::SYS_close_range,
        libc::SYS_dup,
        libc::SYS_dup3,
        libc::SYS_pipe2,
        libc::SYS_eventfd2,
        libc::SYS_memfd_create,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_statfs,
        libc::SYS_fstatfs,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_readlinkat,
        libc::SYS_getdents64,
        libc::SYS_getcwd,
        libc::SYS_ftruncate,
        libc::SYS_fallocate,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_fadvise64,
        libc::SYS_readahead,
        libc::SYS_copy_file_range,
        libc::SYS_sendfile,
        libc::SYS_splice,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_umask,
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_open,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_access,
        libc::SYS_readlink,
        libc::SYS_getdents,
        libc::SYS_dup2,
        libc::SYS_pipe,
        libc::SYS_poll,
        libc::SYS_select,
        libc::SYS_epoll_create,
        libc::SYS_epoll_wait,
    ]);
    calls
}

/// Calls about a process's own threads, memory and numbers.
fn own_calls() -> Vec<i64> {
    let mut calls = vec![
        libc::SYS_execve,
        libc::SYS_msync,
        libc::SYS_mincore,
        libc::SYS_mlock,
        libc::SYS_mlock2,
        libc::SYS_munlock,
        libc::SYS_get_mempolicy,
        libc::SYS_set_mempolicy,
        libc::SYS_mbind,
        libc::SYS_get_robust_list,
        libc::SYS_set_tid_address,
        libc::SYS_getcpu,
        libc::SYS_sched_getparam,
        libc::SYS_sched_getscheduler,
        libc::SYS_sched_get_priority_max,
        libc::SYS_sched_get_priority_min,
        libc::SYS_clock_getres,
        libc::SYS_gettimeofday,
        libc::SYS_getitimer,
        libc::SYS_setitimer,
        libc::SYS_times,
        libc::SYS_rt_sigpending,
        libc::SYS_rt_sigsuspend,
        libc::SYS_rt_sigtimedwait,
        libc::SYS_wait4,
        libc::SYS_waitid,
        libc::SYS_uname,
        libc::SYS_sysinfo,
        libc::SYS_getppid,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_getresuid,
        libc::SYS_getresgid,
        libc::SYS_getgroups,
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_arch_prctl,
        libc::SYS_time,
        libc::SYS_getpgrp,
        libc::SYS_alarm,
        libc::SYS_pause,
    ]);
    #[cfg(not(target_arch = "aarch64"))]
    calls.push(libc::SYS_getrlimit);
    #[cfg(target_arch = "riscv64")]
    // riscv_hwprobe and riscv_flush_icache.
    calls.extend([258, 259]);
    calls
}

/// The allow-list of programs.
fn program_calls() -> Rules {
    let mut rules = any(COMMON);
    rules.extend(any(&file_calls()));
    rules.extend(any(&own_calls()));
    // For the second filter.
    rules.extend(any(&[
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_seccomp,
    ]));
    let fcntl = [
        libc::F_DUPFD,
        libc::F_DUPFD_CLOEXEC,
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_SETFL,
    ];
    one_of(&mut rules, libc::SYS_fcntl, 1, &fcntl.map(i64::from));
    // Whether it is a terminal, its width, how much can be read.
    let ioctl = [
        libc::TCGETS,
        libc::TIOCGWINSZ,
        libc::FIONREAD,
        libc::FIONBIO,
        libc::FIOCLEX,
        libc::FIONCLEX,
    ];
    let ioctl = ioctl.map(|request| request as i64);
    one_of(&mut rules, libc::SYS_ioctl, 1, &ioctl);
    let prctl = [
        libc::PR_SET_NAME,
        libc::PR_GET_NAME,
        libc::PR_SET_VMA,
        libc::PR_CAPBSET_READ,
        libc::PR_GET_DUMPABLE,
        libc::PR_SET_NO_NEW_PRIVS,
        libc::PR_GET_NO_NEW_PRIVS,
        GET_AUXV,
    ];
    one_of(&mut rules, libc::SYS_prctl, 0, &prctl.map(i64::from));
    for (call, own) in about_itself() {
        only(&mut rules, call, &own);
    }
    let own = i64::from(std::process::id());
    one_of(&mut rules, libc::SYS_kill, 0, &[own]);
    own_signals(&mut rules);
    threads(&mut rules);
    rules
}

/// Calls that may name another process or thread, and what they are asked with about the caller.
fn about_itself() -> Vec<(i64, Vec<Condition>)> {
    let caller = |number| (number, Op::Eq, 0);
    let process = |number| (number, Op::Eq, u64::from(std::process::id()));
    // Of processes (PRIO_PROCESS is 0), not of all of a user.
    let priority = [(0, Op::Eq, 0), caller(1)];
    vec![
        (libc::SYS_prlimit64, vec![caller(0)]),
        (libc::SYS_prlimit64, vec![process(0)]),
        (libc::SYS_sched_setaffinity, vec![caller(0)]),
        (libc::SYS_getpriority, priority.to_vec()),
        (libc::SYS_setpriority, priority.to_vec()),
        (libc::SYS_getpgid, vec![caller(0)]),
        (libc::SYS_getsid, vec![caller(0)]),
    ]
}

/// Calls that change files, or name some by other means than their paths.
const CHANGE_FILES: &[i64] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_truncate,
    libc::SYS_chdir,
    libc::SYS_fchdir,
];

/// Calls that reach other processes, or rare parts of the kernel.
const REACH_OTHERS: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_ioprio_set,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_inotify_init1,
    libc::SYS_fanotify_init,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
];

/// The same among calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_creat,
    libc::SYS_inotify_init,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

/// Calls that are on no allow-list and yet give `EPERM`: a library may give up where one is
/// unknown.
fn refused() -> Rules {
    let mut rules = any(CHANGE_FILES);
    rules.extend(any(REACH_OTHERS));
    rules.extend(any(OLD));
    let process = Op::MaskedEq(THREAD);
    only(&mut rules, libc::SYS_clone, &[(0, process, 0)]);
    let own = u64::from(std::process::id());
    for call in [libc::SYS_prlimit64, libc::SYS_sched_setaffinity] {
        only(&mut rules, call, &[(0, Op::Ne, 0), (0, Op::Ne, own)]);
    }
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        only(&mut rules, call, &[(0, Op::Ne, own)]);
    }
    for number in [0, 1] {
        only(&mut rules, libc::SYS_setpriority, &[(number, Op::Ne, 0)]);
    }
    rules
}

/// Only what a program like ffmpeg needs. Gives whether that holds.
pub(super) fn program() -> bool {
    // Of two errors that of the later filter is given.
    apply(program_calls(), SeccompAction::Allow, errno(libc::ENOSYS))
        && apply(refused(), errno(libc::EPERM), SeccompAction::Allow)
}
