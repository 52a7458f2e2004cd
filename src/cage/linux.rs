//! What Linux's kernel restricts a child with: landlock for files, capabilities, file descriptors.

use std::{
    fs::File,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets};

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

/// Closes all file descriptors but standard input, output and error. To be called first in a child:
/// nothing may own a descriptor yet.
#[allow(unsafe_code)]
pub(super) fn close_inherited() {
    // SAFETY: passes three numbers. Nothing in this process owns a descriptor above 2 yet, so none is
    // closed that is used afterwards.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    if closed == 0 {
        return;
    }
    // Linux before 5.9.
    let open = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = open.and_then(|n| i32::try_from(n).ok());
    for number in FIRST as i32..most.unwrap_or(i32::MAX).min(1 << 20) {
        // SAFETY: as above.
        unsafe { rustix::io::close(number) };
    }
}

/// The first descriptor behind standard input, output and error.
const FIRST: libc::c_uint = 3;
