//! What Linux's kernel holds a child with: landlock for files, seccomp for system calls.

use std::{
    collections::BTreeMap,
    fs::File,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// The version of landlock whose restrictions were tried; of an older kernel's, those that it has.
const TRIED: ABI = ABI::V7;

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(TRIED))?
        .handle_access(AccessNet::from_all(TRIED))?
        .scope(Scope::from_all(TRIED))?
        .create()
}

/// Whether the rules hold; `None` where this kernel could, and they do not all the same.
fn close(rules: Result<RulesetCreated, RulesetError>) -> Option<bool> {
    let status = rules.and_then(RulesetCreated::restrict_self).ok()?;
    Some(status.ruleset != RulesetStatus::NotEnforced)
}

/// Nothing of the file system, no port, no signal to others. Gives whether that holds.
pub(super) fn no_files() -> bool {
    close(ruleset()) == Some(true)
}

/// Adds a rule for a file that is open. Files in memory alone take none, and need none: they are
/// no part of any file system.
fn open_file(
    rules: RulesetCreated,
    file: Option<&File>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let (Some(file), Ok(copy)) = (file, rules.try_clone()) else {
        return Ok(rules);
    };
    Ok(copy
        .add_rule(PathBeneath::new(file.as_fd(), access))
        .unwrap_or(rules))
}

/// Reading and running under `readable`, reading `input`, writing `output`, and nothing else. Gives
/// whether the kernel did all it can.
pub(super) fn only_files(
    program: &Path,
    readable: &[PathBuf],
    input: Option<&File>,
    output: Option<&File>,
) -> bool {
    let add = |mut rules: RulesetCreated| -> Result<RulesetCreated, RulesetError> {
        for path in readable {
            // What is not there needs no rule.
            let Ok(place) = PathFd::new(path) else {
                continue;
            };
            let mut access: BitFlags<AccessFs> = AccessFs::ReadFile.into();
            if std::fs::metadata(path).is_ok_and(|m| m.is_dir()) {
                access |= AccessFs::ReadDir;
            }
            // The system's loader is what runs a program.
            if ["/lib", "/lib32", "/lib64", "/nix", "/gnu"]
                .iter()
                .any(|p| path.starts_with(p))
            {
                access |= AccessFs::Execute;
            }
            rules = rules.add_rule(PathBeneath::new(place, access))?;
        }
        if let Ok(place) = PathFd::new(program) {
            let access = AccessFs::Execute | AccessFs::ReadFile;
            rules = rules.add_rule(PathBeneath::new(place, access))?;
        }
        let write = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
        rules = open_file(rules, input, AccessFs::ReadFile.into())?;
        open_file(rules, output, write)
    };
    close(ruleset().and_then(add)).is_some()
}

/// Gives up root's powers. `files`: but for that of opening a file of another user again.
pub(super) fn drop_powers(files: bool) {
    let kept = if files {
        CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH
    } else {
        CapabilitySet::empty()
    };
    let _ = rustix::thread::set_no_new_privs(true);
    if let Ok(has) = rustix::thread::capabilities(None) {
        let sets = CapabilitySets {
            effective: has.effective & kept,
            permitted: has.permitted & kept,
            inheritable: CapabilitySet::empty(),
        };
        let _ = rustix::thread::set_capabilities(None, sets);
    }
}

/// Dies with its parent, whose number is `parent`.
pub(super) fn die_with(parent: u32) -> bool {
    let set = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let still = rustix::process::getppid().map(|p| p.as_raw_nonzero().get().unsigned_abs());
    set.is_ok() && still == Some(parent)
}

/// What `clone` is told where it makes a thread, and not a process.
const THREAD: u64 = libc::CLONE_THREAD as u64;
/// `PR_GET_AUXV`, which libc does not name.
const GET_AUXV: i32 = 0x4155_5856;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn apply(rules: Rules, matches: SeccompAction, otherwise: SeccompAction) -> bool {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        return false;
    };
    let program: Result<BpfProgram, _> =
        SeccompFilter::new(rules, otherwise, matches, arch).and_then(TryInto::try_into);
    program.is_ok_and(|p| seccompiler::apply_filter(&p).is_ok())
}

/// Adds a call, where its argument `number`, of 32 bits, compares so with `value`. A rule that can't
/// be made is left out, and does not stand for any argument.
fn only(rules: &mut Rules, call: i64, (number, op, value): (u8, Op, u64)) {
    let rule = SeccompCondition::new(number, Len::Dword, op, value)
        .and_then(|condition| SeccompRule::new(vec![condition]));
    if let Ok(rule) = rule {
        rules.entry(call).or_default().push(rule);
    }
}

fn any(calls: &[i64]) -> Rules {
    calls.iter().map(|&call| (call, Vec::new())).collect()
}

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
    let mut rules = any(&[
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_close,
        libc::SYS_fcntl,
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
        libc::SYS_clone3,
    ]);
    only(&mut rules, libc::SYS_read, (0, Op::Eq, 0));
    only(&mut rules, libc::SYS_write, (0, Op::Le, 2));
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        // No new code.
        let executable = Op::MaskedEq(libc::PROT_EXEC as u64);
        only(&mut rules, call, (2, executable, 0));
    }
    only(&mut rules, libc::SYS_prlimit64, (0, Op::Eq, 0));
    // Names of threads and of memory, and what the kernel said at the start.
    for told in [libc::PR_SET_NAME, libc::PR_SET_VMA, GET_AUXV] {
        only(&mut rules, libc::SYS_prctl, (0, Op::Eq, told as u64));
    }
    only(
        &mut rules,
        libc::SYS_clone,
        (0, Op::MaskedEq(THREAD), THREAD),
    );
    let own = u64::from(std::process::id());
    only(&mut rules, libc::SYS_tgkill, (0, Op::Eq, own));
    rules
}

/// Only what a decoder needs; anything else ends the process. Gives whether that holds.
pub(super) fn few_calls() -> bool {
    let mut allowed = needed();
    allowed.extend(any(&harmless()));
    // The stricter of two filters counts.
    apply(
        any(&[libc::SYS_clone3]),
        SeccompAction::Errno(libc::ENOSYS as u32),
        SeccompAction::Allow,
    ) && apply(
        any(&harmless()),
        SeccompAction::Errno(libc::EACCES as u32),
        SeccompAction::Allow,
    ) && apply(allowed, SeccompAction::Allow, SeccompAction::KillProcess)
}

/// No network for this process, its threads and its children: no socket but between processes of this machine, as far as the
/// kernel can.
pub(super) fn offline() {
    let mut rules = any(&[libc::SYS_io_uring_setup]);
    let other = (0, Op::Ne, libc::AF_UNIX as u64);
    only(&mut rules, libc::SYS_socket, other);
    let refused = SeccompAction::Errno(libc::EACCES as u32);
    let _ = apply(rules, refused, SeccompAction::Allow);
}

/// No network, no other process, nothing of the kernel's rarer doors; for a program whose calls
/// nobody can list. Gives whether that holds.
pub(super) fn no_network() -> bool {
    let mut rules = any(&[
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_sendmmsg,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_open_by_handle_at,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
    ]);
    #[cfg(target_arch = "x86_64")]
    rules.extend(any(&[libc::SYS_fork, libc::SYS_vfork]));
    only(&mut rules, libc::SYS_clone, (0, Op::MaskedEq(THREAD), 0));
    apply(
        any(&[libc::SYS_clone3]),
        SeccompAction::Errno(libc::ENOSYS as u32),
        SeccompAction::Allow,
    ) && apply(
        rules,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
    )
}
