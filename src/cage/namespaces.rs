//! Namespaces of a child's own: a root folder with nothing in it but what it needs, a network
//! without devices, no shared memory of others.
//!
//! Many systems refuse them to programs (containers, AppArmor, `kernel.unprivileged_userns_clone`).
//! Then landlock and seccomp hold alone, and only names, sizes and times of files can be seen.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rustix::{
    fs::StatVfsMountFlags,
    mount::{
        MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount,
    },
    process::{DumpableBehavior, chdir, chroot, getegid, geteuid, set_dumpable_behavior},
    thread::{CapabilitySet, UnshareFlags},
};

/// Folders that most systems have and that programs rarely lie in, for mounting the new root.
const PLACES: [&str; 5] = ["/mnt", "/srv", "/tmp", "/var", "/home"];

/// Moves this process, which must have one thread, into namespaces of its own, where of all files it
/// sees only those in `shown`: absolute paths whose last part may be a link. Gives whether that
/// holds; where it does not, `shown` can be opened all the same.
pub(super) fn enter(shown: &[PathBuf]) -> bool {
    // While a process is not dumpable its files in /proc are root's.
    let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    let entered = unshare().and_then(|()| change_root(shown));
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    entered.is_ok()
}

fn unshare() -> io::Result<()> {
    let spaces = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWNET;
    let powers = rustix::thread::capabilities(None)?.effective;
    if powers.contains(CapabilitySet::SYS_ADMIN) {
        return leave(spaces);
    }
    let (user, group) = (geteuid(), getegid());
    if user.is_root() {
        // In a user namespace it could no longer open files of other users, which it is given.
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    leave(spaces | UnshareFlags::NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    let own = |id: u32| format!("{id} {id} 1");
    fs::write("/proc/self/uid_map", own(user.as_raw()))?;
    fs::write("/proc/self/gid_map", own(group.as_raw()))
}

fn leave(spaces: UnshareFlags) -> io::Result<()> {
    // Unsafe is only what this is not asked for: another table of descriptors.
    #[expect(deprecated)]
    Ok(rustix::thread::unshare(spaces)?)
}

/// Makes a root folder of `shown` and moves there.
fn change_root(shown: &[PathBuf]) -> io::Result<()> {
    // What is mounted from here on does not show elsewhere.
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    // What is not there is not needed.
    let real: BTreeSet<PathBuf> = shown.iter().filter_map(|p| p.canonicalize().ok()).collect();
    let free = |place: &&Path| place.is_dir() && !real.iter().any(|p| p.starts_with(place));
    let root = PLACES
        .map(Path::new)
        .into_iter()
        .find(free)
        .ok_or(io::ErrorKind::NotFound)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", root, "tmpfs", flags, c"size=1m,mode=755")?;
    let place = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    // Folders come before what is in them.
    for path in &real {
        if !place(path).exists() {
            show(path, &place(path))?;
        }
    }
    for path in shown.iter().filter(|p| p.is_symlink()) {
        if place(path).symlink_metadata().is_err() {
            make_parent(&place(path))?;
            symlink(fs::read_link(path)?, place(path))?;
        }
    }
    chroot(root)?;
    Ok(chdir("/")?)
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Shows `path` at `target`, for reading only.
fn show(path: &Path, target: &Path) -> io::Result<()> {
    make_parent(target)?;
    if path.is_dir() {
        fs::create_dir(target)?;
    } else {
        fs::File::create(target)?;
    }
    mount_bind_recursive(path, target)?;
    // A remount must keep what the system has forbidden there.
    let has = rustix::fs::statvfs(target)?.f_flag;
    let keep = [
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let flags = keep
        .into_iter()
        .filter(|(is, _)| has.contains(*is))
        .fold(MountFlags::empty(), |all, (_, flag)| all | flag);
    // Where it fails landlock alone forbids to write there.
    let _ = mount_remount(
        target,
        MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | flags,
        "",
    );
    Ok(())
}
